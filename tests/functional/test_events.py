"""What subscribers are told."""

import contextlib
import threading

import pytest
from pyramid.response import Response
from pyramid.threadlocal import get_current_request

from pyramid_mysql_session import (
    SessionCreated,
    SessionEnded,
    SessionError,
    SessionFailed,
    SessionLost,
    SessionMerged,
    SessionRejected,
    StoreRetried,
    UserIDError,
    get_store,
)
from tests.faults.proxy import Proxy, lose_answer, lose_statement
from tests.helpers import application, kill_connections, record, twin

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


def test_user_of_an_ended_session_is_told_as_text_whatever_ended_it(app):
    ended = record(app, SessionEnded)

    def end(request):
        (session,) = get_store(request).for_user(5)
        get_store(request).end(session.handle, 5)

    for view in (
        lambda request: request.session and request.session.invalidate(),
        lambda request: request.session.clear(),
        lambda request: get_store(request).delete_for_user(5),
        end,
    ):
        app.run(lambda request: request.session.update({'auth.userid': 5}))
        app.run(view)

    assert [(event.userid, event.how) for event in ended] == [
        ('5', 'invalidate'),
        ('5', 'empty'),
        ('5', 'delete_for_user'),
        ('5', 'end'),
    ]


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


@pytest.mark.parametrize('end', ['store', 'log-out', 'log-out and more'])
def test_each_end_is_told_though_a_subscriber_fails(make_app, end):
    told = []

    def fail(event):
        told.append(event.handle)
        raise ZeroDivisionError

    app = make_app(
        configure=lambda config: config.add_subscriber(fail, SessionEnded)
    )
    browsers = [app.browser() for _ in range(3)]
    for browser in browsers:
        browser.run(lambda request: request.session.update({'auth.userid': 5}))
    handles = [session.handle for session in app.store.for_user(5)]
    cookies = '; '.join(
        f'session={browser.cookies["session"]}' for browser in browsers
    )

    def log_out(request):
        request.session.invalidate()
        if end != 'log-out':
            write(request)

    def log_out_everywhere(request):
        get_store(request).delete_for_user(5)

    view = log_out_everywhere if end == 'store' else log_out
    with pytest.raises(ZeroDivisionError):
        app.run(view, headers={'Cookie': cookies})

    assert sorted(told) == sorted(handles)
    assert app.store.count() == 0


@pytest.mark.parametrize('kind', [SessionCreated, SessionMerged])
@pytest.mark.parametrize('leaves', [True, False])
def test_subscriber_may_end_the_session(make_app, database, kind, leaves):
    told = []

    def subscribe(event):
        told.append(event)
        if len(told) == 1:
            event.request.session.invalidate()
            if not leaves:
                event.request.session['next'] = 1

    app = make_app(
        configure=lambda config: config.add_subscriber(subscribe, kind)
    )
    ended = record(app, SessionEnded)
    _save_and_be_told(app, database, kind)

    assert [event.how for event in ended] == ['invalidate']
    assert app.store.count() == (0 if leaves else 1)
    assert app.run(read).json == ({} if leaves else {'next': 1})


@pytest.mark.parametrize('kind', [SessionCreated, SessionMerged])
def test_subscriber_may_renew_the_id(make_app, database, kind):
    ids = []

    def subscribe(event):
        ids.append(event.request.session.session_id)
        event.request.session.renew_id()

    app = make_app(
        configure=lambda config: config.add_subscriber(subscribe, kind)
    )
    _save_and_be_told(app, database, kind)

    def view(request):
        return [request.session['key'], request.session.session_id]

    key, session_id = app.run(view).json
    assert key == 'value'
    assert [session_id] != ids
    assert app.store.count() == 1


def _save_and_be_told(app, database, kind):
    """Save a session so that an event of that kind is sent, once."""
    if kind is SessionMerged:
        maker = twin(app, application(database))
        maker.run(write)
        app.set_cookie('session', maker.cookies['session'])

        def view(request):
            request.session['mine'] = 1
            maker.run(lambda request: request.session.update(theirs=1))

        app.run(view)
        maker.close()
    else:
        app.run(write)


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


