"""The data of a user is exported and erased, as the manual says."""

import sys
import types

import pytest

from pyramid_mysql_session import StoreUnavailable
from pyramid_mysql_session.store.users import StoredSession
from tests.manual.blocks import executes
from tests.manual.modules import shop_module

__all__ = ['shop_module']

PAGE = 'howto/export-erase.rst'
FUNCTIONS = executes(PAGE, 'python', 'def export')
VIEWS = executes(PAGE, 'python', 'def erase_me')

CART = {'auth.userid': 'ada', 'cart': {'cup': 1}, '_csrft_': 'token'}


class Policy:
    """The user is in the session."""

    def authenticated_userid(self, request):
        return request.session.get('auth.userid')

    identity = authenticated_userid

    def permits(self, request, context, permission):
        return True


@pytest.fixture
def accounts(monkeypatch):
    """The users who have an account."""
    users = types.ModuleType('shop.users')
    users.accounts = {'ada', 'grace'}
    users.delete_account = users.accounts.remove
    monkeypatch.setitem(sys.modules, 'shop.users', users)
    return users.accounts


@pytest.fixture
def make_site(blocks, shop_module, make_app, accounts):
    modules = [shop_module(each) for each in blocks if each.language != 'sql']

    def configure(config):
        config.set_security_policy(Policy())
        config.add_route('my-data', '/my-data')
        config.add_route('erase-me', '/erase-me')
        config.scan(modules[1])

    return lambda **settings: make_app(configure=configure, **settings)


def begin(site, **data):
    """Return a browser that has a session with some data."""
    browser = site.browser()

    def view(request):
        request.session.update(data)
        request.session.confirm()

    browser.run(view)
    return browser


def everything(browser):
    return browser.get('/my-data').json


@FUNCTIONS
@VIEWS
class TestPages:
    def test_user_sees_all_that_is_kept(self, make_site):
        site = make_site(track_devices=True)
        agent = 'Mozilla/5.0 (X11; Ubuntu) Firefox/130.0'
        site.extra_environ['HTTP_USER_AGENT'] = agent
        site.extra_environ['REMOTE_ADDR'] = '192.0.2.7'
        begin(site, **{'auth.userid': 'ada', 'cart': {'tin': 2}})
        begin(site, **{'auth.userid': 'grace', 'cart': {'pot': 1}})
        browser = begin(site, **CART)

        found = everything(browser)

        assert sorted(each['data']['cart'].popitem() for each in found) == [
            ('cup', 1),
            ('tin', 2),
        ]
        for each in found:
            assert set(each['data']) == {'auth.userid', 'cart'}
            assert each['created'] < each['expires']
            assert each['seen'].endswith('+00:00')

    def test_sealed_session_is_exported_where_it_is_used(self, make_site):
        site = make_site(encrypt=True)
        begin(site, **{'auth.userid': 'ada', 'cart': {'tin': 2}})
        browser = begin(site, **CART)

        here, elsewhere = sorted(
            (each['data'] for each in everything(browser)),
            key=lambda data: isinstance(data, str),
        )

        assert here == {'auth.userid': 'ada', 'cart': {'cup': 1}}
        assert elsewhere.startswith('sealed')

    def test_database_that_is_away_is_no_sealed_session(
        self, make_site, monkeypatch
    ):
        site = make_site()
        begin(site, **CART)
        browser = begin(site, **CART)

        def fail(session):
            raise StoreUnavailable('It is away.', 'Wait.')

        monkeypatch.setattr(StoredSession, 'data', fail)

        with pytest.raises(StoreUnavailable):
            everything(browser)

    def test_stranger_exports_and_erases_nothing(self, make_site):
        site = make_site()
        begin(site, **CART)
        stranger = begin(site, cart={})

        stranger.get('/my-data', status=403)
        stranger.post('/erase-me', status=403)

        assert site.store.count('ada') == 1

    def test_user_is_erased_everywhere_and_the_cookie_with_it(
        self, make_site, accounts, rows
    ):
        site = make_site()
        begin(site, **CART)
        grace = begin(site, **{**CART, 'auth.userid': 'grace'})
        browser = begin(site, **CART)

        answer = browser.post('/erase-me')

        assert accounts == {'grace'}
        assert 'Max-Age=0' in answer.headers['Set-Cookie']
        assert rows() == 1
        assert len(everything(grace)) == 1

    def test_erasing_wants_the_password(self, make_site, database, accounts):
        browser = begin(make_site(), **CART)
        database.query('UPDATE sessions SET created = created - 301')

        browser.post('/erase-me', status=403)

        assert 'ada' in accounts


@FUNCTIONS
@VIEWS
@executes(PAGE, 'sql', 'DELETE')
def test_expired_session_is_neither_exported_nor_erased_but_by_hand(
    make_site, blocks, database, rows
):
    site = make_site()
    begin(site, **CART)
    database.query('UPDATE sessions SET expires = UNIX_TIMESTAMP() - 1')
    browser = begin(site, **CART)

    assert len(everything(browser)) == 1
    browser.post('/erase-me')
    assert rows() == 1

    database.query(blocks[2].text)

    assert rows() == 0


@executes(PAGE, 'sql', 'log_bin')
def test_server_tells_how_long_it_keeps_the_binary_log(block, database):
    ((on, seconds),) = database.query(block.text)

    assert on in (0, 1)
    assert seconds >= 0
