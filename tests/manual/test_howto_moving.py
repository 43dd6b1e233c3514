"""Sessions of other factories are taken along, as the manual says."""

import base64
import datetime
import decimal
import hmac
import importlib.util
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPFound
from pyramid.i18n import TranslationString
from pyramid.request import Request
from pyramid.response import Response
from pyramid_retry import is_last_attempt, mark_error_retryable
from webtest import TestApp

from pyramid_mysql_session import StoreUnavailable
from tests.helpers import Application, twin, wait_until
from tests.manual.blocks import executes
from tests.manual.modules import shop_module

__all__ = ['shop_module']

pytestmark = pytest.mark.filterwarnings(
    # pyramid_session_redis with the newest redis
    'ignore:Call to deprecated setex:DeprecationWarning'
)

PAGE = 'howto/moving.rst'
MOVING = executes(PAGE, 'python', 'def take_along')
SIGNED = executes(PAGE, 'python', 'SignedCookieSessionFactory')
REDIS = executes(PAGE, 'python', 'RedisSessionFactory')
BEAKER = executes(PAGE, 'python', 'BeakerSessionFactoryConfig')
EXPRESS = executes(PAGE, 'python', 'def verified')

DATA = {
    'auth.userid': 'ada',
    'cart': {'cup': 2, 'tin': [1, 2.5, None]},
    '_csrft_': 'a-token-of-the-old-session',
    '_f_': ['saved'],
    '_f_error': ['no tea'],
}


def read(request):
    return {k: v for k, v in request.session.items() if k != '_moved_'}


def write(**data):
    return lambda request: request.session.update(data)


def log_out(request):
    request.session.invalidate()


def deletes(response, name):
    """Tell whether a response deletes a cookie."""
    return any(
        line.startswith(f'{name}=;') and 'Max-Age=0' in line
        for line in response.headers.getall('Set-Cookie')
    )


class Gone:
    """Pickled as one of a class that is not there any more."""


Gone.__module__, Gone.__qualname__ = 'decimal', 'Gone'

redis = None
if importlib.util.find_spec('redis'):
    import redis


class OldSite:
    """The application as it was, with the old factory."""

    def __init__(self, old):
        self.name = old.NAME
        with Configurator() as config:
            config.set_session_factory(old.factory)
            config.add_view(
                lambda request: request.environ['tests.view'](request),
                renderer='json',
            )
        self._router = config.make_wsgi_app()

    def browser(self, browser):
        """Return the same browser, for the old site."""
        other = Application(self._router)
        other.cookiejar = browser.cookiejar
        return other

    def store(self, browser, data):
        self.browser(browser).run(lambda request: request.session.update(data))

    def stored(self, browser):
        return self.browser(browser).run(read).json


class ExpressSite:
    """The table and the cookies of an application with express-session."""

    name = 'connect.sid'

    def __init__(self, old, database):
        self._old = old
        self._database = database
        self._number = 0
        # as express-mysql-session 3 creates it
        database.query(
            'CREATE TABLE sessions ('
            'session_id varchar(128) COLLATE utf8mb4_bin NOT NULL, '
            'expires int(11) unsigned NOT NULL, '
            'data mediumtext COLLATE utf8mb4_bin, PRIMARY KEY (session_id))'
        )

    def store(self, browser, data):
        self._number += 1
        session_id = f'id-{self._number}'
        session = {'cookie': {'originalMaxAge': None, 'path': '/'}, **data}
        if 'auth.userid' in data:
            session['passport'] = {'user': session.pop('auth.userid')}
        self._database.query(
            'INSERT INTO sessions VALUES (%s, UNIX_TIMESTAMP() + 1200, %s)',
            (session_id, json.dumps(session)),
        )
        self.send(browser, f's%3A{session_id}.{sign(session_id)}')

    def send(self, browser, value):
        """Let the browser have a cookie, as express-session sets it."""
        response = Response()
        line = f'{self.name}={value}; Path=/; HttpOnly'
        response.headers.add('Set-Cookie', line)
        express = TestApp(response)
        express.cookiejar = browser.cookiejar
        express.get('/')

    def stored(self, browser):
        environ = {'HTTP_COOKIE': f'{self.name}={browser.cookies[self.name]}'}
        return self._old.read(Request(environ))


def sign(session_id):
    """Sign as cookie-signature does, percent-encoded as cookie does."""
    digest = hmac.digest(b'keyboard cat', session_id.encode(), 'sha256')
    signature = base64.b64encode(digest).decode().rstrip('=')
    return urllib.parse.quote(signature, safe='')


