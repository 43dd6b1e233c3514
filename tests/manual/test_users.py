"""What the how-tos about users show, in an application."""

import logging
import sys
import types

import pytest
from pyramid.authentication import SessionAuthenticationHelper
from pyramid.security import remember
from webtest import TestApp

from tests.manual.blocks import executes

PASSWORD = executes('howto/sudo.rst', 'python', 'def change_password')
DEVICES = executes('howto/devices.rst', 'python', 'class Devices')
DEVICES_PAGE = executes('howto/devices.rst', 'html+jinja', 'session.current')


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
def make_shop(blocks, recipe, make_app, tmp_path):
    """Call it for an application that has the views of the test's blocks."""
    (tmp_path / 'password.jinja2').write_text('A new one, please.')
    for name in ('login', 'confirm'):
        (tmp_path / f'{name}.jinja2').write_text('')
    for block in blocks:
        if block.language == 'html+jinja':
            (tmp_path / 'devices.jinja2').write_text(block.text)

    def make(**settings):
        modules = [recipe(b) for b in blocks if b.language == 'python']

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


@PASSWORD
@DEVICES
@DEVICES_PAGE
def test_devices_end_by_their_user_only(make_shop, passwords):
    shop = make_shop(track_devices=True)
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


@PASSWORD
@DEVICES
@DEVICES_PAGE
def test_all_other_devices_are_ended(make_shop, passwords):
    shop = make_shop()
    browsers = [log_in(shop, 'ada', 'first') for _ in range(3)]

    browsers[1].post('/devices', {'others': ''})

    assert browsers[1].get('/devices').status_int == 200
    for other in (browsers[0], browsers[2]):
        other.get('/devices', status=403)


@PASSWORD
def test_password_changes_only_if_it_was_asked_for_lately(
    make_shop, passwords, database
):
    shop = make_shop()
    here, elsewhere = (log_in(shop, 'ada', 'first') for _ in range(2))
    new = {'new_password': 'third'}
    assert here.get('/password').text == 'A new one, please.'

    grow_older(database, 301)

    assert where(here.post('/password', new)) == '/confirm'
    assert here.post('/confirm', {'password': 'wrong'}).status_int == 200
    assert where(here.post('/password', new)) == '/confirm'
    assert passwords['ada'] == 'first'
    assert where(here.post('/confirm', {'password': 'first'})) == '/password'
    assert where(here.post('/password', new)) == '/'
    assert passwords['ada'] == 'third'
    elsewhere.get('/password', status=403)
    assert here.get('/password').status_int == 200


@PASSWORD
def test_password_is_nothing_for_strangers(make_shop, passwords):
    shop = make_shop()

    for name in ('password', 'confirm'):
        shop.post(f'/{name}', {'password': 'first'}, status=403)


@executes('howto/users.rst', 'python', 'limit_for_user')
def test_log_in_leaves_so_many_sessions(block, recipe, make_shop):
    module = recipe(block)
    shop = make_shop()

    def log_in(request):
        request.session.renew_id()
        remember(request, 5)
        module.limit_sessions(request, 5)

    for _ in range(7):
        browser = shop.browser()
        browser.run(log_in)

    assert shop.store.count(5) == 5
    # who is logged in logs in once more
    browser.run(log_in)
    assert shop.store.count(5) == 5


@executes('howto/audit.rst', 'python', 'def note_end')
@PASSWORD
@DEVICES
def test_audit_tells_who_has_ended_a_session(make_shop, passwords, caplog):
    caplog.set_level(logging.INFO, 'shop.audit')
    shop = make_shop()
    here, _ = (log_in(shop, 'ada', 'first') for _ in range(2))
    handles = {session.handle for session in shop.store.for_user('ada')}

    here.post('/devices', {'others': ''})

    (left,) = shop.store.for_user('ada')
    (ended,) = handles - {left.handle}
    assert caplog.messages[-1] == (
        f'ada ended session {ended} of user ada: delete_for_user'
    )
