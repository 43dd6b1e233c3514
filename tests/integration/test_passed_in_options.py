"""Sessions work with every option that a passed-in pool may have."""

import contextlib

import MySQLdb
import MySQLdb.cursors
import pytest
from MySQLdb.constants import CLIENT

from pyramid_mysql_session.store.keys import (
    handle,
    make_session_id,
    stored_key,
)
from pyramid_mysql_session.store.results import Device
from tests import helpers

# what mysqlclient says when DBUtils pings
pytestmark = pytest.mark.filterwarnings(
    'ignore:.*reconnect:DeprecationWarning'
)

#: Text that every way of quoting must survive.
TEXT = 'a\'b"c`d\\e\0f\x1a%s\nü😀\ud800'

IP, AGENT = bytes([192, 0, 2, 7]), 'Zoë\'s "😀"\\%s ' + 'ü' * 240

#: What is asked of a connection before and after we used it.
STATE = (
    'SELECT @@SESSION.sql_mode, @@SESSION.autocommit, '
    '@@SESSION.innodb_lock_wait_timeout, @@SESSION.lock_wait_timeout, '
    '@@SESSION.character_set_client, @@SESSION.character_set_results, '
    '@@SESSION.collation_connection, @@SESSION.time_zone, '
    'CAST(DATABASE() AS CHAR), CONNECTION_ID()'
)

#: Arguments of the driver's connect, and of PooledDB.
POOLS = {
    'defaults': ({}, {}),
    'autocommit': ({'autocommit': True}, {}),
    'autocommit, reset off': ({'autocommit': True}, {'reset': False}),
    'reset off': ({}, {'reset': False}),
    'no ping': ({}, {'ping': 0}),
    'ping always': ({}, {'ping': 7}),
    'ping when asked for': ({'autocommit': True}, {'ping': 2}),
    'DictCursor': ({'cursorclass': MySQLdb.cursors.DictCursor}, {}),
    'SSCursor': ({'cursorclass': MySQLdb.cursors.SSCursor}, {}),
    'shared': ({}, {'maxshared': 3}),
    'shared, autocommit': ({'autocommit': True}, {'maxshared': 3}),
    'blocking': ({}, {'maxconnections': 1, 'blocking': True}),
    'used once': ({}, {'maxusage': 1}),
    'session set by the pool': (
        {},
        {'setsession': ["SET time_zone = '+05:00'"]},
    ),
    'own failures': ({}, {'failures': (MySQLdb.InterfaceError,)}),
    'FOUND_ROWS': ({'client_flag': CLIENT.FOUND_ROWS}, {}),
    'bytes': ({'use_unicode': False}, {}),
    'bytes, latin1': ({'use_unicode': False, 'charset': 'latin1'}, {}),
    'latin1': ({'charset': 'latin1'}, {}),
    'utf8mb3': ({'charset': 'utf8mb3'}, {}),
    'no charset': ({'charset': None}, {}),
    'no conversion': ({'conv': {}}, {}),
    'no conversion, bytes': ({'conv': {}, 'use_unicode': False}, {}),
    'no sql_mode': ({'init_command': "SET SESSION sql_mode = ''"}, {}),
    'ANSI_QUOTES': ({'sql_mode': 'ANSI_QUOTES,PIPES_AS_CONCAT'}, {}),
    'NO_BACKSLASH_ESCAPES': ({'sql_mode': 'NO_BACKSLASH_ESCAPES'}, {}),
    'no multiple statements': ({'multi_statements': False}, {}),
    'compressed': ({'compress': True}, {}),
    **{
        f'{isolation}, autocommit {mode}': (
            {
                'autocommit': mode == 'on',
                'init_command': 'SET SESSION TRANSACTION ISOLATION LEVEL '
                + isolation,
            },
            {'reset': False},
        )
        for isolation in (
            'READ UNCOMMITTED',
            'READ COMMITTED',
            'REPEATABLE READ',
            'SERIALIZABLE',
        )
        for mode in ('on', 'off')
    },
}


def state(pool):
    """Return how the connection in the pool is, but for its isolation."""
    with helpers.borrowed(pool) as connection:
        connection.query(STATE)
        found = connection.store_result().fetch_row(0)
        connection.query("SHOW SESSION VARIABLES LIKE 't%_isolation'")
        found += connection.store_result().fetch_row(0)
        connection.rollback()
        return [*found, connection.get_autocommit()]


def assert_no_transaction_is_open(database):
    # who has read or changed the table in one would be in the way
    with contextlib.closing(
        database.connect(init_command='SET SESSION lock_wait_timeout = 1')
    ) as connection:
        connection.query('LOCK TABLES sessions WRITE')


def fill(request):
    request.session.update(text=TEXT, numbers=[1], userid='Zoë 😀')


def append(request):
    request.session['numbers'].append(2)


def append_locked(request):
    with request.session.locked():
        request.session['numbers'].append(3)


