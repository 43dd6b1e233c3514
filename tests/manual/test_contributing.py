"""The command lines for those who change the package."""

import configparser
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.clusters import soak
from tests.conftest import PROGRAMS
from tests.manual.blocks import ROOT, executes
from tests.manual.terminal import Terminal

# takes the place of Python, and notes what it was to do
NOTE = """\
#!/bin/sh
printf '%s\\n' "$@" END >>"$NOTES"
"""
# of the tests that each line would run only a few are found, and none is run
COLLECT = """\
import sys
import pytest

for arguments in sys.stdin.read().split('END\\n')[:-1]:
    options = '--collect-only', '-q', '--ignore-glob=*/test_[!c]*'
    # before Python 3.11 the status is written as a name
    print('=', int(pytest.main([*arguments.splitlines()[2:], *options])))
"""


@pytest.fixture
def clone(tmp_path):
    """A terminal in a clone of the repository, which runs no long tests."""
    for path in ROOT.iterdir():
        if not path.name.startswith('.') and path.name != 'docs':
            (tmp_path / path.name).symlink_to(path)
    docs = shutil.ignore_patterns('_build', '__pycache__')
    shutil.copytree(ROOT / 'docs', tmp_path / 'docs', ignore=docs)
    (tmp_path / 'docs' / 'demo' / 'setup.sh').write_text(
        # what is missing is there
        'prepare() { echo $1 | grep -Ex "testing|browser" >/dev/null;'
        ' venv=$root/venv; }\n'
    )
    return Terminal(tmp_path, PYTHONPATH=str(ROOT))


@executes('CONTRIBUTING.rst', 'sh', 'sh tests/run.sh\n')
@executes('CONTRIBUTING.rst', 'sh', 'sh tests/run.sh tests/unit')
@executes('CONTRIBUTING.rst', 'sh', 'EXTRA=browser')
def test_lines_that_run_tests_find_some(blocks, clone):
    notes = clone.folder / 'notes'
    clone.environment['NOTES'] = str(notes)
    python = clone.folder / 'venv' / 'bin' / 'python'
    python.parent.mkdir(parents=True)
    python.write_text(NOTE)
    python.chmod(0o755)
    for block in blocks:
        assert clone.run(block.text) == (0, '')

    answer = subprocess.run(
        [sys.executable, '-c', COLLECT],
        cwd=ROOT,
        input=notes.read_text(),
        stdout=subprocess.PIPE,
        text=True,
    ).stdout

    assert notes.read_text().count('-m\npytest\n') == 6
    first, *others = answer.split('= 0\n')
    assert 'tests/functional/test_command.py' in first
    assert 'tests/unit/test_cli.py' in first
    # each finds some of them, and the last one is followed by nothing
    assert [bool(found) for found in others] == [True] * 5 + [False]


@executes('CONTRIBUTING.rst', 'sh', 'tests.clusters.soak')
def test_lines_that_soak_say_what_and_how_long(
    block, clone, monkeypatch, capsys
):
    faults, clusters, fuzz = block.text.splitlines()

    class Cluster:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    asked = []

    def run(cluster, scenario, several, seconds, rounds):
        asked.append(seconds * rounds)
        return soak.Tally(soak.name(scenario))

    clone.environment['PYTEST_ADDOPTS'] = '--collect-only'
    if 'mariadb' in PROGRAMS:
        code, shown = clone.run(faults)
        assert code == 0, shown
        assert 'test_soak.py' in shown
    python, flag, module, *arguments = shlex.split(clusters)
    assert (python, flag, module) == ('python', '-m', soak.__name__)
    monkeypatch.setitem(soak.CLUSTERS, 'galera', Cluster)
    monkeypatch.setattr(soak, 'run', run)
    assert soak.main(arguments) == 0
    assert set(asked) == {60}
    assert capsys.readouterr().out.startswith('\ngalera\n')
    assert ' 40000' in fuzz
    code, shown = clone.run(fuzz.replace(' 40000', ' 40'))
    assert (code, shown) == (0, '40 sequences, no fault\n')


@executes('internals.rst', 'sh', 'tests.fuzz ')
@executes('internals.rst', 'sh', 'tests.fuzz_cookies')
def test_random_requests_and_cookies_find_no_fault(blocks, clone):
    requests, cookies = (block.text for block in blocks)
    assert ' 40000' in requests
    assert ' 200000' in cookies

    script = requests.replace(' 40000', ' 40') + cookies.replace('0000', '')

    assert clone.run(script) == (
        0,
        '40 sequences, no fault\n20 headers, no fault\n',
    )


@executes('internals.rst', 'sh', 'make_settings.py')
def test_page_of_settings_is_written_as_it_is(block, clone):
    names = 'settings.rst', 'foreign.txt'
    for name in names:
        (clone.folder / 'docs' / name).unlink()

    assert clone.run(block.text) == (0, '')

    for name in names:
        made = (clone.folder / 'docs' / name).read_text()
        assert made == (ROOT / 'docs' / name).read_text()


@executes('internals.rst', 'sh', 'tox -e lowest')
def test_tox_knows_the_environment(block, clone):
    # it would install Python 3.10 and all dependencies
    clone.stand_in('tox', 'test "$#" = 2 && test "$1" = -e && echo "$2"')

    code, shown = clone.run(block.text)

    assert code == 0
    known = configparser.ConfigParser()
    known.read(ROOT / 'tox.ini')
    assert f'testenv:{shown.strip()}' in known


@executes('howto/devices.rst', 'sh', 'pip install')
@executes('howto/encryption.rst', 'sh', 'pip install')
def test_pip_knows_the_extras(blocks, clone):
    for block in blocks:
        # it is here already, with all extras that its tests need
        code, shown = clone.run(block.text)

        assert code == 0, shown
        assert 'Requirement already satisfied: pyramid-mysql-session' in shown
        assert 'does not provide' not in shown
