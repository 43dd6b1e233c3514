"""The demo shop, served by a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import private_server
from stage import DATABASE

from tests.helpers import SECRET, wait_until

ROOT = Path(__file__).parents[2]
DEMO = ROOT / 'docs' / 'demo'


class Shop:
    """
    The shop, on a database that can be broken; it keeps port and secret.

    :param stage: runs the server of the database, see ``docs/demo/stage.py``.
    :param folder: gets the log of the process.
    """

    def __init__(self, stage, folder):
        self.stage = stage
        self.port = private_server.free_port()
        self.url = f'http://127.0.0.1:{self.port}'
        self._log = folder / 'shop.log'
        self._process = None

    def start(self):
        """Start the process and wait until it accepts connections."""
        facts = self.stage.facts()
        command = [
            sys.executable,
            '-m',
            'pyramid.scripts.pserve',
            str(DEMO / 'development.ini'),
            f'http_port={self.port}',
            f'secret={SECRET}',
            *(f'{k.lower()}={v}' for k, v in facts.items() if k[:3] == 'DB_'),
        ]
        path = os.pathsep.join(map(str, (DEMO, ROOT)))
        with self._log.open('ab') as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **facts, 'PYTHONPATH': path},
            )
        wait_until(self._accepts)

    def _accepts(self):
        assert self._process.poll() is None, self.log
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', self.port)) == 0

    def stop(self):
        """End the process, in good order."""
        self._process.terminate()
        self._process.wait(30)

    def restart(self):
        """Go on in a new process."""
        self.stop()
        self.start()

    @property
    def log(self):
        """What the process has logged so far."""
        return self._log.read_text()

    def order(self, what):
        """Have something done to the database, see ``docs/demo/stage.py``."""
        assert self.stage.take(what)['error'] is None

    def mend(self):
        """Make the database answer, whatever was done to it."""
        self.stage.cut(None)
        if self.stage.state_of(self.stage.name) != 'runs':
            self.order('restart')

    def forget(self):
        """Delete all sessions."""
        with self.stage.root(self.stage.server) as root:
            for (table,) in root.run(f'SHOW TABLES FROM {DATABASE}'):
                root.run(f'DELETE FROM {DATABASE}.{table}')

    def reads(self):
        """Return how often the server has been asked for rows."""
        with self.stage.root(self.stage.server) as root:
            ((_, number),) = root.run("SHOW GLOBAL STATUS LIKE 'Com_select'")
        return int(number)