def needs(found, what):
    """Skip a test that needs something; where CI runs, it has to be there."""
    if not found:
        missing = f'{what} is not installed'
        pytest.fail(missing) if os.environ.get('CI') else pytest.skip(missing)


@pytest.fixture(scope='module')
def redis_url(tmp_path_factory):
    """The address of a private Redis, which keeps nothing on disk."""
    program = shutil.which('redis-server')
    needs(program, 'redis-server')
    folder = tmp_path_factory.mktemp('redis')
    socket = folder / 'socket'
    options = '--port', '0', '--save', '', '--unixsocket', socket
    with subprocess.Popen(
        [program, *options, '--dir', folder], stdout=subprocess.DEVNULL
    ) as process:
        wait_until(socket.exists)
        yield f'unix://{socket}'
        process.terminate()


@pytest.fixture(params=['signed', 'redis', 'beaker', 'express'])
def old(request, shop_module, blocks, tmp_path):
    """The module shop/old.py, for each of the old factories."""
    kind = request.param
    word, changes = 'SignedCookieSessionFactory', {}
    if kind == 'redis':
        needs(
            importlib.util.find_spec('pyramid_session_redis'),
            'pyramid_session_redis',
        )
        word = 'RedisSessionFactory'
        url = request.getfixturevalue('redis_url')
        changes = {'redis://localhost:6379/0': url}
    elif kind == 'beaker':
        needs(importlib.util.find_spec('pyramid_beaker'), 'pyramid_beaker')
        word = 'BeakerSessionFactoryConfig'
        changes = {'/var/lib/shop/sessions': str(tmp_path / 'beaker')}
    elif kind == 'express':
        word = 'def verified'
        file = tmp_path / 'express.cnf'
        database = request.getfixturevalue('database')
        names = {'unix_socket': 'socket'}
        file.write_text(
            '[client]\n'
            + ''.join(
                f'{names.get(name, name)} = {value}\n'
                for name, value in {
                    **database.server.address,
                    'user': database.server.user,
                    'password': database.server.password,
                    'database': database.name,
                }.items()
            )
        )
        changes = {'/etc/shop/express.cnf': str(file)}
    (block,) = (block for block in blocks if word in block.text)
    module = shop_module(block, changes)
    module.kind = kind
    return module


@pytest.fixture
def old_site(old, request):
    if old.kind == 'express':
        return ExpressSite(old, request.getfixturevalue('database'))
    return OldSite(old)


@pytest.fixture
def make_new(old, shop_module, blocks, make_app):
    """Call it for an application with ours and the recipe."""
    (block,) = (block for block in blocks if 'def take_along' in block.text)
    module = shop_module(block)

    def make(**settings):
        return make_app(
            configure=lambda config: config.include(module),
            cookie_name='shop_session',
            table_name='pyramid_sessions',
            **settings,
        )

    return make


@pytest.fixture
def later(old, request, monkeypatch):
    """Call it with seconds: for the old sessions so many have passed."""

    def move(seconds):
        if old.kind == 'express':
            database = request.getfixturevalue('database')
            database.query(
                f'UPDATE sessions SET expires = expires - {seconds}'
            )
            return
        now = time.time
        monkeypatch.setattr(time, 'time', lambda: now() + seconds)
        if old.kind == 'redis':
            url = request.getfixturevalue('redis_url')
            with redis.Redis.from_url(url) as client:
                for key in client.scan_iter():
                    client.expire(key, client.ttl(key) - seconds)

    return move


@pytest.fixture
def rows_of(database):
    """Call it with a table for the number of its rows."""
    return lambda table: database.query(f'SELECT COUNT(*) FROM {table}')[0][0]


