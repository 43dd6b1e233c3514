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
            'MODIFY COLUMN created BIGINT UNSIGNED ZEROFILL',
            'MODIFY COLUMN data MEDIUMTEXT NULL, '
            'MODIFY COLUMN revision BIGINT UNSIGNED NULL DEFAULT 7',
            'DROP PRIMARY KEY, MODIFY COLUMN session_id BINARY(32) NULL, '
            'ADD UNIQUE KEY (session_id)',
            "ADD COLUMN kind ENUM('Guest', 'User') NOT NULL",
            'ADD COLUMN extra INT INVISIBLE',
            'MODIFY COLUMN userid VARCHAR(255) CHARACTER SET utf8mb4 '
            'COLLATE utf8mb4_bin NULL INVISIBLE',
            'ADD UNIQUE KEY (userid, session_id)',
            'ADD COLUMN extra INT NULL, ADD UNIQUE KEY (userid, extra)',
            'DROP KEY userid, ADD KEY (userid(20))',
            'PARTITION BY KEY (session_id) PARTITIONS 3',
        ],
    )
    def test_table_that_will_do_is_used(self, database, app, change):
        database.query(CREATE)
        database.query(f'ALTER TABLE sessions {change}')

        assert app.store.check_table() == []
        use(app)

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
