"""What commands ask, show and do when their output is of no use."""

import errno
import importlib.util
import io
import sys

import pytest

from pyramid_mysql_session import cli
from pyramid_mysql_session.commands import ending, failing, purging
from tests.memory_store import IDLE
from tests.save_contract import ONE, THREE, TWO

NO_HANDLE = 32 * '0'


@pytest.fixture
def filled(store):
    """A store with two sessions of Ada and one of nobody."""
    store.create(ONE, '{}', IDLE, 'ada')
    store.create(TWO, '{}', IDLE, 'ada')
    store.create(THREE, '{}', IDLE)
    return store


@pytest.fixture
def answer(monkeypatch):
    """Call it with what is typed."""
    return lambda text: monkeypatch.setattr(sys, 'stdin', io.StringIO(text))


@pytest.mark.parametrize(
    ('end', 'question', 'left'),
    [
        (
            lambda store: ending.end_of_user(store, 'ada', sure=False),
            'End the 2 sessions of this user? [y/N] ',
            1,
        ),
        (
            lambda store: ending.end_all(store, sure=False),
            'End all 3 sessions? [y/N] ',
            0,
        ),
        (
            lambda store: ending.end_one(
                store, store.newest(1)[0].handle, sure=False
            ),
            'End this session? [y/N] ',
            2,
        ),
    ],
)
class TestQuestion:
    @pytest.mark.parametrize('text', ['y\n', 'Yes\n', ' y'])
    def test_yes_ends_what_was_asked_about(
        self, filled, answer, capsys, end, question, left, text
    ):
        answer(text)

        assert end(filled) == 0

        assert filled.count() == left
        assert capsys.readouterr().err == question

    @pytest.mark.parametrize('text', ['n\n', '\n', '', 'yet\n'])
    def test_anything_else_ends_nothing_and_fails(
        self, filled, answer, capsys, end, question, left, text
    ):
        answer(text)

        assert end(filled) == failing.FAILED

        assert filled.count() == 3
        assert capsys.readouterr() == ('', f'{question}nothing was ended\n')


def test_end_without_a_terminal_is_wrong_usage(answer, capsys):
    answer('y\n')

    with pytest.raises(SystemExit) as info:
        cli.main(['x.ini', 'end', '--all'])

    assert info.value.code == failing.MISUSED
    assert '--yes is needed' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('number', 'message'),
    [
        (errno.EPIPE, ''),
        (
            errno.ENOSPC,
            'program: the output cannot be written: No space left on device\n',
        ),
    ],
)
def test_output_that_cannot_be_written_goes_nowhere(
    tmp_path, monkeypatch, capsys, number, message
):
    def run():
        raise OSError(number, 'No space left on device')

    path = tmp_path / 'output'
    with path.open('w') as output:
        monkeypatch.setattr(sys, 'stdout', output)
        assert failing.exit_code_of('program', run) == failing.FAILED
        print('too late')

    assert path.read_text() == ''
    assert capsys.readouterr().err == message


def test_output_may_be_no_file(monkeypatch):
    monkeypatch.setattr(sys, 'stdout', io.StringIO())

    assert failing.exit_code_of('program', lambda: 7) == 7


def test_bar_reaches_its_end(store, clock, monkeypatch, capsys):
    store.create(ONE, '{}', IDLE)
    store.create(TWO, '{}', IDLE)
    clock.move(IDLE + 1)
    monkeypatch.setattr('sys.stderr.isatty', lambda: True)

    assert purging.purge(store, None) == 0

    out, err = capsys.readouterr()
    assert out == '2 expired sessions purged\n'
    assert '2.00/2.00' in err


def test_purging_needs_no_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tqdm', None)
    spec = importlib.util.spec_from_file_location(
        f'{purging.__name__}_without_tqdm', purging.__file__
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert module.tqdm is None