@MOVING
@SIGNED
@REDIS
@BEAKER
@EXPRESS
class TestAllFactories:
    def test_session_goes_on_with_all_its_data(self, old_site, make_new):
        browser = make_new()
        old_site.store(browser, DATA)

        response = browser.run(read)

        assert response.json == DATA
        assert deletes(response, old_site.name)
        assert list(browser.cookies) == ['shop_session']
        assert browser.run(read).json == DATA
        (session,) = browser.store.for_user('ada')
        assert session.data() == {**DATA, '_moved_': True}

    def test_request_without_an_old_cookie_costs_nothing_more(
        self, old, make_new, statements, monkeypatch
    ):
        app = make_new()
        monkeypatch.setattr(old, 'read', None)
        monkeypatch.setattr(old, 'end', None)
        app.browser().run(write(a=1))

        with statements() as log:
            app.run(read)
            app.run(write(a=1))
            app.run(read)

        assert [text.split()[0] for text in log] == ['INSERT', 'SELECT']

    def test_request_that_does_not_use_the_session_moves_nothing(
        self, old, old_site, make_new, monkeypatch
    ):
        browser = make_new()
        old_site.store(browser, DATA)
        monkeypatch.setattr(old, 'read', None)
        monkeypatch.setattr(old, 'end', None)

        response = browser.run(lambda request: 'no session')

        assert 'Set-Cookie' not in response.headers
        assert list(browser.cookies) == [old_site.name]

    def test_log_out_at_the_first_request_is_final(
        self, old, old_site, make_new, rows_of
    ):
        browser = make_new()
        browser.store.create_table()
        old_site.store(browser, DATA)
        stolen = twin(browser)

        assert deletes(browser.run(log_out), old_site.name)

        assert list(browser.cookies) == []
        assert rows_of('pyramid_sessions') == 0
        assert browser.run(read).json == {}
        assert stolen.run(read).json == (DATA if old.kind == 'signed' else {})

    def test_log_out_with_a_farewell_ends_the_old_session_at_once(
        self, old, old_site, make_new
    ):
        browser = make_new()
        old_site.store(browser, DATA)
        stolen = twin(browser)

        def leave(request):
            request.session.invalidate()
            request.session.flash('Bye')

        response = browser.run(leave)

        assert deletes(response, old_site.name)
        assert browser.run(read).json == {'_f_': ['Bye']}
        found = stolen.run(read).json
        assert found == (DATA if old.kind == 'signed' else {})

    def test_parallel_first_requests_all_find_the_session(
        self, old_site, make_new, rows_of
    ):
        app = make_new()
        app.store.create_table()
        old_site.store(app, DATA)
        browsers = [twin(app) for _ in range(3)]
        together = threading.Barrier(3, timeout=30)

        def view(request):
            found = read(request)
            together.wait()
            return found

        with ThreadPoolExecutor(3) as threads:
            answers = threads.map(lambda each: each.run(view).json, browsers)
            assert list(answers) == [DATA] * 3

        # each has made a session of its own; the browser keeps one of them
        assert rows_of('pyramid_sessions') == 3
        assert [each.run(read).json for each in browsers] == [DATA] * 3

    def test_request_under_way_at_a_log_out_keeps_its_copy(
        self, old, old_site, make_new
    ):
        app = make_new()
        old_site.store(app, DATA)
        here, later = twin(app), twin(app)

        def meanwhile(request):
            found = read(request)
            twin(app).run(log_out)
            return found

        assert here.run(meanwhile).json == DATA
        assert here.run(read).json == DATA
        found = later.run(read).json
        assert found == (DATA if old.kind == 'signed' else {})

    @pytest.mark.parametrize(
        'value',
        [
            '',
            'x',
            's%3A',
            's%3A.',
            's%3Aid.AAAA',
            's%3Aid.\xe9',
            '%ff%00.%e9',
            '\xff\xfe',
            'gAAAAA==' * 1000,
            'A' * 60000,
        ],
        ids=range(10),
    )
    def test_old_cookie_that_nobody_signed_is_deleted(
        self, old_site, make_new, rows_of, value
    ):
        app = make_new()
        app.store.create_table()

        headers = {'Cookie': f'{old_site.name}={value}'}
        response = app.run(read, headers=headers)

        assert response.json == {}
        assert deletes(response, old_site.name)
        assert rows_of('pyramid_sessions') == 0

    def test_old_session_that_has_expired_is_not_moved(
        self, old_site, make_new, later
    ):
        browser = make_new()
        old_site.store(browser, DATA)
        later(1201)

        response = browser.run(read)

        assert response.json == {}
        assert deletes(response, old_site.name)

    def test_old_session_ends_a_minute_after_the_move(
        self, old, old_site, make_new, later
    ):
        browser = make_new()
        old_site.store(browser, DATA)
        stolen, too_late = twin(browser), twin(browser)
        browser.run(read)

        assert stolen.run(read).json == DATA
        later(61)

        found = too_late.run(read).json
        assert found == (DATA if old.kind == 'signed' else {})
        assert browser.run(read).json == DATA

    def test_of_two_cookies_ours_counts(self, old_site, make_new):
        browser = make_new()
        browser.run(write(mine=1))
        old_site.store(browser, DATA)

        response = browser.run(read)

        assert response.json == {'mine': 1}
        assert deletes(response, old_site.name)
        assert list(browser.cookies) == ['shop_session']

    def test_old_session_does_not_revive_one_of_ours_that_ended(
        self, old_site, make_new
    ):
        browser = make_new()
        old_site.store(browser, DATA)
        browser.run(read)
        old_site.store(browser, DATA)
        browser.store.delete_for_user('ada')

        response = browser.run(read)

        assert response.json == {}
        assert deletes(response, old_site.name)

    def test_forged_cookie_of_ours_does_not_keep_from_moving(
        self, old_site, make_new
    ):
        browser = make_new()
        old_site.store(browser, DATA)
        name, value = next(iter(browser.cookies.items()))
        cookie = f'shop_session=forged; {name}={value}'

        assert browser.run(read, headers={'Cookie': cookie}).json == DATA
        assert list(browser.cookies) == ['shop_session']

    def test_request_that_stores_nothing_leaves_the_old_session(
        self, old_site, make_new
    ):
        browser = make_new(set_on_exception=False)
        old_site.store(browser, DATA)

        def fail(request):
            read(request)
            raise HTTPFound('/')

        response = browser.run(fail, status=302)

        assert 'Set-Cookie' not in response.headers
        assert browser.run(read).json == DATA

    def test_database_that_is_down_leaves_the_old_session(
        self, old_site, make_new
    ):
        browser = make_new()
        old_site.store(browser, DATA)
        down = twin(
            browser, make_new(unix_socket='/nowhere', host=None, port=None)
        )

        with pytest.raises(StoreUnavailable):
            down.run(read)

        assert browser.run(read).json == DATA


