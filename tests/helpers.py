"""What tests share besides the fixtures."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import secrets
import subprocess
import sys
import threading
import time

import MySQLdb
import pytest
from pyramid.config import Configurator
from pyramid.interfaces import ISessionFactory
from webtest import TestApp

import pyramid_mysql_session

#: Long enough for no warning.
SECRET = 'a-secret-of-the-tests-that-is-long-enough'

# where the WSGI environment has the function that answers
VIEW = 'tests.view'


class Application(TestApp):
    """
    A Pyramid application, and a browser with its own cookies.

    Usable from one thread at a time; :meth:`browser` gives more of them.
    """

    def __init__(self, router, view=None):
        super().__init__(router, {VIEW: view})

    @property
    def registry(self):
        return self.app.registry

    @property
    def store(self):
        return pyramid_mysql_session.get_store(self.registry)

    def browser(self):
        """Return another browser, without cookies, for the application."""
        return Application(self.app, self.extra_environ[VIEW])

    def run(self, view=None, path='/', method='GET', **kwargs):
        """
        Send a request that a function answers, and return its response.

        :param view: called with the request; what it returns becomes JSON
            unless it is a response. By default the view of this browser.
        :param kwargs: what ``TestApp.request`` takes.
        """
        environ = {VIEW: view} if view else {}
        return self.request(path, method=method, environ=environ, **kwargs)

    def close(self):
        """Close the session factory."""
        self.registry.getUtility(ISessionFactory).close()


def application(database, /, view=None, configure=None, pool=None, **settings):
    """
    Make an application that keeps its sessions in a database.

    :param view: the default of :meth:`Application.run`.
    :param configure: called with the configurator before the include.
    :param pool: passed in through the registry.
    :param settings: settings without their prefix; ``None`` removes one. No
        thread purges, and no outage is waited for, unless they say so.
    """
    settings = {'purge_expired': False, 'connection_wait': 2, **settings}
    return assemble(database.settings(**settings), view, configure, pool)


def assemble(settings, view=None, configure=None, pool=None):
    """Make an application as :func:`application` does, from its settings."""
    with Configurator(settings=settings) as config:
        if pool is not None:
            config.registry[pyramid_mysql_session.POOL_KEY] = pool
        if configure is not None:
            configure(config)
        config.include('pyramid_mysql_session')
        config.add_view(_answer, renderer='json')
    return Application(config.make_wsgi_app(), view)


def _answer(request):
    return request.environ[VIEW](request)


def problems_of(app, view):
    """Return what settings a request fails for, each time again."""
    told = set()
    for _ in range(3):
        with pytest.raises(pyramid_mysql_session.SettingsError) as caught:
            app.run(view)
        told.add(caught.value.problems)
    (problems,) = told
    return problems


def record(app, *kinds):
    """Return a list to which the application's events are added."""
    events = []
    for kind in kinds:
        app.registry.registerHandler(events.append, (kind,))
    return events


def fetch(app, sql):
    """Return the rows of a statement on a connection of the application."""
    return app.store._pool.run(lambda connection: connection.fetch(sql))


