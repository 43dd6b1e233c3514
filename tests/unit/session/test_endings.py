"""Who is told that a session has ended, and how."""

import contextlib

import pytest

from pyramid_mysql_session.errors import StoreUnavailable
from pyramid_mysql_session.store.keys import handle
from tests.memory_store import in_doubt
from tests.unit.conftest import conclude


@pytest.fixture
def session_id(stored):
    return stored({'auth.userid': 'ada', 'a': 1})


@pytest.fixture
def session(make_session, session_id):
    return make_session(session_id)


def test_invalidated_session_tells_its_user(session, session_id, listener):
    assert session['a'] == 1
    session.invalidate()
    assert listener.endings == []
    conclude(session)

    assert listener.endings == [(handle(session_id), 'ada', 'invalidate')]


def test_session_that_nobody_has_read_tells_no_user(
    session, session_id, listener
):
    session.invalidate()
    conclude(session)

    assert listener.endings == [(handle(session_id), None, 'invalidate')]


def test_session_that_another_replaces_tells_its_user(
    session, session_id, listener
):
    session['auth.userid'] = 'bob'
    session.invalidate()
    session['message'] = 'bye'
    conclude(session)

    assert listener.endings == [(handle(session_id), 'ada', 'invalidate')]
    assert listener.heard == ['created']


def test_emptied_session_tells_its_user(session, session_id, listener):
    session.clear()
    conclude(session)

    assert listener.endings == [(handle(session_id), 'ada', 'empty')]


@pytest.mark.parametrize('how', ['empty', 'invalidate'])
@pytest.mark.parametrize('locked', [False, True])
def test_session_that_was_emptied_before_tells_its_user(
    session, session_id, listener, how, locked
):
    with session.locked() if locked else contextlib.nullcontext():
        session.clear()
    session.save()
    session.save()
    if how == 'invalidate':
        session.invalidate()
    conclude(session)

    assert listener.endings == [(handle(session_id), 'ada', how)]


def test_session_that_is_filled_again_tells_its_new_user(
    session, session_id, listener
):
    session.clear()
    session.save()
    session['a'] = 2
    session.save()
    session.invalidate()
    conclude(session)

    assert listener.endings == [(handle(session_id), None, 'invalidate')]


@pytest.mark.parametrize('how', ['clear', 'invalidate'])
def test_user_of_an_end_is_text(make_session, stored, listener, how):
    session = make_session(stored({'auth.userid': 5}))
    assert session['auth.userid'] == 5
    getattr(session, how)()
    conclude(session)

    assert [userid for _, userid, _ in listener.endings] == ['5']


@pytest.mark.parametrize('after', [{}, {'message': 'bye'}])
def test_session_that_had_ended_does_not_end_again(
    make_session, session_id, listener, store, after
):
    store.delete(session_id)
    session = make_session(session_id)
    session.invalidate()
    session.update(after)
    conclude(session)

    assert listener.endings == []


def test_all_sessions_of_a_browser_end_with_their_users(
    make_session, stored, listener
):
    ids = [stored({'auth.userid': name}) for name in ('ada', 'bob')]
    session = make_session(ids)
    session.invalidate()
    conclude(session)

    assert listener.endings == [
        (handle(ids[0]), 'ada', 'invalidate'),
        (handle(ids[1]), None, 'invalidate'),
    ]


def test_discarded_request_ends_nothing(session, listener):
    session.invalidate()
    session._saving.discard()
    conclude(session)

    assert listener.endings == []


@pytest.mark.parametrize('method', ['load', 'save', 'create', 'locked'])
def test_listener_is_told_what_the_store_could_not_do(
    make_session, session_id, store, listener, monkeypatch, method
):
    def fail(*args, **kwargs):
        raise in_doubt(1)

    session = make_session(session_id if method != 'create' else None)
    if method != 'load':
        assert session.get('b') is None
    monkeypatch.setattr(store, method, fail)

    def use():
        if method == 'locked':
            with session.locked():
                session['b'] = 1
        session['b'] = 1
        conclude(session)

    with pytest.raises(StoreUnavailable) as caught:
        use()

    assert set(listener.failures) == {caught.value}
