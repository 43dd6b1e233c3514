"""Every statement uses the index that it should, on both servers."""

import pytest

from pyramid_mysql_session import (
    IMySQLSessionStore,
    session_factory_from_settings,
)
from pyramid_mysql_session.store import census
from pyramid_mysql_session.store.keys import (
    handle,
    make_session_id,
    stored_key,
)

ROWS = 4000
DEAD = 1500
USERS = 400

IDS = [make_session_id() for _ in range(ROWS)]
FRESH = make_session_id()
OTHER = make_session_id()
# too old for a server to lag behind
GONE = f'00000001{make_session_id()[8:]}'


def lock_and_save(store):
    with store.locked(IDS[-4]) as row:
        row.save('{"a": 2}', 60)


def lock_and_delete(store):
    with store.locked(IDS[-5]) as row:
        row.delete()


def read_data(store):
    found, *_ = store.for_user('user 7')
    assert found.data()


#: What is called -> the indexes that its statements use, in their order.
#: ``None`` stands for a statement that may read the whole table; a subquery
#: comes after what it is in.
CASES = {
    'load': (lambda store: store.load(IDS[-1]), ['PRIMARY']),
    'create': (lambda store: store.create(FRESH, '{}', 60), ['INSERT']),
    'create instead of another': (
        lambda store: store.create(OTHER, '{}', 60, replaces=[IDS[-2]]),
        ['PRIMARY'],
    ),
    'create instead of two': (
        lambda store: store.create(OTHER, '{}', 60, replaces=IDS[-3:-1]),
        ['PRIMARY', 'PRIMARY', 'INSERT'],
    ),
    'create instead of one that is gone': (
        lambda store: store.create(OTHER, '{}', 60, replaces=[GONE]),
        ['PRIMARY', 'PRIMARY', 'PRIMARY', 'INSERT'],
    ),
    'save': (lambda store: store.save(IDS[-1], '{}', 1, 60), ['PRIMARY']),
    'save under another id': (
        lambda store: store.save(IDS[-3], '{}', 1, 60, None, FRESH),
        ['PRIMARY'],
    ),
    'save after somebody else': (
        lambda store: store.save(IDS[-1], '{}', 2, 60),
        ['PRIMARY', 'PRIMARY'],
    ),
    'touch': (lambda store: store.touch(IDS[-1], 60), ['PRIMARY']),
    'delete': (lambda store: store.delete(IDS[-1]), ['PRIMARY']),
    'delete of a revision': (
        lambda store: store.delete(IDS[-1], 1),
        ['PRIMARY'],
    ),
    'find_live': (lambda store: store.find_live(IDS[-200:]), ['PRIMARY']),
    'is_renewed': (lambda store: store.is_renewed(IDS[-1]), ['PRIMARY']),
    'locked, saved': (lock_and_save, ['PRIMARY', 'PRIMARY']),
    'locked, deleted': (lock_and_delete, ['PRIMARY', 'PRIMARY']),
    'newest': (lambda store: store.newest(20), [None]),
    'for_user': (lambda store: store.for_user('user 7'), ['userid']),
    'for_user, a few': (lambda store: store.for_user('user 7', 2), ['userid']),
    'for_user, more': (
        lambda store: store.for_user('user 7', 2, handle(IDS[-1])),
        ['userid', 'PRIMARY', 'PRIMARY'],
    ),
    'for_user, data': (read_data, ['userid', 'PRIMARY']),
    'end': (lambda store: store.end(handle(IDS[-1])), ['PRIMARY'] * 3),
    'end of a user': (
        lambda store: store.end(handle(IDS[-1]), 'user 399'),
        ['PRIMARY'] * 3,
    ),
    'delete_for_user': (
        lambda store: store.delete_for_user('user 7'),
        ['userid', 'PRIMARY', 'PRIMARY'],
    ),
    'delete_for_user but one': (
        lambda store: store.delete_for_user('user 7', keep=IDS[-1]),
        ['userid', 'PRIMARY', 'PRIMARY'],
    ),
    'limit_for_user': (
        lambda store: store.limit_for_user('user 7', 2, handle(IDS[-1])),
        ['userid', 'PRIMARY', 'PRIMARY'],
    ),
    'limit_for_user, not exceeded': (
        lambda store: store.limit_for_user('user 7', 20),
        ['userid'],
    ),
    'purge': (
        lambda store: store.purge(exclusive=True),
        ['expires', 'PRIMARY', 'PRIMARY', 'expires', 'PRIMARY'],
    ),
    'iter_sessions': (
        lambda store: list(store.iter_sessions()),
        ['PRIMARY'] * 4,
    ),
    'count': (lambda store: store.count(), [None]),
    'count of a user': (lambda store: store.count('user 7'), ['userid']),
    'stats': (lambda store: store.stats(), [None, None]),
    'ping': (lambda store: store.ping(), []),
    'clear': (lambda store: store.clear(), ['PRIMARY'] * 22),
}


