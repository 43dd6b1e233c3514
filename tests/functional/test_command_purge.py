"""How the command line purges, and how it is stopped."""

import contextlib
import fcntl
import itertools
import os
import re
import signal
import struct
import termios
from types import SimpleNamespace

import pytest

from pyramid_mysql_session.commands import purging
from tests import helpers

ONE_BY_ONE = ('-o', 'mysql_session.purge_batch=1')


@pytest.fixture
def bury(database, app):
    """Call it for a number of sessions that have expired."""
    app.store.create_table()
    return lambda number: helpers.bury(database, number)


@pytest.fixture
def on_terminal(command):
    """Call it with a command, for its result and what its terminal showed."""

    def run(*arguments):
        ours, theirs = os.openpty()
        fcntl.ioctl(
            theirs, termios.TIOCSWINSZ, struct.pack('4H', 24, 80, 0, 0)
        )
        shown = []
        with command.process(*arguments, stderr=theirs) as process:
            os.close(theirs)
            # of a terminal that nobody has open any more nothing can be read
            with contextlib.suppress(OSError), open(ours, 'rb', 0) as screen:
                while some := screen.read(4096):
                    shown.append(some)
            out, _ = process.communicate(timeout=60)
        return process.returncode, out, b''.join(shown).decode()

    return run


def test_purge_says_how_many_there_were(database, app, bury, command):
    bury(1500)
    app.run(lambda request: request.session.update(a=1))

    assert command('purge') == (0, '1,500 expired sessions purged\n', '')

    assert helpers.count(database) == 1


def test_dry_run_purges_nothing(database, bury, command):
    bury(3)

    found = command('purge', '--dry-run')

    assert found == (0, '3 expired sessions are not purged yet\n', '')
    assert helpers.count(database) == 3


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_a_purge_after_a_batch(database, bury, command, number):
    bury(3000)

    with command.process('purge', *ONE_BY_ONE) as process:
        helpers.wait_until(lambda: helpers.count(database) < 3000)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)

    left = helpers.count(database)
    assert 0 < left < 3000
    assert (process.returncode, err) == (1, '')
    assert out == (
        f'{3000 - left:,} expired sessions purged, {left:,} are left\n'
    )
    assert command('purge').out == f'{left:,} expired sessions purged\n'


def test_second_signal_does_what_it_does_without_a_purge():
    with purging._signals() as came:
        os.kill(os.getpid(), signal.SIGINT)
        assert came == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_signal_that_is_ignored_stops_no_purge():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with purging._signals() as came:
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)

    assert came == []


def test_purge_leaves_the_signals_as_they_were(bury, command):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]

    command('purge')

    assert before == [
        signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)
    ]


def test_purge_may_take_any_time(database, bury, command):
    bury(3)

    assert command('purge', '--max-seconds', 10**400).code == 0
    assert helpers.count(database) == 0


def test_purge_ends_when_its_time_is_over(
    database, bury, command, monkeypatch
):
    bury(10)
    seconds = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: next(seconds))
    monkeypatch.setattr(purging, 'time', clock)

    code, out, _ = command('purge', '--max-seconds', 4, *ONE_BY_ONE)

    left = helpers.count(database)
    assert code == 0
    assert 0 < left < 10
    assert out == f'{10 - left} expired sessions purged, {left} are left\n'


def test_purge_shows_a_bar_on_a_terminal(bury, on_terminal):
    bury(300)

    code, out, shown = on_terminal('purge')

    assert (code, out) == (0, '300 expired sessions purged\n')
    assert '100%' in shown
    assert '300/300' in shown
    assert 'sessions/s' in shown


def test_purge_of_nothing_is_done_at_once_on_a_terminal(bury, on_terminal):
    assert on_terminal('purge')[:2] == (0, '0 expired sessions purged\n')


def test_purge_without_a_terminal_says_a_line_every_few_seconds(
    bury, command, monkeypatch
):
    bury(10)
    monkeypatch.setattr(purging, '_EVERY', 0)

    _, _, err = command('purge', '-o', 'mysql_session.purge_batch=4')

    assert err.splitlines() == [
        f'purged {number} of about 10' for number in (4, 8, 10)
    ]


def test_purge_needs_no_tqdm(bury, command, monkeypatch):
    bury(10)
    monkeypatch.setattr(purging, 'tqdm', None)
    monkeypatch.setattr('sys.stderr.isatty', lambda: True)

    assert command('purge') == (0, '10 expired sessions purged\n', '')


def test_rows_that_cannot_be_deleted_are_a_warning(database, bury, command):
    bury(3)
    database.query(
        'CREATE TABLE carts (session BINARY(32), FOREIGN KEY (session) '
        'REFERENCES sessions (session_id) ON UPDATE CASCADE)'
    )
    database.query('INSERT INTO carts SELECT session_id FROM sessions LIMIT 1')

    code, out, err = command('purge')

    assert (code, out) == (0, '2 expired sessions purged\n')
    assert re.search(
        '^pyramid-mysql-session: 1 expired sessions cannot', err, re.M
    )
