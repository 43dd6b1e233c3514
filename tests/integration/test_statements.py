"""What a request costs, by the server's own account."""

import csv
import re
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest

from pyramid_mysql_session.connection import driver
from pyramid_mysql_session.store.keys import (
    handle,
    make_session_id,
    renew_session_id,
)
from pyramid_mysql_session.web.cookie import CookieSigner
from tests import helpers

TABLE = Path(__file__).parents[2] / 'docs' / 'statements.csv'
SECRET = 'a-secret-of-the-tests-of-statements-of-40'
IDLE = 86_400


def old_id():
    """Return an id that is too old for a server to lag behind."""
    return f'00000001{make_session_id()[8:]}'


def nothing(request):
    return None


def evaluate(request):
    assert request.session is not None


def read(request):
    return dict(request.session)


def update(request):
    request.session['number'] = 2


def update_nested(request):
    request.session['cart']['items'].append('book')


def write_equal(request):
    request.session['number'] = 1
    request.session['cart'] = {'items': []}


def peek_flash(request):
    return request.session.peek_flash()


def flash_and_pop(request):
    request.session.flash('saved')
    return request.session.pop_flash()


def save_twice(request):
    for number in (2, 3):
        request.session['number'] = number
        request.session.save()


def log_out(request):
    request.session.invalidate()


def read_and_log_out(request):
    read(request)
    log_out(request)


def log_out_with_a_message(request):
    request.session.invalidate()
    request.session.flash('Goodbye')


def empty(request):
    request.session.clear()


def renew(request):
    request.session.renew_id()


def log_in(request):
    request.session.renew_id()
    request.session['auth.userid'] = 'ada'


def remember(request):
    request.session.remember(600)


def lock(request):
    with request.session.locked():
        pass


def lock_and_update(request):
    with request.session.locked():
        request.session['number'] = request.session.get('number', 0) + 1


def read_lock_and_update(request):
    read(request)
    lock_and_update(request)


def fill(request):
    request.session.update(number=1, cart={'items': []})


# What plays a row of the manual's table: each is called with the application,
# which has a connection and is a browser that has a session, and with the
# database; it prepares what the row needs, and returns what is to be counted.


def visit(view, before=''):
    """A request of a browser that has a session."""

    def prepare(app, database):
        if before:
            database.query(before)
        return partial(app.run, view)

    return prepare


def visit_without_cookie(view):
    return lambda app, database: partial(app.browser().run, view)


def overtaken(app, database):
    """A request that saves, while another one has done so."""

    def view(request):
        request.session['number'] = 2
        database.query(
            'UPDATE sessions SET revision = revision + (1 << 48), '
            """data = '{"number":1,"cart":{"items":["cup"]}}'"""
        )

    return partial(app.run, view)


def visit_with(view, *whats):
    """A request with cookies that lead to sessions, or to none."""

    def prepare(app, database):
        ids = [make(app.store, what) for what in whats]
        signed = [CookieSigner([SECRET]).sign(each) for each in ids]
        if whats == ('forged',):
            signed = [signed[0][:-1] + ('A' if signed[0][-1] != 'A' else 'B')]
        cookies = '; '.join(f'session={each}' for each in signed)
        return partial(app.browser().run, view, headers={'Cookie': cookies})

    return prepare


def make(store, what):
    """Make a session that is not young; return an id that it has or had."""
    # one of which a server that lags may not know yet is looked for twice
    session_id = f'00000001{make_session_id()[8:]}'
    payload = '{' if what == 'undecodable' else '{"number":1}'
    idle_timeout = -1 if what == 'expired' else IDLE
    if what != 'unknown':
        revision = store.create(session_id, payload, idle_timeout, 'ada')
    if what == 'renewed':
        renewed = renew_session_id(session_id)
        store.save(session_id, None, revision, IDLE, None, renewed)
    return session_id


def call(act, sessions=0):
    """A call of a method of the store, where a user has some sessions."""

    def prepare(app, database):
        ids = [make(app.store, 'live') for _ in range(sessions)]
        return lambda: act(app.store, *ids[:1])

    return prepare


def read_data(store, _):
    assert [each.data() for each in store.for_user('ada')]