def wait_until(condition):
    """Wait for what a server or another thread is about to do."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, 'waited for 30 seconds in vain'


def connections(database):
    """Return id and statement of each connection that uses a database."""
    asking = 'SHOW FULL PROCESSLIST'
    return {
        number: info
        for number, _, _, name, _, _, _, info, *_ in database.query(asking)
        if name == database.name and info != asking
    }


def kill_connections(database):
    """Kill all connections to a database."""
    for number in connections(database):
        database.query(f'KILL {number}')
    wait_until(lambda: not connections(database))


@contextlib.contextmanager
def variables(server, **values):
    """Give global variables of the server other values for a while."""
    if not server.private:
        pytest.skip('the settings of this server are not ours')
    names = ', '.join(f'@@GLOBAL.{name}' for name in values)
    (before,) = server.query(f'SELECT {names}')
    assign = ', '.join(f'GLOBAL {name} = %s' for name in values)
    try:
        server.query(f'SET {assign}', tuple(values.values()))
        yield
    finally:
        server.query(f'SET {assign}', before)


@contextlib.contextmanager
def user(database, privileges, table='*'):
    """Give the settings of a new user who has some privileges."""
    name = f'user_{secrets.token_hex(6)}'
    password = secrets.token_urlsafe(12)
    database.query(f"CREATE USER {name}@'%%' IDENTIFIED BY %s", (password,))
    try:
        database.query(
            f"GRANT {privileges} ON `{database.name}`.{table} TO {name}@'%'"
        )
        yield {'user': name, 'password': password}
    finally:
        database.query(f"DROP USER {name}@'%'")


def twin(app, other=None):
    """
    Return another browser that sends the same cookies.

    :param other: an application; without it that of the first browser.
    """
    browser = (other or app).browser()
    for cookie in app.cookiejar:
        browser.cookiejar.set_cookie(cookie)
    return browser


@contextlib.contextmanager
def borrowed(pool):
    """Borrow what the pool has, for as long as the block runs."""
    with contextlib.closing(pool.dedicated_connection()) as pooled:
        yield pooled.dbapi_connection


def bury(database, number, seconds=60):
    """Add sessions that expired some seconds ago; the table must exist."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            'INSERT INTO sessions '
            '(session_id, expires, data, created, revision) '
            "VALUES (%s, UNIX_TIMESTAMP() - %s, '{}', 0, 0)",
            [(secrets.token_bytes(32), seconds) for _ in range(number)],
        )


def purgers(log):
    """
    Return the threads of the server that purged, in turns.

    :param log: a statement log; it shows that only one did so at a time.
    """
    turns, purger = [], None
    for thread, _, text in log.commands:
        if 'SKIP LOCKED' in text:
            assert purger in (None, thread)
            if purger is None:
                turns.append(thread)
            purger = thread
        elif 'RELEASE_LOCK' in text and thread == purger:
            purger = None
    return turns


@contextlib.contextmanager
def python(code, settings, *flags):
    """
    Run Python code in a process of its own for as long as the block runs.

    :param settings: become a ``dict`` of that name.
    """
    head = 'import json, sys\nsettings = json.loads(sys.argv[1])\n'
    # Pyramid itself uses what setuptools warns of
    quiet = [
        f'-Wignore:pkg_resources is deprecated:{category}'
        for category in ('UserWarning', 'DeprecationWarning')
    ]
    process = subprocess.Popen(
        [
            sys.executable,
            *quiet,
            *flags,
            '-c',
            head + code,
            json.dumps(settings),
        ],
        cwd=pathlib.Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lock_is_free(database, log):
    """Tell whether the lock that a purge took is free again."""
    lock = re.search(r'GET_LOCK\((.*), 0\)$', '\n'.join(log), re.MULTILINE)[1]
    ((free,),) = database.query(f'SELECT IS_FREE_LOCK({lock})')
    return free == 1


def count(database):
    """Return the number of sessions, dead ones included."""
    ((number,),) = database.query('SELECT COUNT(*) FROM sessions')
    return number


def reapers():
    """Return the threads of this process that purge."""
    return [
        thread
        for thread in threading.enumerate()
        if thread.name == 'pyramid_mysql_session reaper'
    ]


def connections_of(settings):
    """Return the ids of the other connections to a factory's database."""
    names = 'unix_socket', 'host', 'port', 'user', 'password', 'database'
    arguments = {
        name: settings[f'mysql_session.{name}']
        for name in names
        if f'mysql_session.{name}' in settings
    }
    with contextlib.closing(MySQLdb.connect(**arguments)) as connection:
        connection.query('SHOW PROCESSLIST')
        own, database = connection.thread_id(), arguments['database']
        return {
            row[0]
            for row in connection.store_result().fetch_row(0)
            if row[3] == database and row[0] != own
        }
