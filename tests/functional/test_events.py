"""What subscribers are told."""

import pytest

from pyramid_mysql_session import (
    SessionCreated,
    SessionError,
    SessionLost,
    SessionMerged,
    SessionRejected,
)
from tests.helpers import record, twin

EVENTS = (SessionCreated, SessionLost, SessionMerged, SessionRejected)


def read(request):
    return dict(request.session)


def write(request):
    request.session['key'] = 'value'


@pytest.fixture
def events(app):
    return record(app, *EVENTS)


def test_subscriber_of_the_configurator_is_notified(make_app):
    seen = []

    def configure(config):
        for event in EVENTS:
            config.add_subscriber(seen.append, event)

    app = make_app(configure=configure)
    app.run(write)
    app.run(read)

    (event,) = seen
    assert isinstance(event, SessionCreated)
    assert event.request.session['key'] == 'value'


def test_ordinary_life_has_one_event(app, events):
    for view in (
        write,
        read,
        lambda request: request.session.update(more=1),
        lambda request: request.session.renew_id(),
        lambda request: request.session.remember(60),
        lambda request: request.session.invalidate(),
        read,
    ):
        app.run(view)

    assert [type(event) for event in events] == [SessionCreated]


def test_session_after_invalidate_is_created_anew(app, events):
    app.run(write)

    def view(request):
        request.session.invalidate()
        write(request)

    app.run(view)

    assert [type(event) for event in events] == [SessionCreated] * 2


def test_subscriber_may_change_the_session(make_app):
    def configure(config):
        config.add_subscriber(
            lambda event: event.request.session.flash('welcome'),
            SessionCreated,
        )

    app = make_app(configure=configure)
    app.run(write)

    assert app.run(read).json == {'key': 'value', '_f_': ['welcome']}


def test_rejected_cookie_is_told_once_at_the_first_use(app, events):
    forged = {'Cookie': 'session=forged'}
    app.run(lambda request: request.session is None, headers=forged)
    assert events == []

    def use_twice(request):
        return [request.session.get('key') for _ in range(2)]

    app.run(use_twice, headers=forged)
    assert [event.reason for event in events] == ['signature']


@pytest.mark.parametrize('reason', ['signature', 'unknown'])
def test_subscriber_of_a_rejection_may_use_the_session(
    make_app, database, reason
):
    def configure(config):
        config.add_subscriber(
            lambda event: event.request.session.flash(event.reason),
            SessionRejected,
        )

    app = make_app(configure=configure)
    if reason == 'signature':
        app.set_cookie('session', 'forged')
    else:
        app.run(write)
        database.query('DELETE FROM sessions')

    assert app.run(read).json == {'_f_': [reason]}


def test_error_of_the_database_is_no_loss(app, database, events):
    app.run(write)
    del events[:]

    def view(request):
        request.session['more'] = 1
        database.query('RENAME TABLE sessions TO elsewhere')

    with pytest.raises(SessionError):
        app.run(view)
    assert events == []

    database.query('RENAME TABLE elsewhere TO sessions')
    assert app.run(read).json == {'key': 'value'}


def test_failed_save_creates_no_session(app, events):
    with pytest.raises(SessionError):
        app.run(lambda request: request.session.update(bad=object()))

    assert events == []


def test_loss_is_logged_without_the_session_id(app, caplog):
    app.run(write)
    other = twin(app)

    def view(request):
        request.session['secret'] = 'unspeakable'
        other.run(lambda request: request.session.invalidate())

    caplog.clear()
    app.run(view)

    (text,) = caplog.messages
    label = text.split()[1]
    assert text == (
        f'session {label} was deleted, renewed or expired while a request '
        'used it; the changes of that request are dropped'
    )
    assert len(label) == 8
    assert label not in app.cookies['session']