def purge(app, database):
    app.store.clear()
    helpers.bury(database, 3)
    return partial(app.store.purge, exclusive=True)


def purge_nothing(app, database):
    return partial(app.store.purge, exclusive=True)


def connect(**settings):
    def prepare(app, database):
        other = helpers.application(database, secret=SECRET, **settings)
        return lambda: other.store._pool.run(lambda connection: other.close())

    return prepare


def check(app, database):
    return app.store.check_table


def create_table(app, database):
    database.query('DROP TABLE sessions')
    return app.store.check_table


CASES = {
    'a visitor with a session': {
        'does not mention it': visit(nothing),
        'mentions ``request.session`` only': visit(evaluate),
        'reads it': visit(read),
        'reads it when a touch is due': visit(
            read, 'UPDATE sessions SET expires = expires - 8641'
        ),
        'changes it': visit(update),
        'changes something in a list or dict of it': visit(update_nested),
        'sets what is stored already': visit(write_equal),
        'shows a flash message and keeps it': visit(peek_flash),
        'flashes a message and shows it': visit(flash_and_pop),
        'changes it, and another request has changed it meanwhile': overtaken,
        'changes it and calls ``save()``, twice': visit(save_twice),
        'calls ``renew_id()``': visit(renew),
        'calls ``renew_id()`` and changes it: a log-in': visit(log_in),
        'calls ``remember()``': visit(remember),
        'removes all data from it': visit(empty),
        'calls ``invalidate()``: a log-out': visit(log_out),
        'reads it and calls ``invalidate()``': visit(read_and_log_out),
        'calls ``invalidate()`` and stores something: a log-out with a '
        'message': visit(log_out_with_a_message),
        'changes it in a ``locked()`` block': visit(lock_and_update),
        'changes nothing in a ``locked()`` block': visit(lock),
        'reads it, then changes it in a ``locked()`` block': visit(
            read_lock_and_update
        ),
    },
    'one without a cookie': {
        'reads it': visit_without_cookie(read),
        'stores something': visit_without_cookie(fill),
        'stores something in a ``locked()`` block': visit_without_cookie(
            lock_and_update
        ),
        'flashes a message and shows it': visit_without_cookie(flash_and_pop),
        'calls ``invalidate()``, ``renew_id()`` or ``remember()``, or locks '
        'it': visit_without_cookie(
            lambda request: [
                each(request) for each in (log_out, renew, remember, lock)
            ]
        ),
    },
    'one whose cookie leads nowhere': {
        'reads it: the signature is forged': visit_with(read, 'forged'),
        'reads it: it is not there': visit_with(read, 'unknown'),
        'reads it: it has expired': visit_with(read, 'expired'),
        'reads it: its id was renewed': visit_with(read, 'renewed'),
        'reads it: its data cannot be read': visit_with(read, 'undecodable'),
        'stores something: it is not there': visit_with(fill, 'unknown'),
        'locks it: it is not there': visit_with(lock, 'unknown'),
        'calls ``invalidate()``: it is not there': visit_with(
            log_out, 'unknown'
        ),
        'calls ``invalidate()`` and stores something: it is not there': (
            visit_with(log_out_with_a_message, 'unknown')
        ),
        'calls ``invalidate()`` and stores something: its id was renewed': (
            visit_with(log_out_with_a_message, 'renewed')
        ),
    },
    'one with two of our cookies': {
        'reads it: one of them lives': visit_with(read, 'unknown', 'live'),
        'changes it': visit_with(update, 'live', 'live'),
        'changes it in a ``locked()`` block': visit_with(
            lock_and_update, 'live', 'live'
        ),
        'calls ``invalidate()``': visit_with(log_out, 'live', 'live'),
        'calls ``invalidate()`` and stores something': visit_with(
            log_out_with_a_message, 'live', 'live'
        ),
    },
    'the store': {
        '``for_user()``': call(lambda store, _: store.for_user('ada'), 1),
        '``for_user()``, and the data of one session': call(read_data, 1),
        '``end()``': call(lambda store, one: store.end(handle(one)), 1),
        '``end()`` of a session that is not there': call(
            lambda store: store.end(32 * '0')
        ),
        '``delete_for_user()`` of fewer than 600 sessions': call(
            lambda store, _: store.delete_for_user('ada'), 3
        ),
        '``delete_for_user()`` without any': call(
            lambda store: store.delete_for_user('ada')
        ),
        '``limit_for_user()`` that is not exceeded': call(
            lambda store, _: store.limit_for_user('ada', 1), 1
        ),
        '``limit_for_user()`` that is exceeded': call(
            lambda store, _: store.limit_for_user('ada', 1), 3
        ),
        '``count()``': call(lambda store: store.count()),
        '``ping()``': call(lambda store: store.ping()),
        '``now()``': call(lambda store: store.now()),
    },
    'a process': {
        'opens a connection': connect(),
        'opens one that is encrypted': connect(ssl_mode='REQUIRED'),
        'opens one with ``session_variables``': connect(
            session_variables='net_write_timeout = 7'
        ),
        'checks the table at first use': check,
        'creates the table and checks it': create_table,
        'purges a batch': purge,
        'purges, and finds nothing': purge_nothing,
    },
}


