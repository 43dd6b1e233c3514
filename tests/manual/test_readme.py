"""The two commands with which the README has a clone show what it can do."""

import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import private_server
import pytest

from tests import helpers
from tests.conftest import PROGRAMS
from tests.manual.blocks import ROOT, executes
from tests.manual.terminal import Terminal

# the environment of these tests has what both commands would install; where
# they run tests, nobody waits for those again
PREPARED = """
prepare() {
    venv=$root/venv-$1
}
"""
NOTE = '#!/bin/sh\nprintf "%s\\n" "$@" >"$NOTES"\n'


@pytest.fixture
def clone(tmp_path):
    """A terminal in a clone of the repository."""
    # blanks are possible
    clone = tmp_path / 'a clone'
    clone.mkdir()
    shutil.copytree(
        ROOT / 'docs', clone / 'docs', ignore=shutil.ignore_patterns('_build')
    )
    shutil.copytree(ROOT / 'tests', clone / 'tests')
    with (clone / 'docs' / 'demo' / 'setup.sh').open('a') as setup:
        setup.write(PREPARED)
    (clone / 'venv-demo').symlink_to(sys.prefix)
    python = clone / 'venv-testing' / 'bin' / 'python'
    python.parent.mkdir(parents=True)
    python.write_text(NOTE)
    python.chmod(0o755)
    port = private_server.free_port()
    return Terminal(
        clone,
        HTTP_PORT=str(port),
        NOTES=str(clone / 'notes'),
        # that of who runs these tests
        EXTRA='testing',
        PYTHONPATH=str(ROOT),
        PYTHONUNBUFFERED='1',
    )


@pytest.mark.skipif(not PROGRAMS, reason='the demo starts its own server')
@executes('README.rst', 'sh', 'sh docs/demo/run.sh')
def test_two_commands_serve_the_demo_and_run_the_tests(block, clone):
    demo, tests = block.text.splitlines()
    process = subprocess.Popen(
        ['sh', '-c', f'exec {demo}'],
        cwd=clone.folder,
        env=clone.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        shown = ''
        while 'The shop opens at' not in shown:
            line = process.stdout.readline()
            assert line, shown
            shown += line
        port = clone.environment['HTTP_PORT']
        while process.poll() is None:
            with (
                suppress(URLError),
                urlopen(f'http://127.0.0.1:{port}/') as page,
            ):
                assert b'The Tea Shelf' in page.read()
                break
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate()

    assert page.status == 200
    assert 'Traceback' not in shown + rest
    assert clone.run(tests) == (0, '')
    assert (clone.folder / 'notes').read_text() == '-m\npytest\n'


def test_command_lines_of_the_demo_show_no_secret_or_password(clone, database):
    with helpers.user(database, 'ALL') as user:
        named = {
            'DB_SOCKET': database.server.socket or '',
            'DB_HOST': database.server.host,
            'DB_PORT': str(database.server.port),
            'DB_USER': user['user'],
            'DB_PASS': user['password'],
            'DB_NAME': database.name,
        }
        with clone.running('exec sh docs/demo/run.sh', **named) as process:
            while 'Starting server' not in clone.shown():
                assert process.poll() is None, clone.shown()
                time.sleep(0.05)
            line = Path(f'/proc/{process.pid}/cmdline').read_text()

    secret = (clone.folder / '.demo' / 'secret').read_text().strip()
    assert 'docs/demo' in line
    assert secret not in line
    assert user['password'] not in line


def test_server_is_found_by_a_user_without_a_home(clone):
    clone.stand_in('mariadbd', 'exit')
    clone.environment.pop('HOME', None)

    found = clone.run('set -eu; . docs/demo/setup.sh; has_server')

    assert found == (0, '')
