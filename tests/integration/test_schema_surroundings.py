"""What surrounds the rows: the kind of table, its engine, who refers to it."""

import contextlib

import MySQLdb
import pytest

from pyramid_mysql_session import SchemaError
from pyramid_mysql_session.store.catalogue import Catalogue
from tests import helpers
from tests.integration.table import (
    CREATE,
    append_locked_and_renew,
    fill,
    use,
)

OTHER_NAME = (
    'Set mysql_session.table_name to the name of a table, or to a name that '
    'is free.'
)
LOG_OUTS = (
    'without ON DELETE CASCADE neither a log-out nor a purge deletes its '
    'sessions'
)
RENEWALS = 'without ON UPDATE CASCADE their ids cannot be renewed'


@pytest.fixture
def app(make_app):
    return make_app(userid_key='userid')


@pytest.fixture
def store(app):
    return app.store


@pytest.fixture
def mariadb(server):
    if server.kind != 'mariadb':
        pytest.skip('MariaDB has it')


class TestKind:
    def refused(self, store, deviation):
        with pytest.raises(SchemaError) as caught:
            store.check_table()

        assert caught.value.deviations == (deviation,)
        assert caught.value.remedy == OTHER_NAME

    def test_view_is_no_table(self, database, store):
        database.query(CREATE.replace('sessions', 'base'))
        database.query('CREATE VIEW sessions AS SELECT * FROM base')

        self.refused(store, 'it is a view')

    def test_sequence_is_no_table(self, mariadb, database, store):
        database.query('CREATE SEQUENCE sessions')

        self.refused(store, 'it is a sequence')

    def test_temporary_table_is_for_one_connection(
        self, database, make_app, patch_fetch
    ):
        # newer versions of MariaDB show it beside the table that it hides
        database.query(CREATE)
        patch_fetch(
            lambda sql: (
                f"{sql} UNION SELECT 'sessions', 'TEMPORARY', 'InnoDB'"
                if 'TABLES' in sql
                else sql
            )
        )

        self.refused(make_app().store, 'it is a temporary table')

    def test_table_that_the_server_cannot_open(
        self, database, store, patch_fetch
    ):
        database.query(CREATE)
        patch_fetch(lambda sql: sql.replace('TYPE, ENGINE', 'TYPE, NULL'))

        with pytest.raises(SchemaError) as caught:
            store.check_table()

        assert caught.value.deviations == ('the server cannot open it',)
        assert caught.value.remedy == (
            'See what CHECK TABLE says, and the log of the server.'
        )

    @pytest.mark.parametrize(
        'columns',
        [
            '',
            *(
                f'ADD since {type_} GENERATED ALWAYS AS ROW START, '
                f'ADD until {type_} GENERATED ALWAYS AS ROW END, '
                'ADD PERIOD FOR SYSTEM_TIME (since, until), ADD KEY (until), '
                for type_ in ('TIMESTAMP(6)', 'BIGINT UNSIGNED')
            ),
        ],
    )
    def test_system_versioned_table_keeps_what_ended(
        self, mariadb, database, app, columns
    ):
        database.query(CREATE)
        database.query(f'ALTER TABLE sessions {columns}ADD SYSTEM VERSIONING')

        use(app)

        assert app.store.check_table() == [
            '`sessions` is system-versioned: each save adds a row that no '
            'purge deletes, and sessions stay readable after their end. Use '
            'a table without history.'
        ]


