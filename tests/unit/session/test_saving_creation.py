"""A new session gets its record, and its id, with the response."""

import pytest

from pyramid_mysql_session.errors import StoreUnavailable
from pyramid_mysql_session.session import saving
from pyramid_mysql_session.store.keys import stored_key
from tests.memory_store import in_doubt
from tests.unit.conftest import conclude


class TestCreation:
    def test_new_session_with_data_is_created_once(
        self, make_session, store, listener
    ):
        session = make_session()
        session['a'] = 1
        conclude(session)
        conclude(session)

        assert store.calls == ['create']
        assert listener.heard == ['created']
        assert session.new
        assert not session._saving.ended
        assert session._saving._loop.refreshed
        assert make_session(session.session_id) == {'a': 1}

    @pytest.mark.parametrize(
        'use',
        [
            len,
            lambda session: (session.update(a=1), session.clear()),
            lambda session: (session.flash('x'), session.pop_flash()),
            lambda session: session.invalidate(),
            lambda session: session.renew_id(),
        ],
    )
    def test_session_that_stays_empty_is_not_created(
        self, make_session, store, listener, use
    ):
        session = make_session()
        use(session)
        session.save()
        conclude(session)

        assert (store.calls, store.rows, listener.heard) == ([], {}, [])
        assert not session._saving.ended

    def test_change_after_the_creation_is_an_update(self, make_session, store):
        session = make_session()
        session['a'] = 1
        conclude(session)
        session['a'] = 2
        session.save()

        assert store.calls == ['create', 'save']
        assert make_session(session.session_id) == {'a': 2}

    def test_change_of_a_listener_is_saved_with_the_next_conclusion(
        self, make_session, store, listener, monkeypatch
    ):
        monkeypatch.setattr(
            listener, 'created', lambda: session.update(heard=True)
        )
        session = make_session()
        session['a'] = 1

        conclude(session)
        conclude(session)

        assert store.calls == ['create', 'save']
        assert make_session(session.session_id) == {'a': 1, 'heard': True}


class TestCreationInDoubt:
    @pytest.fixture(params=[True, False], ids=['executed', 'not executed'])
    def line_cut(self, request, store, monkeypatch):
        """Call it to let the next creations be executed or not."""

        def cut(times=1):
            create, left = store.create, [None] * times

            def unanswered(*args, **kwargs):
                if not left:
                    return create(*args, **kwargs)
                left.pop()
                if request.param:
                    create(*args, **kwargs)
                raise in_doubt(None)

            monkeypatch.setattr(store, 'create', unanswered)

        return cut

    @pytest.fixture
    def session(self, make_session):
        session = make_session()
        session['a'] = [1]
        return session

    def test_creation_is_tried_again_at_once_under_the_same_id(
        self, session, make_session, store, line_cut, listener
    ):
        line_cut()

        conclude(session)
        conclude(session)

        assert list(store.rows) == [stored_key(session.session_id)]
        assert make_session(session.session_id) == {'a': [1]}
        assert listener.heard == ['created']
        # nothing is raised
        assert listener.failures == []

    def test_second_answer_that_is_lost_is_an_error(
        self, session, make_session, store, line_cut, listener
    ):
        line_cut(2)

        with pytest.raises(StoreUnavailable, match='The line was cut') as lost:
            conclude(session)
        assert listener.failures == [lost.value]
        assert session.session_id is None
        session['a'].append(2)
        session['b'] = 3
        conclude(session)

        assert list(store.rows) == [stored_key(session.session_id)]
        assert make_session(session.session_id) == {'a': [1, 2], 'b': 3}

    def test_key_that_is_set_since_is_saved_too(
        self, make_session, store, line_cut
    ):
        session = make_session()
        session['a'] = 1
        line_cut(2)
        with pytest.raises(StoreUnavailable):
            conclude(session)
        session['a'] = 2

        conclude(session)

        (row,) = store.rows.values()
        assert row.payload == '{"a":2}'

    @pytest.mark.parametrize(
        ('seconds', 'calls'), [(1, ['create', 'create']), (1.1, ['create'])]
    )
    def test_store_that_took_long_is_not_asked_again(
        self, session, store, monkeypatch, seconds, calls
    ):
        moments = iter([0, seconds])
        monkeypatch.setattr(saving.time, 'monotonic', lambda: next(moments))

        def unanswered(*args, **kwargs):
            store.calls.append('create')
            raise in_doubt(None)

        monkeypatch.setattr(store, 'create', unanswered)

        with pytest.raises(StoreUnavailable):
            conclude(session)

        assert store.calls == calls

    @pytest.mark.parametrize(
        'empty',
        [
            lambda session: session.clear(),
            lambda session: session.invalidate(),
        ],
    )
    def test_session_that_is_emptied_since_leaves_no_record(
        self, session, store, line_cut, empty
    ):
        line_cut(2)
        with pytest.raises(StoreUnavailable):
            conclude(session)

        empty(session)
        conclude(session)

        assert store.rows == {}
        assert session._saving.ended
        assert session.session_id is None

    def test_session_that_begins_anew_leaves_one_record(
        self, session, make_session, store, line_cut
    ):
        line_cut(2)
        with pytest.raises(StoreUnavailable):
            conclude(session)

        session.invalidate()
        session['b'] = 2
        conclude(session)

        assert list(store.rows) == [stored_key(session.session_id)]
        assert make_session(session.session_id) == {'b': 2}

    def test_session_that_was_replaced_is_ended_once(
        self, make_session, session_id, store, line_cut
    ):
        session = make_session(session_id)
        session.invalidate()
        session['b'] = 2
        line_cut()

        conclude(session)

        assert list(store.rows) == [stored_key(session.session_id)]
        assert session.session_id != session_id

    def test_error_with_a_known_outcome_is_passed_on(
        self, session, make_session, meanwhile, store
    ):
        def fail():
            raise StoreUnavailable('MySQL stopped', '')

        meanwhile('create', fail)

        with pytest.raises(StoreUnavailable, match='MySQL stopped'):
            conclude(session)
        assert store.rows == {}

        conclude(session)
        assert make_session(session.session_id) == {'a': [1]}
