"""Recipes of the manual, as they stand there, in an application."""

import importlib.util
import logging
import re
import sys
import textwrap
import types
from pathlib import Path

import pytest
from pyramid.authentication import SessionAuthenticationHelper
from webtest import TestApp

DOCS = Path(__file__).parents[2] / 'docs'


class Policy:
    """Whoever has logged in may do everything."""

    def __init__(self):
        self.helper = SessionAuthenticationHelper()
        self.authenticated_userid = self.helper.authenticated_userid
        self.identity = self.helper.authenticated_userid
        self.remember = self.helper.remember
        self.forget = self.helper.forget

    def permits(self, request, context, permission):
        return self.authenticated_userid(request) is not None


def example(page, language, word):
    """Return the one example of a page that has a word in it."""
    text = (DOCS / page).read_text('utf-8')
    pattern = (
        rf'^\.\. code-block:: {re.escape(language)}\n\n((?:(?: +.*)?\n)+)'
    )
    (found,) = (
        textwrap.dedent(block)
        for block in re.findall(pattern, text, re.M)
        if word in block
    )
    return found


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Call it for the module that an example of the manual is."""

    def make(page, word):
        path = tmp_path / 'recipe.py'
        path.write_text(example(page, 'python', word), 'utf-8')
        spec = importlib.util.spec_from_file_location('recipe', path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, 'recipe', module)
        spec.loader.exec_module(module)
        return module

    return make


@pytest.fixture
def passwords(monkeypatch):
    """The passwords of the users of the shop."""
    users = types.ModuleType('shop.users')
    users.passwords = {'ada': 'first', 'grace': 'second'}
    users.password_is_right = lambda userid, password: (
        users.passwords.get(userid) == password
    )
    users.store_password = users.passwords.__setitem__
    monkeypatch.setitem(sys.modules, 'shop.users', users)
    return users.passwords


@pytest.fixture
def make_shop(make_app, tmp_path):
    """Call it with a recipe for an application that has its views."""
    (tmp_path / 'devices.jinja2').write_text(
        example('howto/devices.rst', 'html+jinja', 'session.current')
    )
    (tmp_path / 'password.jinja2').write_text('A new one, please.')

    def make(*modules, **settings):
        def configure(config):
            config.add_settings({'jinja2.directories': str(tmp_path)})
            config.include('pyramid_jinja2')
            config.set_security_policy(Policy())
            for name in ('login', 'confirm', 'password', 'devices'):
                config.add_route(name, f'/{name}')
            for module in modules:
                config.scan(module)

        return make_app(configure=configure, **settings)

    return make


def log_in(app, user, password):
    """Return a browser in which a user has logged in."""
    browser = TestApp(app.app)
    browser.post('/login', {'user': user, 'password': password})
    return browser


def where(answer):
    assert answer.status_int == 303
    return answer.location.removeprefix('http://localhost')


def grow_older(database, seconds):
    database.query(f'UPDATE sessions SET created = created - {seconds}')


def test_devices_of_the_manual_end_by_their_user_only(
    recipe, make_shop, passwords
):
    shop = make_shop(
        recipe('howto/devices.rst', 'class Devices'),
        recipe('howto/sudo.rst', 'def change_password'),
        track_devices=True,
    )
    first, second = (log_in(shop, 'ada', 'first') for _ in range(2))
    grace = log_in(shop, 'grace', 'second')
    page = first.get('/devices')
    (button,) = page.html.select('button[name=end]')
    form = {'end': button['value']}

    assert 'this one' in page
    assert where(grace.post('/devices', form)) == '/devices'
    assert second.get('/devices').status_int == 200
    assert where(first.post('/devices', form)) == '/devices'
    second.get('/devices', status=403)
    assert shop.store.count('ada') == shop.store.count('grace') == 1


def test_all_others_of_the_manual_are_ended(recipe, make_shop, passwords):
    shop = make_shop(
        recipe('howto/devices.rst', 'class Devices'),
        recipe('howto/sudo.rst', 'def change_password'),
    )
    browsers = [log_in(shop, 'ada', 'first') for _ in range(3)]

    browsers[1].post('/devices', {'others': ''})

    assert browsers[1].get('/devices').status_int == 200
    for other in (browsers[0], browsers[2]):
        other.get('/devices', status=403)


def test_password_of_the_manual_changes_only_if_it_was_asked_for_lately(
    recipe, make_shop, passwords, database
):
    shop = make_shop(recipe('howto/sudo.rst', 'def change_password'))
    here, elsewhere = (log_in(shop, 'ada', 'first') for _ in range(2))
    new = {'new_password': 'third'}
    assert here.get('/password').text == 'A new one, please.'

    grow_older(database, 301)

    assert where(here.post('/password', new)) == '/confirm'
    assert where(here.post('/confirm', {'password': 'wrong'})) == '/confirm'
    assert where(here.post('/password', new)) == '/confirm'
    assert passwords['ada'] == 'first'
    assert where(here.post('/confirm', {'password': 'first'})) == '/password'
    assert where(here.post('/password', new)) == '/'
    assert passwords['ada'] == 'third'
    elsewhere.get('/password', status=403)
    assert here.get('/password').status_int == 200


def test_password_of_the_manual_is_nothing_for_strangers(
    recipe, make_shop, passwords
):
    shop = make_shop(recipe('howto/sudo.rst', 'def change_password'))

    for name in ('password', 'confirm'):
        shop.post(f'/{name}', {'password': 'first'}, status=403)


def test_log_in_of_the_manual_leaves_so_many_sessions(recipe, make_shop):
    module = recipe('howto/users.rst', 'limit_for_user')
    module.check_password = lambda request: 5
    shop = make_shop()

    for _ in range(7):
        browser = shop.browser()
        browser.run(module.log_in)

    assert shop.store.count(5) == 5
    # who is logged in logs in once more
    browser.run(module.log_in)
    assert shop.store.count(5) == 5


def test_audit_of_the_manual_tells_who_has_ended_a_session(
    recipe, make_shop, passwords, caplog
):
    caplog.set_level(logging.INFO, 'shop.audit')
    shop = make_shop(
        recipe('howto/audit.rst', 'def note_end'),
        recipe('howto/devices.rst', 'class Devices'),
        recipe('howto/sudo.rst', 'def change_password'),
    )
    here, _ = (log_in(shop, 'ada', 'first') for _ in range(2))
    handles = {session.handle for session in shop.store.for_user('ada')}

    here.post('/devices', {'others': ''})

    (left,) = shop.store.for_user('ada')
    (ended,) = handles - {left.handle}
    assert caplog.messages[-1] == (
        f'ada ended session {ended} of user ada: delete_for_user'
    )


def test_health_check_of_the_manual_tells_of_the_database(
    recipe, make_app, caplog
):
    module = recipe('howto/health.rst', 'def ready')
    up = make_app(configure=module.includeme)
    down = make_app(
        configure=module.includeme, unix_socket='/nowhere', host=None
    )

    assert up.get('/alive').text == down.get('/alive').text == 'alive'
    assert up.get('/ready').text == 'ready'
    page = down.get('/ready', status=503)
    assert page.text == 'no database'
    assert 'Set-Cookie' not in page.headers
    assert 'not ready: MySQL cannot be reached' in caplog.text