@pytest.fixture(scope='module')
def untouched(server):
    """A database with sessions that no test changes."""
    database = server.create_database()
    factory = make_factory(database)
    factory.store.check_table()
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            'INSERT INTO sessions VALUES '
            '(%s, UNIX_TIMESTAMP() + %s, %s, UNIX_TIMESTAMP(), 1, %s)',
            [
                (
                    stored_key(session_id),
                    (number - DEAD) * 10,
                    '{"payload": "%s"}' % ('x' * 400),
                    f'user {number % USERS}',
                )
                for number, session_id in enumerate(IDS)
            ],
        )
        cursor.execute('ANALYZE TABLE sessions')
    yield database
    factory.close()
    database.drop()


@pytest.fixture
def store(database, untouched):
    """A store with the sessions of the untouched database."""
    database.query(f'CREATE TABLE sessions LIKE {untouched.name}.sessions')
    database.query(
        f'INSERT INTO sessions SELECT * FROM {untouched.name}.sessions'
    )
    factory = make_factory(database)
    factory.store.check_table()
    yield factory.store
    factory.close()


def make_factory(database, **settings):
    # the condition that an absolute time-out adds must not hide the index
    settings = {'absolute_timeout': 10**6, **settings}
    return session_factory_from_settings(
        database.settings(purge_expired=False, purge_batch=1000, **settings)
    )


def explain(database, statement):
    """Return how the server reads each table, without what it makes."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f'EXPLAIN FORMAT=TRADITIONAL {statement}')
        columns = [column[0].lower() for column in cursor.description]
        plans = [dict(zip(columns, row, strict=True)) for row in cursor]
    return [
        plan
        for plan in plans
        if plan['table'] and not plan['table'].startswith('<')
    ]


def indexes_of(database, statement):
    """Return the index of each table; ``None`` for a full scan."""
    if statement.startswith('INSERT'):
        return ['INSERT']
    return [
        None if plan['type'] in ('ALL', 'index') else plan['key']
        for plan in explain(database, statement)
    ]


def asks(statement):
    """Tell whether a statement reads or writes sessions."""
    return '`sessions`' in statement and not statement.startswith('EXPLAIN')


def test_every_method_of_the_store_is_exercised():
    exercised = {name.split()[0].rstrip(',') for name in CASES}
    without_rows = {
        *('check_table', 'close', 'closed', 'create_table', 'measure', 'now')
    }

    assert exercised | without_rows == set(IMySQLSessionStore.names())


@pytest.mark.parametrize('case', CASES)
def test_statement_uses_the_right_index(untouched, store, statements, case):
    call, expected = CASES[case]

    with statements() as log:
        call(store)

    # what is explained is not what these statements left behind
    found = [
        index
        for statement in log
        if asks(statement)
        for index in indexes_of(untouched, statement)
    ]
    assert found == expected


@pytest.mark.parametrize('most', [10**6, 500])
@pytest.mark.parametrize('call', ['count', 'stats'])
def test_counts_of_a_large_table_read_no_payload(
    untouched, statements, monkeypatch, most, call
):
    monkeypatch.setattr(census, 'FEW_ROWS', 100)
    monkeypatch.setattr(census, 'MOST_COUNTED', most)
    factory = make_factory(untouched, absolute_timeout=None)
    factory.store.check_table()

    with statements() as log:
        getattr(factory.store, call)()

    factory.close()
    asked = [text for text in log if asks(text)]
    assert asked
    for statement in asked:
        if 'MIN(created)' in statement:
            # it reads the first ones
            assert f'LIMIT {census.FEW_ROWS}' in statement
            continue
        assert {plan['key'] for plan in explain(untouched, statement)} <= {
            'expires',
            'userid',
        }
