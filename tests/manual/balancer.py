"""HAProxy with a configuration of the manual."""

from __future__ import annotations

import contextlib
import socket
import subprocess

import pytest

from tests.clusters.haproxy import PROGRAM
from tests.helpers import wait_until


def check(path):
    """Have HAProxy check a file; return what it says about it."""
    answer = subprocess.run(
        [PROGRAM, '-c', '-f', path], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stderr


@contextlib.contextmanager
def running(folder, text):
    """
    Run HAProxy for as long as the block runs.

    It gives a function that returns the state of each server by its name.
    """
    if PROGRAM is None:
        pytest.skip('needs HAProxy')
    path, admin = folder / 'haproxy.cfg', folder / 'admin'
    path.write_text(f'global\n    stats socket {admin}\n{text}')
    check(path)

    def states():
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(admin))
            line.sendall(b'show stat\n')
            with line.makefile() as answer:
                rows = [row.split(',') for row in answer if ',' in row]
        names = rows[0].index('svname'), rows[0].index('status')
        return {row[names[0]]: row[names[1]].split()[0] for row in rows[1:]}

    with (folder / 'log').open('w') as log:
        process = subprocess.Popen(
            [PROGRAM, '-db', '-f', path], stdout=log, stderr=log
        )
    try:
        wait_until(lambda: admin.exists() and accepts(admin))
        yield states
    finally:
        process.kill()
        process.wait()


def accepts(path):
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.connect(str(path))
        return True