def read(request):
    return dict(request.session)


class TestOptions:
    @pytest.mark.parametrize('name', POOLS)
    def test_sessions_work_whatever_the_options(
        self, database, make_pool, make_app, name
    ):
        pool = make_pool(*POOLS[name])
        app = make_app(pool=pool, userid_key='userid', create_table=True)
        before = state(pool)
        again = app.browser()

        app.run(fill)
        app.run(append)
        app.run(append_locked)
        app.run(lambda request: request.session.renew_id())
        again.set_cookie('session', app.cookies['session'])
        database.query('UPDATE sessions SET expires = expires - 9000')
        data = again.run(read).json

        assert data == {
            'text': TEXT,
            'numbers': [1, 2, 3],
            'userid': 'Zoë 😀',
        }
        ((userid, late),) = database.query(
            'SELECT userid, expires - UNIX_TIMESTAMP() FROM sessions'
        )
        assert userid == 'Zoë 😀'
        assert late > 86000
        assert_no_transaction_is_open(database)
        assert state(pool) == before

    @pytest.mark.parametrize('name', POOLS)
    def test_store_works_whatever_the_options(
        self, database, make_pool, make_app, name
    ):
        pool = make_pool(*POOLS[name])
        store = make_app(pool=pool, track_devices=True).store
        kept, other, more, dead = (make_session_id() for _ in range(4))
        before = state(pool)
        for session_id in (kept, other, more, dead):
            store.create(
                session_id, '{"a":1}', 60, 'Zoë 😀', device=Device(IP, AGENT)
            )
        record = store.load(dead)
        database.query(
            'UPDATE sessions SET expires = 1 WHERE session_id = %s',
            (stored_key(dead),),
        )

        assert store.check_table() == []
        assert store.count() == store.count('Zoë 😀') == 3
        newest = store.for_user('Zoë 😀')
        for found in (*store.iter_sessions(), *newest):
            assert found.userid == 'Zoë 😀'
            assert (found.ip, found.agent) == ('192.0.2.7', AGENT)
            assert found.created == found.seen == found.expires - 60
            assert (found.size, found.data()) == (7, {'a': 1})
        assert {found.handle for found in newest} == {
            handle(each) for each in (kept, other, more)
        }
        assert store.for_user('Zoë 😀', 2) == newest[:2]
        assert store.for_user('Zoë 😀', 2, newest[1].handle) == newest[2:]
        stats = store.stats()
        assert stats[:4] == (3, 1, 0, 1)
        assert (stats.oldest, stats.exact) == (newest[-1].created, True)
        assert store.ping() is True
        assert store.end(handle(more), 'Zoë') is False
        assert store.end(handle(more), 'Zoë 😀') is True
        assert store.end(handle(more)) is False
        assert not store.touch(dead, 60)
        # the same second: an UPDATE that changes nothing
        assert store.touch(kept, 60)
        assert store.save(dead, '{}', record.revision, 60).stored is None
        assert store.purge(exclusive=True) == 1
        assert store.delete_for_user('Zoë 😀', keep=kept) == 1
        assert store.limit_for_user('Zoë 😀', 1) == 0
        assert store.load(other) is None
        assert store.load(kept).payload in ('{"a":1}', b'{"a":1}')
        assert store.clear() == 1
        assert database.query('SELECT * FROM sessions') == []
        assert_no_transaction_is_open(database)
        assert state(pool) == before

    def test_stale_snapshot_of_the_previous_user_is_not_read(
        self, database, make_pool, make_app
    ):
        pool = make_pool(
            {
                'init_command': 'SET SESSION TRANSACTION ISOLATION LEVEL '
                'REPEATABLE READ'
            },
            {'reset': False, 'maxconnections': 1},
        )
        app, other = make_app(pool=pool), make_app()
        other.run(fill)
        app.set_cookie('session', other.cookies['session'])
        # the first use checks the table, which would end the transaction
        assert app.run(read).json['numbers'] == [1]
        with helpers.borrowed(pool) as connection:
            # the snapshot is as old as this
            connection.query('SELECT * FROM sessions')
            connection.store_result()
        other.run(append)

        assert app.run(read).json['numbers'] == [1, 2]
        app.run(append_locked)
        assert other.run(read).json['numbers'] == [1, 2, 3]

    def test_failed_save_leaves_no_open_transaction(
        self, database, make_pool, make_app
    ):
        pool = make_pool(options={'reset': False})
        app = make_app(pool=pool)
        app.run(fill)
        before = state(pool)

        def lock_and_fail(request):
            with request.session.locked():
                request.session['text'] = 'lost'
                1 / 0  # noqa: B018 any error will do

        with pytest.raises(ZeroDivisionError):
            app.run(lock_and_fail)

        assert_no_transaction_is_open(database)
        assert state(pool) == before
        assert app.run(read).json['text'] == TEXT