class TestEngine:
    def test_engine_of_tables_elsewhere_is_not_to_be_changed(
        self, database, store
    ):
        database.query(
            CREATE.replace('sessions', 'base')
            .replace('InnoDB', 'MyISAM')
            # all that this engine's index can hold in older versions
            .replace('255', '200')
        )
        database.query(
            'CREATE TABLE sessions LIKE base',
        )
        database.query('ALTER TABLE sessions ENGINE=MRG_MyISAM UNION=(base)')

        with pytest.raises(SchemaError) as caught:
            store.check_table()

        assert caught.value.deviations[-1].lower() == (
            'its engine is mrg_myisam, which has no transactions'
        )
        assert caught.value.remedy.endswith(
            ' Set mysql_session.table_name to the name of a table of another '
            'engine.'
        )

    def test_server_knows_which_engines_have_transactions(
        self, server, database, store
    ):
        def ask(connection):
            catalogue = Catalogue(connection, None, 'sessions')
            return [
                engine
                for engine in ('InnoDB', 'innodb', 'SEQUENCE', 'CSV', 'none')
                if catalogue.has_transactions(engine)
            ]

        found = store._pool.run(ask)

        assert found[:2] == ['InnoDB', 'innodb']
        assert found[2:] == ['SEQUENCE'] * (server.kind == 'mariadb')

    def test_another_engine_with_transactions_is_a_warning(
        self, mariadb, private_server
    ):
        own = private_server()
        try:
            own.query("INSTALL SONAME 'ha_spider'")
        except MySQLdb.Error:
            pytest.skip('this MariaDB has no Spider')
        own.query('SET GLOBAL spider_same_server_link = 1')
        node, database = own.create_database(), own.create_database()
        node.query(CREATE)
        own.query(
            'CREATE SERVER node FOREIGN DATA WRAPPER mysql OPTIONS ('
            f"HOST '{own.host}', PORT {own.port}, USER '{own.user}', "
            f"DATABASE '{node.name}')"
        )
        database.query(
            CREATE.replace('InnoDB', 'SPIDER')
            + """COMMENT 'wrapper "mysql", srv "node", table "sessions"'"""
        )
        with contextlib.closing(
            helpers.application(database, userid_key='userid')
        ) as app:
            warnings = app.store.check_table()
            use(app)

        assert warnings == [
            '`sessions` has the engine SPIDER, not InnoDB: run the purge on '
            'its data nodes, which neither time limits of locks nor SKIP '
            'LOCKED reach; a renewal of an id may move the row from one node '
            'to another, which is not atomic by default.'
        ]


class TestReferences:
    @pytest.mark.parametrize(
        ('actions', 'losses'),
        [
            ('', f'{LOG_OUTS}, and {RENEWALS}'),
            ('ON DELETE CASCADE', RENEWALS),
            ('ON UPDATE CASCADE ON DELETE RESTRICT', LOG_OUTS),
            ('ON UPDATE NO ACTION ON DELETE SET NULL', RENEWALS),
            ('ON DELETE SET NULL ON UPDATE SET NULL', None),
            ('ON DELETE CASCADE ON UPDATE CASCADE', None),
        ],
    )
    def test_foreign_key_that_refuses_is_a_warning(
        self, database, app, actions, losses
    ):
        database.query(CREATE)
        database.query(
            'CREATE TABLE `a``b` (s BINARY(32), CONSTRAINT `it``s` FOREIGN '
            f'KEY (s) REFERENCES sessions (session_id) {actions})'
        )
        app.run(fill)
        database.query('INSERT INTO `a``b` SELECT session_id FROM sessions')

        expected = [
            '`a``b` refers to `sessions` by the foreign key `it``s`: '
            f'{losses} (MySQL error 1451).'
        ]
        assert app.store.check_table() == (expected if losses else [])

        # what the warning says is so
        self.works(app, append_locked_and_renew, RENEWALS, losses)
        database.query(
            'UPDATE `a``b` SET s = (SELECT session_id FROM sessions)'
        )
        self.works(app, lambda r: r.session.invalidate(), LOG_OUTS, losses)

    def works(self, app, view, loss, losses):
        if loss in (losses or ''):
            with pytest.raises(Exception, match='1451'):
                app.run(view)
        else:
            app.run(view)

    def test_foreign_keys_of_the_table_itself_are_its_owners(
        self, database, app
    ):
        database.query(CREATE)
        database.query('CREATE TABLE tenants (id INT PRIMARY KEY)')
        database.query(
            'ALTER TABLE sessions ADD COLUMN tenant INT, '
            'ADD FOREIGN KEY (tenant) REFERENCES tenants (id)'
        )

        assert app.store.check_table() == []
        use(app)

    def test_table_of_another_case_is_another_table(self, database, app):
        database.query(CREATE)
        for number, name in enumerate(('SESSIONS', 'sessiöns')):
            database.query(CREATE.replace('sessions', name))
            database.query(
                f'CREATE TABLE child{number} (s BINARY(32), FOREIGN KEY (s) '
                f'REFERENCES {name} (session_id))'
            )

        assert app.store.check_table() == []

    def test_user_sees_no_reference_of_a_table_that_is_not_theirs(
        self, database, make_app
    ):
        database.query(CREATE)
        database.query(
            'CREATE TABLE carts (s BINARY(32), FOREIGN KEY (s) '
            'REFERENCES sessions (session_id))'
        )
        with helpers.user(
            database, 'SELECT, INSERT, UPDATE, DELETE', 'sessions'
        ) as user:
            app = make_app(userid_key='userid', **user)

            assert app.store.check_table() == []
            use(app)
