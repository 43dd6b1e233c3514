"""Somebody is remembered, as the manual says."""

import re
import sys
import types
from datetime import datetime, timezone

import jinja2
import pytest
from pyramid.authentication import SessionAuthenticationHelper
from webtest import TestApp

from tests.manual.blocks import executes
from tests.manual.modules import shop_module

__all__ = ['shop_module']

PAGE = 'howto/remember.rst'
SETTINGS = executes(PAGE, 'ini', 'absolute_timeout')
VIEWS = executes(PAGE, 'python', 'TWO_WEEKS')
FORM = executes(PAGE, 'html+jinja', 'checkbox')

DAY = 24 * 3600


class Policy:
    """The user is in the session."""

    def __init__(self):
        helper = SessionAuthenticationHelper()
        self.authenticated_userid = helper.authenticated_userid
        self.identity = helper.authenticated_userid
        self.remember = helper.remember
        self.forget = helper.forget

    def permits(self, request, context, permission):
        return True


@pytest.fixture
def passwords(monkeypatch):
    users = types.ModuleType('shop.users')
    users.passwords = {'ada': 'first'}
    users.password_is_right = lambda userid, password: (
        users.passwords.get(userid) == password
    )
    users.store_password = users.passwords.__setitem__
    monkeypatch.setitem(sys.modules, 'shop.users', users)
    return users.passwords


@pytest.fixture
def site(blocks, shop_module, passwords, make_app, tmp_path):
    """The application that the page shows."""
    ini, views, form = blocks
    settings = re.findall(r'^mysql_session\.(\w+) = (.*)$', ini.text, re.M)
    (tmp_path / 'login.jinja2').write_text(form.text)
    module = shop_module(views)

    def configure(config):
        config.add_settings({'jinja2.directories': str(tmp_path)})
        config.include('pyramid_jinja2')
        config.set_default_csrf_options(require_csrf=True)
        config.set_security_policy(Policy())
        for name in ('login', 'logout', 'password'):
            config.add_route(name, f'/{name}')
        config.scan(module)

    return make_app(
        view=lambda request: request.authenticated_userid,
        configure=configure,
        # of no account for whoever is remembered
        anonymous_idle_timeout=600,
        **dict(settings),
    )


@pytest.fixture
def age(database):
    """Call it with seconds, which pass for the table."""
    return lambda seconds: database.query(
        'UPDATE sessions SET created = created - %s, expires = expires - %s',
        (seconds, seconds),
    )


def log_in(site, box, typed='first'):
    """Return a browser that has logged in, and the answer."""
    browser = TestApp(site.app, site.extra_environ)
    form = browser.get('/login').form
    form['user'], form['password'] = 'ada', typed
    form['remember'] = box
    return browser, form.submit()


def post(browser, path, **fields):
    token = browser.get('/login').form['csrf_token'].value
    return browser.post(path, {'csrf_token': token, **fields})


def who(browser):
    return browser.get('/').json


def line(response):
    (cookie,) = response.headers.getall('Set-Cookie')
    return cookie


def left(site):
    """Return the seconds that the only session of the user has left."""
    (session,) = site.store.for_user('ada')
    return session.expires - site.store.now()


@SETTINGS
@VIEWS
@FORM
class TestBox:
    def test_with_it_cookie_and_session_last_for_two_weeks(self, site, age):
        browser, answer = log_in(site, box=True)

        assert 'Max-Age=1209600' in line(answer)
        assert left(site) in range(14 * DAY - 60, 14 * DAY + 1)
        age(13 * DAY)
        answer = browser.get('/')
        assert answer.json == 'ada'
        assert 'Max-Age=1209600' in line(answer)
        assert left(site) in range(14 * DAY - 60, 14 * DAY + 1)
        age(14 * DAY + 1)
        assert who(browser) is None

    def test_without_it_they_end_as_the_settings_say(self, site, age):
        browser, answer = log_in(site, box=False)

        assert 'Max-Age' not in line(answer)
        assert left(site) in range(3540, 3601)
        age(3601)
        assert who(browser) is None

    def test_whoever_comes_every_week_is_asked_after_ninety_days(
        self, site, age
    ):
        browser, _ = log_in(site, box=True)

        for _ in range(12):
            age(7 * DAY)
            assert who(browser) == 'ada'
        assert left(site) <= 6 * DAY
        age(7 * DAY)
        assert who(browser) is None

    def test_log_out_ends_it_and_the_next_log_in_begins_without(self, site):
        browser, _ = log_in(site, box=True)

        answer = post(browser, '/logout')

        assert 'Max-Age=0' in line(answer)
        assert site.store.count('ada') == 0
        form = browser.get('/login').form
        form['user'], form['password'] = 'ada', 'first'
        assert 'Max-Age' not in line(form.submit())
        assert left(site) <= 3600

    def test_log_in_without_it_ends_that_of_before(self, site):
        browser, _ = log_in(site, box=True)

        form = browser.get('/login').form
        form['user'], form['password'] = 'ada', 'first'

        assert 'Max-Age' not in line(form.submit())
        assert left(site) <= 3600

    def test_wrong_password_remembers_nobody(self, site):
        browser, answer = log_in(site, box=True, typed='wrong')

        assert 'That was not right.' in answer
        assert who(browser) is None
        assert site.store.count('ada') == 0

    def test_new_password_forgets_all_other_devices(self, site, passwords):
        here, _ = log_in(site, box=True)
        elsewhere, _ = log_in(site, box=True)

        answer = post(here, '/password', password='first', new_password='2')

        assert passwords == {'ada': '2'}
        assert who(elsewhere) is None
        assert who(here) == 'ada'
        assert 'Max-Age=1209600' in line(answer)
        assert left(site) > 13 * DAY

    def test_taking_the_user_out_leaves_a_session_for_two_weeks(self, site):
        browser, _ = log_in(site, box=True)
        cookies = browser.cookiejar

        def forget(request):
            del request.session['auth.userid']

        other = site.browser()
        other.cookiejar = cookies
        other.run(forget)

        (session,) = site.store.iter_sessions()
        assert session.userid is None
        assert session.expires - site.store.now() > 13 * DAY


@executes(PAGE, 'python', 'def day')
@executes(PAGE, 'html+jinja', 'logged in until')
def test_list_says_until_when_each_device_is_remembered(
    blocks, shop_module, make_app
):
    dates, template = blocks
    day = shop_module(dates).day
    app = make_app(track_devices=True)
    app.run(lambda request: request.session.update({'auth.userid': 'ada'}))
    sessions = app.store.for_user('ada')

    html = jinja2.Template(template.text).render(sessions=sessions, day=day)

    until = datetime.fromtimestamp(sessions[0].expires, timezone.utc)
    assert f'logged in until {until:%d %B %Y}' in html
