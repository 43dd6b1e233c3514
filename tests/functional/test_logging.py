"""What is logged, by which logger and at which level."""

import logging
import re

import pytest

from tests.helpers import SECRET, bury, kill_connections

NAME = 'pyramid_mysql_session'
DATA = 'what-nobody-may-read'


@pytest.fixture(autouse=True)
def everything(caplog):
    caplog.set_level(logging.DEBUG, NAME)


@pytest.fixture
def logged(caplog):
    """Call it for what was logged since the last call."""

    def take():
        lines = [
            (found.name.removeprefix(f'{NAME}.'), found.levelname, text)
            for found, text in zip(
                caplog.records, caplog.messages, strict=True
            )
            if found.name.split('.')[0] == NAME
        ]
        caplog.clear()
        return lines

    return take


def put(value=DATA, **more):
    """Return a view that changes the session."""

    def view(request):
        request.session.update(value=value, **more)

    return view


def read(request):
    return dict(request.session)


def lose(app):
    """Let a session vanish while a request uses it."""

    def view(request):
        request.session['value'] = f'{DATA} 2'
        app.store.clear()

    app.run(view)


def test_life_cycle_is_logged_at_debug(make_app, database, logged):
    app = make_app(purge_expired=True, purge_interval=300, secret=SECRET)
    app.run(put())
    app.browser().run(read, headers={'Cookie': 'session=forged'})
    connected, (name, level, where), *rest = logged()
    assert connected == ('connection.driver', 'DEBUG', 'connected to MySQL')
    assert (name, level) == ('store.access', 'INFO')
    assert where.startswith(f'sessions are kept in {database.name}.sessions')
    assert rest == [
        ('store.reaper', 'DEBUG', 'purging about every 300 seconds'),
        ('web.exchange', 'DEBUG', 'session cookie rejected: signature'),
    ]


def test_purge_is_logged_at_info(app, database, logged):
    app.run(put())
    bury(database, 3)
    logged()
    app.store.purge()
    ((name, level, text),) = logged()
    assert (name, level) == ('store.purging', 'INFO')
    assert re.fullmatch(r'purged 3 sessions in \d\.\d{3} s', text)


def test_purge_of_nothing_is_not_logged(app, logged):
    app.run(put())
    logged()
    app.store.purge()
    assert logged() == []


def test_reconnect_is_logged_at_info(app, database, logged):
    app.run(put())
    kill_connections(database)
    logged()
    app.run(read)
    again, connected, made = logged()
    # MariaDB tells why it ended the connection
    assert again[:2] == ('connection.pool', 'DEBUG')
    assert re.fullmatch(r'trying again after MySQL error \d{4}', again[2])
    assert connected == ('connection.driver', 'DEBUG', 'connected to MySQL')
    assert made == (
        *('connection.trial', 'INFO'),
        'lost the connection to MySQL and made another',
    )


def test_lost_session_is_logged_as_a_warning_once(app, logged):
    app.run(put())
    logged()
    lose(app)
    ((name, level, text),) = logged()
    assert (name, level) == ('web.exchange', 'WARNING')
    assert re.fullmatch(
        r'session [0-9a-f]{8} was deleted, renewed or expired while a '
        r'request used it; the changes of that request are dropped',
        text,
    )


def test_missing_index_is_logged_as_a_warning(app, database, logged):
    app.store.check_table()
    database.query('ALTER TABLE sessions DROP KEY expires')
    logged()
    warnings = app.store.check_table()
    assert logged() == [
        ('store.access', 'WARNING', warning) for warning in warnings
    ]
    assert 'ADD KEY (`expires`)' in warnings[0]


def test_use_of_a_session_that_is_there_logs_nothing(app, logged):
    app.run(put())
    logged()
    app.run(read)
    app.run(put(f'{DATA} 2'))
    app.run(lambda request: request.session.renew_id())
    app.run(lambda request: request.session.invalidate())
    assert logged() == []
