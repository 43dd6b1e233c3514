"""
Real servers for the tests.

The servers come from the environment variables ``DB_SOCKET`` or ``DB_HOST``
and ``DB_PORT``, ``DB_USER``, ``DB_PASS`` and ``DB_NAME``, which name one that
runs already, or are private ones, one of each kind that this machine has. Each
test that asks for one gets a database of its own; no other is touched.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import signal
import threading

import hypothesis
import MySQLdb
import private_server as private_servers
import pytest

from tests import certificates

# how long a statement takes depends on the machine
hypothesis.settings.register_profile('default', deadline=None)
hypothesis.settings.load_profile('default')

NAMED = {
    name: os.environ[f'DB_{name}']
    for name in ('SOCKET', 'HOST', 'PORT', 'USER', 'PASS', 'NAME')
    if os.environ.get(f'DB_{name}')
}
PROGRAMS = {} if NAMED else private_servers.find_servers()
#: Settings of all applications of the tests that do not say otherwise.
EVERYWHERE = {}


class Statements(list):
    """
    The texts of the statements that a server's general log showed.

    ``commands`` has everything that the log showed, connecting included:
    tuples of thread id, command type (``'Query'``, ``'Init DB'``, ``'Quit'``
    …) and text. ``pings`` counts what the log does not show: pings, and
    resets of a connection.
    """

    def __init__(self):
        super().__init__()
        self.commands = []
        self.pings = 0


class Database:
    """A database that is there for one test."""

    def __init__(self, server, name):
        self.server = server
        self.name = name

    def connect(self, **options):
        """Return a new connection to this database."""
        return self.server.connect(**{'database': self.name, **options})

    def query(self, sql, args=None):
        """Run a statement that no statement log shows; return its rows."""
        return self.server.query(sql, args, self.name)

    def settings(self, **overrides):
        """
        Return the settings of a session factory that uses this database.

        :param overrides: settings without their prefix; ``None`` removes one.
        """
        settings = {
            'secret': 'a secret of the tests, long enough for any check',
            **self.server.address,
            'user': self.server.user,
            'password': self.server.password,
            'database': self.name,
            **EVERYWHERE,
            **overrides,
        }
        return {
            f'mysql_session.{name}': value
            for name, value in settings.items()
            if value is not None
        }

    def drop(self):
        self.server.query(f'DROP DATABASE IF EXISTS `{self.name}`')


class Access:
    """What tests do with a server, whoever started it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._admin = None
        self._admin_ids = set()
        self._admin_lock = threading.Lock()

    @property
    def address(self):
        """The driver's arguments, and our settings, that say where it is."""
        if self.socket:
            return {'unix_socket': self.socket}
        return {'host': self.host, 'port': self.port}

    def connect(self, **options):
        """Return a new connection, in autocommit mode unless told."""
        arguments = {
            **self.address,
            'user': self.user,
            'password': self.password,
            'charset': 'utf8mb4',
            'autocommit': True,
        }
        return MySQLdb.connect(**{**arguments, **options})

    def query(self, sql, args=None, database=None):
        """
        Run a statement on the admin connection and return its rows.

        Any thread may do so. No statement log shows it.
        """
        with self._admin_lock:
            connection = self._admin_connection()
            if database:
                connection.select_db(database)
            with connection.cursor() as cursor:
                cursor.execute(sql, args)
                return list(cursor.fetchall())

    def _admin_connection(self):
        if self._admin is not None:
            # the server may have been restarted meanwhile
            with contextlib.suppress(MySQLdb.Error):
                self._admin.query('DO 1')
                return self._admin
        # fail rather than wait for ever for a table that a test left locked
        self._admin = self.connect(
            init_command='SET SESSION lock_wait_timeout = 30'
        )
        self._admin_ids.add(self._admin.thread_id())
        return self._admin

    def create_database(self):
        """Create a database of random name and return it."""
        prefix = NAMED.get('NAME', 'pyramid_mysql_session')
        name = f'{prefix}_{secrets.token_hex(6)}'
        self.query(f'CREATE DATABASE `{name}`')
        return Database(self, name)

    @contextlib.contextmanager
    def statements(self):
        """Note the statements of all clients, but not of :meth:`query`."""
        log = Statements()
        before = self.query('SELECT @@GLOBAL.general_log, @@GLOBAL.log_output')
        self.query('SET GLOBAL general_log = OFF')
        self.query("SET GLOBAL log_output = 'TABLE'")
        self.query('TRUNCATE mysql.general_log')
        self.query('SET GLOBAL general_log = ON')
        pings = self._count_pings()
        try:
            yield log
        finally:
            self.query('SET GLOBAL general_log = OFF')
            log.pings = self._count_pings() - pings
            # the table hands out its rows in the order they were written
            rows = self.query(
                'SELECT thread_id, command_type, argument '
                'FROM mysql.general_log'
            )
            self.query(
                'SET GLOBAL general_log = %s, GLOBAL log_output = %s',
                before[0],
            )
            log.commands = [
                (thread_id, command, _text(argument))
                for thread_id, command, argument in rows
                if thread_id not in self._admin_ids
            ]
            log[:] = [
                text
                for _, command, text in log.commands
                if command in ('Query', 'Execute')
            ]

    def _count_pings(self):
        ((_, count),) = self.query(
            "SHOW GLOBAL STATUS LIKE 'Com_admin_commands'"
        )
        return int(count)