def rows():
    """Return the rows of the manual's table."""
    with TABLE.open(newline='', encoding='utf-8') as file:
        _, *lines = csv.reader(file)
    who = None
    for first, *rest in lines:
        who = first or who
        yield who, *rest


def short(sql):
    """Return what the manual calls a statement."""
    sql = re.sub(r'^/\*.*?\*/ ', '', sql)
    for name, pattern in NAMES.items():
        if re.match(pattern, sql, re.DOTALL):
            return name
    return sql.split()[0].upper()


NAMES = {
    'SELECT … FOR UPDATE SKIP LOCKED': 'SELECT.*FOR UPDATE SKIP LOCKED$',
    'SELECT … FOR UPDATE': 'SELECT.*FOR UPDATE$',
    'SELECT GET_LOCK': r'SELECT GET_LOCK\(',
    'SELECT RELEASE_LOCK': r'SELECT RELEASE_LOCK\(',
    'START TRANSACTION': 'START TRANSACTION$',
    'CREATE TABLE': 'CREATE TABLE',
    'SHOW STATUS': 'SHOW SESSION STATUS',
    'SHOW VARIABLES': 'SHOW SESSION VARIABLES',
    'SET NAMES': 'SET NAMES',
    'SET SESSION TRANSACTION': 'SET SESSION TRANSACTION ISOLATION',
    'SET SESSION': 'SET SESSION',
}


def in_order(names):
    """Return what the manual says of statements, in their order."""
    counted = [(name, len(list(same))) for name, same in groupby(names)]
    return ', '.join(
        name if number == 1 else f'{number} × {name}'
        for name, number in counted
    )


def asked(log):
    """Return the names of all that the server was asked to do."""
    assert log.pings == 0
    return [
        short(text) if command in ('Query', 'Execute') else command
        for _, command, text in log.commands
    ]


@pytest.fixture(params=[False, True, 'truncated'], ids=str)
def app(request, database, monkeypatch):
    """An application with a warm connection, and a browser with a session."""
    # who asks for what is not there may ask, each second, for another thing
    monkeypatch.setattr(driver, 'ASK_EVERY', 3600)
    # devices are noted with what is sent anyway
    app = helpers.application(
        database, secret=SECRET, track_devices=request.param
    )
    app.run(fill)
    app.store.ping()
    yield app
    app.close()


def test_table_of_the_manual_has_all_that_is_played():
    written = [(who, what) for who, what, *_ in rows()]

    assert written == [(who, what) for who in CASES for what in CASES[who]]


@pytest.mark.parametrize(
    ('who', 'what', 'number', 'expected'),
    [*rows()],
    ids=[f'{who} {what}' for who, what, *_ in rows()],
)
def test_statements_are_those_that_the_manual_lists(
    app, database, statements, who, what, number, expected
):
    act = CASES[who][what](app, database)

    with statements() as log:
        act()

    # what the log shows besides: who connects and leaves
    found = [name for name in asked(log) if name not in ('Connect', 'Quit')]
    assert [in_order(found), str(len(found))] == [expected, number]


