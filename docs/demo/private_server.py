"""
Start a private MariaDB or MySQL server, for the demo and for the tests.

Only the standard library is needed. The server listens on a socket in a
temporary folder and on 127.0.0.1; ``root`` has no password. It reads no option
file and ends with the process that started it, however that one ends.

As a script it runs one in the foreground, or for as long as a command runs::

    python private_server.py --dir DIR [-- COMMAND ...]
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from server_programs import (
    ServerError,
    data_command,
    find_servers,
    server_version,
)

OPTIONS = {
    'bind_address': '127.0.0.1',
    'innodb_buffer_pool_size': '64M',
    # halves the start-up time of MySQL; MariaDB has both off by itself
    'performance_schema': 'OFF',
    'skip_log_bin': '',
    # unknown to MariaDB, which passes over a "loose" option
    'loose_mysqlx': 'OFF',
}
GUARD = Path(__file__).with_name('guard.py')
# as many as what MariaDB's tool says after the error, and some
LOG_LINES = 40
START_TIMEOUT = 60
STOP_TIMEOUT = 60


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    while True:
        # below the range that the kernel gives to clients, which could
        # otherwise take the port before the server does
        port = random.randrange(20000, 30000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(('127.0.0.1', port))
            return port


class PrivateServer:
    """
    A MariaDB or MySQL server of our own.

    :param kind: ``'mariadb'`` or ``'mysql'``; whichever is there by default.
    :param folder: keeps the data; a temporary folder by default.
    :param mysqld: path of the server program; searched for by default.
    :param options: server options by name, added to :data:`OPTIONS`.
    :param template: data folder to copy instead of making a new one.
    :param room: where the temporary folder is made; it ends with us, too.
    :raises ServerError: there is no such server on this machine, or the
        folder cannot be written or is in use.
    """

    host = '127.0.0.1'
    user = 'root'
    password = ''

    def __init__(
        self,
        kind: str | None = None,
        folder: str | os.PathLike[str] | None = None,
        mysqld: str | None = None,
        options: Mapping[str, object] | None = None,
        template: Path | None = None,
        room: str | None = None,
    ) -> None:
        if mysqld is None:
            servers = find_servers()
            mysqld = servers.get(kind or next(iter(servers), ''))
            if mysqld is None:
                raise ServerError(
                    f'no {kind or "MariaDB or MySQL"} server found: install '
                    'one, or name its mysqld in the variable MYSQLD'
                )
        self.mysqld = mysqld
        self.kind, self.version = server_version(mysqld)
        self.options = OPTIONS | dict(options or {})
        self.template = template
        self.port = free_port()
        self.pid = 0
        self._guard: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        # short: the path of a socket holds 107 bytes at most
        self._temporary = Path(
            tempfile.mkdtemp(prefix='private-server-', dir=room)
        )
        self.room = room or str(self._temporary)
        self.socket = str(self._temporary / 'socket')
        self.folder = Path(folder).resolve() if folder else self._temporary
        self.data = self.folder / self.kind
        self.log = self.folder / 'server.log'
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / 'lock').open('w')
        except OSError as exc:
            self._temporary.rmdir()
            raise ServerError(f'no data can be kept: {exc}') from exc
        atexit.register(self.close)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            self.close()
            raise ServerError(f'{folder} is in use by another server') from exc

    def __enter__(self) -> PrivateServer:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._guard is not None and self._guard.poll() is None

    def start(self) -> None:
        """
        Start the server and wait until it accepts connections.

        The first start makes the data folder.

        :raises ServerError: it ended or was not ready within 60 seconds; the
            message holds the last lines of its log.
        """
        if self.running:
            return
        self.make_data()
        options = self.options | {'socket': self.socket, 'port': self.port}
        if os.geteuid() == 0:
            options['user'] = 'root'
        self._guard = self._run(
            self.mysqld,
            '--no-defaults',
            f'--datadir={self.data}',
            *(
                f'--{k}={v}' if v != '' else f'--{k}'
                for k, v in options.items()
            ),
        )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._accepts():
            if not self.running:
                self._fail('ended instead of accepting connections')
            if time.monotonic() > deadline:
                self.kill()
                self._fail(f'accepts no connection after {START_TIMEOUT} s')
            time.sleep(0.02)

    def stop(self) -> None:
        """
        Shut the server down in good order.

        :raises ServerError: it took more than 60 seconds and was killed.
        """
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a crash would, with SIGKILL."""
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        """Stop the server and start it again on the same data and port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Let the server hang: it keeps its connections, but says nothing."""
        self._signal(signal.SIGSTOP)
        # its threads stop one after the other
        while not self._paused():
            time.sleep(0.001)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End the server and remove what is temporary; may run twice."""
        # a forked child must not end its parent's server
        if os.getpid() != self._owner:
            return
        atexit.unregister(self.close)
        if self.folder == self._temporary:
            # nobody will read its data again
            self.kill()
        else:
            self.stop()
        self._lock.close()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def facts(self) -> dict[str, str]:
        """Return the environment variables that say how to connect."""
        return {
            'DB_SOCKET': self.socket,
            'DB_HOST': self.host,
            'DB_PORT': str(self.port),
            'DB_USER': self.user,
            'DB_PASS': self.password,
        }

    def make_data(self) -> Path:
        """
        Make the data folder if it is missing; the server is not started.

        :returns: the data folder, which may serve as another's template.
        :raises ServerError: the server's own tool could not make it.
        """
        if self.data.exists():
            return self.data
        # renamed when complete, so that an interrupted attempt is not taken
        # for a data folder
        draft = self.data.with_suffix('.draft')
        command = data_command(self.mysqld, self.kind, draft)
        shutil.rmtree(draft, ignore_errors=True)
        if self.template:
            shutil.copytree(self.template, draft)
        elif self._run(*command).wait() != 0:
            self._fail('could not make its data folder')
        draft.rename(self.data)
        return self.data

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command under guard.py, which ends it when we die."""
        with self.log.open('ab') as log:
            self._log_start = log.tell()
            process, self.pid = guarded(
                command,
                self.room,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # a MariaDB that starts removes the temporary tables of
                # others from a folder that they share
                env={**os.environ, 'TMPDIR': str(self._temporary)},
                # out of reach of Ctrl-C in a terminal
                start_new_session=True,
            )
        return process

    def _accepts(self) -> bool:
        """Whether the server greets who connects to its socket."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(START_TIMEOUT)
            try:
                probe.connect(self.socket)
                return probe.recv(1) != b''
            except OSError:
                return False

    def _paused(self) -> bool:
        for stat in Path(f'/proc/{self.pid}/task').glob('*/stat'):
            # a thread may end while we look
            with contextlib.suppress(OSError):
                if ') T' not in stat.read_text():
                    return False
        return True

    def _signal(self, signum: signal.Signals) -> None:
        if not self.running:
            raise ServerError(f'{self.mysqld} is not running')
        os.kill(self.pid, signum)

    def _end(self, signum: signal.Signals) -> None:
        if self._guard is None:
            return
        self._guard.send_signal(signum)
        try:
            self._guard.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            self._fail(f'did not stop within {STOP_TIMEOUT} s')
        self._guard = None

    def _fail(self, what: str) -> NoReturn:
        with self.log.open('rb') as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors='replace').splitlines()
        tail = '\n'.join(lines[-LOG_LINES:]) or '(empty)'
        raise ServerError(
            f'{self.mysqld} {what}; the end of its log {self.log}:\n{tail}'
        )


def guarded(
    command: Sequence[str], temporary: str, **how: Any
) -> tuple[subprocess.Popen[bytes], int]:
    """
    Start a command under guard.py, which ends it when we die.

    :param temporary: a folder that is removed then.
    :param how: further arguments of ``Popen``.
    :returns: the guard, and the process id of the command.
    """
    answer, tell = os.pipe()
    guard = [sys.executable, '-IS', str(GUARD), str(os.getpid())]
    try:
        process = subprocess.Popen(
            [*guard, temporary, str(tell), *command], pass_fds=[tell], **how
        )
    finally:
        os.close(tell)
        with open(answer, 'rb') as line:
            pid = int(line.readline() or 0)
    return process, pid


def run_beside(
    facts: Mapping[str, str], command: Sequence[str], temporary: str
) -> int:
    """
    Run a command that is told by the environment how to connect.

    :param temporary: a folder that is removed when we die.
    """
    process, _ = guarded(command, temporary, env=os.environ | dict(facts))
    try:
        return process.wait()
    finally:
        process.terminate()
        process.wait()


def leave_when_told() -> None:
    """Leave through the with statements, whoever tells us to end."""
    for each in (signal.SIGTERM, signal.SIGHUP):
        # as nohup has it
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, lambda signum, _: sys.exit(128 + signum))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one private server in the foreground."""
    parser = argparse.ArgumentParser(description='Start a private server.')
    parser.add_argument('--dir', help='keeps the data; temporary by default')
    parser.add_argument('--kind', choices=('mariadb', 'mysql'))
    parser.add_argument(
        'command',
        nargs='*',
        metavar='COMMAND',
        help='run this with DB_SOCKET, DB_HOST, DB_PORT, DB_USER and DB_PASS '
        'set, then stop; until Ctrl-C by default',
    )
    options = parser.parse_args(arguments)
    leave_when_told()
    try:
        with PrivateServer(options.kind, options.dir) as server:
            print(f'{server.kind} {server.version} is ready', flush=True)
            if options.command:
                return run_beside(server.facts(), options.command, server.room)
            for name, value in server.facts().items():
                print(f'{name}={value}', flush=True)
            signal.pause()
    except ServerError as exc:
        print(exc, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


if __name__ == '__main__':
    sys.exit(main())
