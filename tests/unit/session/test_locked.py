"""``locked()`` against a store that others use, too."""

from contextlib import contextmanager, suppress

import pytest

from pyramid_mysql_session.errors import LockTimeout, StoreUnavailable
from pyramid_mysql_session.store.keys import stored_key
from tests.memory_store import IDLE, in_doubt


@pytest.fixture
def session_id(stored):
    """The id of a session that is stored."""
    return stored({'number': 1})


class Failure(Exception):
    """What goes wrong in a block."""


def test_block_sees_the_latest_data_and_is_saved(
    session, make_session, change, store, listener
):
    change(number=5)
    store.calls.clear()

    with session.locked():
        session['number'] += 1
        assert make_session(session.session_id) == {'number': 5}

    assert make_session(session.session_id) == {'number': 6}
    assert store.calls == ['locked', 'load', 'load']
    assert listener.heard == []


def test_session_that_was_not_used_before_is_loaded(make_session, session_id):
    session = make_session(session_id)

    with session.locked():
        session['number'] += 1

    assert make_session(session_id) == {'number': 2}


def test_session_lives_in_its_last_second(session, clock, listener):
    clock.move(IDLE)

    with session.locked():
        session['number'] = 2

    assert listener.heard == []


def test_block_without_a_change_writes_nothing(session, store, listener):
    rows = dict(store.rows)

    with session.locked():
        assert session['number'] == 1

    assert store.rows == rows
    assert store.calls == ['locked']
    assert listener.heard == []


def test_change_before_the_block_is_merged_and_saved(
    session, make_session, change, listener
):
    session['mine'] = 1
    change(theirs=2)

    with session.locked():
        assert session == {'number': 1, 'mine': 1, 'theirs': 2}

    assert make_session(session.session_id) == session
    assert listener.heard == ['merged']


def test_others_wait_in_vain_while_the_block_lasts(session, make_session):
    other = make_session(session.session_id)
    other['number'] = 2

    with session.locked():
        with pytest.raises(LockTimeout):
            other.save()
        with pytest.raises(LockTimeout), other.locked():
            raise AssertionError
        session['number'] = 3

    assert make_session(session.session_id) == {'number': 3}
    other.save()
    assert make_session(session.session_id) == {'number': 2}


def test_save_in_the_block_is_left_to_its_end(session, make_session):
    with session.locked():
        session['number'] = 2
        session.save()
        assert make_session(session.session_id)['number'] == 1

    assert make_session(session.session_id)['number'] == 2


def test_inner_block_is_part_of_the_outer_one(session, make_session, store):
    with session.locked():
        session['number'] = 2
        with session.locked():
            session['number'] = 3
        assert make_session(session.session_id)['number'] == 1

    assert make_session(session.session_id)['number'] == 3
    assert store.calls.count('locked') == 1


def test_error_in_the_inner_block_takes_back_the_inner_one(
    session, make_session
):
    with session.locked():
        session['outer'] = True
        with suppress(Failure), session.locked():
            session['number'] = 3
            raise Failure

    assert make_session(session.session_id) == {'number': 1, 'outer': True}


@pytest.mark.parametrize(
    'use',
    [
        lambda session: session.update(number=2, more=3),
        lambda session: session.clear(),
        lambda session: session.remember(5),
        lambda session: session.renew_id(),
        lambda session: (session.invalidate(), session.update(a=1)),
    ],
)
def test_error_takes_back_what_the_block_changed(
    session, session_id, store, use
):
    rows = dict(store.rows)
    session['before'] = []

    with suppress(Failure), session.locked():
        session['before'].append(1)
        use(session)
        raise Failure

    assert store.rows == rows
    assert session == {'number': 1, 'before': []}
    assert session.session_id == session_id
    assert session.own_idle_timeout is None
    session.save()
    assert list(store.rows) == [stored_key(session_id)]


def test_error_leaves_the_objects_that_the_application_holds(session):
    session['list'] = items = []

    with suppress(Failure), session.locked():
        items.append(1)
        raise Failure

    assert session['list'] is items
    assert items == []


def test_error_on_the_way_to_the_block_keeps_the_changes(
    session, make_session, store
):
    session['mine'] = 1

    with (
        store.locked(session.session_id),
        pytest.raises(LockTimeout),
        session.locked(),
    ):
        raise AssertionError

    assert session == {'number': 1, 'mine': 1}
    session.save()
    assert make_session(session.session_id) == session


def test_new_session_needs_no_lock(make_session, store):
    session = make_session()

    with session.locked():
        session['number'] = 1

    assert store.calls == ['create']
    assert make_session(session.session_id) == {'number': 1}


