"""What the check asks the server, and what its log allows."""

import contextlib

import pytest

from pyramid_mysql_session import SchemaError
from pyramid_mysql_session.store.catalogue import Catalogue
from tests import helpers
from tests.integration.table import CREATE, fill, use


@pytest.fixture
def app(make_app):
    return make_app(userid_key='userid')


@pytest.fixture
def mariadb(server):
    if server.kind != 'mariadb':
        pytest.skip('MariaDB has it')


class TestBinaryLog:
    @pytest.mark.parametrize(
        ('binlog_format', 'refused'),
        [('STATEMENT', True), ('MIXED', False), ('ROW', False)],
    )
    def test_log_of_statements_takes_no_changes(
        self, private_server, binlog_format, refused
    ):
        own = private_server(
            log_bin='log', server_id=1, binlog_format=binlog_format
        )
        database = own.create_database()
        with contextlib.closing(
            helpers.application(database, userid_key='userid')
        ) as app:
            if not refused:
                use(app)
                return
            with pytest.raises(SchemaError) as caught:
                app.run(fill)

        assert caught.value.deviations == (
            "the server's binlog_format is STATEMENT, which logs no change "
            'under READ COMMITTED',
        )
        assert caught.value.remedy == (
            'Set binlog_format to ROW or MIXED in the configuration of the '
            'server.'
        )

    def test_format_of_a_log_that_is_off_does_not_matter(
        self, server, database, app
    ):
        with helpers.variables(server, binlog_format='STATEMENT'):
            assert app.store.check_table() == []
            use(app)

    def test_other_error_of_a_try_is_told(self, server, database, make_app):
        database.query(CREATE)
        with (
            helpers.variables(server, binlog_format='STATEMENT'),
            helpers.user(database, 'SELECT') as user,
            pytest.raises(Exception, match='A privilege is missing'),
        ):
            make_app(**user).store.check_table()


class TestCost:
    def test_check_asks_for_one_table_by_its_name(
        self, database, statements, app
    ):
        app.run(fill)
        with statements() as log:
            assert app.store.check_table() == []

        asked = [
            text.partition('information_schema.')[2].split()[0]
            for text in log
            if 'information_schema' in text
        ]
        assert asked == [
            'TABLES',
            'TABLES',
            'COLUMNS',
            'STATISTICS',
            'REFERENTIAL_CONSTRAINTS',
            'TRIGGERS',
        ]
        assert len(log) == len(asked) + 2

    def test_mariadb_opens_no_table_but_one(self, mariadb, database, app):
        app.run(fill)
        asked = []

        def explain(connection):
            fetch = connection.fetch

            class Noting:
                character_set = 'utf8mb4'

                def fetch(self, sql):
                    asked.append(sql)
                    return fetch(sql)

            catalogue = Catalogue(Noting(), None, 'sessions')
            catalogue.kind()
            catalogue.columns()
            catalogue.indexes()
            catalogue.has_triggers()
            return [fetch(f'EXPLAIN {sql}')[0][-1] for sql in asked]

        for extra in app.store._pool.run(explain):
            assert 'Scanned 0 databases' in extra
