"""How the table is created, under whatever names."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyramid_mysql_session import (
    SchemaError,
    StoreUnavailable,
    get_store,
)
from pyramid_mysql_session.store.keys import make_session_id
from tests import helpers
from tests.integration.table import (
    CREATE,
    fill,
    mended,
    read,
    use,
)

COLUMNS = ('session_id', 'expires', 'data', 'created', 'revision', 'userid')


@pytest.fixture
def app(make_app):
    return make_app(userid_key='userid')


class TestCreation:
    @pytest.mark.parametrize(
        ('serializer', 'data', 'collation'),
        [
            ('json', 'mediumtext', 'utf8mb4_bin'),
            ('pickle', 'mediumblob', None),
        ],
    )
    def test_table_is_created_as_documented(
        self, database, make_app, serializer, data, collation
    ):
        make_app(serializer=serializer).run(
            lambda request: request.session.update(a=1)
        )

        number = 'bigint unsigned'
        assert [
            (name, type_.replace('bigint(20)', 'bigint'), null, found)
            for name, type_, null, found in database.query(
                'SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLLATION_NAME '
                'FROM information_schema.COLUMNS '
                'WHERE TABLE_SCHEMA = DATABASE() ORDER BY ORDINAL_POSITION'
            )
        ] == [
            ('session_id', 'binary(32)', 'NO', None),
            ('expires', number, 'NO', None),
            ('data', data, 'NO', collation),
            ('created', number, 'NO', None),
            ('revision', number, 'NO', None),
            ('userid', 'varchar(255)', 'YES', 'utf8mb4_bin'),
        ]
        assert database.query(
            'SELECT INDEX_NAME, COLUMN_NAME, NON_UNIQUE '
            'FROM information_schema.STATISTICS '
            'WHERE TABLE_SCHEMA = DATABASE() ORDER BY INDEX_NAME'
        ) == [
            ('expires', 'expires', 1),
            ('PRIMARY', 'session_id', 0),
            ('userid', 'userid', 1),
        ]
        assert database.query(
            'SELECT TABLE_NAME, ENGINE, TABLE_COLLATION '
            'FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()'
        ) == [('sessions', 'InnoDB', 'utf8mb4_bin')]

    @pytest.mark.parametrize('row_format', ['compact', 'redundant'])
    def test_table_is_created_whatever_the_servers_row_format(
        self, server, database, make_app, row_format
    ):
        app = make_app()
        with helpers.variables(server, innodb_default_row_format=row_format):
            app.run(lambda request: request.session.update(a=1))

        assert app.run(read).json == {'a': 1}
        assert database.query(
            'SELECT ROW_FORMAT FROM information_schema.TABLES '
            'WHERE TABLE_SCHEMA = DATABASE()'
        ) == [('Dynamic',)]

    def test_existing_table_is_checked_once_and_no_ddl_is_issued(
        self, database, statements, app
    ):
        database.query(CREATE)
        with statements() as log:
            use(app)

        assert not any(text.startswith('CREATE') for text in log)
        assert sum('information_schema.COLUMNS' in text for text in log) == 1

    @pytest.mark.parametrize('create_table', [True, False])
    def test_user_without_the_create_right_uses_an_existing_table(
        self, database, make_app, create_table
    ):
        database.query(CREATE)
        with helpers.user(database, 'SELECT, INSERT, UPDATE, DELETE') as user:
            app = make_app(
                userid_key='userid', create_table=create_table, **user
            )
            use(app)

    def test_user_without_the_create_right_misses_a_table(
        self, database, make_app
    ):
        with (
            helpers.user(database, 'SELECT, INSERT, UPDATE, DELETE') as user,
            pytest.raises(StoreUnavailable) as caught,
        ):
            make_app(**user).run(fill)

        assert str(caught.value) == (
            'A privilege is missing. GRANT SELECT, INSERT, UPDATE, DELETE on '
            'the session table, and CREATE unless mysql_session.create_table '
            'is false, to mysql_session.user. (MySQL error 1142)'
        )

    def test_create_table_false_never_issues_ddl(
        self, database, statements, make_app
    ):
        app = make_app(create_table=False, userid_key='userid')
        with statements() as log, pytest.raises(SchemaError) as caught:
            app.run(fill)

        assert not any(text.startswith('CREATE') for text in log)
        assert caught.value.table == '`sessions`'
        assert caught.value.deviations == (
            'it is missing, and mysql_session.create_table is false',
        )
        assert caught.value.remedy in str(caught.value)
        assert mended(database, app.store, caught.value.remedy) == []
        use(app)

    def test_create_table_of_the_store_creates_it_all_the_same(self, make_app):
        app = make_app(create_table=False, userid_key='userid')

        app.store.create_table()
        app.store.create_table()

        use(app)

    def test_missing_schema_is_a_missing_database(self, make_app):
        with pytest.raises(StoreUnavailable) as caught:
            make_app(table_name='no_such_schema.sessions').run(fill)

        assert str(caught.value) == (
            'The database does not exist. Create it or check '
            'mysql_session.database. (MySQL error 1049)'
        )

    def test_table_created_by_many_at_once_is_there_for_all(
        self, database, make_app
    ):
        number = 6
        barrier = threading.Barrier(number)
        apps = [make_app() for _ in range(number)]

        def create(app):
            barrier.wait()
            app.run(fill)
            return app.run(read).json['numbers']

        with ThreadPoolExecutor(number) as threads:
            assert list(threads.map(create, apps)) == [[1]] * number
        assert database.query('SELECT COUNT(*) FROM sessions') == [(number,)]

    def test_table_dropped_while_running_is_created_anew(self, database, app):
        app.run(fill)
        database.query('DROP TABLE sessions')

        with pytest.raises(SchemaError) as caught:
            app.run(read)
        assert str(caught.value) == (
            'the session table cannot hold sessions: it is missing. Create '
            'it, or set mysql_session.create_table = true.'
        )
        assert app.run(read).json == {}
        use(app)

    @pytest.mark.parametrize(
        'use_first',
        [
            lambda request: get_store(request).purge(exclusive=True),
            lambda request: get_store(request).count(),
            lambda request: get_store(request).clear(),
            lambda request: get_store(request).delete(make_session_id()),
            lambda request: get_store(request).create(
                make_session_id(), '{}', 60
            ),
        ],
    )
    def test_each_entrance_notices_that_the_table_was_dropped(
        self, database, app, use_first
    ):
        app.run(fill)
        database.query('DROP TABLE sessions')

        with pytest.raises(SchemaError, match='it is missing'):
            app.browser().run(use_first)

        use(app.browser())

    @pytest.mark.parametrize(
        'use_first',
        [
            lambda store, one: store.end(one.handle),
            lambda store, one: store.end(one.handle, 'ada'),
            lambda store, one: store.for_user('ada', after=one.handle),
            lambda store, one: store.delete_for_user('ada', keep=one.handle),
            lambda store, one: store.is_renewed(make_session_id()),
            lambda store, one: store.find_live([make_session_id()]),
            lambda store, one: store.stats(),
            lambda store, one: store.newest(1),
            lambda store, one: store.purge(),
        ],
    )
    def test_each_entrance_knows_what_the_index_of_the_key_is_called(
        self, database, make_app, use_first
    ):
        app = make_app()
        app.run(fill)
        database.query(
            'ALTER TABLE sessions DROP PRIMARY KEY, ADD UNIQUE k (session_id)'
        )
        (one,) = app.store.iter_sessions()

        use_first(make_app().store, one)

    def test_table_dropped_before_a_locked_block_is_there_the_next_time(
        self, database, app
    ):
        def drop_and_lock(request):
            request.session['a'] = 1
            database.query('DROP TABLE sessions')
            with request.session.locked():
                pass

        app.run(fill)
        with pytest.raises(SchemaError, match='it is missing'):
            app.run(drop_and_lock)

        use(app.browser())

    @pytest.mark.parametrize(
        'statement',
        [
            'TRUNCATE TABLE sessions',
            'ALTER TABLE sessions DROP KEY expires',
            'ALTER TABLE sessions DROP PRIMARY KEY, ADD UNIQUE k (session_id)',
            'ALTER TABLE sessions ADD note VARCHAR(9)',
        ],
    )
    def test_table_changed_while_running_goes_on_to_serve(
        self, database, app, statement
    ):
        app.run(fill)
        database.query(statement)
        with contextlib.suppress(SchemaError):
            app.run(lambda request: request.session.invalidate())
        database.query('DELETE FROM sessions')

        use(app.browser())


class TestNames:
    @pytest.mark.parametrize(
        'name',
        [
            'select',
            'my sessions',
            'a`b',
            "it's",
            '%s %(name)s',
            'größe_表',
            'x' * 64,
            'ü' * 64,
            '0',
            '\\',
            '-- #/*',
        ],
    )
    def test_any_name_works_for_table_and_columns(
        self, database, make_app, name
    ):
        columns = {
            f'column_{column}': f'{name[:-1]}{number}' if number else name
            for number, column in enumerate(COLUMNS)
        }
        app = make_app(table_name=name, userid_key='userid', **columns)

        use(app)

        assert [found for found, *_ in database.query('SHOW TABLES')] == [name]
        quoted = name.replace('`', '``')
        assert [
            found for found, *_ in database.query(f'DESCRIBE `{quoted}`')
        ] == list(columns.values())

    @pytest.mark.parametrize(
        ('table', 'written'),
        [
            ('sessions', '{}.sessions'),
            ('sessions', '`{}`.`sessions`'),
            ('a.b', '`{}`.`a.b`'),
        ],
    )
    def test_table_of_another_schema_works(
        self, server, database, make_app, table, written
    ):
        other = server.create_database()
        try:
            use(
                make_app(
                    table_name=written.format(other.name), userid_key='userid'
                )
            )

            assert database.query('SHOW TABLES') == []
            assert other.query('SHOW TABLES') == [(table,)]
        finally:
            other.drop()
