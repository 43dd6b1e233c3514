"""Runs what the manual would have somebody type."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
from typing import NamedTuple

import pytest


def program(name, package):
    """Return the path of a program; skip the test, or in CI fail, without."""
    found = shutil.which(name, path=f'{os.environ["PATH"]}:/usr/sbin')
    if found is None:
        give_up = pytest.fail if os.environ.get('CI') else pytest.skip
        give_up(f'needs {name}; Debian has it in {package}')
    return found


class Result(NamedTuple):
    """What a script returned, and what the terminal showed."""

    code: int
    shown: str


class Terminal:
    """
    A shell in a folder, on a terminal of its own.

    Programs are looked for in ``bin`` of the folder, beside the Python that
    runs the tests, and then wherever they are.
    """

    def __init__(self, folder, **environment):
        self.folder = folder
        self.programs = folder / 'bin'
        self.programs.mkdir(exist_ok=True)
        path = [self.programs, os.path.dirname(sys.executable)]
        self.environment = {
            **os.environ,
            # from where pip shall take what is there already
            'PIP_NO_INDEX': '1',
            'PIP_DISABLE_PIP_VERSION_CHECK': '1',
            # Pyramid itself uses what setuptools warns of
            'PYTHONWARNINGS': 'ignore',
            'PATH': os.pathsep.join([*map(str, path), os.environ['PATH']]),
            **environment,
        }

    def stand_in(self, name, script):
        """Put a shell script in the place of a program."""
        path = self.programs / name
        path.write_text(f'#!/bin/sh\n{script}\n')
        path.chmod(0o755)

    def run(self, script, answers=()):
        """
        Run a script of the shell, to its end or its first error.

        :param answers: what to type, by the end of what asks for it.
        """
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            ['sh', '-ec', script],
            cwd=self.folder,
            env=self.environment,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            # who asks for a password opens the terminal by its name
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(follower)
        shown, seen = b'', 0
        with (
            os.fdopen(leader, 'r+b', buffering=0) as screen,
            # the last program that closes it ends it with an error
            contextlib.suppress(OSError),
        ):
            while part := screen.read(65536):
                shown += part
                for end, text in dict(answers).items():
                    if shown[seen:].rstrip().endswith(end.encode()):
                        screen.write(text.encode() + b'\n')
                        seen = len(shown)
        return Result(process.wait(), shown.decode().replace('\r\n', '\n'))

    @contextlib.contextmanager
    def running(self, script, **environment):
        """Run a script that does not end for as long as the block runs."""
        with (self.folder / 'output').open('w') as output:
            process = subprocess.Popen(
                ['sh', '-ec', script],
                cwd=self.folder,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def shown(self):
        """Return what :meth:`running` has shown."""
        return (self.folder / 'output').read_text()
