"""Tables that other programs made are recognized and left alone."""

import pytest

from pyramid_mysql_session import SchemaError
from tests.integration.table import CREATE, fill, use

UTF8 = 'CHARACTER SET utf8mb4'
LEAVE = (
    'It must stay as it is: set mysql_session.table_name to a name that is '
    'free.'
)
BOTH = 'no `created`, no `revision`'
ALL = f'no `session_id`, {BOTH}'
PROGRAMS = {
    'express-mysql-session': (
        f'session_id VARCHAR(128) {UTF8} NOT NULL PRIMARY KEY, '
        'expires INT UNSIGNED NOT NULL, data MEDIUMTEXT',
        f'`session_id` as varchar(128) in utf8mb4, {BOTH}',
    ),
    'Flask-Session': (
        'id INT AUTO_INCREMENT PRIMARY KEY, '
        f'session_id VARCHAR(255) {UTF8} UNIQUE, data BLOB, expiry DATETIME',
        f'`session_id` as varchar(255) in utf8mb4, {BOTH}',
    ),
    'Django': (
        'session_key VARCHAR(40) PRIMARY KEY, session_data LONGTEXT NOT NULL, '
        'expire_date DATETIME(6) NOT NULL, KEY (expire_date)',
        ALL,
    ),
    'Beaker': (
        'id INT AUTO_INCREMENT PRIMARY KEY, namespace VARCHAR(255), '
        'accessed DATETIME NOT NULL, created DATETIME NOT NULL, '
        'data BLOB NOT NULL, UNIQUE (namespace(191))',
        'no `session_id`, no `revision`',
    ),
    'Laravel': (
        'id VARCHAR(191) PRIMARY KEY, user_id BIGINT UNSIGNED, '
        'ip_address VARCHAR(45), user_agent TEXT, payload LONGTEXT NOT NULL, '
        'last_activity INT NOT NULL',
        ALL,
    ),
    'Symfony': (
        'sess_id VARBINARY(128) PRIMARY KEY, sess_data BLOB NOT NULL, '
        'sess_lifetime INT UNSIGNED NOT NULL, sess_time INT UNSIGNED NOT NULL',
        ALL,
    ),
    'connect-session-knex': (
        'sid VARCHAR(191) PRIMARY KEY, sess JSON NOT NULL, '
        'expired DATETIME NOT NULL',
        ALL,
    ),
    'another program': ('id INT PRIMARY KEY, name TEXT, Created INT', None),
}


@pytest.mark.parametrize('program', PROGRAMS)
def test_table_of_another_program_is_not_to_be_altered(
    database, make_app, program
):
    columns, signs = PROGRAMS[program]
    database.query(f'CREATE TABLE sessions ({columns})')
    before = database.query('SHOW CREATE TABLE sessions')

    with pytest.raises(SchemaError) as caught:
        make_app().run(fill)

    assert caught.value.deviations == (
        f'it is a table of {program}, with '
        f'{signs or "no `session_id`, no `revision`"}',
    )
    assert caught.value.remedy == LEAVE
    assert database.query('SHOW CREATE TABLE sessions') == before
    use(make_app(table_name='pyramid_sessions', userid_key='userid'))


@pytest.mark.parametrize(
    'change',
    [
        'DROP COLUMN session_id',
        'DROP COLUMN created, DROP COLUMN revision',
        f'MODIFY COLUMN session_id VARCHAR(128) {UTF8}',
    ],
)
def test_table_of_ours_is_no_other_programs(database, make_app, change):
    database.query(CREATE)
    database.query(f'ALTER TABLE sessions {change}')

    with pytest.raises(SchemaError) as caught:
        make_app().run(fill)

    assert caught.value.deviations[0].startswith('column ')


def test_names_of_the_columns_decide(database, make_app):
    database.query(CREATE)

    with pytest.raises(SchemaError) as caught:
        make_app(column_session_id='sid', column_revision='rev').run(fill)

    assert caught.value.deviations == (
        'it is a table of express-mysql-session, with no `sid`, no `rev`',
    )
