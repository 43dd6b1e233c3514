"""Ids change and end with the response."""

import pytest

from pyramid_mysql_session.errors import (
    LockTimeout,
    PayloadNotSerializable,
    StoreUnavailable,
)
from pyramid_mysql_session.session.loop import MERGE_ATTEMPTS
from pyramid_mysql_session.store.keys import handle, stored_key
from tests.memory_store import BEGINNING
from tests.unit.conftest import conclude


class TestDeletion:
    def test_emptied_session_loses_its_record(self, session, store, listener):
        session.clear()
        conclude(session)
        conclude(session)

        assert (store.calls, store.rows) == (['delete'], {})
        assert session._saving.ended
        assert session.session_id is None
        assert session.handle is None
        assert listener.heard == []

    def test_data_after_that_goes_under_a_fresh_id(
        self, session, session_id, store, listener
    ):
        session.clear()
        conclude(session)
        session['b'] = 2
        conclude(session)

        assert store.calls == ['delete', 'create']
        assert session.session_id not in (None, session_id)
        assert listener.heard == ['created']

    def test_data_after_that_is_created_then(self, session, store, clock):
        session.clear()
        conclude(session)
        clock.move(5)
        session['b'] = 2
        conclude(session)

        assert session.created == store.load(session.session_id).created


class TestRenewal:
    def test_data_moves_to_a_fresh_id_and_the_old_one_is_dead(
        self, session, session_id, make_session, store, clock, listener
    ):
        clock.move(5)
        session.renew_id()
        assert session.session_id == session_id
        conclude(session)
        conclude(session)

        assert store.calls == ['save']
        assert session.session_id not in (None, session_id)
        assert list(store.rows) == [stored_key(session.session_id)]
        again = make_session(session.session_id)
        assert again == session == {'a': 1, 'list': [1]}
        assert again.created == BEGINNING
        assert listener.heard == []

    def test_handle_stays(self, session, session_id):
        before = session.handle
        session.renew_id()
        conclude(session)

        assert session.session_id != session_id
        assert session.handle == before == handle(session_id)

    def test_change_goes_with_it(self, session, make_session, store):
        session.renew_id()
        session['b'] = 2
        conclude(session)

        assert store.calls == ['save']
        assert make_session(session.session_id)['b'] == 2

    def test_conflict_is_merged_under_the_fresh_id(
        self, session, session_id, make_session, change, store, listener
    ):
        session.renew_id()
        change(b=2)
        conclude(session)

        assert session.session_id != session_id
        assert list(store.rows) == [stored_key(session.session_id)]
        assert make_session(session.session_id)['b'] == 2
        assert listener.heard == []

    def test_renewed_session_that_is_emptied_is_deleted(self, session, store):
        session.renew_id()
        session.clear()
        conclude(session)
        conclude(session)

        assert (store.calls, store.rows) == (['delete'], {})
        session['b'] = 2
        conclude(session)
        conclude(session)
        assert store.calls == ['delete', 'create']


class TestInvalidation:
    @pytest.mark.parametrize('times', [1, 2])
    def test_record_is_deleted_when_nothing_follows(
        self, make_session, session_id, store, times
    ):
        session = make_session(session_id)
        for _ in range(times):
            session.invalidate()
        assert session._saving.used
        assert session.new
        assert session == {}
        conclude(session)
        conclude(session)

        assert (store.calls, store.rows) == (['delete'], {})
        assert session._saving.ended

    def test_what_follows_is_created_in_its_place(
        self, session, session_id, make_session, store, clock
    ):
        clock.move(5)
        session.remember(77)
        session.invalidate()
        session['b'] = 2
        conclude(session)

        assert store.calls == ['create']
        assert session.new
        assert session.session_id != session_id
        assert session.handle == handle(session.session_id)
        assert session.handle != handle(session_id)
        assert list(store.rows) == [stored_key(session.session_id)]
        again = make_session(session.session_id)
        assert again == {'b': 2}
        assert again.created == session.created == BEGINNING + 5
        assert again._draft.idle_timeout is None
        assert not session._draft.remembered

    def test_what_follows_is_merged_as_any_session(
        self, session, make_session
    ):
        assert session['list'] == [1]
        session.invalidate()
        session['b'] = 2
        conclude(session)
        other = make_session(session.session_id)
        other['theirs'] = 3
        other.save()
        session['c'] = 4

        session.save()

        assert make_session(session.session_id) == session
        assert session == {'b': 2, 'theirs': 3, 'c': 4}

    @pytest.mark.parametrize('data', [{}, {'b': 2}])
    def test_session_ends_though_it_was_renewed_meanwhile(
        self, session, session_id, make_session, store, data
    ):
        other = make_session(session_id)
        other.renew_id()
        conclude(other)

        session.invalidate()
        session.update(data)
        conclude(session)

        assert len(store.rows) == len(data)
        assert make_session(other.session_id) == {}

    @pytest.mark.parametrize('data', [{}, {'c': 3}])
    def test_every_session_of_the_request_ends(
        self, session, session_id, make_session, store, data
    ):
        session.invalidate()
        session['b'] = 2
        conclude(session)
        session.invalidate()
        session.update(data)
        conclude(session)

        assert len(store.rows) == len(data)
        assert make_session(session.session_id) == data

    def test_old_record_stays_when_the_new_one_is_refused(
        self, session, session_id, store
    ):
        session.invalidate()
        session['b'] = object()

        with pytest.raises(PayloadNotSerializable):
            conclude(session)

        assert list(store.rows) == [stored_key(session_id)]
        session['b'] = 2
        conclude(session)
        assert list(store.rows) == [stored_key(session.session_id)]

    def test_old_record_that_is_locked_is_ended_by_the_next_conclusion(
        self, session, session_id, store
    ):
        session.invalidate()

        with store.locked(session_id), pytest.raises(LockTimeout):
            conclude(session)
        assert not session._saving.ended
        conclude(session)

        assert store.rows == {}
        assert session._saving.ended


