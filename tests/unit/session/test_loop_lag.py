"""A server that lags, or answers late, shows an older state of the record."""

from contextlib import contextmanager

import pytest

from pyramid_mysql_session.errors import StoreUnavailable
from pyramid_mysql_session.session import loop
from pyramid_mysql_session.store import revisions
from pyramid_mysql_session.store.keys import stored_key
from pyramid_mysql_session.store.results import Outcome
from tests.memory_store import in_doubt
from tests.unit.conftest import conclude

FOREVER = 10**6
LIMIT = 5

both = pytest.mark.parametrize('save', [lambda it: it.save(), conclude])


@pytest.fixture
def session_id(stored):
    return stored({'list': ['a', 'b']})


@pytest.fixture
def older(session_id, store, change):
    """The rows of before, while the session has one item more by now."""
    older = dict(store.rows)
    change(list=['a', 'b', 'c'])
    return older


@pytest.fixture
def session(older, make_session, session_id, store):
    """The session as it is now, loaded by a request."""
    session = make_session(session_id, lock_timeout=LIMIT)
    assert session == {'list': ['a', 'b', 'c']}
    store.calls.clear()
    return session


@pytest.fixture
def lag(store, older, pauses, monkeypatch):
    """
    Call it to have the older rows shown.

    :param lasting: how many pauses it takes until the newest rows are.
    :param meanwhile: is called then.
    """

    def begin(lasting, meanwhile=lambda: None):
        newest, store.rows = store.rows, dict(older)
        del pauses[:]

        def pause(seconds):
            pauses.append(seconds)
            if len(pauses) == lasting:
                store.rows = newest
                meanwhile()

        monkeypatch.setattr(loop.time, 'sleep', pause)

    return begin


def assert_gives_up(use, pauses, in_doubt=False):
    """See that something waits in vain, as long as the limit says."""
    with pytest.raises(StoreUnavailable) as caught:
        use()

    assert str(caught.value) == (
        'The server shows an older state of the session than it had shown '
        f'before, and for {LIMIT} seconds. It lags behind another one: see '
        'that the application uses one server only, or that reads wait for '
        'what was written.'
    )
    assert caught.value.outcome_unknown == in_doubt
    assert sum(pauses[:-1]) < LIMIT <= sum(pauses)


class TestSave:
    @both
    @pytest.mark.parametrize('lasting', [1, 2, 5])
    def test_save_waits_until_the_older_record_is_gone(
        self, session, make_session, store, lag, listener, save, lasting
    ):
        session['list'].append('d')
        lag(lasting)

        save(session)

        assert make_session(session.session_id) == session
        # what is older was never merged: it would have doubled the items
        assert session == {'list': ['a', 'b', 'c', 'd']}
        assert listener.heard == []
        assert store.calls == [
            *('save', *lasting * ['load'], 'save'),
            'load',
        ]

    @both
    def test_save_merges_what_is_newer_after_it(
        self, session, make_session, lag, change, listener, save
    ):
        session['list'].append('d')
        lag(2, lambda: change(list=['a', 'b', 'c', 't']))

        save(session)

        assert make_session(session.session_id) == session
        assert session == {'list': ['a', 'b', 'c', 't', 'd']}
        assert listener.heard == ['merged']

    def test_older_record_at_the_second_look_is_waited_for(
        self, session, make_session, lag, change, meanwhile, store, older
    ):
        session['list'].append('d')
        meanwhile('save', lambda: change(one=1), lambda: change(two=2))
        # the look at the record that a second conflict takes
        meanwhile('load', lambda: None, lambda: None, lambda: lag(2))

        session.save()

        assert make_session(session.session_id) == session
        assert session == {'list': ['a', 'b', 'c', 'd'], 'one': 1, 'two': 2}

    def test_older_record_under_the_lock_is_waited_for(
        self, session, make_session, lag, change, meanwhile, store
    ):
        session['list'].append('d')
        meanwhile(
            'save',
            *(
                lambda number=number: change(theirs=number)
                for number in range(loop.MERGE_ATTEMPTS)
            ),
        )
        meanwhile('locked', lambda: lag(2))

        session.save()

        assert make_session(session.session_id) == session
        assert session == {'list': ['a', 'b', 'c', 'd'], 'theirs': 4}
        assert store.calls.count('locked') == 3

    def test_renewal_waits_and_leads_to_one_record(
        self, session, session_id, make_session, store, lag
    ):
        session.renew_id()
        lag(2)

        conclude(session)

        assert session.session_id != session_id
        assert list(store.rows) == [stored_key(session.session_id)]
        assert make_session(session.session_id) == session

    def test_deletion_waits(self, session, store, lag, listener):
        session.clear()
        lag(2)

        conclude(session)

        assert store.rows == {}
        assert session._saving.ended
        assert listener.heard == []

    def test_session_that_is_gone_after_it_is_lost(
        self, session, store, lag, listener
    ):
        session['b'] = 2
        lag(2, lambda: store.rows.clear())

        session.save()

        assert store.rows == {}
        assert listener.heard == ['lost']

    @both
    def test_save_gives_up_and_stores_nothing(
        self, session, make_session, store, lag, older, pauses, save
    ):
        newest = store.rows
        session['list'].append('d')
        lag(FOREVER)

        assert_gives_up(lambda: save(session), pauses)

        assert store.rows == older
        store.rows = newest
        save(session)
        assert make_session(session.session_id) == session
        assert session == {'list': ['a', 'b', 'c', 'd']}


