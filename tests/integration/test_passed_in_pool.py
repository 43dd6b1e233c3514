"""A pool that was passed in is used as it is, and left as it was found."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import MySQLdb
import MySQLdb.cursors
import pytest
from dbutils.pooled_db import PooledDB
from MySQLdb.constants import FIELD_TYPE
from MySQLdb.converters import conversions

from pyramid_mysql_session import (
    POOL_KEY,
    SettingsError,
    StoreUnavailable,
    session_factory_from_settings,
)
from pyramid_mysql_session.store.keys import make_session_id
from tests import helpers
from tests.helpers import problems_of

# what mysqlclient says when DBUtils pings
pytestmark = pytest.mark.filterwarnings(
    'ignore:.*reconnect:DeprecationWarning'
)


def fill(request):
    request.session['numbers'] = [1]


def append(request):
    request.session['numbers'].append(2)


def read(request):
    return dict(request.session)


class TestExhaustion:
    def test_exhausted_pool_that_does_not_block_is_a_typed_error(
        self, make_pool, make_app
    ):
        pool = make_pool(options={'maxconnections': 1})
        app = make_app(pool=pool)
        app.run(fill)

        with helpers.borrowed(pool), pytest.raises(StoreUnavailable) as caught:
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
            with helpers.borrowed(pool):
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
        with helpers.borrowed(pool) as connection:
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
        with helpers.borrowed(pool) as connection:
            assert connection.thread_id() in before

    def test_close_pool_closes_it(self, database, make_pool, make_app):
        app = make_app(pool=make_pool(), close_pool=True)
        app.run(fill)

        app.close()

        helpers.wait_until(lambda: not helpers.connections(database))


@pytest.mark.parametrize('autocommit', [True, None, False])
def test_save_is_committed_where_the_server_has_autocommit_off(
    private_server, autocommit
):
    database = private_server(autocommit=0).create_database()
    pool = PooledDB(
        database.connect, ping=0, reset=False, autocommit=autocommit
    )
    settings = database.settings()
    store = session_factory_from_settings(settings, pool).store
    session_id = make_session_id()
    revision = store.create(session_id, '{}', 60)
    # a connection whose first statement is a save
    pool.close()
    store.save(session_id, '{"a":1}', revision, 60)

    other = session_factory_from_settings(settings)
    assert other.store.load(session_id).payload == '{"a":1}'
    other.close()
    pool.close()


class TestRefusal:
    def test_pool_of_another_driver_is_refused_by_its_type(
        self, database, make_app
    ):
        pool = PooledDB(sqlite3, database=':memory:', check_same_thread=False)
        app = make_app(pool=pool)

        assert problems_of(app, fill) == (
            'mysql_session.pool: expected connections of mysqlclient, '
            'PooledDB(MySQLdb, …), not sqlite3.Connection',
        )
        pool.close()

    @pytest.mark.parametrize('completion_type', ['CHAIN', 'RELEASE'])
    @pytest.mark.parametrize('autocommit', [True, False])
    def test_connections_that_do_not_end_a_transaction_are_refused(
        self, make_pool, make_app, completion_type, autocommit
    ):
        pool = make_pool(
            {
                'init_command': (
                    f"SET SESSION completion_type = '{completion_type}'"
                ),
                'autocommit': autocommit,
            }
        )
        app = make_app(pool=pool)

        assert problems_of(app, fill) == (
            'mysql_session.pool: its connections have completion_type = '
            f"{completion_type}, expected 'NO_CHAIN': what follows a "
            'COMMIT would not be committed',
        )

    @pytest.mark.parametrize('limit', [0, 1, 1000])
    def test_connections_that_cut_answers_short_are_refused(
        self, make_pool, make_app, limit
    ):
        app = make_app(
            pool=make_pool(
                {'init_command': f'SET SESSION sql_select_limit = {limit}'}
            )
        )

        assert problems_of(app, fill) == (
            'mysql_session.pool: its connections have sql_select_limit = '
            f'{limit}, expected 18446744073709551615: answers would be '
            'cut short, or their numbers are rounded',
        )

    def test_connections_that_round_numbers_are_refused(
        self, make_pool, make_app
    ):
        conv = {**conversions, FIELD_TYPE.LONGLONG: float}
        app = make_app(pool=make_pool({'conv': conv}))

        with pytest.raises(SettingsError, match='numbers are rounded'):
            app.run(fill)

    @pytest.mark.parametrize('charset', ['swe7', 'dec8', 'eucjpms', 'sjis'])
    def test_connections_whose_charset_python_does_not_know_are_refused(
        self, make_pool, make_app, charset
    ):
        app = make_app(pool=make_pool({'charset': charset}))

        assert problems_of(app, fill) == (
            'mysql_session.pool: its connections have charset = '
            f'{charset}, which does not bring back all that is stored; '
            'expected utf8mb4, and no other by SET',
        )

    @pytest.mark.parametrize(
        'change',
        [
            'NAMES binary',
            'NAMES swe7',
            'character_set_results = swe7',
            'character_set_results = utf16',
            'character_set_connection = swe7',
        ],
    )
    def test_connections_that_change_what_is_sent_are_refused(
        self, make_pool, make_app, change
    ):
        # init_command comes before the driver sets its own
        app = make_app(pool=make_pool({}, {'setsession': [f'SET {change}']}))

        for _ in range(2):
            with pytest.raises(SettingsError, match='expected utf8mb4, and'):
                app.run(fill)

    @pytest.mark.parametrize('name', ['table_name', 'column_userid'])
    def test_connections_that_cannot_write_a_name_are_refused(
        self, make_pool, make_app, name
    ):
        app = make_app(
            pool=make_pool({'charset': 'latin1'}), **{name: 'сессии'}
        )

        assert problems_of(app, fill) == (
            'mysql_session.pool: its connections have charset = latin1, '
            'in which the names of table and columns cannot be written; '
            'expected utf8mb4',
        )

    @pytest.mark.parametrize('names', ['latin1', 'gbk', 'utf8mb3'])
    def test_connections_that_bring_back_ascii_will_do(
        self, make_pool, make_app, names
    ):
        app = make_app(
            pool=make_pool({}, {'setsession': [f'SET NAMES {names}']})
        )

        app.run(fill)

        assert app.run(read).json == {'numbers': [1]}

    def test_sql_mode_in_which_begin_means_something_else_works(
        self, server, make_pool, make_app
    ):
        if server.kind != 'mariadb':
            pytest.skip('only MariaDB has it')
        app = make_app(pool=make_pool({'sql_mode': 'ORACLE'}))

        app.run(fill)

        def append_locked(request):
            with request.session.locked():
                append(request)

        app.run(append_locked)
        assert app.run(read).json == {'numbers': [1, 2]}
        assert app.store.purge(exclusive=True) == 0
