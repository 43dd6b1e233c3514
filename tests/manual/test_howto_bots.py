"""Visitors without a user fill no table, as the manual says."""

import logging

import pytest
from pyramid.csrf import get_csrf_token
from pyramid.renderers import render_to_response

from tests.manual.blocks import executes

PAGE = 'howto/bots.rst'
POLICY = executes(PAGE, 'python', 'NoTokenForBots')
FORM = executes(PAGE, 'html+jinja', 'Log out')

BOT = {'User-Agent': 'Mozilla/5.0 (compatible; Examplebot/2.1)'}
BROWSER = {'User-Agent': 'Mozilla/5.0 (X11; Linux) Firefox/130.0'}


class Policy:
    """The user is in the session."""

    def authenticated_userid(self, request):
        return request.session.get('auth.userid')

    identity = authenticated_userid

    def permits(self, request, context, permission):
        return True


@executes(PAGE, 'python', 'share_of_strangers')
def test_share_of_strangers_is_counted(block, recipe, app):
    module = recipe(block)
    app.store.create_table()
    assert module.share_of_strangers(app.registry) == 0

    app.run(lambda request: request.session.update({'auth.userid': 5}))
    for _ in range(3):
        app.browser().run(get_csrf_token)

    assert module.share_of_strangers(app.registry) == 0.75


@executes(PAGE, 'python', 'def note_beginning')
def test_log_tells_who_gets_a_session_and_where(
    block, recipe, make_app, caplog
):
    caplog.set_level(logging.INFO, 'shop.sessions')
    module = recipe(block)
    app = make_app(configure=lambda config: config.scan(module))

    for _ in range(2):
        app.run(get_csrf_token, path='/', headers=BOT)
    app.browser().run(lambda request: dict(request.session), headers=BOT)

    assert caplog.messages == [f'/ {BOT["User-Agent"]!r}']


@executes(PAGE, 'sql', 'userid IS NULL')
def test_flood_is_deleted_and_no_user_with_it(block, app, database, rows):
    app.run(lambda request: request.session.update({'auth.userid': 5}))
    old = app.browser()
    old.run(get_csrf_token)
    database.query(
        'UPDATE sessions SET created = created - 3601 WHERE userid IS NULL'
    )
    for _ in range(3):
        app.browser().run(get_csrf_token)

    database.query(block.text)

    assert rows() == 2
    assert app.store.count(5) == 1


@FORM
def test_form_of_users_makes_no_row_for_strangers(
    block, make_app, tmp_path, rows
):
    (tmp_path / 'head.jinja2').write_text(block.text)

    def configure(config):
        config.add_settings({'jinja2.directories': str(tmp_path)})
        config.include('pyramid_jinja2')
        config.set_security_policy(Policy())

    app = make_app(configure=configure)
    app.store.create_table()

    def page(request):
        return render_to_response('head.jinja2', {}, request)

    assert 'Log in' in app.run(page)
    assert rows() == 0
    app.run(lambda request: request.session.update({'auth.userid': 5}))
    assert 'csrf_token' in app.run(page)


@POLICY
class TestNoTokenForBots:
    @pytest.fixture
    def app(self, block, recipe, make_app):
        module = recipe(block)

        def configure(config):
            config.include(module)
            config.set_default_csrf_options(require_csrf=True)

        app = make_app(configure=configure)
        app.store.create_table()
        return app

    def test_bot_gets_no_row_and_cannot_send_the_form(self, app, rows):
        token = app.run(get_csrf_token, headers=BOT).json

        assert rows() == 0
        headers = {**BOT, 'X-CSRF-Token': token}
        app.run(method='POST', headers=headers, status=400)

    def test_browser_gets_a_token_that_counts(self, app, rows):
        token = app.run(get_csrf_token, headers=BROWSER).json

        assert rows() == 1
        headers = {**BROWSER, 'X-CSRF-Token': token}
        assert app.run(str, method='POST', headers=headers).status_int == 200
        headers['X-CSRF-Token'] = 'none'
        app.run(method='POST', headers=headers, status=400)

    def test_browser_without_a_name_is_no_bot(self, app, rows):
        app.run(get_csrf_token)

        assert rows() == 1
