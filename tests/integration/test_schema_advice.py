"""Where a statement might harm what somebody keeps, there is advice."""

import pytest

from pyramid_mysql_session import SchemaError
from tests.integration.table import (
    NO_KEY,
    UTF8,
    alter,
    mended,
    problem,
    put_row,
    use,
)


@pytest.fixture
def store(make_app):
    return make_app(userid_key='userid').store


class TestAdvice:
    @pytest.mark.parametrize(
        ('change', 'deviation', 'column'),
        [
            (
                'MODIFY COLUMN session_id CHAR(51) CHARACTER SET latin1',
                'column `session_id` is char(51) in latin1',
                'session_id',
            ),
            (
                'MODIFY COLUMN session_id BINARY(40)',
                'column `session_id` is binary(40)',
                'session_id',
            ),
            (
                'MODIFY COLUMN expires DATETIME',
                'column `expires` is datetime',
                'expires',
            ),
            ('MODIFY COLUMN data INT', 'column `data` is int', 'data'),
            (
                'DROP KEY userid, ADD KEY (userid(9)), '
                'MODIFY COLUMN userid TEXT CHARACTER SET utf8mb4 NOT NULL',
                'column `userid` is text in utf8mb4; '
                'column `userid` is NOT NULL',
                'userid',
            ),
        ],
    )
    def test_type_that_cannot_be_changed_without_loss(
        self, database, store, change, deviation, column
    ):
        alter(database, change)

        error, found = problem(store)

        assert found == deviation
        assert error.remedy == (
            f'What `{column}` holds may not survive another type: set '
            f'mysql_session.column_{column} or mysql_session.table_name to '
            'another name.'
        )

    @pytest.mark.parametrize(
        ('change', 'deviation'),
        [
            (
                'DROP PRIMARY KEY, MODIFY COLUMN session_id CHAR(40) '
                'CHARACTER SET latin1',
                f'column `session_id` is char(40) in latin1; {NO_KEY}',
            ),
            (
                'DROP KEY userid, MODIFY COLUMN userid TEXT '
                'CHARACTER SET latin1, ADD UNIQUE KEY one (userid(9))',
                'column `userid` is text in latin1; unique index `one` lets '
                'no two sessions have the same beginning of `userid`',
            ),
        ],
    )
    def test_indexes_of_a_column_that_stays_stay_too(
        self, database, store, change, deviation
    ):
        alter(database, change)

        error, found = problem(store)

        assert found == deviation
        assert 'ALTER TABLE' not in error.remedy

    def test_advice_about_a_type_leads_to_a_table_that_will_do(
        self, database, make_app
    ):
        alter(database, 'MODIFY COLUMN expires DATETIME NOT NULL')
        app = make_app(userid_key='userid', column_expires='deadline')
        put_row(database)
        error, _ = problem(app.store)

        assert mended(database, app.store, error.remedy) == []
        assert str(database.query('SELECT expires FROM sessions')[0][0]) == (
            '2026-07-01 00:00:00'
        )
        database.query('DELETE FROM sessions')
        use(app)

    def test_virtual_column_cannot_be_made_an_ordinary_one(
        self, database, store
    ):
        alter(
            database,
            f'DROP COLUMN userid; ADD COLUMN userid VARCHAR(255) {UTF8} '
            'AS (LEFT(data, 3)) VIRTUAL, ADD KEY (userid)',
        )

        error, found = problem(store)

        assert found == 'column `userid` is generated'
        assert error.remedy == (
            'Drop the virtual column `userid` and add it as `userid` '
            'varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL.'
        )

    def test_primary_key_of_others_stays(self, database, store):
        alter(
            database,
            'DROP PRIMARY KEY, ADD COLUMN id INT NOT NULL PRIMARY KEY, '
            'ADD UNIQUE KEY (session_id)',
        )

        error, found = problem(store)

        assert found == 'column `id` is NOT NULL and has no default'
        assert error.remedy == (
            'Take `id` out of the primary key, or give it a default.'
        )

    def test_foreign_key_keeps_a_column_as_it_is(self, database, store):
        database.query('CREATE TABLE users (id INT PRIMARY KEY)')
        alter(
            database,
            'MODIFY COLUMN userid INT, ADD CONSTRAINT `a``b` '
            'FOREIGN KEY (userid) REFERENCES users (id)',
        )

        error, found = problem(store)

        assert found == 'column `userid` is int'
        assert error.remedy == (
            'The foreign key `a``b` needs `userid` as it is: drop it, or set '
            'mysql_session.column_userid to another name.'
        )

    @pytest.mark.parametrize(
        'partitions',
        [
            'RANGE (expires) SUBPARTITION BY KEY (session_id)',
            'RANGE (expires DIV 100)',
        ],
    )
    def test_partitions_by_another_column_allow_no_unique_index(
        self, database, store, partitions
    ):
        alter(
            database,
            'DROP PRIMARY KEY, ADD PRIMARY KEY (session_id, expires);'
            f'PARTITION BY {partitions} (PARTITION old VALUES LESS THAN (9), '
            'PARTITION rest VALUES LESS THAN MAXVALUE)',
        )

        error, found = problem(store)

        assert found == NO_KEY
        assert error.remedy == (
            'A unique index has to hold what the table is partitioned by: '
            'partition it by `session_id` alone, or not at all.'
        )
        database.query('ALTER TABLE sessions PARTITION BY KEY (session_id)')
        error, _ = problem(store)
        assert mended(database, store, error.remedy) == []

    def test_statement_comes_before_advice(self, database, store):
        alter(
            database,
            f'MODIFY COLUMN userid VARCHAR(255) {UTF8} NOT NULL, '
            'DROP PRIMARY KEY, ADD PRIMARY KEY (session_id, userid)',
        )

        error, found = problem(store)

        assert found == f'column `userid` is NOT NULL; {NO_KEY}'
        assert error.remedy == (
            'ALTER TABLE `sessions` ADD UNIQUE KEY (`session_id`); '
            'Take `userid` out of the primary key.'
        )

    @pytest.mark.parametrize(
        ('options', 'name'),
        [
            # the connection turns what it cannot carry into question marks
            ({'charset': 'latin1'}, '日本'),
            ({'charset': 'latin1'}, 'extra'),
            ({'sql_mode': 'ANSI_QUOTES'}, 'extra'),
        ],
    )
    def test_definition_that_cannot_be_read_is_not_repeated(
        self, database, make_app, make_pool, options, name
    ):
        alter(database, f"ADD COLUMN `{name}` SET('日', '本') {UTF8} NOT NULL")
        store = make_app(pool=make_pool(options)).store

        error, _ = problem(store)

        shown = name if name.isascii() else '??'
        assert error.remedy == f'Let `{shown}` be NULL by default.'

    def test_missing_table_is_told_with_what_creates_it(self, store):
        table = store._access.table

        with pytest.raises(SchemaError) as caught:
            store._pool.run(table.check)

        assert caught.value.deviations == ('it is missing',)
        assert caught.value.remedy == table.create_statement()
