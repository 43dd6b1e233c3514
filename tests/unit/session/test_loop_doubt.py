"""The answer to a save was lost: it was executed, or not."""

import pytest

from pyramid_mysql_session.errors import StoreUnavailable
from pyramid_mysql_session.session import loop
from pyramid_mysql_session.store import revisions
from pyramid_mysql_session.store.keys import stored_key
from tests.memory_store import in_doubt
from tests.unit.conftest import conclude


@pytest.fixture(params=[True, False], ids=['executed', 'not executed'])
def executed(request):
    return request.param


@pytest.fixture
def line_cut(executed, store, monkeypatch):
    """Call it to let the next saves be executed or not, and not answer."""

    def cut(times=1):
        save, left = store.save, [None] * times

        def unanswered(session_id, payload, revision, idle, *args):
            userid, new_session_id, attempted = args
            if not left:
                return save(session_id, payload, revision, idle, *args)
            left.pop()
            attempted = attempted or revisions.following(revision)
            if executed:
                save(
                    *(session_id, payload, revision, idle),
                    *(userid, new_session_id, attempted),
                )
            raise in_doubt(attempted)

        monkeypatch.setattr(store, 'save', unanswered)

    return cut


def fail(session, save=lambda session: session.save()):
    with pytest.raises(StoreUnavailable, match='The line was cut'):
        save(session)


@pytest.mark.parametrize('save', [lambda it: it.save(), conclude])
class TestSavingAgain:
    def test_change_is_applied_once(
        self, session, make_session, line_cut, listener, save
    ):
        session['list'].append('mine')
        line_cut()
        fail(session, save)

        save(session)
        save(session)

        assert make_session(session.session_id) == session
        assert session == {'a': 1, 'list': [1, 'mine']}
        assert listener.heard == []

    def test_changes_made_since_are_saved_too(
        self, session, make_session, line_cut, save
    ):
        session['list'].append('mine')
        line_cut()
        fail(session, save)
        session['list'].append('more')
        session['b'] = 2

        save(session)

        assert make_session(session.session_id) == session
        assert session == {'a': 1, 'list': [1, 'mine', 'more'], 'b': 2}

    def test_key_that_is_set_since_is_saved_too(
        self, session, make_session, line_cut, save
    ):
        session['b'] = 2
        line_cut()
        fail(session, save)
        session['c'] = 3

        save(session)

        assert make_session(session.session_id) == session

    def test_change_that_is_taken_back_since_is_taken_back(
        self, session, make_session, line_cut, save
    ):
        session['b'] = 2
        line_cut()
        fail(session, save)
        del session['b']

        save(session)

        assert make_session(session.session_id) == {'a': 1, 'list': [1]}

    def test_answer_may_be_lost_again(
        self, session, make_session, line_cut, save
    ):
        session['list'].append('mine')
        line_cut(3)
        for _ in range(3):
            fail(session, save)

        save(session)

        assert make_session(session.session_id)['list'] == [1, 'mine']

    def test_changes_that_others_made_since_are_kept(
        self, session, make_session, line_cut, save
    ):
        session['list'].append('mine')
        line_cut()
        fail(session, save)
        other = make_session(session.session_id)
        other['list'].append('theirs')
        other.save()

        save(session)

        items = make_session(session.session_id)['list']
        assert items[0] == 1
        assert sorted(items[1:]) == ['mine', 'theirs']

    def test_session_that_is_gone_since_is_lost(
        self, session, line_cut, store, listener, save
    ):
        session['b'] = 2
        line_cut()
        fail(session, save)
        store.rows.clear()

        save(session)

        assert store.rows == {}
        assert listener.heard == ['lost']

    def test_many_saves_of_others_since_leave_the_doubt(
        self, session, make_session, line_cut, executed, save
    ):
        session['list'].append('mine')
        line_cut()
        fail(session, save)
        for number in range(4 - executed):
            other = make_session(session.session_id)
            other['theirs'] = number
            other.save()

        # nobody can tell any more, and guessing would append it twice or lose
        # it
        for _ in range(2):
            fail(session, save)

        items = make_session(session.session_id)['list']
        assert items == ([1, 'mine'] if executed else [1])