class TestRetract:
    """The response that told the new id was not sent."""

    def test_renewed_session_gets_its_old_id_back(
        self, session, session_id, make_session, store
    ):
        session.renew_id()
        session['b'] = 2
        conclude(session)
        renewed = session.session_id

        session._saving.retract()

        assert list(store.rows) == [stored_key(session_id)]
        assert make_session(session_id) == session
        assert make_session(renewed) == {}

    @pytest.fixture
    def save_theirs(self, session, make_session):
        """Call it for a save of another request, under the id there is."""

        def save():
            other = make_session(session.session_id)
            other['theirs'] = other.get('theirs', 0) + 1
            other.save()

        return save

    @pytest.mark.parametrize('times', [1, 4])
    def test_save_of_others_under_the_new_id_is_kept(
        self,
        session,
        session_id,
        make_session,
        store,
        meanwhile,
        save_theirs,
        times,
    ):
        session.renew_id()
        conclude(session)
        meanwhile('save', *times * [save_theirs])

        session._saving.retract()

        assert list(store.rows) == [stored_key(session_id)]
        assert make_session(session_id)['theirs'] == times

    def test_others_who_save_again_and_again_keep_the_new_id(
        self, session, store, meanwhile, save_theirs
    ):
        session.renew_id()
        conclude(session)
        meanwhile('save', *MERGE_ATTEMPTS * [save_theirs])

        session._saving.retract()

        assert list(store.rows) == [stored_key(session.session_id)]

    def test_session_that_is_gone_stays_so(self, session, store, caplog):
        session.renew_id()
        conclude(session)
        store.rows.clear()

        session._saving.retract()

        assert store.rows == {}
        assert caplog.messages == []

    def test_own_idle_timeout_holds_for_the_old_id(
        self, session, session_id, store, clock
    ):
        session.renew_id()
        session.remember(7)
        conclude(session)

        session._saving.retract()

        assert store.load(session_id).expires == clock.now + 7

    def test_created_session_is_deleted(self, make_session, store):
        session = make_session()
        session['a'] = 1
        conclude(session)

        session._saving.retract()

        assert store.rows == {}

    def test_session_that_replaced_another_is_deleted(self, session, store):
        session.invalidate()
        session['b'] = 2
        conclude(session)

        session._saving.retract()

        assert store.rows == {}

    @pytest.mark.parametrize(
        'use',
        [
            lambda session: session.update(b=2),
            lambda session: session.clear(),
            lambda session: session.invalidate(),
        ],
    )
    def test_session_without_a_new_id_stays_as_it_is(
        self, session, store, use
    ):
        use(session)
        conclude(session)
        before = dict(store.rows)
        store.calls.clear()

        session._saving.retract()

        assert store.rows == before
        assert store.calls == []

    def test_nothing_is_saved_afterwards(
        self, session, session_id, make_session, listener
    ):
        session.renew_id()
        conclude(session)
        session._saving.retract()

        session['b'] = 2
        session.save()
        conclude(session)

        assert make_session(session_id) == {'a': 1, 'list': [1]}
        assert listener.heard == []

    @pytest.mark.parametrize('known', [True, False])
    def test_failure_is_logged(self, session, meanwhile, store, caplog, known):
        def fail():
            raise StoreUnavailable('MySQL stopped', 'Start it.')

        if known:
            session.renew_id()
        else:
            session.invalidate()
            session['b'] = 2
        conclude(session)
        meanwhile('save' if known else 'delete', fail)

        session._saving.retract()

        assert len(store.rows) == 1
        assert caplog.messages == [
            'a session got a new id, and no response told the browser: '
            'MySQL stopped. Start it.'
        ]
