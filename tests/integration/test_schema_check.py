"""What is found in a table that exists, and what mends it."""

import pytest

from pyramid_mysql_session import SchemaError
from tests.integration.table import (
    CREATE,
    append_locked_and_renew,
    fill,
    mended,
    read,
    use,
)


@pytest.fixture
def app(make_app):
    return make_app(userid_key='userid')


@pytest.fixture
def store(app):
    return app.store


class TestCheck:
    @pytest.mark.parametrize(
        'change',
        [
            'ADD COLUMN extra INT',
            'ADD COLUMN extra INT NOT NULL DEFAULT 7',
            "ADD COLUMN extra VARCHAR(9) NOT NULL DEFAULT ''",
            'ADD COLUMN extra TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP',
            'ADD COLUMN extra INT AS (created + 1) STORED',
            'ADD COLUMN extra INT AUTO_INCREMENT UNIQUE FIRST',
            'MODIFY COLUMN data JSON NOT NULL',
            'MODIFY COLUMN data LONGTEXT NOT NULL',
            'MODIFY COLUMN data TEXT CHARACTER SET latin1 NOT NULL',
            'MODIFY COLUMN data MEDIUMBLOB NOT NULL',
            'MODIFY COLUMN userid VARCHAR(300) CHARACTER SET utf8mb4',
            'MODIFY COLUMN session_id BINARY(32) NOT NULL COMMENT "id"',
            'DROP PRIMARY KEY, ADD UNIQUE KEY (session_id)',
            'DROP KEY expires, ADD KEY (expires, userid)',
            'ROW_FORMAT=COMPRESSED',
        ],
    )
    def test_table_that_will_do_is_used(self, database, app, change):
        database.query(CREATE)
        database.query(f'ALTER TABLE sessions {change}')

        assert app.store.check_table() == []
        use(app)

    @pytest.mark.parametrize(
        ('change', 'deviation'),
        [
            ('DROP COLUMN data', 'column `data` is missing'),
            ('DROP COLUMN expires', 'column `expires` is missing'),
            ('DROP COLUMN userid', 'column `userid` is missing'),
            (
                'DROP COLUMN session_id',
                'column `session_id` is missing; '
                'column `session_id` has no unique index',
            ),
            (
                'DROP PRIMARY KEY',
                'column `session_id` has no unique index',
            ),
            (
                'DROP PRIMARY KEY, ADD COLUMN id INT AUTO_INCREMENT '
                'PRIMARY KEY',
                'column `session_id` has no unique index',
            ),
            (
                'DROP PRIMARY KEY, ADD PRIMARY KEY (session_id, expires)',
                'column `session_id` has no unique index',
            ),
            (
                'MODIFY COLUMN session_id VARBINARY(32)',
                'column `session_id` is varbinary(32)',
            ),
            (
                'MODIFY COLUMN session_id BINARY(20)',
                'column `session_id` is binary(20)',
            ),
            (
                'MODIFY COLUMN session_id CHAR(51) CHARACTER SET latin1',
                'column `session_id` is char(51) in latin1',
            ),
            ('MODIFY COLUMN revision BIGINT', 'column `revision` is bigint'),
            (
                'MODIFY COLUMN expires INT UNSIGNED',
                'column `expires` is int unsigned',
            ),
            (
                'MODIFY COLUMN expires DATETIME',
                'column `expires` is datetime',
            ),
            (
                'MODIFY COLUMN data VARCHAR(999) CHARACTER SET latin1',
                'column `data` is varchar(999) in latin1',
            ),
            (
                'MODIFY COLUMN userid VARCHAR(100) CHARACTER SET utf8mb4',
                'column `userid` is varchar(100) in utf8mb4',
            ),
            (
                'MODIFY COLUMN userid VARCHAR(255) CHARACTER SET latin1',
                'column `userid` is varchar(255) in latin1',
            ),
            (
                'DROP KEY userid, ENGINE=MyISAM',
                'its engine is MyISAM, not InnoDB',
            ),
            (
                'ADD COLUMN extra INT NOT NULL',
                'column `extra` is NOT NULL and has no default',
            ),
            (
                # MariaDB would give it a default by itself
                'ADD COLUMN extra DATETIME NOT NULL '
                'ON UPDATE CURRENT_TIMESTAMP; ALTER COLUMN extra DROP DEFAULT',
                'column `extra` is NOT NULL and has no default',
            ),
        ],
    )
    def test_table_that_will_not_do_is_reported_and_mended(
        self, database, app, change, deviation
    ):
        database.query(CREATE)
        for clause in change.split(';'):
            database.query(f'ALTER TABLE sessions {clause}')

        with pytest.raises(SchemaError) as caught:
            app.run(fill)

        found = '; '.join(caught.value.deviations)
        # a display width means nothing
        for width in ('(20)', '(10)'):
            found = found.replace(f'int{width}', 'int')
        assert found == deviation
        assert str(caught.value) == (
            '`sessions` cannot hold sessions: '
            f'{"; ".join(caught.value.deviations)}. {caught.value.remedy}'
        )
        mended(database, app.store, caught.value.remedy)
        use(app)

    def test_all_deviations_are_reported_at_once(self, database, store):
        database.query(
            'CREATE TABLE sessions (Session_ID CHAR(9), data INT, '
            'extra INT NOT NULL) ENGINE=MyISAM'
        )

        with pytest.raises(SchemaError) as caught:
            store.check_table()

        assert len(caught.value.deviations) == 9
        assert mended(database, store, caught.value.remedy) != []

    def test_missing_indexes_are_warnings_and_mended(
        self, database, app, caplog
    ):
        database.query(CREATE)
        database.query(
            'ALTER TABLE sessions DROP KEY expires, DROP KEY userid'
        )

        use(app)

        expected = [
            '`sessions` has no index on `expires`: a purge reads the whole '
            'table. ALTER TABLE `sessions` ADD KEY (`expires`);',
            '`sessions` has no index on `userid`: finding a user reads the '
            'whole table. ALTER TABLE `sessions` ADD KEY (`userid`);',
        ]
        logged = [
            record.getMessage()
            for record in caplog.records
            if record.name == 'pyramid_mysql_session.store.access'
        ]
        assert logged == app.store.check_table() == expected
        for warning in expected:
            remedy = warning[warning.index('ALTER') :]
            left = mended(database, app.store, remedy)
        assert left == []

    def test_json_column_costs_no_statement_more(
        self, database, statements, app
    ):
        database.query(CREATE)
        database.query('ALTER TABLE sessions MODIFY COLUMN data JSON NOT NULL')
        app.run(fill)

        def write_equal(request):
            request.session['numbers'] = list(request.session['numbers'])

        with statements() as log:
            app.run(write_equal)

        assert [text.split()[0] for text in log] == ['SELECT']
        assert database.query(
            "SELECT JSON_UNQUOTE(JSON_EXTRACT(data, '$.userid')) FROM sessions"
        ) == [('Zoë',)]

    def test_json_column_refuses_what_is_no_json(self, database, app):
        database.query(CREATE)
        database.query('ALTER TABLE sessions MODIFY COLUMN data JSON NOT NULL')
        app.run(fill)

        def put_lone_surrogate(request):
            request.session['text'] = '\ud800'

        with pytest.raises(SchemaError, match='it refuses the row'):
            app.run(put_lone_surrogate)
        assert app.run(read).json['numbers'] == [1]

    def test_foreign_keys_to_the_table_are_welcome(self, database, app):
        database.query(CREATE)
        database.query(
            'CREATE TABLE carts (session_id BINARY(32), FOREIGN KEY '
            '(session_id) REFERENCES sessions (session_id) '
            'ON DELETE CASCADE ON UPDATE CASCADE) ENGINE=InnoDB'
        )
        app.run(fill)
        database.query('INSERT INTO carts SELECT session_id FROM sessions')

        app.run(append_locked_and_renew)
        ((same,),) = database.query(
            'SELECT COUNT(*) FROM carts JOIN sessions USING (session_id)'
        )
        app.run(lambda request: request.session.invalidate())

        assert same == 1
        assert database.query('SELECT * FROM carts') == []
