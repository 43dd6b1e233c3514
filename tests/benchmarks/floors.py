"""Does with the driver alone what a session needs at the least."""

from __future__ import annotations

import itertools
import json
import secrets
from contextlib import closing

import MySQLdb
from dbutils.pooled_db import PooledDB

from .sites import DATA

_LATER = 'UNIX_TIMESTAMP() + 86400'
SELECT = (
    'SELECT data FROM floors '
    'WHERE session_id = %s AND expires >= UNIX_TIMESTAMP()'
)
TOUCH = f'UPDATE floors SET expires = {_LATER} WHERE session_id = %s'
UPDATE = (
    f'UPDATE floors SET data = %s, expires = {_LATER} WHERE session_id = %s'
)
INSERT = f'INSERT INTO floors VALUES (%s, {_LATER}, %s, 1, 1, NULL)'
RENEW = (
    f'UPDATE floors SET session_id = %s, data = %s, expires = {_LATER} '
    'WHERE session_id = %s'
)


def make_table(database, like):
    """Make a table with one row for all floors, like our own."""
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


def functions(run):
    """
    Return what is measured, by action.

    :param run: executes a statement and returns its first row.
    """
    payload = json.dumps(DATA)
    number = itertools.count()
    key = secrets.token_bytes(32)
    run(INSERT, key, payload)

    def read():
        return run(SELECT, key)[0]

    def touch():
        read()
        run(TOUCH, key)

    def write():
        read()
        run(UPDATE, payload[:-1] + f', "n": {next(number)}}}', key)

    def new():
        run(INSERT, secrets.token_bytes(32), payload)

    def login():
        nonlocal key
        read()
        fresh = secrets.token_bytes(32)
        run(RENEW, fresh, payload, key)
        key = fresh

    return {
        'read': read,
        'touch': touch,
        'write': write,
        'new': new,
        'login': login,
    }
