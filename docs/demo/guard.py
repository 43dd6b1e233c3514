"""
Run a command that ends when the process that asked for it does.

Started by ``private_server.py`` as ``guard.py PARENT TEMPORARY COMMAND ...``;
the first line printed is the command's process id. SIGTERM is passed on to the
command, SIGQUIT kills it. When the process PARENT has died without a word, the
command is ended and the folder TEMPORARY removed.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys

STOP_TIMEOUT = 60


def main(parent: int, temporary: str, command: list[str]) -> int:
    """Run the command and return its exit status."""
    process = subprocess.Popen(command, stdout=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    signal.signal(signal.SIGQUIT, lambda *_: process.kill())
    # the parent may be gone already
    with contextlib.suppress(OSError):
        os.write(1, b'%d\n' % process.pid)
    while os.getppid() == parent:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(0.5)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT)
    process.kill()
    process.wait()
    shutil.rmtree(temporary, ignore_errors=True)
    return process.returncode


if __name__ == '__main__':
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