class TestBlock:
    def test_block_waits_before_it_begins(
        self, session, make_session, lag, store, listener
    ):
        session['mine'] = 1
        lag(2)

        with session.locked():
            assert session == {'list': ['a', 'b', 'c'], 'mine': 1}
            session['list'].append('d')

        assert make_session(session.session_id) == session
        assert session == {'list': ['a', 'b', 'c', 'd'], 'mine': 1}
        assert store.calls == [*3 * ['locked'], 'load']
        assert listener.heard == []

    def test_block_sees_what_is_newer_after_it(
        self, session, make_session, lag, change
    ):
        lag(2, lambda: change(list=['a', 'b', 'c', 't']))

        with session.locked():
            assert session == {'list': ['a', 'b', 'c', 't']}
            session['list'].append('d')

        assert make_session(session.session_id) == session

    def test_block_gives_up_before_it_begins(
        self, session, store, lag, older, pauses
    ):
        session['mine'] = 1
        lag(FOREVER)

        def run():
            with session.locked():
                raise AssertionError

        assert_gives_up(run, pauses)

        assert store.rows == older
        assert session == {'list': ['a', 'b', 'c'], 'mine': 1}


class TestDoubt:
    """The answer to a save was lost, and another server shows the older."""

    @pytest.fixture(params=[True, False], ids=['executed', 'not executed'])
    def cut(self, request, session, store, monkeypatch):
        """Append to the list and lose the answer."""
        save = store.save

        def unanswered(session_id, payload, revision, *args):
            monkeypatch.setattr(store, 'save', save)
            attempted = revisions.following(revision)
            if request.param:
                save(session_id, payload, revision, *args[:3], attempted)
            raise in_doubt(attempted)

        monkeypatch.setattr(store, 'save', unanswered)
        session['list'].append('d')
        with pytest.raises(StoreUnavailable, match='The line was cut'):
            session.save()

    @both
    def test_saving_again_waits_and_applies_it_once(
        self, session, make_session, cut, lag, listener, save
    ):
        lag(2)

        save(session)

        assert make_session(session.session_id) == session
        assert session == {'list': ['a', 'b', 'c', 'd']}
        assert listener.heard == []

    @both
    def test_changes_that_others_made_since_are_kept(
        self, session, make_session, cut, lag, save
    ):
        def save_theirs():
            other = make_session(session.session_id)
            other['list'].append('t')
            other.save()

        lag(2, save_theirs)

        save(session)

        items = make_session(session.session_id)['list']
        assert items[:3] == ['a', 'b', 'c']
        assert sorted(items[3:]) == ['d', 't']

    def test_block_whose_server_is_another_each_time_gives_up(
        self, session, store, older, pauses, monkeypatch
    ):
        newest, load, save = store.rows, store.load, store.save
        locked = store.locked

        @contextmanager
        def unanswered(session_id):
            with locked(session_id) as row:
                yield row
            raise in_doubt(None)

        def pause(seconds):
            pauses.append(seconds)
            assert sum(pauses) < 10 * LIMIT, 'it waits forever'

        def on(rows, method):
            def call(*args):
                store.rows = rows
                return method(*args)

            return call

        monkeypatch.setattr(store, 'locked', unanswered)
        monkeypatch.setattr(store, 'load', on(newest, load))
        monkeypatch.setattr(store, 'save', on(older, save))
        monkeypatch.setattr(loop.time, 'sleep', pause)

        with pytest.raises(StoreUnavailable), session.locked():
            session['list'].append('d')

    @both
    def test_saving_again_gives_up_and_the_doubt_stays(
        self, session, make_session, cut, lag, store, pauses, save
    ):
        newest = store.rows
        lag(FOREVER)

        assert_gives_up(lambda: save(session), pauses, in_doubt=True)

        store.rows = newest
        save(session)
        assert make_session(session.session_id) == session
        assert session == {'list': ['a', 'b', 'c', 'd']}

    def test_block_settles_it_after_the_lag(
        self, session, make_session, cut, lag
    ):
        lag(2)

        with session.locked():
            session['list'].append('e')

        assert make_session(session.session_id) == session
        assert session == {'list': ['a', 'b', 'c', 'd', 'e']}


@pytest.mark.parametrize('executed', [True, False])
def test_record_that_is_what_was_loaded_after_a_failed_swap_is_no_news(
    make_session, stored, store, monkeypatch, executed
):
    session = make_session(stored({'list': []}))
    session['list'].append('mine')
    loaded = store.load(session.session_id)
    save, answers = store.save, []

    def lag(session_id, payload, revision, *args):
        answers.append(args)
        if len(answers) == 1:
            # the answer is lost
            written = revisions.following(revision)
            if executed:
                save(session_id, payload, revision, *args[:-1], written)
            raise in_doubt(written)
        if len(answers) == 2:
            # the server shows what it had shown before
            return Outcome(None, loaded)
        return save(session_id, payload, revision, *args)

    monkeypatch.setattr(store, 'save', lag)
    with pytest.raises(StoreUnavailable):
        session.save()
    session.save()
    conclude(session)

    assert make_session(session.session_id) == {'list': ['mine']}
