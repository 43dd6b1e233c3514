"""No log line, error or repr tells what nobody may know (promise 16)."""

import logging
import re
import traceback

import pytest

from pyramid_mysql_session import (
    PayloadNotSerializable,
    PayloadTooLarge,
    SessionCreated,
    SessionError,
    SessionLost,
    SessionMerged,
    SessionRejected,
    SettingsError,
    StoreUnavailable,
    session_factory_from_settings,
)
from pyramid_mysql_session.settings.table import parse
from pyramid_mysql_session.web.cookie import CookieSigner
from tests.helpers import SECRET, bury, kill_connections, record, twin

DATA = 'what-nobody-may-read'
PASSWORD = 'what-nobody-may-type'
EVENTS = (SessionCreated, SessionLost, SessionMerged, SessionRejected)


def put(**values):
    return lambda request: request.session.update(values)


def merge_with_another(app, browser):
    def view(request):
        request.session['mine'] = DATA
        browser.run(put(theirs=DATA))

    app.run(view)


def lose(app):
    def view(request):
        request.session['lost'] = DATA
        app.store.clear()

    app.run(view)


def fail(app, error, **values):
    with pytest.raises(error) as caught:
        app.run(put(**values))
    return caught.value


def failures(app, database):
    """Provoke every kind of error; return them."""
    yield fail(app, PayloadNotSerializable, key={DATA})
    yield fail(app, PayloadTooLarge, key=DATA * 5000)
    settings = database.settings(user='nobody', password=PASSWORD)
    factory = session_factory_from_settings(settings)
    with pytest.raises(StoreUnavailable) as refused:
        factory.store.count()
    factory.close()
    yield refused.value
    with pytest.raises(SettingsError) as wrong:
        parse(database.settings(secret=(), password=7, idle_timeout='x'))
    yield wrong.value
    database.query('DELETE FROM sessions')
    database.query('ALTER TABLE sessions MODIFY data VARCHAR(5)')
    yield fail(app, SessionError, key=DATA)


def test_nothing_secret_is_told(make_app, database, caplog):
    caplog.set_level(logging.DEBUG)
    app = make_app(max_payload_bytes=65535, secret=SECRET)
    events = record(app, *EVENTS)
    cookies = []

    def keep_cookie():
        cookies.append(app.cookies['session'])

    app.run(put(**{'key': DATA, 'auth.userid': DATA}))
    keep_cookie()
    merge_with_another(app, twin(app))
    kill_connections(database)
    app.run(lambda request: request.session.renew_id())
    keep_cookie()
    listed = [*app.store.iter_sessions(), *app.store.for_user(DATA)]
    lose(app)
    app.run(lambda request: dict(request.session))
    app.run(put(key=DATA), headers={'Cookie': 'session=forged'})
    bury(database, 3)
    app.store.purge()
    seen = []
    app.run(lambda request: seen.append(request.session))
    errors = list(failures(app, database))

    told = [
        caplog.text,
        *map(str, caplog.messages),
        *(''.join(traceback.format_exception(error)) for error in errors),
        *(f'{error!r} {error}' for error in errors),
        *map(repr, [*events, *listed, *seen, app.store]),
        repr(parse(database.settings(password=PASSWORD))),
        repr(app.store.__dict__),
        repr(CookieSigner([SECRET]).__dict__),
    ]

    signer = CookieSigner([SECRET])
    ids = [signer.verify(cookie)[0] for cookie in cookies]
    secrets = [DATA, PASSWORD, SECRET, *cookies, *ids]
    for text in told:
        for secret in secrets:
            assert not re.search(re.escape(secret), text), text
    assert {type(event) for event in events} == set(EVENTS)