@pytest.mark.parametrize('view', [read, log_out, renew, lock])
@pytest.mark.parametrize(
    'change',
    [
        lambda value: ('A' if value[0] != 'A' else 'B') + value[1:],
        lambda value: value[:-8],
        lambda value: value + 'A',
        lambda value: value * 40,
        lambda value: 'ü' * len(value),
        lambda value: '\xff\xfe' + value[2:],
        lambda value: '',
        lambda value: '"',
    ],
    ids=[
        'forged',
        'truncated',
        'extended',
        'oversized',
        'text',
        'bytes',
        'empty',
        'quote',
    ],
)
def test_request_with_a_bad_cookie_costs_nothing(
    app, statements, view, change
):
    cookie = 'session=' + change(app.cookies['session'])
    with statements() as log:
        response = app.browser().run(view, headers={'Cookie': cookie})

    assert asked(log) == []
    assert 'Set-Cookie' not in response.headers


def several(app, database):
    """Return the live value of the cookie, and one that has died."""
    dead = app.cookies['session']
    app.run(renew)
    return app.cookies['session'], dead


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        (['LIVE'] * 50, ['SELECT']),
        (['x'] * 50 + ['LIVE'], ['SELECT']),
        (['LIVE', 'x' * 155], ['SELECT']),
        (['DEAD', 'LIVE'], ['SELECT', 'SELECT']),
        (['LIVE', 'DEAD'], ['SELECT', 'SELECT']),
        (['x', 'DEAD', 'x', 'LIVE', ''], ['SELECT', 'SELECT']),
    ],
)
def test_cookies_of_the_same_name_cost_one_read_more_at_most(
    app, database, statements, values, expected
):
    live, dead = several(app, database)
    header = '; '.join(
        'session=' + value.replace('LIVE', live).replace('DEAD', dead)
        for value in values
    )

    with statements() as log:
        response = app.browser().run(read, headers={'Cookie': header})

    assert response.json['number'] == 1
    assert asked(log) == expected
    assert 'Set-Cookie' not in response.headers


def test_fifty_dead_cookies_cost_four_reads(app, database, statements):
    signer = CookieSigner([SECRET])
    signed = [signer.sign(make_session_id()) for _ in range(50)]
    header = '; '.join(f'session={value}' for value in signed)

    with statements() as log:
        assert app.browser().run(read, headers={'Cookie': header}).json == {}

    # which lives, the same once more as they are young, what the first one
    # says, whether that was renewed
    assert asked(log) == ['SELECT'] * 4

    header += f'; session={app.cookies["session"]}'
    with statements() as log:
        found = app.browser().run(read, headers={'Cookie': header}).json
    assert found['number'] == 1
    assert asked(log) == ['SELECT'] * 2


@pytest.mark.parametrize(
    ('view', 'expected'),
    [
        (nothing, []),
        (evaluate, []),
        (read, ['SELECT', 'UPDATE']),
        (write_equal, ['SELECT', 'UPDATE']),
        (update, ['SELECT', 'UPDATE']),
    ],
)
def test_due_touch_costs_one_more_statement(
    app, database, statements, view, expected
):
    database.query('UPDATE sessions SET expires = expires - 8641')

    with statements() as log:
        app.run(view)
    with statements() as later:
        app.run(view)

    assert asked(log) == expected
    if view in (read, write_equal):
        assert 'data' not in log[1]
        assert asked(later) == ['SELECT']


def test_touch_not_due_costs_nothing(app, database, statements):
    database.query('UPDATE sessions SET expires = expires - 8600')

    with statements() as log:
        app.run(read)

    assert asked(log) == ['SELECT']


def test_first_statement_of_a_process_connects_and_checks_once(
    database, statements
):
    app = helpers.application(database)
    with statements() as log:
        app.run(fill)
    with statements() as later:
        app.browser().run(fill)

    assert sum('information_schema' in text for text in log) > 0
    assert sum(text.startswith('CREATE TABLE') for text in log) == 1
    assert [command for _, command, _ in log.commands].count('Connect') == 1
    assert asked(later) == ['INSERT']
    app.close()


def test_connection_costs_the_same_where_the_server_does_not_commit(
    server, app, database, statements
):
    with helpers.variables(server, autocommit=0):
        act = connect()(app, database)
        with statements() as log:
            act()

    names = [name for name in asked(log) if name not in ('Connect', 'Quit')]
    assert names == ['SET NAMES', 'SET SESSION TRANSACTION', 'SET SESSION']
