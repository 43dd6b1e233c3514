"""The promises of ``IMySQLSessionStore``, one test each."""

from __future__ import annotations

import itertools
from contextlib import suppress

import pytest
from zope.interface.verify import verifyClass, verifyObject

from pyramid_mysql_session import (
    IMySQLSessionStore,
    LockTimeout,
    PayloadTooLarge,
    StoreUnavailable,
)
from pyramid_mysql_session.store.keys import handle, renew_session_id
from tests.save_contract import IDLE, ONE, THREE, TWO, SaveContract, id_of
from tests.users_contract import UsersContract


class StoreContract(UsersContract, SaveContract):
    """What every store does; see there for the fixtures of a subclass."""

    def test_store_provides_its_interface(self, store):
        assert verifyObject(IMySQLSessionStore, store)
        assert verifyClass(IMySQLSessionStore, type(store))

    @pytest.fixture
    def renewed(self, store, revision):
        """The id that session ``ONE`` has got instead."""
        renewed = renew_session_id(ONE)
        store.save(ONE, None, revision, IDLE, new_session_id=renewed)
        return renewed

    # load

    def test_load_returns_what_was_created(self, store, revision, clock):
        assert store.load(ONE) == (
            '{"a":1}',
            clock.now,
            clock.now + IDLE,
            revision,
            clock.now,
        )

    def test_load_of_an_unknown_id_returns_none(self, store, revision):
        assert store.load(TWO) is None

    def test_load_returns_an_expired_record_too(self, store, expired, clock):
        record = store.load(ONE)

        assert record.payload == '{"a":1}'
        assert record.expires == record.now - 1 == clock.now - 1

    def test_load_caps_expiry_at_the_absolute_deadline(
        self, make_store, clock
    ):
        make_store().create(ONE, '{}', IDLE)

        record = make_store(absolute_timeout=30).load(ONE)

        assert record.expires == clock.now + 30

    # touch by revision

    def test_touch_leaves_a_record_that_was_saved_since(
        self, store, revision, clock
    ):
        saved = store.save(ONE, '{}', revision, IDLE - 50).revision

        assert store.touch(ONE, IDLE, revision) is None
        assert store.load(ONE).expires == clock.now + IDLE - 50
        assert store.touch(ONE, IDLE, saved) is True
        assert store.load(ONE).expires == clock.now + IDLE
        assert store.touch(TWO, IDLE, saved) is False

    # without an idle time-out

    @pytest.mark.parametrize('action', ['create', 'save', 'touch', 'locked'])
    def test_absolute_timeout_alone_decides(self, make_store, clock, action):
        store = make_store(absolute_timeout=300)
        revision = store.create(ONE, '{}', 10 if action != 'create' else None)
        if action == 'save':
            store.save(ONE, '{}', revision, None)
        elif action == 'touch':
            store.touch(ONE, None)
        elif action == 'locked':
            with store.locked(ONE) as row:
                row.save('{}', None)

        record = store.load(ONE)
        assert record.expires == record.created + 300

    # find_live

    def test_find_live_gives_the_living_in_their_order(self, store, expired):
        store.create(TWO, '{}', IDLE)
        store.create(THREE, '{}', IDLE)

        renewed = renew_session_id(TWO)
        store.save(TWO, None, store.load(TWO).revision, IDLE, None, renewed)

        found = store.find_live([THREE, id_of(7), ONE, TWO, renewed])
        assert found == ([THREE, renewed], [TWO])
        assert store.find_live([id_of(7), ONE]) == ([], [])

    # is_renewed

    def test_id_that_was_renewed_is_told_from_an_unknown_one(
        self, store, renewed
    ):
        assert store.is_renewed(ONE) is True
        assert store.is_renewed(TWO) is False

    @pytest.mark.parametrize('end', ['delete', 'expire'])
    def test_renewed_session_that_is_gone_leaves_an_unknown_id(
        self, store, renewed, clock, end
    ):
        if end == 'delete':
            store.delete(renewed)
        else:
            clock.move(IDLE + 1)

        assert store.is_renewed(ONE) is False

    # create

    def test_create_never_passes_the_absolute_deadline(
        self, make_store, clock
    ):
        store = make_store(absolute_timeout=30)

        store.create(ONE, '{}', IDLE)

        assert store.load(ONE).expires == clock.now + 30

    def test_create_of_two_sessions_makes_two_revisions(self, store):
        assert store.create(ONE, '{}', IDLE) != store.create(TWO, '{}', IDLE)

    def test_create_that_replaces_deletes_the_other(self, store, revision):
        store.create(TWO, '{"b":2}', IDLE, replaces=(ONE,))

        assert store.load(ONE) is None
        assert store.load(TWO).payload == '{"b":2}'

    def test_create_that_replaces_begins_anew(self, make_store, clock):
        store = make_store(absolute_timeout=70)
        first = store.create(ONE, '{"a":1}', IDLE, 'ada')
        clock.move(50)

        revision = store.create(TWO, '{"b":2}', IDLE, replaces=(ONE,))

        assert revision != first
        assert store.load(TWO) == (
            '{"b":2}',
            clock.now,
            clock.now + 70,
            revision,
            clock.now,
        )
        assert store.for_user('ada') == []
        (found,) = store.newest(9)
        assert (found.handle, found.userid) == (handle(TWO), None)
        assert store.save(ONE, '{"a":2}', first, IDLE) == (None, None)
        assert store.touch(ONE, IDLE) is False

    def test_create_that_replaces_what_was_renewed_ends_it(
        self, store, renewed
    ):
        ended = []
        store.create(TWO, '{}', IDLE, 'bob', replaces=(ONE,), ended=ended)

        assert ended == [ONE]
        assert store.load(renewed) is None
        assert len(store.for_user('bob')) == 1

    def test_create_may_replace_what_has_expired(self, store, expired, clock):
        ended = []
        store.create(TWO, '{}', IDLE, replaces=(ONE,), ended=ended)

        assert ended == [ONE]
        assert store.load(ONE) is None
        assert store.load(TWO).expires == clock.now + IDLE

    def test_create_tried_again_tells_what_it_has_replaced(
        self, store, revision
    ):
        first = store.create(TWO, '{"b":2}', IDLE, replaces=(ONE,))
        ended = []

        # the answer to the first was lost
        again = store.create(TWO, '{}', IDLE, replaces=(ONE,), ended=ended)

        assert (again, ended) == (first, [ONE])
        assert store.load(TWO).payload == '{"b":2}'

    def test_create_that_replaces_another_with_one_that_is_there_ends_it(
        self, store, revision
    ):
        other = store.create(TWO, '{"b":2}', IDLE)
        ended = []

        again = store.create(TWO, '{}', IDLE, replaces=(ONE,), ended=ended)

        assert (again, ended) == (other, [ONE])
        assert store.load(ONE) is None
        assert store.load(TWO).payload == '{"b":2}'

    def test_create_that_replaces_waits_for_a_lock_in_vain(
        self, store, revision
    ):
        with store.locked(ONE), pytest.raises(LockTimeout):
            store.create(TWO, '{}', IDLE, replaces=(ONE,))

        assert store.load(TWO) is None
        assert store.load(ONE).revision == revision

    def test_create_that_replaces_ends_several_under_any_id(
        self, store, renewed
    ):
        store.create(TWO, '{}', IDLE)

        store.create(THREE, '{"c":3}', IDLE, replaces=(ONE, TWO))

        assert [stored.handle for stored in store.iter_sessions()] == [
            handle(THREE)
        ]

    def test_create_of_an_id_that_is_there_leaves_the_record_alone(
        self, store, revision, clock
    ):
        before = store.load(ONE)

        assert store.create(ONE, '{"b":2}', 7, 'bob') == revision

        assert store.load(ONE) == before
        assert len(store.for_user('ada')) == 1

    def test_create_of_an_id_that_is_there_still_ends_what_it_replaces(
        self, store, revision
    ):
        store.create(TWO, '{}', IDLE)

        assert store.create(ONE, '{}', IDLE, replaces=(TWO,)) == revision

        assert store.load(TWO) is None

    def test_create_may_replace_what_is_gone(self, store):
        store.create(TWO, '{}', IDLE, replaces=(ONE,))

        assert store.load(TWO) is not None

    def test_create_tells_which_of_those_that_it_replaces_were_there(
        self, store, renewed
    ):
        ended = []
        store.create(TWO, '{}', IDLE, replaces=(THREE, ONE), ended=ended)

        assert ended == [ONE]

    def test_create_of_an_id_that_is_there_tells_of_all_it_replaces(
        self, store, revision
    ):
        # its own answer was lost, and what it had ended is not known
        ended = []
        store.create(ONE, '{}', IDLE, replaces=(TWO,), ended=ended)

        assert ended == [TWO]

    def test_create_of_a_too_large_payload_stores_nothing(self, make_store):
        store = make_store(max_payload_bytes=20)
        store.create(ONE, '{}', IDLE)

        with pytest.raises(PayloadTooLarge) as caught:
            store.create(TWO, '"' + 19 * 'x' + '"', IDLE, replaces=(ONE,))

        assert (caught.value.size, caught.value.limit) == (21, 20)
        assert store.load(ONE) is not None
        assert store.load(TWO) is None

    def test_create_with_a_too_long_user_id_stores_nothing(self, store):
        with pytest.raises(PayloadTooLarge) as caught:
            store.create(ONE, '{}', IDLE, userid='u' * 256)

        assert (caught.value.size, caught.value.limit) == (256, 255)
        assert store.load(ONE) is None

    # measure

    def test_measure_of_what_can_be_stored_stores_nothing(self, store):
        store.measure('{}')
        store.measure('{}', 'u' * 255)

        assert store.count() == 0

    @pytest.mark.parametrize(
        ('size', 'userid', 'exceeded'),
        [(21, None, (21, 20)), (20, 'u' * 256, (256, 255))],
    )
    def test_measure_refuses_what_create_would(
        self, make_store, size, userid, exceeded
    ):
        store = make_store(max_payload_bytes=20)
        payload = '"'.ljust(size - 1, 'x') + '"'

        for refuse in (
            lambda: store.measure(payload, userid),
            lambda: store.create(ONE, payload, IDLE, userid),
        ):
            with pytest.raises(PayloadTooLarge) as caught:
                refuse()
            assert (caught.value.size, caught.value.limit) == exceeded

    # touch

    def test_touch_moves_only_the_idle_deadline(self, store, revision, clock):
        before = store.load(ONE)
        clock.move(50)

        assert store.touch(ONE, IDLE) is True

        assert store.load(ONE) == before._replace(
            expires=clock.now + IDLE, now=clock.now
        )
        assert len(store.for_user('ada')) == 1

    def test_touch_never_shortens(self, store, revision):
        before = store.load(ONE)

        assert store.touch(ONE, 1) is True

        assert store.load(ONE) == before

    def test_touch_never_passes_the_absolute_deadline(self, make_store, clock):
        store = make_store(absolute_timeout=150)
        store.create(ONE, '{}', IDLE)
        clock.move(60)

        assert store.touch(ONE, IDLE) is True

        assert store.load(ONE).expires == clock.now - 60 + 150

    def test_touch_of_an_unknown_id_returns_false(self, store, revision):
        assert store.touch(TWO, IDLE) is False
        assert store.load(TWO) is None

    def test_touch_never_revives(self, store, expired):
        before = store.load(ONE)

        assert store.touch(ONE, IDLE) is False

        assert store.load(ONE) == before

    # delete

    def test_delete_removes_this_record_only(self, store, revision):
        store.create(TWO, '{}', IDLE)

        assert store.delete(ONE) == (True, None)

        assert store.load(ONE) is None
        assert store.load(TWO) is not None

    def test_delete_of_an_unknown_id_is_not_done(self, store):
        assert store.delete(ONE) == (False, None)
        assert store.delete(ONE, 7) == (False, None)

    def test_delete_ends_a_session_that_was_renewed(self, store, renewed):
        assert store.delete(ONE) == (True, None)

        assert store.load(renewed) is None

    def test_delete_of_a_revision_leaves_a_session_that_was_renewed(
        self, store, renewed
    ):
        record = store.load(renewed)

        assert store.delete(ONE, record.revision) == (False, None)

        assert store.load(renewed) == record

    def test_delete_of_its_revision_removes_the_record(self, store, revision):
        assert store.delete(ONE, revision) == (True, None)

        assert store.load(ONE) is None

    def test_delete_of_another_revision_returns_the_record(
        self, store, revision
    ):
        stored = store.load(ONE)

        assert store.delete(ONE, revision ^ 1) == (False, stored)

        assert store.load(ONE) == stored

    def test_delete_of_another_revision_ignores_the_expired(
        self, store, expired
    ):
        assert store.delete(ONE, expired ^ 1) == (False, None)

    # locked

    def test_locked_gives_the_live_record(self, store, revision):
        with store.locked(ONE) as row:
            assert row.record == store.load(ONE)

    def test_locked_gives_no_record_for_an_unknown_id(self, store):
        with store.locked(ONE) as row:
            assert row.record is None
            assert row.save('{}', IDLE) is False

        assert store.load(ONE) is None

    def test_locked_gives_no_expired_record(self, store, expired):
        with store.locked(ONE) as row:
            assert row.record is None

    def test_locked_saves_with_the_revision_it_tells(self, store, revision):
        with store.locked(ONE) as row:
            assert row.save('{"b":2}', IDLE, 'bob', TWO) is True

        assert store.load(ONE) is None
        assert store.load(TWO)[0::3] == ('{"b":2}', row.revision)
        assert row.revision != revision
        assert len(store.for_user('bob')) == 1

    def test_locked_deletes(self, store, revision):
        with store.locked(ONE) as row:
            assert row.delete()
            assert not row.delete()

        assert store.load(ONE) is None

    def test_locked_takes_everything_back_after_an_error(
        self, store, revision
    ):
        before = store.load(ONE)

        with suppress(ZeroDivisionError), store.locked(ONE) as row:
            assert row.save('{"b":2}', IDLE)
            raise ZeroDivisionError

        assert store.load(ONE) == before
        assert store.touch(ONE, IDLE)

    def test_locked_keeps_others_from_writing_but_not_from_reading(
        self, store, revision
    ):
        with store.locked(ONE):
            with pytest.raises(LockTimeout):
                store.save(ONE, '{"b":2}', revision, IDLE)
            record = store.load(ONE)

        assert record.payload == '{"a":1}'
        assert store.save(ONE, '{"b":2}', revision, IDLE).revision

    # all sessions

    def test_newest_gives_the_live_ones_that_came_last(self, store, expired):
        ids = [id_of(second) for second in (7, 9, 8)]
        for session_id in ids:
            store.create(session_id, '{}', IDLE, 'ada')

        found = store.newest(2)

        last = [ids[1], ids[2]]
        assert [one.handle for one in found] == [handle(each) for each in last]
        assert [one.userid for one in found] == ['ada', 'ada']
        assert len(store.newest(9)) == 3

    @pytest.mark.parametrize('limit', [0, -1])
    def test_newest_of_no_sessions_is_refused(self, store, limit):
        with pytest.raises(ValueError, match=str(limit)):
            store.newest(limit)

    def test_now_is_the_second_that_decides_what_is_alive(self, store, clock):
        store.create(TWO, '{}', IDLE)

        assert store.now() == store.load(TWO).now

    def test_clear_deletes_all_in_batches(self, make_store):
        store = make_store(purge_batch=2)
        for number in range(5):
            store.create(id_of(number), '{}', IDLE)

        assert store.clear() == 5

        assert store.count() == 0

    # purge

    @pytest.fixture
    def dead(self, make_store, clock):
        """A store that purges by twos; five sessions are dead, one lives."""
        store = make_store(purge_batch=2)
        for number in range(5):
            store.create(id_of(number), '{}', 1)
        store.create(id_of(9), '{}', 2)
        clock.move(2)
        return store

    @pytest.mark.parametrize('exclusive', [False, True])
    def test_purge_deletes_the_expired_only(self, dead, exclusive):
        assert dead.purge(exclusive=exclusive) == 5

        assert dead.load(id_of(0)) is None
        assert dead.load(id_of(9)) is not None
        assert dead.purge(exclusive=exclusive) == 0

    def test_purge_asks_between_batches_whether_to_stop(self, dead):
        answers = itertools.chain([False], itertools.repeat(True))

        assert dead.purge(lambda: next(answers)) == 2

        assert dead.purge() == 3

    def test_purge_tells_after_each_batch_what_it_deleted(self, dead):
        told = []

        assert dead.purge(progress=told.append) == 5

        assert told == [2, 2, 1]

    def test_purge_lets_another_exclusive_one_work_between_batches(self, dead):
        others = []

        def stop():
            others.append(dead.purge(exclusive=True))
            return False

        assert dead.purge(stop, exclusive=True) == 0

        assert others == [5]
        assert dead.purge(exclusive=True) == 0

    # the table

    def test_create_table_may_be_called_twice(self, store):
        store.create_table()
        store.create_table()

        assert store.check_table() == []

    def test_close_may_be_called_twice_and_refuses_use(self, store, revision):
        assert not store.closed
        store.close()
        store.close()

        assert store.closed
        with pytest.raises(StoreUnavailable, match='store is closed'):
            store.load(ONE)
