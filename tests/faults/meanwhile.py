"""What others do to the server while a request is under way."""

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor

from tests.helpers import wait_until


@contextlib.contextmanager
def locked_rows(database):
    """Be a stranger who locks all rows of the session table."""
    with contextlib.closing(database.connect()) as stranger:
        stranger.query('BEGIN')
        stranger.query('SELECT * FROM sessions FOR UPDATE')
        stranger.store_result()
        yield stranger


@contextlib.contextmanager
def background(function, *args):
    """Call a function in a thread; gives its future."""
    with ThreadPoolExecutor(1) as executor:
        yield executor.submit(function, *args)


def waiting(database):
    """Return the ids of the connections whose statement waits for a lock."""
    # information_schema.innodb_trx shows who asks often always the same
    ((_, _, status),) = database.query('SHOW ENGINE INNODB STATUS')
    transactions = status.partition('\nTRANSACTIONS\n')[2]
    return [
        int(number)
        for number in re.findall(
            r'\nLOCK WAIT .*?thread id (\d+),', transactions, re.DOTALL
        )
    ]


def kill_waiting(database, times=1):
    """Kill those who wait for a lock, as soon as somebody new does."""
    killed = set()
    for _ in range(times):
        wait_until(lambda: {*waiting(database)} - killed)
        for number in {*waiting(database)} - killed:
            database.query(f'KILL {number}')
            killed.add(number)
    return killed


def updates(log):
    """Return the UPDATE statements of a log."""
    return [text for text in log if text.startswith('UPDATE `sessions`')]


def stored(database):
    """Return the payload of the only row."""
    ((payload,),) = database.query('SELECT data FROM sessions')
    return payload
