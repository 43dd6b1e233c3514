"""Starts the servers and describes the machine."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import pathlib
import platform
import secrets
import subprocess
import tempfile
import time

import MySQLdb
import private_server as private_servers
import redis

#: How we call the servers, in the order of the tables.
NAMES = {'mariadb': 'MariaDB', 'mysql': 'MySQL'}

_COUNTERS = {
    'Com_begin': 'BEGIN',
    'Com_select': 'SELECT',
    'Com_insert': 'INSERT',
    'Com_replace': 'REPLACE',
    'Com_update': 'UPDATE',
    'Com_delete': 'DELETE',
    'Com_set_option': 'SET',
    'Com_commit': 'COMMIT',
    'Com_rollback': 'ROLLBACK',
    'Com_admin_commands': 'ping',
    # all but pings
    'Questions': 'all',
}


class Database:
    """An empty database of one server."""

    def __init__(self, server):
        self.server = server
        self.name = f'benchmark_{secrets.token_hex(4)}'
        self._admin = MySQLdb.connect(
            unix_socket=server.socket, user=server.user, autocommit=True
        )
        self.query(f'CREATE DATABASE {self.name}')
        self.query(f'USE {self.name}')

    def address(self, transport='socket'):
        """Return the driver's arguments, which are settings of ours, too."""
        where = (
            {'unix_socket': self.server.socket}
            if transport == 'socket'
            else {'host': self.server.host, 'port': self.server.port}
        )
        return {**where, 'user': self.server.user, 'database': self.name}

    def query(self, sql, args=None):
        with self._admin.cursor() as cursor:
            cursor.execute(sql, args)
            return cursor.fetchall()

    def counters(self):
        """Return how many statements the server has executed, by kind."""
        rows = self.query(
            'SHOW GLOBAL STATUS WHERE Variable_name IN '
            f'({", ".join(map(repr, _COUNTERS))})'
        )
        return {_COUNTERS[name]: int(number) for name, number in rows}


class Redis:
    """A private Redis server that listens on a socket only."""

    def __init__(self, folder):
        self.socket = f'{folder}/redis'
        self._process = subprocess.Popen(
            (
                'redis-server',
                *('--port', '0', '--unixsocket', self.socket),
                *('--dir', folder, '--save', '', '--daemonize', 'no'),
            ),
            stdout=subprocess.DEVNULL,
        )
        self._client = redis.Redis(unix_socket_path=self.socket)
        deadline = time.monotonic() + 10
        while not os.path.exists(self.socket):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError('redis-server does not start')
            time.sleep(0.02)

    @property
    def pid(self):
        return self._process.pid

    @property
    def version(self):
        return self._client.info('server')['redis_version']

    def counters(self):
        """Return how many commands the server has executed, by name."""
        return {
            name.removeprefix('cmdstat_').upper(): values['calls']
            for name, values in self._client.info('commandstats').items()
        }

    def close(self):
        self._client.close()
        self._process.terminate()
        self._process.wait()


class Bench:
    """
    What the parts share: options and servers, which start when needed.

    :ivar options: of the command line.
    """

    def __init__(self, options):
        self.options = options
        self._stack = contextlib.ExitStack()
        self._started = {}

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._stack.close()

    def note(self, text):
        """Tell who waits how far it is."""
        print(f'{time.strftime("%H:%M:%S")} {text}', flush=True)

    def databases(self, buffer_pool='64M'):
        """
        Return an empty database for each kind of server there is.

        :param buffer_pool: how much of its data a server keeps in memory.
        """
        return {
            kind: Database(self._server(kind, buffer_pool))
            for kind in NAMES
            if kind in private_servers.find_servers()
        }

    def redis(self):
        """Return the :class:`Redis` server."""
        if 'redis' not in self._started:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory())
            self._started['redis'] = Redis(folder)
            self._stack.callback(self._started['redis'].close)
        return self._started['redis']

    @contextlib.contextmanager
    def apart(self, *more):
        """
        Keep the servers on one core and this process on the others.

        :param more: process ids of further servers.

        They work as on two hosts then. Left to itself the kernel puts both
        on one core or on two, and a statement takes thrice as long when the
        other core has to be woken.
        """
        cores = os.sched_getaffinity(0)
        last = {max(cores)}
        others = cores - last or cores
        pids = [*more, *(server.pid for server in self._started.values())]
        try:
            _pin(pids, last)
            _pin([os.getpid()], others)
            yield
        finally:
            _pin([*pids, os.getpid()], cores)

    def _server(self, kind, buffer_pool):
        key = kind, buffer_pool
        if key not in self._started:
            server = private_servers.PrivateServer(
                kind,
                options={
                    'innodb_buffer_pool_size': buffer_pool,
                    'innodb_flush_log_at_trx_commit': self.options.flush,
                    'max_connections': 200,
                },
            )
            self._started[key] = self._stack.enter_context(server)
        return self._started[key]


def _pin(pids, cores):
    """Let all threads of some processes run on these cores only."""
    for pid in pids:
        for task in os.listdir(f'/proc/{pid}/task'):
            # a thread may end meanwhile
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task), cores)


def machine(bench):
    """Describe the machine and the versions of what runs on it."""
    cpu = next(
        line.split(':')[1].strip()
        for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines()
        if line.startswith('model name')
    )
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    node = subprocess.run(
        ['node', '--version'], capture_output=True, check=True, text=True
    )
    modules = pathlib.Path(os.environ['NODE_PATH'])
    return {
        'Processor': f'{cpu}, {os.cpu_count()} cores',
        'Memory': f'{memory / 2**30:.0f} GiB',
        'System': f'{platform.system()} {platform.release()}',
        **{
            NAMES[kind]: private_servers.server_version(path)[1]
            for kind, path in private_servers.find_servers().items()
        },
        'Redis': bench.redis().version,
        'Node': node.stdout.strip(),
        'Python': platform.python_version(),
        **{
            name: importlib.metadata.version(name)
            for name in (
                'pyramid',
                'mysqlclient',
                'DBUtils',
                'pyramid_session_redis',
                'redis',
                'pyramid_beaker',
                'Django',
            )
        },
        **{
            name: json.loads((modules / name / 'package.json').read_text())[
                'version'
            ]
            for name in ('express', 'express-mysql-session')
        },
    }