@pytest.mark.parametrize('when', ['read', 'save', 'response'])
def test_failure_is_told_once_with_its_error(app, database, when):
    app.run(write)
    failed = record(app, SessionFailed)

    def view(request):
        if when != 'read':
            request.session['more'] = 1
        database.query('RENAME TABLE sessions TO elsewhere')
        if when == 'read':
            return dict(request.session)
        if when == 'save':
            request.session.save()
        return None

    with pytest.raises(SessionError) as caught:
        app.run(view)

    (event,) = failed
    assert event.error is caught.value
    assert event.request is not None


@pytest.mark.parametrize('when', ['read', 'save'])
@pytest.mark.parametrize(
    'use',
    [
        lambda session: session.get('key'),
        lambda session: session.update(more=2),
        lambda session: session.save(),
        lambda session: session.handle,
        lambda session: session.invalidate(),
    ],
)
def test_subscriber_of_a_failure_may_use_the_session(
    make_app, database, when, use
):
    told, ended = [], []

    def subscribe(event):
        told.append(event.error)
        with contextlib.suppress(SessionError):
            use(event.request.session)

    app = make_app(
        configure=lambda config: config.add_subscriber(
            subscribe, SessionFailed
        )
    )
    app.run(write)

    def view(request):
        if when == 'save':
            request.session['more'] = 1
        database.query('RENAME TABLE sessions TO elsewhere')
        return read(request)

    def run():
        with pytest.raises(SessionError) as caught:
            app.run(view)
        ended.append(caught.value)

    # it would be in vain to wait for one that waits for itself
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)

    assert told == ended


def test_subscriber_of_a_repeated_statement_may_use_the_session(
    make_app, database
):
    seen = []

    def subscribe(event):
        seen.append(get_current_request().session['key'])

    app = make_app(
        configure=lambda config: config.add_subscriber(subscribe, StoreRetried)
    )
    app.run(write)
    kill_connections(database)
    thread = threading.Thread(target=app.run, args=(read,), daemon=True)
    thread.start()
    thread.join(30)

    assert seen == ['value']


def test_data_that_cannot_be_stored_is_a_failure(app):
    failed = record(app, SessionFailed)
    with pytest.raises(SessionError) as caught:
        app.run(lambda request: request.session.update(bad=object()))

    assert [event.error for event in failed] == [caught.value]


def test_data_that_a_new_session_cannot_store_is_told_when_it_is_saved(app):
    failed = record(app, SessionFailed)

    def view(request):
        request.session['bad'] = object()
        with pytest.raises(SessionError) as caught:
            request.session.save()
        request.session.clear()
        assert [event.error for event in failed] == [caught.value]

    app.run(view)

    assert len(failed) == 1


def save(session):
    session.save()


def lock(session):
    with session.locked():
        pass


@pytest.mark.parametrize('end', [save, lock])
def test_log_out_after_the_response_that_fails_is_told(app, database, end):
    app.run(write)
    failed, caught = record(app, SessionFailed), []

    def body(session):
        yield b'begun'
        database.query('RENAME TABLE sessions TO elsewhere')
        session.invalidate()
        with pytest.raises(SessionError) as error:
            end(session)
        caught.append(error.value)
        database.query('RENAME TABLE elsewhere TO sessions')
        session.save()

    app.run(lambda request: Response(app_iter=body(request.session)))

    assert [event.error for event in failed] == caught
    assert app.run(read).json == {}


@pytest.mark.parametrize('lose', [lose_statement, lose_answer])
def test_subscriber_who_fails_prevents_nothing_that_is_done_again(
    make_app, server, caplog, lose
):
    def fail(event):
        raise ZeroDivisionError

    with Proxy(server.address) as proxy:
        app = make_app(
            configure=lambda config: config.add_subscriber(fail, StoreRetried),
            **proxy.settings,
        )
        app.run(write)
        proxy.on('^UPDATE', lose)
        app.run(lambda request: request.session.renew_id())

        assert app.run(read).json == {'key': 'value'}
    assert 'a subscriber of StoreRetried failed' in caplog.messages


def test_error_of_a_block_is_no_failure_of_the_session(app):
    app.run(write)
    failed = record(app, SessionFailed)

    def view(request):
        with pytest.raises(UserIDError), request.session.locked():
            app.store.for_user(None)

    app.run(view)

    assert failed == []


def test_what_is_done_again_is_told(app, database):
    app.run(write)
    retried = record(app, StoreRetried)
    kill_connections(database)

    assert app.run(read).json == {'key': 'value'}
    (event,) = retried
    assert event.code in (2006, 2013, 4031, 1927)