@MOVING
@REDIS
@BEAKER
@pytest.mark.parametrize('old', ['redis', 'beaker'], indirect=True)
def test_values_that_json_cannot_hold_stay_behind(old_site, make_new, caplog):
    browser = make_new()
    message = TranslationString('hi_${who}', 'shop', 'Hi ${who}', {'who': 1})
    old_site.store(
        browser,
        {
            'auth.userid': 5,
            'pair': (1, 2),
            'day': datetime.date(2030, 1, 1),
            'cart': {'prices': [decimal.Decimal('1.50')]},
            'number': float('nan'),
            7: 'a key that is a number',
            '_f_': [message],
        },
    )

    found = browser.run(read).json

    assert found == {
        'auth.userid': 5,
        'pair': [1, 2],
        '7': 'a key that is a number',
        '_f_': found['_f_'],
    }
    pop = browser.run(lambda request: request.session.pop_flash()[0].domain)
    assert pop.json == 'shop'
    assert sorted(caplog.messages) == [
        'cart stays behind: dict',
        'day stays behind: date',
        'number stays behind: float',
    ]


@MOVING
@SIGNED
@pytest.mark.parametrize('old', ['signed'], indirect=True)
def test_cookies_of_the_same_name_are_refused(
    old, shop_module, blocks, make_app
):
    module = shop_module(blocks[0])

    for name in (None, 'session'):
        with pytest.raises(ConfigurationError, match='the same name'):
            make_app(
                configure=lambda config: config.include(module),
                cookie_name=name,
            )


@executes(PAGE, 'python', 'return old.factory(request) if')
@MOVING
@SIGNED
@REDIS
@BEAKER
@pytest.mark.parametrize('old', ['signed', 'redis', 'beaker'], indirect=True)
def test_nobody_is_logged_out_while_two_deployments_overlap(
    old, old_site, shop_module, blocks, make_app, make_new
):
    first = shop_module(blocks[0])
    ready = make_app(
        configure=lambda config: config.include(first),
        cookie_name='shop_session',
        table_name='pyramid_sessions',
    )
    new = make_new()
    browser = new.browser()

    def at(app):
        other = app.browser()
        other.cookiejar = browser.cookiejar
        return other

    old_site.store(browser, DATA)
    at(ready).run(write(more=1))
    assert old_site.stored(browser)['more'] == 1

    assert at(new).run(read).json == {**DATA, 'more': 1}
    at(ready).run(write(more=2))
    assert at(new).run(read).json == {**DATA, 'more': 2}

    at(ready).run(log_out)
    for app in (new, ready):
        assert 'auth.userid' not in at(app).run(read).json


@MOVING
@SIGNED
@pytest.mark.parametrize('old', ['signed'], indirect=True)
def test_old_process_takes_a_moved_visitor_for_a_stranger(old_site, make_new):
    browser = make_new()
    old_site.store(browser, DATA)
    browser.run(read)

    assert old_site.stored(browser) == {}
    old_site.store(browser, {'a': 1})

    assert browser.run(read).json == DATA
    assert list(browser.cookies) == ['shop_session']


