"""The time that a ``locked()`` block waits for its row passes for all."""

import time

import pytest

from pyramid_mysql_session.store.keys import make_session_id

WAIT = 100


@pytest.fixture
def waiting(patch_fetch, monkeypatch):
    """Let each lock come after a hundred seconds, by the clock."""
    moment = time.monotonic
    waits = []

    def wait(sql):
        if sql.endswith('FOR UPDATE'):
            waits.append(sql)

    monkeypatch.setattr(
        time, 'monotonic', lambda: moment() + WAIT * len(waits)
    )
    patch_fetch(after=wait)
    return waits


def test_confirmation_grows_old_while_the_lock_is_waited_for(app, waiting):
    def confirm(request):
        request.session['user'] = 'ada'
        request.session.confirm()

    def view(request):
        session = request.session
        with session.locked():
            return session.confirmed(WAIT - 10), session.confirmed(WAIT + 10)

    app.run(confirm)

    assert app.run(view).json == [False, True]
    assert len(waiting) == 1


@pytest.mark.parametrize('idle', [WAIT - 10, WAIT + 10])
def test_session_that_expires_while_its_lock_is_waited_for_is_dead(
    app, waiting, idle
):
    store, session_id = app.store, make_session_id()
    store.create(session_id, '{}', idle)

    with store.locked(session_id) as row:
        assert (row.record is not None) == (idle > WAIT)
