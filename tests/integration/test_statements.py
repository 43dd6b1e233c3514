"""What a request costs, by the server's own account."""

import pytest

from pyramid_mysql_session.store.keys import make_session_id
from pyramid_mysql_session.web.cookie import CookieSigner
from tests import helpers


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


def log_out(request):
    request.session.invalidate()


def log_in_anew(request):
    request.session.invalidate()
    request.session['number'] = 1


def empty(request):
    request.session.clear()


def renew(request):
    request.session.renew_id()


def renew_and_update(request):
    request.session.renew_id()
    request.session['number'] = 2


def remember(request):
    request.session.remember(600)


def lock(request):
    with request.session.locked():
        pass


def lock_and_update(request):
    with request.session.locked():
        request.session['number'] += 1


def fill(request):
    request.session.update(number=1, cart={'items': []})


def verbs(log):
    """Return the first word of all that the server was asked to do."""
    assert log.pings == 0
    return [
        text.split()[0].upper() if command in ('Query', 'Execute') else command
        for _, command, text in log.commands
    ]


SECRET = 'a-secret-of-the-tests-of-statements-of-40'


@pytest.fixture(params=[False, True, 'truncated'], ids=str)
def app(request, database):
    """An application with a warm connection, and a browser with a session."""
    # devices are noted with what is sent anyway
    app = helpers.application(
        database, secret=SECRET, track_devices=request.param
    )
    app.run(fill)
    yield app
    app.close()


@pytest.mark.parametrize(
    ('view', 'expected'),
    [
        (nothing, []),
        (evaluate, []),
        (read, ['SELECT']),
        (update, ['SELECT', 'UPDATE']),
        (update_nested, ['SELECT', 'UPDATE']),
        (write_equal, ['SELECT']),
        (peek_flash, ['SELECT']),
        (flash_and_pop, ['SELECT']),
        (renew, ['SELECT', 'UPDATE']),
        (renew_and_update, ['SELECT', 'UPDATE']),
        (remember, ['SELECT', 'UPDATE']),
        (empty, ['SELECT', 'DELETE']),
        (log_out, ['DELETE']),
        (log_in_anew, ['UPDATE']),
        (lock, ['START', 'SELECT', 'COMMIT']),
        (lock_and_update, ['START', 'SELECT', 'UPDATE', 'COMMIT']),
    ],
)
def test_request_with_a_session_costs(app, statements, view, expected):
    with statements() as log:
        app.run(view)

    assert verbs(log) == expected


@pytest.mark.parametrize(
    ('view', 'expected'),
    [
        (nothing, []),
        (evaluate, []),
        (read, []),
        (fill, ['INSERT']),
        (flash_and_pop, []),
        (log_out, []),
        (renew, []),
        (remember, []),
        (lock, []),
    ],
)
def test_request_without_a_session_costs(app, statements, view, expected):
    with statements() as log:
        app.browser().run(view)

    assert verbs(log) == expected


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

    assert verbs(log) == []
    assert 'Set-Cookie' not in response.headers


def test_request_with_the_cookie_of_a_dead_session_costs_two_reads(
    app, database, statements
):
    database.query('DELETE FROM sessions')

    with statements() as log:
        assert app.run(read).json == {}

    # the second one finds out whether it was renewed
    assert verbs(log) == ['SELECT', 'SELECT']


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
    assert verbs(log) == expected
    assert 'Set-Cookie' not in response.headers


def test_fifty_dead_cookies_cost_four_reads(app, database, statements):
    signer = CookieSigner([SECRET])
    signed = [signer.sign(make_session_id()) for _ in range(50)]
    header = '; '.join(f'session={value}' for value in signed)

    with statements() as log:
        assert app.browser().run(read, headers={'Cookie': header}).json == {}

    # which lives, the same once more as they are young, what the first one
    # says, whether that was renewed
    assert verbs(log) == ['SELECT'] * 4

    header += f'; session={app.cookies["session"]}'
    with statements() as log:
        found = app.browser().run(read, headers={'Cookie': header}).json
    assert found['number'] == 1
    assert verbs(log) == ['SELECT'] * 2


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

    assert verbs(log) == expected
    if view in (read, write_equal):
        assert 'data' not in log[1]
        assert verbs(later) == ['SELECT']


def test_touch_not_due_costs_nothing(app, database, statements):
    database.query('UPDATE sessions SET expires = expires - 8600')

    with statements() as log:
        app.run(read)

    assert verbs(log) == ['SELECT']


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
    assert verbs(later) == ['INSERT']
    app.close()
