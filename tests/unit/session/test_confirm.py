"""Whether the user has proved who they are, lately."""

from contextlib import suppress

import pytest

from pyramid_mysql_session.errors import PayloadNotSerializable
from pyramid_mysql_session.session import standing
from tests.unit.conftest import conclude


@pytest.fixture
def session_id(stored):
    return stored({'auth.userid': 'ada'})


@pytest.fixture
def confirmed(session_id, make_session):
    """The id of a session whose user was confirmed."""
    session = make_session(session_id)
    session.confirm()
    conclude(session)
    return session_id


def change(make_session, session_id, use):
    session = make_session(session_id)
    use(session)
    conclude(session)
    return session


def test_session_is_not_confirmed_unless_it_was_told(make_session, session_id):
    assert not make_session(session_id).confirmed(10**9)
    assert not make_session().confirmed(10**9)


def test_confirmed_counts_by_the_clock_of_the_server(
    make_session, confirmed, clock
):
    assert make_session(confirmed).confirmed(0)
    clock.move(60)
    assert make_session(confirmed).confirmed(60)
    assert not make_session(confirmed).confirmed(59)


def test_confirmed_goes_on_counting_within_a_request(
    make_session, confirmed, monkeypatch
):
    session = make_session(confirmed)
    assert session.confirmed(0)
    now = standing.time.monotonic()
    monkeypatch.setattr(standing.time, 'monotonic', lambda: now + 60)

    assert not session.confirmed(50)
    assert session.confirmed(61)


def test_confirm_again_counts_from_then_on(make_session, confirmed, clock):
    clock.move(60)
    change(make_session, confirmed, lambda session: session.confirm())
    clock.move(10)

    assert make_session(confirmed).confirmed(10)


def test_new_session_can_be_confirmed_at_once(make_session, clock):
    session = make_session()
    session['auth.userid'] = 'ada'
    session.confirm()
    assert session.confirmed(0)
    conclude(session)
    clock.move(5)

    assert make_session(session.session_id).confirmed(5)
    assert not make_session(session.session_id).confirmed(4)


def test_renewal_keeps_it(make_session, confirmed):
    session = change(make_session, confirmed, lambda each: each.renew_id())

    assert session.session_id != confirmed
    assert make_session(session.session_id).confirmed(0)


@pytest.mark.parametrize(
    'use',
    [
        lambda session: session.pop('auth.userid'),
        lambda session: session.update({'auth.userid': 'bob'}),
        lambda session: session.update({'auth.userid': None}),
        lambda session: session.clear(),
        lambda session: session.invalidate(),
    ],
)
def test_log_out_and_another_user_end_it(make_session, confirmed, use):
    session = make_session(confirmed)
    use(session)
    session['more'] = 1

    assert not session.confirmed(10**9)
    conclude(session)
    assert not make_session(session.session_id).confirmed(10**9)

    # not even when the same user is back
    back = change(
        make_session,
        session.session_id,
        lambda session: session.update({'auth.userid': 'ada'}),
    )
    assert not back.confirmed(10**9)
    assert not make_session(session.session_id).confirmed(10**9)


@pytest.mark.parametrize(
    'use',
    [
        lambda session: session.pop('auth.userid'),
        lambda session: session.update({'auth.userid': 'bob'}),
        lambda session: session.clear(),
        lambda session: session.popitem(),
    ],
)
@pytest.mark.parametrize('saved', [False, True])
def test_user_who_is_back_within_a_request_is_not_confirmed(
    make_session, confirmed, use, saved
):
    session = make_session(confirmed)
    use(session)
    if saved:
        session.save()
    session['auth.userid'] = 'ada'

    assert not session.confirmed(10**9)
    conclude(session)
    assert not make_session(confirmed).confirmed(10**9)


def test_block_that_fails_ends_no_confirmation(make_session, confirmed):
    session = make_session(confirmed)
    with suppress(ZeroDivisionError), session.locked():
        session.clear()
        raise ZeroDivisionError

    assert session.confirmed(0)


def test_user_who_is_named_after_it_is_not_confirmed(make_session):
    session = make_session()
    session.confirm()
    session['auth.userid'] = 'ada'

    assert not session.confirmed(10**9)


def test_log_out_of_one_request_ends_what_another_confirms(
    make_session, session_id
):
    one, other = make_session(session_id), make_session(session_id)
    other.confirm()
    one['x'] = one.pop('auth.userid')
    conclude(one)
    conclude(other)

    assert not make_session(session_id).confirmed(10**9)


def test_number_of_a_user_is_as_good_as_text(make_session, stored):
    session_id = stored({'auth.userid': 5})
    change(make_session, session_id, lambda session: session.confirm())

    assert make_session(session_id).confirmed(0)


@pytest.mark.parametrize('text', ['x', ':ada', '-1:ada', 7, None, [], '9'])
def test_what_somebody_has_written_to_the_table_is_no_confirmation(
    make_session, stored, store, text
):
    session_id = stored({'auth.userid': 'ada'})
    ((key, row),) = store.rows.items()
    payload = make_session()._saving._kit.serializer.dumps(
        {'auth.userid': 'ada', '_confirmed_': text}
    )
    store.rows[key] = row._replace(payload=payload)

    assert not make_session(session_id).confirmed(10**9)


@pytest.mark.parametrize('seconds', [-1, 1.5, '60', None, True])
def test_seconds_that_are_none_are_refused(make_session, confirmed, seconds):
    with pytest.raises(ValueError, match='expected whole seconds from 0 on'):
        make_session(confirmed).confirmed(seconds)


def test_block_that_fails_takes_it_back(make_session, session_id):
    session = make_session(session_id)
    with suppress(ZeroDivisionError), session.locked():
        session.confirm()
        raise ZeroDivisionError

    assert not session.confirmed(10**9)


@pytest.mark.parametrize('key', ['_confirmed_', '_userid_'])
def test_key_that_is_ours_is_refused(make_session, key):
    session = make_session()
    session[key] = 1

    with pytest.raises(PayloadNotSerializable, match=f'{key} is a key that'):
        conclude(session)