def test_error_takes_back_a_new_session_too(make_session, store):
    session = make_session()

    with suppress(Failure), session.locked():
        session['number'] = 1
        raise Failure

    assert session == {}
    session.save()
    assert store.rows == {}


def test_emptied_session_loses_its_record(session, store, listener):
    with session.locked():
        session.clear()

    assert store.rows == {}
    assert store.calls == ['locked']
    assert session.ended
    assert listener.heard == []


def test_renewal_in_the_block_leaves_one_record(
    session, session_id, make_session, store
):
    with session.locked():
        session.renew_id()
        session['number'] = 2

    assert session.session_id != session_id
    assert list(store.rows) == [stored_key(session.session_id)]
    assert make_session(session.session_id) == {'number': 2}


def test_invalidation_in_the_block_leaves_the_new_record(
    session, session_id, make_session, store
):
    with session.locked():
        session.invalidate()
        session['new'] = 1

    assert session.session_id != session_id
    assert list(store.rows) == [stored_key(session.session_id)]
    assert make_session(session.session_id) == {'new': 1}


def test_session_that_is_gone_is_lost_but_the_block_runs(
    session, store, listener
):
    store.rows.clear()

    with session.locked():
        session['number'] = 2
    with session.locked():
        session['number'] = 3

    assert store.rows == {}
    assert listener.heard == ['lost']


def test_session_that_expires_in_the_block_is_lost(
    session, clock, store, listener
):
    with session.locked():
        session['number'] = 2
        rows = dict(store.rows)
        clock.move(IDLE + 1)

    assert store.rows == rows
    assert listener.heard == ['lost']


class TestDoubt:
    """The answer to the COMMIT was lost."""

    @pytest.fixture
    def line_cut(self, store, monkeypatch):
        """
        Call it to let the end of the next block not answer.

        :param executed: whether it was committed.
        :param then: called after that.
        :param error: what is raised.
        """
        locked = store.locked

        def cut(executed, then=lambda: None, error=None):
            @contextmanager
            def unanswered(session_id):
                monkeypatch.setattr(store, 'locked', locked)
                rows = dict(store.rows)
                with locked(session_id) as row:
                    yield row
                if not executed:
                    store.rows.clear()
                    store.rows.update(rows)
                then()
                raise error or in_doubt(None)

            monkeypatch.setattr(store, 'locked', unanswered)

        return cut

    @pytest.mark.parametrize('executed', [True, False])
    def test_block_is_saved_once(
        self, session, make_session, line_cut, listener, executed
    ):
        line_cut(executed)

        with session.locked():
            session['list'] = ['mine']
        session['list'].append('more')
        session.save()

        assert make_session(session.session_id) == session
        assert session == {'number': 1, 'list': ['mine', 'more']}
        assert listener.heard == []

    @pytest.mark.parametrize('executed', [True, False])
    def test_renewal_leads_to_one_record(
        self, session, make_session, line_cut, store, executed
    ):
        line_cut(executed)

        with session.locked():
            session.renew_id()

        assert list(store.rows) == [stored_key(session.session_id)]
        assert make_session(session.session_id) == {'number': 1}

    @pytest.mark.parametrize('executed', [True, False])
    def test_emptied_session_loses_its_record(
        self, session, line_cut, store, executed
    ):
        line_cut(executed)

        with session.locked():
            session.clear()

        assert store.rows == {}
        assert session.ended

    def test_change_that_the_block_did_not_see_is_not_overwritten(
        self, session, make_session, change, line_cut
    ):
        line_cut(False, lambda: change(number=7))

        with pytest.raises(StoreUnavailable), session.locked():
            session['number'] += 1

        assert session['number'] == 1
        session.save()
        assert make_session(session.session_id) == {'number': 7}

    def test_block_of_unknown_outcome_is_not_saved_later(
        self, session, make_session, line_cut, meanwhile
    ):
        def stay_away():
            raise StoreUnavailable('MySQL cannot be reached', '')

        line_cut(True)
        meanwhile('save', stay_away)

        with pytest.raises(StoreUnavailable), session.locked():
            session['number'] = 2
        session['number'] = 3
        session.save()

        assert make_session(session.session_id) == {'number': 2}

    def test_session_that_is_gone_since_is_lost(
        self, session, line_cut, store, listener
    ):
        line_cut(False, store.rows.clear)

        with session.locked():
            session['number'] = 2

        assert store.rows == {}
        assert listener.heard == ['lost']

    def test_error_with_a_known_outcome_takes_everything_back(
        self, session, make_session, line_cut
    ):
        line_cut(False, error=StoreUnavailable('MySQL stopped', ''))

        with pytest.raises(StoreUnavailable), session.locked():
            session['number'] = 2

        assert session['number'] == 1
        assert make_session(session.session_id) == {'number': 1}
