"""What is wrong with a table that exists, and what mends it."""

import re

import pytest

from pyramid_mysql_session import SchemaError
from pyramid_mysql_session.store.layout import DEFAULT_COLUMNS
from tests import helpers
from tests.integration.table import (
    CREATE,
    NO_KEY,
    UTF8,
    alter,
    definitions,
    fill,
    mended,
    problem,
    put_row,
    rows,
    use,
)


@pytest.fixture
def app(make_app):
    return make_app(userid_key='userid')


@pytest.fixture
def store(app):
    return app.store


def other_columns(database, remedy):
    """Return the definitions of the columns that a remedy leaves alone."""
    return {
        name: definition
        for name, definition in definitions(database).items()
        if f'COLUMN `{name}`' not in remedy
    }


class TestRemedies:
    @pytest.mark.parametrize(
        ('change', 'deviation'),
        [
            ('DROP COLUMN data', 'column `data` is missing'),
            ('DROP COLUMN expires', 'column `expires` is missing'),
            ('DROP COLUMN userid', 'column `userid` is missing'),
            (
                'DROP COLUMN session_id',
                f'column `session_id` is missing; {NO_KEY}',
            ),
            ('DROP PRIMARY KEY', NO_KEY),
            (
                'DROP PRIMARY KEY, ADD COLUMN id INT AUTO_INCREMENT '
                'PRIMARY KEY',
                NO_KEY,
            ),
            (
                'DROP PRIMARY KEY, ADD PRIMARY KEY (session_id, expires)',
                NO_KEY,
            ),
            (
                'MODIFY COLUMN session_id VARBINARY(32)',
                'column `session_id` is varbinary(32)',
            ),
            (
                'MODIFY COLUMN session_id BINARY(20)',
                'column `session_id` is binary(20)',
            ),
            ('MODIFY COLUMN revision BIGINT', 'column `revision` is bigint'),
            (
                'MODIFY COLUMN expires INT UNSIGNED',
                'column `expires` is int unsigned',
            ),
            (
                'MODIFY COLUMN data VARCHAR(999) CHARACTER SET latin1',
                'column `data` is varchar(999) in latin1',
            ),
            (
                'MODIFY COLUMN data TEXT CHARACTER SET utf16',
                'column `data` is text in utf16',
            ),
            (
                'MODIFY COLUMN data MEDIUMTEXT CHARACTER SET utf32',
                'column `data` is mediumtext in utf32',
            ),
            (
                'MODIFY COLUMN data TEXT CHARACTER SET swe7',
                'column `data` is text in swe7',
            ),
            (
                'MODIFY COLUMN data VARBINARY(999)',
                'column `data` is varbinary(999)',
            ),
            (
                'MODIFY COLUMN userid VARCHAR(100) CHARACTER SET utf8mb4',
                'column `userid` is varchar(100) in utf8mb4',
            ),
            (
                'MODIFY COLUMN userid VARCHAR(300) CHARACTER SET latin1',
                'column `userid` is varchar(300) in latin1',
            ),
            ('MODIFY COLUMN userid INT', 'column `userid` is int'),
        ],
    )
    def test_column_or_key_that_will_not_do(
        self, database, app, change, deviation
    ):
        self.check(database, app, change, deviation)

    @pytest.mark.parametrize(
        ('change', 'deviation'),
        [
            (
                f'MODIFY COLUMN userid VARCHAR(300) {UTF8} NOT NULL '
                "COMMENT 'who?'",
                'column `userid` is NOT NULL',
            ),
            (
                'MODIFY COLUMN userid CHAR(9) CHARACTER SET latin1 NOT NULL',
                'column `userid` is char(9) in latin1; '
                'column `userid` is NOT NULL',
            ),
            (
                'DROP COLUMN userid; ADD COLUMN userid '
                f'VARCHAR(300) {UTF8} AS (CONCAT(data, 1)) STORED',
                'column `userid` is generated',
            ),
            (
                'DROP COLUMN expires; '
                'ADD COLUMN expires BIGINT AS (created + 60) STORED',
                'column `expires` is bigint; column `expires` is generated',
            ),
        ],
    )
    def test_column_that_cannot_be_set(self, database, app, change, deviation):
        self.check(database, app, change, deviation)

    @pytest.mark.parametrize(
        'definition',
        [
            'INT NOT NULL',
            'INT(5) UNSIGNED ZEROFILL NOT NULL',
            # MariaDB would give it a default by itself
            'DATETIME NOT NULL ON UPDATE CURRENT_TIMESTAMP; '
            'ALTER COLUMN extra DROP DEFAULT',
            "SET('Admin', 'NOT NULL', 'it''s a') CHARACTER SET latin1 "
            "COLLATE latin1_bin NOT NULL COMMENT 'is NOT NULL, ''you'' see'",
            "VARCHAR(20) CHARACTER SET latin1 NOT NULL COMMENT 'größe\\n?'",
            'TEXT NOT NULL',
            'POINT NOT NULL',
            'INT NOT NULL CHECK (extra < 9)',
        ],
    )
    def test_further_column_without_a_default(self, database, app, definition):
        before, after = self.check(
            database,
            app,
            f'ADD COLUMN extra {definition}, ADD COLUMN more INT',
            'column `extra` is NOT NULL and has no default',
        )
        # nothing else was changed
        assert self.without_null(after['extra']) == self.without_null(
            before['extra']
        )
        assert ' NOT NULL' not in after['extra'].partition('COMMENT')[0]

    def without_null(self, definition):
        definition, _, comment = definition.partition(' COMMENT ')
        return re.sub('( NOT| DEFAULT)? NULL', '', definition), comment

    @pytest.mark.parametrize(
        ('change', 'deviation'),
        [
            (
                'DROP PRIMARY KEY, ADD UNIQUE KEY part (session_id(16))',
                f'{NO_KEY}; unique index `part` lets no two sessions have '
                'the same beginning of `session_id`',
            ),
            (
                'DROP PRIMARY KEY, ADD PRIMARY KEY (session_id(16))',
                f'{NO_KEY}; primary key lets no two sessions have the same '
                'beginning of `session_id`',
            ),
            (
                'ADD UNIQUE KEY one (userid)',
                'unique index `one` lets no two sessions have the same '
                '`userid`',
            ),
            (
                'DROP KEY userid, ADD UNIQUE KEY `a``b` (userid, data(9))',
                'unique index `a``b` lets no two sessions have the same '
                '`userid` and beginning of `data`',
            ),
            (
                f'MODIFY COLUMN userid VARCHAR(255) {UTF8} NOT NULL, '
                'DROP PRIMARY KEY, ADD PRIMARY KEY (userid)',
                f'column `userid` is NOT NULL; {NO_KEY}; primary key lets '
                'no two sessions have the same `userid`',
            ),
            (
                'DROP PRIMARY KEY, ADD COLUMN id INT AUTO_INCREMENT PRIMARY '
                'KEY, ADD UNIQUE KEY hidden (session_id) INVISIBLE',
                'the unique index `hidden` on `session_id` is not used by '
                'the server',
            ),
        ],
    )
    def test_unique_index_that_will_not_do(
        self, database, app, change, deviation
    ):
        self.check(database, app, change, deviation)

    @pytest.mark.parametrize(
        ('change', 'deviation'),
        [
            (
                'DROP KEY userid, ENGINE=MyISAM',
                'its engine is MyISAM, which has no transactions',
            ),
            (
                'DROP KEY userid, ENGINE=MyISAM ROW_FORMAT=FIXED',
                'its engine is MyISAM, which has no transactions',
            ),
            (
                'MODIFY COLUMN data VARCHAR(99) CHARACTER SET utf8mb4, '
                'ENGINE=MEMORY',
                'column `data` is varchar(99) in utf8mb4; '
                'its engine is MEMORY, which has no transactions',
            ),
        ],
    )
    def test_engine_without_transactions(
        self, database, app, change, deviation
    ):
        self.check(database, app, change, deviation)

    @pytest.mark.parametrize(
        ('change', 'deviation'),
        [
            (
                'MODIFY COLUMN userid VARCHAR(100) CHARACTER SET utf8mb4',
                'column `userid` is varchar(100) in utf8mb4',
            ),
            ('DROP COLUMN userid', 'column `userid` is missing'),
        ],
    )
    def test_row_format_with_short_indexes(
        self, database, app, change, deviation
    ):
        database.query(CREATE.replace('255', '100') + 'ROW_FORMAT=COMPACT')

        self.check_existing(database, app, change, deviation)

    def check(self, database, app, change, deviation):
        alter(database, change)
        return self.check_existing(database, app, 'COMMENT=""', deviation)

    def check_existing(self, database, app, change, deviation):
        database.query(f'ALTER TABLE sessions {change}')
        put_row(database)
        error, found = problem(app.store)
        assert found == deviation
        assert str(error) == (
            '`sessions` cannot hold sessions: '
            f'{"; ".join(error.deviations)}. {error.remedy}'
        )

        before = definitions(database)
        alone = other_columns(database, error.remedy)
        held = rows(database, before)
        assert mended(database, app.store, error.remedy) == []

        assert other_columns(database, error.remedy).items() >= alone.items()
        assert rows(database, before) == held
        after = definitions(database)
        database.query('DELETE FROM sessions')
        use(app)
        return before, after

    def test_all_deviations_are_reported_and_mended_at_once(
        self, database, store
    ):
        database.query(
            'CREATE TABLE sessions (Session_ID BINARY(9), data CHAR(7), '
            'created INT, revision INT, extra INT NOT NULL) ENGINE=MyISAM'
        )

        error, found = problem(store)

        assert found.split('; ') == [
            'column `Session_ID` is binary(9)',
            'column `expires` is missing',
            f'column `data` is char(7) in {self.default(database)}',
            'column `created` is int',
            'column `revision` is int',
            'column `userid` is missing',
            'column `extra` is NOT NULL and has no default',
            'column `session_id` has no unique index',
            'its engine is MyISAM, which has no transactions',
        ]
        assert mended(database, store, error.remedy) == []

    def default(self, database):
        ((character_set,),) = database.query('SELECT @@character_set_database')
        return character_set

    def test_remedy_is_for_a_user_without_further_privileges_to_see(
        self, database, make_app
    ):
        alter(database, "ADD COLUMN extra SET('A', 'b') NOT NULL")
        with helpers.user(
            database, 'SELECT, INSERT, UPDATE, DELETE', 'sessions'
        ) as user:
            store = make_app(**user).store
            error, _ = problem(store)

            assert error.remedy == (
                "ALTER TABLE `sessions` MODIFY COLUMN `extra` set('A','b') "
                f'{self.extra_text(database)}NULL;'
            )
            assert mended(database, store, error.remedy) == []

    def extra_text(self, database):
        definition = definitions(database)['extra']
        return definition.partition(') ')[2].replace('NOT NULL', '')

    def test_names_are_quoted_and_stay_as_they_are_spelt(
        self, server, make_app
    ):
        other = server.create_database()
        name, extra = "it's `odd` %s", 'größe`%d'
        columns = ('Key"', 'Ends`', "It's", 'At?', '%s', 'Who`%')
        table, further, key, ends, data, at, count, who = (
            f'`{each.replace("`", "``")}`' for each in (name, extra, *columns)
        )
        try:
            other.query(
                f'CREATE TABLE {table} ({key} VARBINARY(32), {ends} INT, '
                f'{data} CHAR(9), {at} INT, {count} INT, {who} INT NOT NULL, '
                f'{further} INT NOT NULL)'
            )
            app = make_app(
                table_name=f'`{other.name}`.{table}',
                userid_key='userid',
                **{
                    f'column_{each}': column.lower()
                    for each, column in zip(
                        DEFAULT_COLUMNS, columns, strict=True
                    )
                },
            )
            error, _ = problem(app.store)

            assert mended(other, app.store, error.remedy) == []
            use(app)
            assert [
                column for column, *_ in other.query(f'DESCRIBE {table}')
            ] == [*columns, extra]
        finally:
            other.drop()

    @pytest.mark.parametrize('hidden', [False, True])
    @pytest.mark.parametrize(
        ('row_format', 'prefix'), [('DYNAMIC', ''), ('COMPACT', '(191)')]
    )
    def test_unused_indexes_are_warnings_and_mended(
        self, database, app, row_format, prefix, hidden
    ):
        database.query(CREATE)
        database.query(
            'ALTER TABLE sessions DROP KEY expires, DROP KEY userid, '
            # of no use to find a user
            f'ADD FULLTEXT KEY words (userid), ROW_FORMAT={row_format}'
        )
        hide, show = 'INVISIBLE', 'VISIBLE'
        if database.server.kind == 'mariadb':
            hide, show = 'IGNORED', 'NOT IGNORED'
        if hidden:
            database.query(
                f'ALTER TABLE sessions ADD KEY e (expires) {hide}, '
                f'ADD KEY u (userid(20)) {hide}'
            )

        warnings = app.store.check_table()

        losses = {
            'expires': 'a purge reads the whole table',
            'userid': 'finding a user reads the whole table',
        }
        if hidden:
            assert warnings == [
                f'`sessions` has an index on `{name}` that the server does '
                f'not use: {loss}. ALTER TABLE `sessions` ALTER INDEX '
                f'`{name[0]}` {show};'
                for name, loss in losses.items()
            ]
        else:
            assert warnings == [
                f'`sessions` has no index on `{name}`: {loss}. ALTER TABLE '
                f'`sessions` ADD KEY (`{name}`'
                f'{prefix if name == "userid" else ""});'
                for name, loss in losses.items()
            ]
        use(app)
        for warning in warnings:
            remedy = warning[warning.index('ALTER') :]
            left = mended(database, app.store, remedy)
        assert left == []