def _text(value):
    # MariaDB has a text column where MySQL has a binary one
    if isinstance(value, bytes):
        return value.decode('utf-8', 'backslashreplace')
    return value


class OwnServer(Access, private_servers.PrivateServer):
    """A private server."""

    private = True


class NamedServer(Access):
    """The server that the environment names."""

    private = False

    def __init__(self):
        super().__init__()
        self.socket = NAMED.get('SOCKET')
        self.host = NAMED.get('HOST', 'localhost')
        self.port = int(NAMED.get('PORT', 3306))
        self.user = NAMED.get('USER', 'root')
        self.password = NAMED.get('PASS', '')
        ((self.version,),) = self.query('SELECT VERSION()')
        self.kind = 'mariadb' if 'MariaDB' in self.version else 'mysql'


def describe_servers():
    if NAMED:
        return 'the one named by ' + ', '.join(f'DB_{name}' for name in NAMED)
    if not PROGRAMS:
        return 'none found, tests that need one are skipped'
    return ', '.join(f'{kind} ({path})' for kind, path in PROGRAMS.items())


def pytest_addoption(parser):
    parser.addoption(
        '--setting',
        action='append',
        default=[],
        metavar='NAME=VALUE',
        help='what applications have instead of the default of a setting',
    )


def pytest_configure(config):
    # a script that has us run in the background had it ignored, and so it
    # would be in each process that a test starts and interrupts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    EVERYWHERE.update(
        setting.split('=', 1) for setting in config.getoption('setting')
    )
    if os.environ.get('CI') and len(PROGRAMS) < 2:
        raise pytest.UsageError(
            f'CI tests MariaDB and MySQL, but has: {describe_servers()}'
        )


def pytest_collection_modifyitems(items):
    if 'encrypt' in EVERYWHERE:
        sealed = pytest.mark.skip('payloads are sealed')
        for item in items:
            if item.get_closest_marker('plain'):
                item.add_marker(sealed)


def pytest_report_header(config):
    return f'database servers: {describe_servers()}'


def pytest_terminal_summary(terminalreporter):
    missing = {'mariadb', 'mysql'} - PROGRAMS.keys()
    if NAMED or missing:
        terminalreporter.write_line(
            f'Database servers: {describe_servers()}', yellow=True
        )
    if missing and not NAMED:
        terminalreporter.write_line(
            f'Not tested: {" and ".join(sorted(missing))}; the variable '
            'MYSQLD may name a server program',
            yellow=True,
        )


def server_parameters():
    if NAMED:
        return ['named']
    if PROGRAMS:
        return list(PROGRAMS)
    skip = pytest.mark.skip(reason='no MariaDB or MySQL server found')
    return [pytest.param('none', marks=skip)]


@pytest.fixture(scope='session', params=server_parameters())
def server(request):
    """Each server in turn, see :class:`Access`."""
    if NAMED:
        yield NamedServer()
    else:
        with OwnServer(
            request.param,
            options=certificates.server_options(),
            # a worker of xdist starts one for each file
            template=template(request.param),
        ) as own:
            yield own


@pytest.fixture
def database(server):
    """An empty database, see :class:`Database`."""
    database = server.create_database()
    yield database
    database.drop()


@pytest.fixture
def statements(server):
    """Call it for a context manager that gives :class:`Statements`."""
    return server.statements


@functools.cache
def template(kind):
    """Make a data folder once, to copy for each server of a test's own."""
    return private_servers.PrivateServer(kind).make_data()


@pytest.fixture
def private_server(server):
    """
    Call it, with server options, for a server that only this test uses.

    It is of the kind of ``server`` and runs; ``stop()``, ``kill()``,
    ``start()``, ``restart()``, ``pause()`` and ``resume()`` are its owner's.
    """
    with contextlib.ExitStack() as stack:

        def start(**options):
            try:
                data = template(server.kind)
            except private_servers.ServerError as exc:
                pytest.skip(str(exc))
            own = OwnServer(server.kind, options=options, template=data)
            return stack.enter_context(own)

        yield start
