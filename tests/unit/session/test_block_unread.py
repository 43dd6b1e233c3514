"""``locked()`` in a request that has not read its session."""

import threading
from contextlib import contextmanager, suppress

import pytest

from pyramid_mysql_session.errors import LockTimeout, StoreUnavailable
from pyramid_mysql_session.session.sealing import Opened
from pyramid_mysql_session.store.keys import renew_session_id
from tests.memory_store import BEGINNING, IDLE
from tests.save_contract import id_of
from tests.unit.conftest import conclude


@pytest.fixture
def session_id(stored):
    return stored({'number': 1})


@pytest.fixture
def unread(make_session, session_id):
    """The session of a request that has not read it."""
    return make_session(session_id)


class TestLive:
    def test_record_is_locked_and_loaded_at_once(
        self, unread, session_id, store, clock, listener
    ):
        clock.move(5)

        with unread.locked():
            assert unread == {'number': 1}
            assert unread.session_id == session_id
            assert unread.created == BEGINNING
            assert not unread.new
            unread['number'] = 2

        assert store.calls == ['locked']
        assert listener.heard == []
        assert unread._saving._loop.refreshed
        assert store.load(session_id).payload == '{"number":2}'
        assert store.load(session_id).expires == clock.now + IDLE

    def test_inner_block_is_part_of_the_outer_one(self, unread, store):
        with unread.locked():
            with unread.locked():
                unread['number'] = 2
            assert not unread._saving._loop.refreshed

        assert store.calls == ['locked']

    def test_second_block_locks_again(self, unread, change, store):
        for _ in range(2):
            with unread.locked():
                unread['number'] += 1
            change(number=unread['number'] + 10)

        assert unread == {'number': 13}
        assert store.calls.count('locked') == 2

    def test_touch_that_is_due_follows_a_block_without_a_change(
        self, unread, clock, store
    ):
        clock.move(IDLE // 2)

        with unread.locked():
            assert unread['number'] == 1
        conclude(unread)

        assert store.calls == ['locked', 'touch']

    def test_exception_goes_back_to_what_was_loaded(
        self, unread, session_id, store
    ):
        rows = dict(store.rows)

        with suppress(ZeroDivisionError), unread.locked():
            unread['number'] = 2
            unread.invalidate()
            raise ZeroDivisionError

        assert unread == {'number': 1}
        assert unread.session_id == session_id
        assert not unread.new
        conclude(unread)
        assert store.rows == rows
        assert store.calls == ['locked']

    def test_payload_in_an_older_form_is_stored_anew(
        self, make_session, session_id, store
    ):
        class Seal:
            binds = False

            def open(self, payload, session_id):
                return Opened(payload, False)

            def close(self, payload, session_id):
                return payload + ' '

        session = make_session(session_id, seal=Seal())

        with session.locked():
            assert session['number'] == 1

        assert store.load(session_id).payload == '{"number":1} '

    def test_block_that_was_committed_without_an_answer_counts(
        self, unread, session_id, store, block_cut
    ):
        block_cut(True)

        with unread.locked():
            unread['number'] += 1

        assert store.load(session_id).payload == '{"number":2}'
        assert store.calls.count('save') == 1

    def test_invalidation_in_the_block_ends_it_with_the_response(
        self, unread, session_id, store, listener
    ):
        with unread.locked():
            unread.invalidate()
            unread['new'] = 1
        assert store.load(session_id)
        conclude(unread)

        assert store.load(session_id) is None
        assert unread.session_id not in (None, session_id)
        assert listener.heard == ['created']


def as_before(store, clock):
    pass


class TestGone:
    """Without a live record all is as if the session had been read before."""

    @pytest.fixture
    def presented(self, request, session_id, store):
        presented = request.param
        if presented == 'renewed':
            return renew_session_id(session_id)
        if presented == 'undecodable':
            store.create(id_of(78), '{', IDLE)
            return id_of(78)
        return presented or session_id

    @pytest.mark.parametrize('read_first', [False, True])
    @pytest.mark.parametrize('young', [False, True])
    @pytest.mark.parametrize(
        ('presented', 'end', 'reason'),
        [
            (id_of(77), as_before, 'unknown'),
            (None, lambda store, clock: store.rows.clear(), 'unknown'),
            (None, lambda store, clock: clock.move(IDLE + 1), 'expired'),
            ('renewed', as_before, 'renewed'),
            ('undecodable', as_before, 'undecodable'),
        ],
        ids=['unknown', 'deleted', 'expired', 'renewed', 'undecodable'],
        indirect=['presented'],
    )
    def test_block_runs_without_a_lock_and_a_new_session_begins(
        self,
        make_session,
        presented,
        end,
        reason,
        store,
        clock,
        listener,
        read_first,
        young,
    ):
        end(store, clock)
        session = make_session(presented, is_young=lambda _: young)
        if read_first:
            assert session == {}

        with session.locked():
            assert session == {}
            assert session.new
            assert session.session_id is None
            assert session.handle is None
            assert session.created == clock.now
            # nobody else would have to wait
            with store.locked(presented):
                session['new'] = 1
            assert listener.heard == [reason]
        conclude(session)

        assert listener.heard == [reason, 'created']
        assert session.session_id not in (None, presented)
        assert make_session(session.session_id) == {'new': 1}

    def test_record_that_a_server_knows_a_moment_later_is_locked(
        self, make_session, session_id, store, meanwhile, listener
    ):
        rows = dict(store.rows)
        store.rows.clear()
        # the second look finds it
        meanwhile('load', lambda: None, lambda: store.rows.update(rows))
        meanwhile('is_renewed', lambda: store.rows.update(rows))
        session = make_session(session_id, is_young=lambda _: True)

        with session.locked():
            session['number'] += 1

        assert store.calls.count('locked') == 2
        assert make_session(session_id) == {'number': 2}
        assert listener.heard == []

    def test_listener_may_use_the_new_session_in_the_block(
        self, make_session, listener, monkeypatch
    ):
        def rejected(reason):
            with session.locked():
                session['reason'] = reason

        monkeypatch.setattr(listener, 'rejected', rejected)
        session = make_session(id_of(77))

        with session.locked():
            assert session == {'reason': 'unknown'}

        conclude(session)
        assert make_session(session.session_id) == {'reason': 'unknown'}


class TestElsewhere:
    """What is loaded as ever."""

    def test_several_cookies(self, make_session, session_id, store):
        session = make_session([id_of(77), session_id])

        with session.locked():
            session['number'] += 1

        assert store.calls == ['find_live', 'load', 'locked']
        assert make_session(session_id) == {'number': 2}

    @pytest.mark.parametrize('give_up', ['abandon', 'discard'])
    def test_session_that_is_saved_no_more(self, unread, store, give_up):
        getattr(unread._saving, give_up)()
        rows = dict(store.rows)

        with unread.locked():
            unread['number'] += 1
        conclude(unread)

        assert store.calls == ['load']
        assert store.rows == rows

    def test_invalidated_session(self, unread, store):
        unread.invalidate()

        with unread.locked():
            unread['new'] = 1

        assert store.calls == ['measure']

    def test_session_that_is_late_is_locked_and_loaded_at_once(
        self, unread, store
    ):
        unread._saving.leave()

        with unread.locked():
            unread['number'] = 2

        assert store.calls == ['locked']


class TestError:
    @pytest.mark.parametrize(
        'error',
        [StoreUnavailable('MySQL stopped', ''), LockTimeout('Locked', '')],
        ids=['unavailable', 'timeout'],
    )
    def test_session_stays_unread_and_can_be_loaded_later(
        self, unread, session_id, store, listener, meanwhile, error
    ):
        def fail():
            raise error

        meanwhile('locked', fail)

        with pytest.raises(type(error)) as caught, unread.locked():
            raise AssertionError

        assert caught.value is error
        assert listener.failures == [error]
        assert not unread._saving.used
        assert unread.session_id == session_id
        conclude(unread)
        with unread.locked():
            unread['number'] += 1
        assert unread == {'number': 2}
        assert listener.heard == []

    def test_lock_of_another_is_no_reason_not_to_read(
        self, unread, make_session, session_id
    ):
        with make_session(session_id).locked():
            with pytest.raises(LockTimeout), unread.locked():
                raise AssertionError
            assert unread == {'number': 1}

    def test_bug_of_a_serializer_leaves_no_lock(
        self, make_session, session_id, store
    ):
        class Broken:
            def loads(self, payload):
                raise ZeroDivisionError

        session = make_session(session_id, serializer=Broken())

        with pytest.raises(ZeroDivisionError), session.locked():
            raise AssertionError

        with store.locked(session_id):
            pass


class TestOthersMeanwhile:
    """Who uses the session while the lock is waited for."""

    def use_in_thread(self, session, use):
        thread = threading.Thread(target=use, args=(session,))
        thread.start()
        thread.join()

    @pytest.mark.parametrize('thread', [False, True])
    def test_change_of_another_user_stays(
        self, unread, session_id, make_session, meanwhile, store, thread
    ):
        def use(session):
            session['other'] = 1

        def others():
            if thread:
                self.use_in_thread(unread, use)
            else:
                # who is told that the statement is done again
                use(unread)

        meanwhile('locked', others)

        with unread.locked():
            assert unread == {'number': 1, 'other': 1}
            unread['number'] += 1

        assert make_session(session_id) == {'number': 2, 'other': 1}
        assert store.calls[:3] == ['load', 'locked', 'locked']

    def test_block_of_another_user_is_an_inner_one(
        self, unread, session_id, make_session, meanwhile
    ):
        def block():
            with unread.locked():
                assert unread._saving.used
                unread['other'] = 1

        meanwhile('locked', block)

        with unread.locked():
            unread['number'] += 1

        assert make_session(session_id) == {'number': 2, 'other': 1}

    def test_thread_that_loads_gets_the_connection_of_the_lock(
        self, unread, store, monkeypatch
    ):
        load, locked = store.load, store.locked
        loading, free = threading.Event(), threading.Event()
        reader = threading.Thread(target=unread.get, args=('number',))
        in_time = []

        @contextmanager
        def lock(session_id):
            monkeypatch.setattr(store, 'locked', locked)
            reader.start()
            loading.wait(5)
            with locked(session_id) as row:
                yield row
            free.set()

        def wait_for_connection(session_id):
            loading.set()
            in_time.append(free.wait(5))
            return load(session_id)

        monkeypatch.setattr(store, 'locked', lock)
        monkeypatch.setattr(store, 'load', wait_for_connection)

        with unread.locked():
            unread['number'] += 1
        reader.join()

        assert in_time == [True]
        assert unread == {'number': 2}

    def test_block_that_begins_in_another_thread_at_once_is_an_inner_one(
        self, unread, session_id, make_session, change, store, monkeypatch
    ):
        locked = store.locked
        waiting, go = threading.Event(), threading.Event()

        def increment():
            with unread.locked():
                unread['number'] += 1

        outer = threading.Thread(target=increment)

        def wait(store, session_id):
            waiting.set()
            go.wait(5)
            return locked(session_id)

        def looked_up(store):
            # nobody has entered a block when this is looked up
            monkeypatch.setattr(type(store), 'locked', wait)
            outer.start()
            waiting.wait(5)
            return locked

        monkeypatch.setattr(type(store), 'locked', property(looked_up))

        with unread.locked():
            unread['mine'] = 1
            change(other=1)
            go.set()
            outer.join()

        conclude(unread)
        stored = {'number': 2, 'mine': 1, 'other': 1}
        assert make_session(session_id) == stored

    def test_session_that_is_abandoned_meanwhile_is_not_saved(
        self, unread, store, meanwhile
    ):
        rows = dict(store.rows)
        meanwhile('locked', unread._saving.abandon)

        with unread.locked():
            unread['number'] += 1

        assert store.rows == rows


class TestUserID:
    def test_user_is_asked_for_under_the_lock(
        self, make_session, session_id, store, listener, monkeypatch
    ):
        asked = []

        def userid():
            # who is asked may lock the session, too
            with session.locked():
                asked.append(dict(session))
            return 'ada'

        monkeypatch.setattr(listener, 'userid', userid)
        session = make_session(session_id, asks_userid=True)

        with session.locked():
            session['number'] += 1

        assert store.calls == ['locked']
        assert asked[0] == {'number': 1}
        assert [each.userid for each in store.iter_sessions()] == ['ada']

    def test_exception_in_the_block_leaves_the_user(
        self, make_session, session_id, store, listener
    ):
        listener.known_userid = 'ada'
        session = make_session(session_id, asks_userid=True)

        with pytest.raises(ZeroDivisionError), session.locked():
            raise ZeroDivisionError
        conclude(session)

        assert [each.userid for each in store.iter_sessions()] == ['ada']
