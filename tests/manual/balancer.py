"""HAProxy with a configuration of the manual."""

from __future__ import annotations

import contextlib
import socket
import subprocess

from tests.helpers import wait_until
from tests.manual.terminal import program


@contextlib.contextmanager
def running(folder, text):
    """
    Run HAProxy for as long as the block runs.

    It gives a function that returns the state of each server by its name.
    """
    haproxy = program('haproxy', 'haproxy')
    path, admin = folder / 'haproxy.cfg', folder / 'admin'
    path.write_text(f'global\n    stats socket {admin}\n{text}')
    answer = subprocess.run(
        [haproxy, '-c', '-f', path], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr

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
            [haproxy, '-db', '-f', path], stdout=log, stderr=log
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
