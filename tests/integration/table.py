"""What the tests of the table share."""

import re

import pytest

from pyramid_mysql_session import SchemaError

UTF8 = 'CHARACTER SET utf8mb4 COLLATE utf8mb4_bin'
NO_KEY = 'column `session_id` has no unique index'

CREATE = """
    CREATE TABLE sessions (
        session_id BINARY(32) NOT NULL PRIMARY KEY,
        expires BIGINT UNSIGNED NOT NULL,
        data MEDIUMTEXT NOT NULL,
        created BIGINT UNSIGNED NOT NULL,
        revision BIGINT UNSIGNED NOT NULL,
        userid VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
        KEY (expires),
        KEY (userid)
    ) ENGINE=InnoDB
"""


def fill(request):
    request.session.update(text='ü😀\0"\\', numbers=[1], userid='Zoë')


def read(request):
    return dict(request.session)


def append(request):
    request.session['numbers'].append(2)


def append_locked_and_renew(request):
    with request.session.locked():
        request.session['numbers'].append(3)
    request.session.renew_id()


def use(app):
    """Run all kinds of statements on the application's table."""
    other = app.browser()
    for browser in (app, other):
        browser.run(fill)
        browser.run(append)
        browser.run(append_locked_and_renew)
        assert browser.run(read).json == {
            'text': 'ü😀\0"\\',
            'numbers': [1, 2, 3],
            'userid': 'Zoë',
        }
    store = app.store
    assert store.count() == 2
    assert len(store.for_user('Zoë')) == len(list(store.iter_sessions())) == 2
    other.run(lambda request: request.session.invalidate())
    assert store.purge(exclusive=True) == 0
    assert store.clear() == 1


def definitions(database):
    """Return the definition of each column, by its name."""
    ((_, statement),) = database.query('SHOW CREATE TABLE sessions')
    return dict(re.findall(r'^  `(.*?)` (.*?),?$', statement, re.MULTILINE))


def put_row(database):
    """Insert a dead row with something in every column."""
    values = {
        'int': '7',
        'bigint': '7',
        'datetime': "'2026-07-01'",
        'set': '1',
        'point': 'POINT(1, 2)',
    }
    columns = [
        (f'`{name.replace("`", "``")}`', values.get(type_, "'k'"))
        for name, type_ in database.query(
            'SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS '
            "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'sessions' "
            "AND EXTRA NOT LIKE '%GENERATED' AND EXTRA <> 'auto_increment'"
        )
    ]
    names, literals = map(', '.join, zip(*columns, strict=True))
    database.query(f'INSERT INTO sessions ({names}) VALUES ({literals})')


def rows(database, columns):
    """
    Return what some columns hold, as texts.

    :param columns: what :func:`definitions` returns.
    """
    names = []
    for column, definition in columns.items():
        name = f'`{column.replace("`", "``")}`'
        point = definition.startswith('point')
        names.append(
            f'ST_AsText({name})' if point else f'CAST({name} AS CHAR)'
        )
    return [
        # a key may be filled up with zeros
        tuple(value and value.rstrip('\0') for value in row)
        for row in database.query(f'SELECT {", ".join(names)} FROM sessions')
    ]


def mended(database, store, remedy):
    """Execute a remedy and return what the check still finds."""
    database.query(remedy)
    return store.check_table()


def alter(database, changes):
    """Create the table and alter it; MariaDB may spell a clause in its way."""
    database.query(CREATE)
    for change in changes.split(';'):
        if database.server.kind == 'mariadb':
            change = re.sub(r'\) INVISIBLE', ') IGNORED', change)
        database.query(f'ALTER TABLE sessions {change}')


def problem(store):
    """Return the error of a check, and what it says without the widths."""
    with pytest.raises(SchemaError) as caught:
        store.check_table()
    found = '; '.join(caught.value.deviations)
    # a display width means nothing, and MySQL shows none
    return caught.value, re.sub(r'int\(\d+\)', 'int', found)
