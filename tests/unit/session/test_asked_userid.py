"""User ids that the application has somewhere else."""

from functools import partial

import pytest

from pyramid_mysql_session.errors import UserIDError
from pyramid_mysql_session.session.extras import UNKNOWN
from tests.memory_store import IDLE
from tests.unit.conftest import conclude


@pytest.fixture
def make_kit(make_kit):
    return partial(make_kit, asks_userid=True)


@pytest.fixture
def visit(make_session, listener):
    """Call it for a request of a user, and what it does."""

    def visit(session_id, userid, use=dict, **changed):
        listener.known_userid = userid
        session = make_session(session_id, **changed)
        use(session)
        conclude(session)
        return session.session_id

    return visit


def write(session):
    session['a'] = session.get('a', 0) + 1


def users(store):
    return [stored.userid for stored in store.iter_sessions()]


def test_new_session_is_that_of_the_user(visit, store):
    visit(None, 'ada', write)

    assert users(store) == ['ada']


def test_empty_session_is_not_stored_for_its_user(visit, store):
    visit(None, 'ada')

    assert users(store) == []


def test_log_in_log_out_and_another_user_are_noted_by_a_reader(visit, store):
    session_id = visit(None, None, write)
    assert users(store) == [None]
    for userid, noted in (('ada', 'ada'), (7, '7'), (None, None)):
        visit(session_id, userid)
        assert users(store) == [noted]


def test_same_user_costs_nothing(visit, store):
    session_id = visit(None, 'ada', write)
    store.calls.clear()
    visit(session_id, 'ada')

    assert store.calls == ['load']


def test_request_that_does_not_use_the_session_asks_nobody(
    make_session, visit, listener
):
    session_id = visit(None, 'ada', write)
    listener.userid = None
    conclude(make_session(session_id))


def test_user_id_is_not_among_the_data(visit, make_session):
    session_id = visit(None, 'ada', write)

    assert make_session(session_id) == {'a': 1}


def test_key_of_the_session_is_no_user(visit, store):
    visit(None, None, lambda session: session.update({'auth.userid': 'eve'}))

    assert users(store) == [None]


@pytest.mark.parametrize('userid', [True, b'ada', 1.5, object()])
def test_what_is_no_user_id_is_refused(visit, store, userid):
    with pytest.raises(UserIDError):
        visit(None, userid, write)

    assert users(store) == []


def test_later_user_wins_as_a_whole(make_session, visit, store, listener):
    session_id = visit(None, None, write)
    one, other = make_session(session_id), make_session(session_id)
    for session, name in ((one, 'ada'), (other, 'bob')):
        listener.known_userid = name
        session[name] = name
    listener.known_userid = 'ada'
    conclude(one)
    listener.known_userid = 'bob'
    conclude(other)

    assert users(store) == ['bob']
    assert make_session(session_id) == {'a': 1, 'bob': 'bob'}


def test_time_out_of_those_without_a_user_follows_it(visit, store, clock):
    def left():
        ((session),) = store.iter_sessions()
        return session.expires - clock.now

    short = {'anonymous_idle_timeout': 60}
    session_id = visit(None, None, write, **short)
    assert left() == 60
    visit(session_id, 'ada', **short)
    assert left() == IDLE
    visit(session_id, None, **short)
    assert left() == 60


def test_confirmation_is_gone_with_the_user(visit, make_session, listener):
    session_id = visit(None, 'ada', write)
    visit(session_id, 'ada', lambda session: session.confirm())
    assert make_session(session_id).confirmed(0)

    listener.known_userid = 'bob'
    assert not make_session(session_id).confirmed(10**9)


def test_invalidated_session_tells_its_user(visit, listener):
    session_id = visit(None, 'ada', write)
    visit(
        session_id,
        'ada',
        lambda session: (dict(session), session.invalidate()),
    )

    assert [userid for _, userid, _ in listener.endings] == ['ada']


def test_session_that_is_changed_after_the_response_keeps_its_user(
    make_session, visit, store, listener
):
    session_id = visit(None, 'ada', write)
    session = make_session(session_id)
    dict(session)
    session._saving.leave()
    listener.known_userid = UNKNOWN
    write(session)
    session.save()

    assert users(store) == ['ada']
    assert make_session(session_id) == {'a': 2}