@MOVING
@SIGNED
@pytest.mark.parametrize('old', ['signed'], indirect=True)
def test_cookie_that_webob_cannot_read_does_no_harm(old_site, make_new):
    browser = make_new()
    old_site.store(browser, DATA)
    ((name, value),) = browser.cookies.items()
    headers = {'Cookie': rf'{name}={value}; of_others="\377"'}

    response = browser.run(read, headers=headers)

    assert response.json == {}
    assert 'Set-Cookie' not in response.headers
    assert browser.run(read).json == DATA


@MOVING
@SIGNED
@pytest.mark.parametrize('old', ['signed'], indirect=True)
def test_attempt_that_is_repeated_moves_the_session_once(
    old_site, shop_module, blocks, make_app, rows_of
):
    module = shop_module(blocks[0])

    def configure(config):
        config.add_settings({'retry.attempts': 3})
        config.include('pyramid_retry')
        config.include(module)
        config.add_exception_view(lambda request: Response('?'))

    browser = make_app(
        configure=configure,
        cookie_name='shop_session',
        table_name='pyramid_sessions',
    )
    old_site.store(browser, DATA)

    def view(request):
        found = read(request)
        if not is_last_attempt(request):
            error = ValueError()
            mark_error_retryable(error)
            raise error
        return found

    assert browser.run(view).json == DATA
    assert rows_of('pyramid_sessions') == 1


@executes(PAGE, 'sql', '"_moved_":true')
@MOVING
@SIGNED
@pytest.mark.plain
@pytest.mark.parametrize('old', ['signed'], indirect=True)
def test_statement_counts_those_that_were_moved(
    old_site, make_new, blocks, database
):
    browser = make_new()
    old_site.store(browser, DATA)
    browser.run(read)
    browser.browser().run(write(_moved_=1))

    sql = blocks[0].text.replace('FROM sessions', 'FROM pyramid_sessions')
    assert database.query(sql) == [(1,)]


@EXPRESS
@pytest.mark.parametrize('old', ['express'], indirect=True)
def test_cookie_that_express_session_has_made_is_verified(old, database):
    # of express-session 1.19.0
    session_id = 'Jx3a_0K-pq7hVYl0cZ2n6RtWm4eBvSdF'
    cookie = f's%3A{session_id}.h2HRUX%2FSKuiCNjYHq6w8UK0YmAldHlawS12aH4HUqXg'

    assert old.verified(cookie) == session_id
    assert old.verified(cookie.replace('.h2', '.H2')) is None
    assert old.verified(cookie.replace('Jx3', 'jx3')) is None


@executes(PAGE, 'ini', 'shop.moving')
@MOVING
@SIGNED
@pytest.mark.parametrize('old', ['signed'], indirect=True)
def test_settings_of_the_page_move_a_session(
    old_site, shop_module, blocks, make_site
):
    shop_module(blocks[1])
    browser = make_site(blocks[0].text)
    old_site.store(browser, DATA)

    assert browser.run(read).json == DATA
    assert list(browser.cookies) == ['shop_session']


@MOVING
@SIGNED
@pytest.mark.parametrize('old', ['signed'], indirect=True)
def test_form_that_was_open_can_be_sent(
    old_site, shop_module, blocks, make_app
):
    module = shop_module(blocks[0])

    def configure(config):
        config.include(module)
        config.set_default_csrf_options(require_csrf=True)

    browser = make_app(configure=configure, cookie_name='shop_session')
    old_site.store(browser, DATA)

    token = {'X-CSRF-Token': DATA['_csrft_']}
    assert browser.run(read, method='POST', headers=token).json == DATA
    token['X-CSRF-Token'] = 'guessed'
    browser.run(read, method='POST', headers=token, status=400)


@MOVING
@REDIS
@BEAKER
@pytest.mark.parametrize('old', ['redis', 'beaker'], indirect=True)
def test_old_session_that_cannot_be_read_is_an_error_as_it_was(
    old, old_site, make_new, monkeypatch
):
    browser = make_new()
    monkeypatch.setattr(decimal, 'Gone', Gone, raising=False)
    old_site.store(browser, {**DATA, 'gone': Gone()})
    monkeypatch.undo()

    for site in (browser, old_site.browser(browser)):
        with pytest.raises(Exception, match='Gone'):
            site.run(read)

    assert list(browser.cookies) == [old_site.name]


@MOVING
@EXPRESS
@pytest.mark.parametrize('old', ['express'], indirect=True)
def test_passport_without_a_user_moves_a_session_without_one(
    old_site, make_new
):
    browser = make_new()
    old_site.store(browser, {'passport': {}, 'cart': {'cup': 1}})

    assert browser.run(read).json == {'cart': {'cup': 1}}
