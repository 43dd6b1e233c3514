"""
Run a command that ends when the process that asked for it does.

Started by ``private_server.py`` as ``guard.py PARENT TEMPORARY TELL COMMAND
...``; the command's process id is written to the descriptor TELL. SIGTERM is
passed on to the command, SIGQUIT kills it. When the process PARENT has died
without a word, the command is ended and the folder TEMPORARY removed.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys

STOP_TIMEOUT = 60


def main(parent: int, temporary: str, tell: int, command: list[str]) -> int:
    """Run the command and return its exit status."""
    for each in (signal.SIGINT, signal.SIGHUP):
        # the terminal sends them to the command, too, which decides; nohup
        # has it ignore the latter, and so it would not after a handler
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, lambda *_: None)
    process = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    signal.signal(signal.SIGQUIT, lambda *_: process.kill())
    # the parent may be gone already
    with contextlib.suppress(OSError):
        os.write(tell, b'%d\n' % process.pid)
    os.close(tell)
    while os.getppid() == parent:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = process.wait(0.5)
            return status if status >= 0 else 128 - status
    process.terminate()
    # one that is paused would not hear that it is to end
    process.send_signal(signal.SIGCONT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT)
    process.kill()
    process.wait()
    shutil.rmtree(temporary, ignore_errors=True)
    return process.returncode


if __name__ == '__main__':
    sys.exit(
        main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:])
    )
