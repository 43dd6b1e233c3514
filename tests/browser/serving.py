"""The demo shop, served by a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import private_server

from tests.helpers import SECRET, wait_until

DEMO = Path(__file__).parents[2] / 'docs' / 'demo'


class Shop:
    """
    The shop on the sessions of a database; it keeps port and secret.

    :param folder: gets the log of the process.
    """

    def __init__(self, database, folder):
        self.database = database
        self.port = private_server.free_port()
        self.url = f'http://127.0.0.1:{self.port}'
        self._log = folder / 'shop.log'
        self._process = None

    def start(self):
        """Start the process and wait until it accepts connections."""
        server = self.database.server
        variables = {
            'http_port': self.port,
            'secret': SECRET,
            'db_socket': server.socket or '',
            'db_host': server.host or '',
            'db_port': server.port or '',
            'db_user': server.user,
            'db_pass': server.password or '',
            'db_name': self.database.name,
        }
        with self._log.open('ab') as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    '-m',
                    'pyramid.scripts.pserve',
                    str(DEMO / 'development.ini'),
                    # a per cent sign has a meaning in an ini file
                    *(
                        f'{name}={str(value).replace("%", "%%")}'
                        for name, value in variables.items()
                    ),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, 'PYTHONPATH': os.pathsep.join(self._path)},
            )
        wait_until(self._accepts)

    @property
    def _path(self):
        return [str(DEMO), str(DEMO.parents[1])]

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

    def forget(self):
        """Delete all sessions."""
        for (table,) in self.database.query('SHOW TABLES'):
            self.database.query(f'DELETE FROM {table}')