def test_deviation_is_told_when_a_session_is_first_used(database, app):
    alter(database, 'DROP COLUMN data')

    with pytest.raises(SchemaError, match='column `data` is missing'):
        app.run(fill)


class TestDevices:
    """The columns of devices are wanted only where devices are tracked."""

    DEVICES = (
        'ADD COLUMN seen BIGINT UNSIGNED, ADD COLUMN ip VARBINARY(16), '
        f'ADD COLUMN agent VARCHAR(255) {UTF8}'
    )

    @pytest.fixture
    def app(self, make_app):
        return make_app(userid_key='userid', track_devices=True)

    @pytest.mark.parametrize(
        ('change', 'deviation'),
        [
            (
                'COMMENT=""',
                'column `seen` is missing; column `ip` is missing; '
                'column `agent` is missing',
            ),
            (
                f'{DEVICES}; DROP COLUMN ip',
                'column `ip` is missing',
            ),
            (
                f'{DEVICES}; MODIFY COLUMN seen INT',
                'column `seen` is int',
            ),
            (
                f'{DEVICES}; MODIFY COLUMN seen BIGINT UNSIGNED NOT NULL',
                'column `seen` is NOT NULL',
            ),
            (
                f'{DEVICES}; MODIFY COLUMN ip VARBINARY(4)',
                'column `ip` is varbinary(4)',
            ),
            (
                f'{DEVICES}; MODIFY COLUMN ip BINARY(16) NOT NULL',
                'column `ip` is binary(16); column `ip` is NOT NULL',
            ),
            (
                f'{DEVICES}; MODIFY COLUMN agent VARCHAR(255) '
                'CHARACTER SET latin1',
                'column `agent` is varchar(255) in latin1',
            ),
            (
                f'{DEVICES}; MODIFY COLUMN agent VARCHAR(99) {UTF8} NOT NULL',
                'column `agent` is varchar(99) in utf8mb4; '
                'column `agent` is NOT NULL',
            ),
            (
                f'{DEVICES}; MODIFY COLUMN agent VARCHAR(300) {UTF8} NOT NULL',
                'column `agent` is NOT NULL',
            ),
        ],
    )
    def test_column_of_devices_that_will_not_do(
        self, database, app, change, deviation
    ):
        alter(database, change)
        put_row(database)
        error, found = problem(app.store)
        before = definitions(database)
        held = rows(database, before)

        assert found == deviation
        assert mended(database, app.store, error.remedy) == []
        assert rows(database, before) == held
        database.query('DELETE FROM sessions')
        use(app)

    @pytest.mark.parametrize(
        'change',
        [
            'MODIFY COLUMN ip CHAR(39)',
            'MODIFY COLUMN ip VARBINARY(20)',
            'MODIFY COLUMN agent TEXT',
        ],
    )
    def test_column_of_devices_is_wider_or_stays(self, database, app, change):
        alter(database, f'{self.DEVICES}; {change}')
        if 'VARBINARY' in change:
            assert app.store.check_table() == []
        else:
            error, _ = problem(app.store)
            assert 'ALTER TABLE' not in error.remedy
            assert 'may not survive another type' in error.remedy

    def test_devices_are_tracked_and_not_tracked_without_migration(
        self, database, make_app, app
    ):
        off = make_app(userid_key='userid')
        app.run(fill, headers={'User-Agent': 'Lynx'})
        before = database.query('SELECT seen, ip, agent FROM sessions')
        assert [agent for _, _, agent in before] == ['Lynx']
        created = definitions(database)

        assert off.store.check_table() == []
        helpers.twin(app, off).run(fill, headers={'User-Agent': 'Firefox'})
        off.browser().run(fill)

        found = database.query('SELECT seen, ip, agent FROM sessions')
        assert sorted(found, key=str) == sorted(
            [*before, (None, None, None)], key=str
        )
        assert app.store.check_table() == []
        app.run(lambda request: request.session.update(more=1))
        assert len(app.store.for_user('Zoë')) == 2
        assert definitions(database) == created

    @pytest.mark.parametrize('column', ['seen', 'ip', 'agent'])
    def test_column_of_devices_that_is_not_used_must_not_be_in_the_way(
        self, database, make_app, column
    ):
        types = {'seen': 'BIGINT UNSIGNED', 'ip': 'VARBINARY(16)'}
        type_ = types.get(column, f'VARCHAR(255) {UTF8}')
        alter(
            database,
            f'{self.DEVICES}; MODIFY COLUMN {column} {type_} NOT NULL',
        )
        off = make_app(userid_key='userid')

        error, found = problem(off.store)

        assert found == f'column `{column}` is NOT NULL and has no default'
        assert mended(database, off.store, error.remedy) == []
        use(off)

    def test_column_of_devices_with_a_default_is_not_in_the_way(
        self, database, make_app
    ):
        alter(
            database,
            f'{self.DEVICES}; '
            'MODIFY COLUMN seen BIGINT UNSIGNED NOT NULL DEFAULT 0',
        )
        off = make_app(userid_key='userid')

        assert off.store.check_table() == []
        use(off)
