"""Does with the driver alone what a session needs at the least."""

from __future__ import annotations

import itertools
import json
import secrets
import time
from contextlib import closing

import MySQLdb
from dbutils.pooled_db import PooledDB

from .sites import DATA

_LATER = 'UNIX_TIMESTAMP() + 86400'
SELECT = (
    'SELECT data FROM floors '
    'WHERE session_id = %s AND expires >= UNIX_TIMESTAMP()'
)
SELECT_FOR_UPDATE = f'{SELECT} FOR UPDATE'
# it moves the deadline, even when it did so less than a second ago
TOUCH = (
    f'UPDATE floors SET expires = GREATEST(expires + 1, {_LATER}) '
    'WHERE session_id = %s'
)
UPDATE = (
    f'UPDATE floors SET data = %s, expires = {_LATER} WHERE session_id = %s'
)
# the user's id stands in an index, too
INSERT = (
    f'INSERT INTO floors VALUES (%s, {_LATER}, %s, 1, 1, '
    f"'{DATA['auth.userid']}')"
)
RENEW = (
    f'UPDATE floors SET session_id = %s, data = %s, expires = {_LATER} '
    'WHERE session_id = %s'
)


def make_table(database, like):
    """Make a table for all floors, like our own."""
    database.query(f'CREATE TABLE floors LIKE {like}')


def by_cursor(address):
    """``cursor.execute`` and ``fetchone`` on one connection."""
    connection = MySQLdb.connect(autocommit=True, **address)

    def run(sql, *args):
        with connection.cursor() as cursor:
            cursor.execute(sql, args)
            return cursor.fetchone()

    return run


def by_query(address):
    """``connection.query`` on one connection."""
    connection = MySQLdb.connect(autocommit=True, **address)

    def run(sql, *args):
        literals = tuple(map(connection.literal, args))
        connection.query(sql.encode() % literals)
        result = connection.store_result()
        return result and result.fetch_row()[0]

    return run


def by_pool(address):
    """A cursor of a PooledDB that neither pings nor resets."""
    pool = PooledDB(
        MySQLdb,
        maxcached=5,
        ping=0,
        reset=False,
        autocommit=True,
        **address,
    )

    def run(sql, *args):
        with (
            closing(pool.connection()) as connection,
            closing(connection.cursor()) as cursor,
        ):
            cursor.execute(sql, args)
            return cursor.fetchone()

    return run


def make_key():
    """Return a primary key that begins with the time, like ours."""
    return time.time_ns().to_bytes(8, 'big') + secrets.token_bytes(24)


def functions(run, sessions):
    """
    Return what is measured, by action.

    :param run: executes a statement and returns its first row.
    :param sessions: how many rows take turns; a single one, changed over and
        over, costs less.
    """
    payload = json.dumps(DATA, separators=(',', ':'))
    number = itertools.count()
    keys = [make_key() for _ in range(sessions)]
    for key in keys:
        run(INSERT, key, payload)
    turns = itertools.cycle(range(sessions))

    def changed():
        return f'{payload[:-1]},"n":{next(number)}}}'

    def read():
        return run(SELECT, keys[next(turns)])[0]

    def look():
        return json.loads(read())['cart'][0]

    def touch():
        key = keys[next(turns)]
        run(SELECT, key)
        run(TOUCH, key)

    def write():
        key = keys[next(turns)]
        run(SELECT, key)
        run(UPDATE, changed(), key)

    def locked():
        key = keys[next(turns)]
        run('BEGIN')
        run(SELECT_FOR_UPDATE, key)
        run(UPDATE, changed(), key)
        run('COMMIT')

    def new():
        run(INSERT, make_key(), payload)

    def login():
        turn = next(turns)
        key, fresh = keys[turn], make_key()
        run(SELECT, key)
        run(RENEW, fresh, payload, key)
        keys[turn] = fresh

    return {
        'read': read,
        'look': look,
        'touch': touch,
        'write': write,
        'locked': locked,
        'new': new,
        'login': login,
    }
