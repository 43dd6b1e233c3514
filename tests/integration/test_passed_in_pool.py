"""A pool that was passed in is used as it is, and left as it was found."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import MySQLdb
import MySQLdb.cursors
import pytest
from dbutils.pooled_db import PooledDB
from MySQLdb.constants import CLIENT

from pyramid_mysql_session import (
    POOL_KEY,
    StoreUnavailable,
    session_factory_from_settings,
)
from pyramid_mysql_session.identity import make_session_id
from tests import helpers

# what mysqlclient says when DBUtils pings
pytestmark = pytest.mark.filterwarnings('ignore:.*reconnect:DeprecationWarning')

#: Text that every way of quoting must survive.
TEXT = 'a\'b"c`d\\e\0f\x1a%s\nü😀\ud800'

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
    'safe updates': ({'init_command': 'SET SESSION sql_safe_updates = 1'}, {}),
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


@contextlib.contextmanager
def driver(pool):
    """Borrow what the pool has, for as long as the block runs."""
    with contextlib.closing(pool.dedicated_connection()) as pooled:
        yield pooled.dbapi_connection


def state(pool):
    """Return how the connection in the pool is, but for its isolation."""
    with driver(pool) as connection:
        connection.query(STATE)
        found = connection.store_result().fetch_row(0)
        connection.query("SHOW SESSION VARIABLES LIKE 't%_isolation'")
        found += connection.store_result().fetch_row(0)
        connection.rollback()
        return [*found, connection.get_autocommit()]


def transactions(database):
    return database.query('SELECT * FROM information_schema.INNODB_TRX')


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
        assert state(pool) == before
        assert not transactions(database)

    @pytest.mark.parametrize('name', POOLS)
    def test_store_works_whatever_the_options(
        self, database, make_pool, make_app, name
    ):
        pool = make_pool(*POOLS[name])
        store = make_app(pool=pool).store
        kept, other, dead = (make_session_id() for _ in range(3))
        before = state(pool)
        for session_id in (kept, other, dead):
            store.create(session_id, '{"a":1}', 60, 'Zoë')
        record = store.load(dead)
        database.query(
            'UPDATE sessions SET expires = 1 WHERE session_id = %s',
            (store._stored_key(dead),),
        )

        assert store.check_table() == []
        assert store.count() == 2
        assert [found.userid for found in store.iter_sessions()] == ['Zoë'] * 2
        assert {type(found.key) for found in store.for_user('Zoë')} == {bytes}
        assert not store.touch(dead, 60)
        # the same second: an UPDATE that changes nothing
        assert store.touch(kept, 60)
        assert store.save(dead, '{}', record.revision, 60).stored is None
        assert store.purge(exclusive=True) == 1
        assert store.delete_for_user('Zoë', keep=kept) == 1
        assert store.load(other) is None
        assert store.load(kept).payload in ('{"a":1}', b'{"a":1}')
        assert store.clear() == 1
        assert database.query('SELECT * FROM sessions') == []
        assert state(pool) == before
        assert not transactions(database)

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
        with driver(pool) as connection:
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
        pool = make_pool()
        app = make_app(pool=pool)
        app.run(fill)
        before = state(pool)

        def lock_and_fail(request):
            with request.session.locked():
                request.session['text'] = 'lost'
                1 / 0  # noqa: B018 any error will do

        with pytest.raises(ZeroDivisionError):
            app.run(lock_and_fail)

        assert state(pool) == before
        assert not transactions(database)
        assert app.run(read).json['text'] == TEXT


class TestExhaustion:
    def test_exhausted_pool_that_does_not_block_is_a_typed_error(
        self, make_pool, make_app
    ):
        pool = make_pool(options={'maxconnections': 1})
        app = make_app(pool=pool)
        app.run(fill)

        with driver(pool), pytest.raises(StoreUnavailable) as caught:
            app.run(read)

        assert str(caught.value) == (
            'The passed-in pool has no free connection. Raise its '
            'maxconnections, or build it with blocking=True.'
        )
        assert app.run(read).json['numbers'] == [1]

    def test_exhausted_pool_that_blocks_is_waited_for(
        self, make_pool, make_app
    ):
        pool = make_pool(options={'maxconnections': 1, 'blocking': True})
        app = make_app(pool=pool)
        app.run(fill)

        with ThreadPoolExecutor(1) as thread:
            with driver(pool):
                waiting = thread.submit(app.run, read)
            assert waiting.result(30).json['numbers'] == [1]

    def test_server_that_is_down_is_a_typed_error(self, private_server):
        server = private_server()
        database = server.create_database()
        pool = PooledDB(
            MySQLdb,
            unix_socket=server.socket,
            user=server.user,
            database=database.name,
        )
        app = helpers.application(database, pool=pool)
        app.run(fill)
        server.stop()

        with pytest.raises(StoreUnavailable) as caught:
            app.run(read)
        # DBUtils keeps the connection that it cannot replace
        assert caught.value.code == 2006
        server.start()

        assert app.run(read).json['numbers'] == [1]
        pool.close()

    def test_connections_killed_while_idle_are_replaced(
        self, database, make_pool, make_app
    ):
        app = make_app(pool=make_pool(options={'ping': 0}))
        app.run(fill)
        helpers.kill_connections(database)

        app.run(append)

        assert app.run(read).json['numbers'] == [1, 2]


def settings_without_a_server():
    return {
        'mysql_session.secret': 'a secret of the tests',
        'mysql_session.purge_expired': 'false',
    }


class TestWays:
    """The ways in which a pool may be passed."""

    #: What the dotted names of the tests lead to.
    pool = None

    @classmethod
    def make(cls):
        return cls.pool

    @pytest.fixture
    def passed(self, make_pool):
        """A pool of one connection, and what asserts that it was used."""
        pool = make_pool()
        type(self).pool = pool
        yield pool
        type(self).pool = None

    def used(self, app, pool):
        """Tell whether the sessions of an application use the pool."""
        app.run(fill)
        with driver(pool) as connection:
            number = connection.thread_id()
        return helpers.fetch(app, 'SELECT CONNECTION_ID()') == ((number,),)

    def nowhere(self, **settings):
        names = ('unix_socket', 'host', 'port', 'user', 'password', 'database')
        return {**dict.fromkeys(names), **settings}

    def test_registry_key_set_before_the_include(self, make_app, passed):
        app = make_app(pool=passed, **self.nowhere())

        assert self.used(app, passed)

    def test_registry_key_set_after_the_include(self, make_app, passed):
        def configure(config):
            config.include('pyramid_mysql_session')
            config.registry[POOL_KEY] = passed

        app = make_app(configure=configure, **self.nowhere())

        assert self.used(app, passed)

    def test_registry_key_set_in_an_action(self, make_app, passed):
        def configure(config):
            config.action(
                'pool',
                lambda: config.registry.update({POOL_KEY: passed}),
                order=-1,
            )

        app = make_app(configure=configure, **self.nowhere())

        assert self.used(app, passed)

    @pytest.mark.parametrize('name', ['pool', 'make'])
    def test_setting_with_a_dotted_name(self, make_app, passed, name):
        setting = f'{__name__}:TestWays.{name}'
        # "pool" and ":" are both ways to write a setting in an ini file
        app = make_app(
            configure=lambda config: config.add_settings(
                {'mysql_session.pool': setting}
            ),
            **self.nowhere(),
        )

        assert self.used(app, passed)

    def test_setting_with_the_pool_itself(self, make_app, passed):
        app = make_app(
            configure=lambda config: config.add_settings(
                {'mysql_session.pool': passed}
            ),
            **self.nowhere(),
        )

        assert self.used(app, passed)

    def test_argument_of_session_factory_from_settings(self, database, passed):
        factory = session_factory_from_settings(
            settings_without_a_server(), passed
        )

        factory.store.create_table()

        assert database.query('SHOW TABLES') == [('sessions',)]
        factory.close()


class TestClose:
    def test_close_leaves_the_pool_open(self, database, make_pool, make_app):
        pool = make_pool()
        app = make_app(pool=pool)
        app.run(fill)
        before = helpers.connections(database)

        app.close()

        assert helpers.connections(database).keys() == before.keys()
        with pytest.raises(StoreUnavailable, match='is closed'):
            app.run(read)
        assert len(state(pool)) > 0

    def test_close_pool_closes_it(self, database, make_pool, make_app):
        app = make_app(pool=make_pool(), close_pool=True)
        app.run(fill)

        app.close()

        helpers.wait_until(lambda: not helpers.connections(database))
