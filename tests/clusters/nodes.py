"""Database servers on loopback that belong to a cluster."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import private_server as private_servers

from tests.conftest import Access, OwnServer, template

#: Seconds until a statement of ours is given up.
PATIENCE = 30

#: The user of the applications. It is bound by ``read_only``, as root is not.
VISITOR = {'user': 'visitor', 'password': 'of the tests'}
PRIVILEGES = (
    'SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, '
    # what Spider compares with many values at once
    'CREATE TEMPORARY TABLES'
)

_given = set()


def fresh_port():
    """Return a free port of 127.0.0.1 that nobody here was given before."""
    while (port := private_servers.free_port()) in _given:
        pass
    _given.add(port)
    return port


def mortal(*command, user=None):
    """
    Return a command that the kernel kills when its parent has died.

    :param user: who runs it, instead of root.
    """
    become = []
    if user and os.geteuid() == 0:
        # here, for the kernel forgets whose death to watch when a process
        # becomes somebody else by itself
        uid, gid = _ids(user)
        become = [f'--reuid={uid}', f'--regid={gid}', '--clear-groups']
    return ['setpriv', *become, '--pdeathsig=KILL', *command]


def _ids(user):
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid


class Running:
    """What runs for as long as a with block does."""

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info):
        self.close()

    def begin(self):
        """Start it; :meth:`close` ends it, also when it is half way."""
        raise NotImplementedError


class FreshAccess(Access):
    """
    Runs each statement on a connection of its own.

    After a fail-over an older one would lead to the wrong server, and one
    to a server that was stopped would never answer.
    """

    def query(self, sql, args=None, database=None, patience=PATIENCE):
        """Run a statement and return its rows."""
        options = {'database': database} if database else {}
        connection = self.connect(
            connect_timeout=patience, read_timeout=patience, **options
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(sql, args)
            return list(cursor.fetchall())


class Node(FreshAccess, OwnServer):
    """
    A server of a cluster.

    :param name: what it is called in reports.
    :param options: server options besides those of every private server.
    :param run_as: who runs it if we are root.
    """

    def __init__(self, kind, name, options, run_as=None):
        super().__init__(kind, options=options, template=template(kind))
        self.name = name
        self.port = fresh_port()
        self._run_as = run_as

    def __repr__(self):
        return f'<{self.name}>'

    def make_data(self):
        if self.data.exists():
            return self.data
        data = super().make_data()
        # the server makes another: no two of a group have the same UUID
        (data / 'auto.cnf').unlink(missing_ok=True)
        if self._run_as and os.geteuid() == 0:
            for path in (self._temporary, *self._temporary.rglob('*')):
                os.chown(path, *_ids(self._run_as))
        return data

    def run_once(self, *arguments):
        """Run the program on the data; return all that it says."""
        done = subprocess.run(
            self._mortal(
                self.mysqld,
                '--no-defaults',
                f'--datadir={self.data}',
                f'--socket={self.socket}',
                *(
                    f'--{name}={value}' if value != '' else f'--{name}'
                    for name, value in self.options.items()
                ),
                *arguments,
            ),
            capture_output=True,
            check=True,
            text=True,
            env={**os.environ, 'TMPDIR': str(self._temporary)},
        )
        return done.stdout + done.stderr

    def start(self, **once):
        """
        Start the server and wait until it accepts connections.

        :param once: options that it shall not have the next time.
        """
        options = self.options
        self.options = options | once
        try:
            super().start()
        finally:
            self.options = options

    def set(self, **values):
        """Set global variables, now and for when it starts again."""
        for name, value in values.items():
            self.query(f'SET GLOBAL {name} = %s', (value,))
        self.options |= values

    def value(self, variable, **options):
        """Return a global variable."""
        ((value,),) = self.query(f'SELECT @@GLOBAL.{variable}', **options)
        return value

    @contextlib.contextmanager
    def lagging(self):
        """
        Let nothing that others have written arrive, for as long as the
        block runs.
        """
        with contextlib.closing(self.connect()) as connection:
            connection.query('FLUSH TABLES WITH READ LOCK')
            yield

    @contextlib.contextmanager
    def paused(self):
        """Stop the process for as long as the block runs."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def admit_visitors(self):
        """Create the user of the applications."""
        self.query(
            "CREATE USER visitor@'%%' IDENTIFIED BY %s", (VISITOR['password'],)
        )
        self.query(f"GRANT {PRIVILEGES} ON *.* TO visitor@'%'")

    @property
    def tcp(self):
        """The driver's arguments that lead to it from another host."""
        return {'host': self.host, 'port': self.port}

    def close(self):
        self._end_all()
        super().close()

    def _end_all(self):
        """Kill what the server has started, too: a copy under way."""
        guard = self._guard
        if guard is not None and guard.poll() is None:
            # the guard is the first of a session of its own
            with contextlib.suppress(ProcessLookupError):
                os.killpg(guard.pid, signal.SIGKILL)

    def _run(self, *command):
        return super()._run(*self._mortal(*command))

    def _mortal(self, *command):
        return mortal(*command, user=self._run_as)


def start_together(nodes):
    """Start some servers at once."""
    with ThreadPoolExecutor() as threads:
        # asks for the results, and so for what was raised
        list(threads.map(Node.start, nodes))
