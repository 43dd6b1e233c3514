"""
Start a private server that takes orders to fail, and a command beside it.

The command, the shop, is led to the server through a proxy of our own, and is
told in the variable ``DEMO_STAGE`` on which socket orders are taken: a line
each, which is answered by a line of JSON::

    python stage.py --dir DIR -- COMMAND ...

Here the server fails as servers do: it hangs, dies, or hands over to another.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socketserver
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import MySQLdb
from private_server import PrivateServer, leave_when_told, run_beside
from proxy import Proxy
from replication import DIALECTS, OPTIONS, Primary
from server_programs import ServerError, find_servers

DATABASE = 'mysql_session_demo'
USER = 'shop'
NAMES = 'first', 'second'


class Stage:
    """
    Two servers, of which the second is started when it is needed.

    :param folder: keeps their data, and which one is the primary.
    :param kind: ``'mariadb'`` or ``'mysql'``; what is there by default.
    :param template: a data folder to copy instead of making new ones.
    """

    def __init__(
        self,
        folder: Path,
        kind: str | None = None,
        template: Path | None = None,
    ) -> None:
        if kind is None:
            found = list(find_servers())
            if not found:
                raise ServerError(
                    'no MariaDB or MySQL server found: install one, or name '
                    'its mysqld in the variable MYSQLD'
                )
            (kind, *_) = found
        self.kind = kind
        self.folder = folder
        self.template = template
        self.servers: dict[str, PrivateServer] = {}
        self.paused = False
        self.lock = threading.Lock()
        self.orders: dict[str, Callable[[], None]] = {
            'state': lambda: None,
            'pause': self.pause,
            'resume': self.resume,
            'kill': self.kill,
            'restart': self.restart,
            'cut before': lambda: self.cut('before'),
            'cut after': lambda: self.cut('after'),
            'cut and kill': lambda: self.cut('kill'),
            'switch': self.switch,
        }
        self._primary = folder / f'primary-{kind}'
        self.name = NAMES[0]
        # who was made the primary has the newest data
        with contextlib.suppress(OSError):
            if self._primary.read_text() in NAMES:
                self.name = self._primary.read_text()

    def __enter__(self) -> Stage:
        with contextlib.ExitStack() as stack:
            # nobody else looks in; all that is temporary is here
            self.room = stack.enter_context(
                tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
            )
            stack.callback(self.end_servers)
            self.begin(self.name)
            address = self.server.host, self.server.port
            self.proxy = Proxy(address, lambda: self.take('kill'))
            stack.callback(self.proxy.server_close)
            stack.callback(self.proxy.shutdown)
            # short: a socket's path holds 107 bytes at most
            self.address = str(Path(self.room, 'orders'))
            desk = Desk(self.address, Order)
            desk.stage = self
            stack.callback(desk.server_close)
            stack.callback(desk.shutdown)
            threading.Thread(target=desk.serve_forever, daemon=True).start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    @property
    def server(self) -> PrivateServer:
        """The primary."""
        return self.servers[self.name]

    def end_servers(self) -> None:
        # not released again: no order is carried out any more
        self.lock.acquire()
        for server in self.servers.values():
            if self.paused and server is self.server:
                # it would not hear that it is to end
                self.resume()
            server.close()

    def begin(self, name: str) -> PrivateServer:
        """Start a server, and make who uses it."""
        server = self.servers.get(name)
        if server is None:
            folder = self.folder if name == NAMES[0] else self.folder / name
            number = NAMES.index(name) + 1
            server = PrivateServer(
                self.kind,
                folder,
                options={
                    **OPTIONS,
                    **DIALECTS[self.kind].options,
                    'server_id': number,
                },
                template=self.template,
                room=self.room,
            )
            self.servers[name] = server
        if not server.running:
            data = server.make_data()
            if self.template:
                # MySQL makes another: no two may have the same UUID
                (data / 'auto.cnf').unlink(missing_ok=True)
            server.start()
            with self.root(server) as root:
                root.make_users(USER, DATABASE)
        return server

    def root(
        self, server: PrivateServer
    ) -> contextlib.AbstractContextManager[Primary]:
        return DIALECTS[self.kind](server).connected()

    def facts(self) -> dict[str, str]:
        """Return the variables of the command."""
        return {
            'DB_SOCKET': '',
            'DB_HOST': '127.0.0.1',
            'DB_PORT': str(self.proxy.port),
            'DB_USER': USER,
            'DB_PASS': '',
            'DB_NAME': DATABASE,
            'DEMO_STAGE': self.address,
        }

    def take(self, order: str) -> dict[str, object]:
        """Carry out an order; return how things are then."""
        error = None
        with self.lock:
            try:
                self.orders[order]()
            except KeyError:
                error = 'There is no such order.'
            except ServerError as exc:
                error = str(exc)
            except OSError as exc:
                error = f'The system says: {exc}'
            except MySQLdb.Error as exc:
                error = f'The server says: {exc}'
            return {**self.state(), 'error': error}

    def state(self) -> dict[str, object]:
        return {
            'server': f'{self.server.kind} {self.server.version}',
            'primary': self.name,
            'servers': {name: self.state_of(name) for name in NAMES},
            'cut': self.proxy.cut,
            'cuts': self.proxy.cuts,
        }

    def state_of(self, name: str) -> str:
        server = self.servers.get(name)
        if server is None:
            return 'not started yet'
        if not server.running:
            return 'dead'
        if name != self.name:
            return 'read-only'
        return 'paused' if self.paused else 'runs'

    def pause(self) -> None:
        self.server.pause()
        self.paused = True

    def resume(self) -> None:
        self.server.resume()
        self.paused = False

    def kill(self) -> None:
        self.server.kill()
        self.paused = False

    def restart(self) -> None:
        if self.paused:
            self.resume()
        self.server.restart()

    def cut(self, when: str) -> None:
        self.proxy.cut = when

    def switch(self) -> None:
        """Make the other server the primary."""
        if self.paused or not self.server.running:
            raise ServerError(
                'The primary does not answer, so nobody can copy what it '
                'has: resume or restart it first.'
            )
        name = NAMES[1 - NAMES.index(self.name)]
        server = self.begin(name)
        with self.root(self.server) as old, self.root(server) as new:
            new.copy(old, DATABASE, USER)
            new.take_over(old)
        # nobody writes now: from here on the new one has the newest data, at
        # the next start, too
        draft = self._primary.with_suffix('.draft')
        draft.write_text(name)
        os.replace(draft, self._primary)
        # whoever connects from now on comes to the new primary
        self.proxy.target = server.host, server.port
        self.name = name


class Desk(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    stage: Stage


class Order(socketserver.StreamRequestHandler):
    """One line: an order."""

    server: Desk

    def handle(self) -> None:
        order = self.rfile.readline(100).decode('ascii', 'replace').strip()
        answer = self.server.stage.take(order)
        # who has asked may be gone
        with contextlib.suppress(OSError):
            self.wfile.write(json.dumps(answer).encode() + b'\n')


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description='Start a private server that takes orders to fail.'
    )
    parser.add_argument('--dir', required=True, help='keeps the data')
    parser.add_argument('command', nargs='+', metavar='COMMAND')
    options = parser.parse_args(arguments)
    leave_when_told()
    try:
        with Stage(Path(options.dir)) as stage:
            server = stage.server
            print(f'{server.kind} {server.version} is ready', flush=True)
            return run_beside(stage.facts(), options.command, stage.room)
    except ServerError as exc:
        print(exc, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == '__main__':
    sys.exit(main())
