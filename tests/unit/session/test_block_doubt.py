"""The answer to the COMMIT of a block was lost."""

import pytest

from pyramid_mysql_session.errors import StoreUnavailable
from pyramid_mysql_session.session import loop
from pyramid_mysql_session.store.keys import stored_key
from tests.memory_store import in_doubt
from tests.unit.conftest import conclude

either = pytest.mark.parametrize('executed', [True, False])


@pytest.fixture
def session_id(stored):
    """The id of a session that is stored."""
    return stored({'number': 1})


@either
def test_block_is_saved_once(
    session, make_session, block_cut, listener, executed
):
    block_cut(executed)

    with session.locked():
        session['list'] = ['mine']
    session['list'].append('more')
    session.save()

    assert make_session(session.session_id) == session
    assert session == {'number': 1, 'list': ['mine', 'more']}
    assert listener.heard == []


@either
def test_renewal_leads_to_one_record(
    session, session_id, make_session, block_cut, store, executed
):
    block_cut(executed)

    with session.locked():
        session['number'] = 2
        session.renew_id()
    conclude(session)

    assert session.session_id != session_id
    assert list(store.rows) == [stored_key(session.session_id)]
    assert make_session(session.session_id) == {'number': 2}


@either
def test_emptied_session_loses_its_record(session, block_cut, store, executed):
    block_cut(executed)

    with session.locked():
        session.clear()
    conclude(session)

    assert store.rows == {}
    assert session._saving.ended


@either
def test_block_without_a_change_is_never_in_doubt(
    session, make_session, block_cut, executed
):
    block_cut(executed)

    with session.locked():
        assert session['number'] == 1

    session['number'] = 2
    session.save()
    assert make_session(session.session_id) == {'number': 2}


@pytest.mark.parametrize('then', ['save', 'log-out', 'failure'])
def test_block_without_a_change_that_may_have_missed_one_is_an_error(
    session, change, block_cut, store, meanwhile, then
):
    def fail():
        raise StoreUnavailable('MySQL stopped', '')

    error = in_doubt(None)
    if then == 'failure':
        meanwhile('load', fail)
    others = {'save': lambda: change(theirs=7), 'log-out': store.rows.clear}
    block_cut(True, others.get(then, lambda: None), error)

    with pytest.raises(StoreUnavailable) as caught, session.locked():
        assert session['number'] == 1

    assert caught.value is error


def test_save_of_others_after_the_block_is_kept(
    session, make_session, change, block_cut
):
    block_cut(True, lambda: change(theirs=7))

    with session.locked():
        session['number'] += 1
    session['more'] = 1
    session.save()

    assert make_session(session.session_id) == {
        'number': 2,
        'theirs': 7,
        'more': 1,
    }


def test_change_that_the_block_did_not_see_is_not_overwritten(
    session, make_session, change, block_cut
):
    block_cut(False, lambda: change(number=7))

    with pytest.raises(StoreUnavailable), session.locked():
        session['number'] += 1

    assert session['number'] == 1
    session.save()
    assert make_session(session.session_id) == {'number': 7}


def test_older_record_is_waited_for(
    session, make_session, block_cut, store, monkeypatch
):
    # loaded after a save of which another server knows nothing yet
    older = dict(store.rows)
    session['before'] = 1
    session.save()

    def show_older():
        newest, store.rows = store.rows, older

        def catch_up(seconds):
            store.rows = newest

        monkeypatch.setattr(loop.time, 'sleep', catch_up)

    block_cut(True, show_older)

    with session.locked():
        session['number'] += 1

    assert make_session(session.session_id) == {'number': 2, 'before': 1}


def test_block_of_unknown_outcome_is_settled_by_the_next_save(
    session, make_session, block_cut, meanwhile
):
    def stay_away():
        raise StoreUnavailable('MySQL cannot be reached', '')

    block_cut(True)
    meanwhile('save', stay_away)

    with pytest.raises(StoreUnavailable), session.locked():
        session['number'] = 2
    session['number'] = 3
    session.save()
    conclude(session)

    assert make_session(session.session_id) == {'number': 3}


class TestNextSave:
    """Nobody could be asked when the block was over."""

    @pytest.fixture
    def run_in_doubt(self, session, block_cut, meanwhile):
        """Call it for a block that nobody knows the outcome of."""

        def stay_away():
            raise StoreUnavailable('MySQL cannot be reached', '')

        def run(executed, then=lambda: None):
            block_cut(executed, lambda: (then(), meanwhile('save', stay_away)))
            with (
                pytest.raises(StoreUnavailable, match='The line was cut'),
                session.locked(),
            ):
                session['number'] += 1

        return run

    @either
    @pytest.mark.parametrize('save', [lambda it: it.save(), conclude])
    def test_block_that_was_not_stored_is_not_done_any_more(
        self, session, make_session, run_in_doubt, executed, save
    ):
        session['before'] = []
        run_in_doubt(executed)
        session['after'] = 1
        session['before'].append(2)

        save(session)
        save(session)

        expected = {
            'number': 2 if executed else 1,
            'before': [2],
            'after': 1,
        }
        assert session == expected
        assert make_session(session.session_id) == expected

    @either
    def test_block_that_is_done_again_finds_out_first(
        self, session, make_session, run_in_doubt, executed
    ):
        run_in_doubt(executed)

        with session.locked():
            session['number'] += 1

        expected = {'number': 3 if executed else 2}
        assert make_session(session.session_id) == expected

    def test_save_keeps_what_others_saved_after_the_block(
        self, session, make_session, change, run_in_doubt
    ):
        run_in_doubt(True, lambda: change(theirs=7))
        session['more'] = 1

        session.save()

        assert make_session(session.session_id) == {
            'number': 2,
            'theirs': 7,
            'more': 1,
        }

    @pytest.mark.parametrize('save', [lambda it: it.save(), conclude])
    def test_save_never_overwrites_what_the_block_did_not_see(
        self, session, make_session, change, run_in_doubt, save
    ):
        run_in_doubt(False, lambda: change(number=7))

        session['more'] = 1
        save(session)

        expected = {'number': 7, 'more': 1}
        assert session == expected
        assert make_session(session.session_id) == expected

    @either
    def test_save_of_a_session_that_is_gone_loses_it(
        self, session, store, run_in_doubt, listener, executed
    ):
        run_in_doubt(executed, store.rows.clear)

        session.save()

        assert store.rows == {}
        assert listener.heard == ['lost']

    @either
    def test_invalidation_ends_the_doubt(
        self, session, store, run_in_doubt, executed
    ):
        run_in_doubt(executed)

        session.invalidate()
        conclude(session)

        assert store.rows == {}


def test_session_that_is_gone_since_is_lost(
    session, block_cut, store, listener
):
    block_cut(False, store.rows.clear)

    with session.locked():
        session['number'] = 2

    assert store.rows == {}
    assert listener.heard == ['lost']


def test_error_with_a_known_outcome_takes_everything_back(
    session, make_session, block_cut
):
    block_cut(False, error=StoreUnavailable('MySQL stopped', ''))

    with pytest.raises(StoreUnavailable), session.locked():
        session['number'] = 2

    assert session['number'] == 1
    assert make_session(session.session_id) == {'number': 1}
