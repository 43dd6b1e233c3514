"""What the tests against a server share."""

import contextlib

import MySQLdb
import pytest
from dbutils.pooled_db import PooledDB

from pyramid_mysql_session.connection.driver import Connection
from tests import helpers
from tests.functional.conftest import app, make_app, rows

__all__ = ['app', 'make_app', 'rows']


@pytest.fixture
def patch_fetch(monkeypatch):
    """Call it to change statements that return rows, or to act after them."""
    fetch = Connection.fetch

    def patch(change=lambda sql: sql, after=lambda sql: None):
        def patched(self, sql, locking=False):
            rows = fetch(self, change(sql), locking)
            after(sql)
            return rows

        monkeypatch.setattr(Connection, 'fetch', patched)

    return patch


@pytest.fixture
def raising(database):
    """Call it for a statement that fails with an error number."""

    def make(code):
        database.query(
            'CREATE FUNCTION refused() RETURNS INT DETERMINISTIC BEGIN '
            f"SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO = {code}; "
            'RETURN 0; END'
        )
        return 'SELECT refused()'

    return make


@pytest.fixture
def twos(make_app):
    """A store that purges by twos."""
    store = make_app(purge_batch=2, lock_timeout=1).store
    store.create_table()
    return store


@pytest.fixture
def bury(database, twos):
    """Call it for a number of sessions that have expired."""
    return lambda number: helpers.bury(database, number)


@pytest.fixture
def make_pool(database):
    """Call it for a pool, which is closed after the test."""
    with contextlib.ExitStack() as stack:

        def make(connect=None, options=None):
            arguments = {
                **database.server.address,
                'user': database.server.user,
                'password': database.server.password,
                'database': database.name,
                'charset': 'utf8mb4',
                'maxconnections': 2,
                'maxcached': 1,
                **(connect or {}),
                **(options or {}),
            }
            if arguments['charset'] is None:
                del arguments['charset']
            pool = PooledDB(MySQLdb, **arguments)
            stack.callback(pool.close)
            return pool

        yield make