@pytest.mark.parametrize('save', [lambda it: it.save(), conclude])
def test_error_before_anything_was_sent_leaves_no_doubt(
    session, make_session, meanwhile, save
):
    def refuse():
        raise StoreUnavailable('The line was cut', '')

    meanwhile('save', refuse)
    session['list'].append('mine')
    fail(session, save)

    save(session)

    assert make_session(session.session_id)['list'] == [1, 'mine']


def test_save_that_was_not_known_is_settled_by_a_block(
    session, make_session, line_cut
):
    session['list'].append('mine')
    line_cut()
    fail(session)

    with session.locked():
        session['list'].append('more')

    assert make_session(session.session_id)['list'] == [1, 'mine', 'more']


def test_session_that_is_emptied_since_is_deleted(session, line_cut, store):
    session['b'] = 2
    line_cut()
    fail(session)
    session.clear()

    conclude(session)

    assert store.rows == {}
    assert session._saving.ended


def test_invalidation_ends_the_doubt(session, line_cut, store):
    session['b'] = 2
    line_cut()
    fail(session)

    session.invalidate()
    conclude(session)

    assert store.rows == {}


def test_answer_to_the_save_under_a_lock_may_be_lost_too(
    session, make_session, executed, meanwhile, change, block_cut
):
    block_cut(executed)
    meanwhile(
        'save',
        *(
            lambda number=number: change(theirs=number)
            for number in range(loop.MERGE_ATTEMPTS)
        ),
    )
    session['list'].append('mine')
    fail(session)

    session.save()

    assert make_session(session.session_id) == session
    assert session == {'a': 1, 'list': [1, 'mine'], 'theirs': 4}


class TestRenewal:
    """The response that follows is the last that can tell the new id."""

    def test_save_is_tried_again_at_once(
        self, session, session_id, make_session, line_cut, store, listener
    ):
        session.renew_id()
        session['b'] = 2
        line_cut()

        conclude(session)

        assert session.session_id != session_id
        assert list(store.rows) == [stored_key(session.session_id)]
        assert make_session(session.session_id) == session
        assert listener.heard == []

    def test_second_answer_that_is_lost_is_an_error(
        self, session, make_session, line_cut, store
    ):
        session.renew_id()
        line_cut(2)
        fail(session, conclude)

        conclude(session)

        assert list(store.rows) == [stored_key(session.session_id)]
        assert make_session(session.session_id) == {'a': 1, 'list': [1]}

    def test_renewal_after_a_doubt_leads_to_one_record(
        self, session, make_session, line_cut, store
    ):
        session['b'] = 2
        line_cut()
        fail(session)
        session.renew_id()

        conclude(session)

        assert list(store.rows) == [stored_key(session.session_id)]
        assert make_session(session.session_id) == session


class TestDeletion:
    @pytest.fixture
    def line_cut(self, executed, meanwhile, store):
        """Let the deletion be executed or not, and not answer."""

        def fail():
            if executed:
                store.rows.clear()
            raise in_doubt(None)

        return lambda times=1: meanwhile('delete', *times * [fail])

    @pytest.mark.parametrize('save', [False, True])
    def test_emptied_session_is_deleted_all_the_same(
        self, session, line_cut, store, listener, save
    ):
        session.clear()
        if save:
            session.save()
        line_cut()

        conclude(session)

        assert store.rows == {}
        assert session._saving.ended
        assert session.session_id is None
        assert listener.heard == []

    def test_second_answer_that_is_lost_is_an_error(
        self, session, line_cut, store
    ):
        session.clear()
        line_cut(2)
        fail(session, conclude)

        conclude(session)

        assert store.rows == {}
        assert session._saving.ended

    @pytest.mark.parametrize('executed', [False], indirect=True)
    def test_change_of_another_request_meanwhile_stays(
        self, session, session_id, make_session, line_cut, change
    ):
        session.clear()
        line_cut(2)
        fail(session, conclude)
        change(b=2)

        conclude(session)

        assert make_session(session_id) == session == {'b': 2}
