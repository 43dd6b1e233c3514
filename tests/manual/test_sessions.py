"""What the manual has applications do with their sessions."""

import functools
import logging
import types

import MySQLdb
import pytest
from pyramid.csrf import get_csrf_token
from pyramid.interfaces import ISessionFactory
from webtest import TestApp

from pyramid_mysql_session import SchemaError, StoreUnavailable, get_store
from pyramid_mysql_session.store.keys import make_session_id
from tests.helpers import application, count, fetch, twin
from tests.manual.blocks import executes
from tests.manual.shop import Policy


def data(request):
    return dict(request.session)


def run(block, **names):
    """Run a block of a few lines, which is no module."""
    exec(compile(block.text, block.page, 'exec'), names)  # noqa: S102


def create(app, *users):
    for user in users:
        app.store.create(make_session_id(), '{}', 3600, user)


@pytest.fixture
def in_folder(write_ini, monkeypatch):
    """Work where ``production.ini`` is."""
    path = write_ini('')
    monkeypatch.chdir(path.parent)


@executes('sessions.rst', 'python', "session |= {'colour': 'blue'}")
def test_session_is_changed_as_a_dict(block, app):
    app.run(lambda request: run(block, request=request))

    assert app.run(data).json == {'seen': ['teapot'], 'colour': 'blue'}


@executes('sessions.rst', 'python', "request.session['tries']")
def test_tries_are_counted_until_there_were_three(block, recipe, app):
    view = recipe(block).count_tries

    for _ in range(3):
        app.run(view)
    app.run(view, status=403)

    assert app.run(data).json == {'tries': 3}


@executes('howto/logout-everywhere.rst', 'python', 'def log_out_elsewhere')
def test_all_sessions_of_a_user_but_this_one_end(block, recipe, make_app):
    view = recipe(block).log_out_elsewhere
    app = make_app(
        configure=lambda config: config.set_security_policy(Policy())
    )

    def log_in(request):
        request.session['auth.userid'] = 'ada'

    app.extra_environ['REMOTE_USER'] = 'ada'
    app.run(log_in)
    create(app, 'ada', 'ada', 'grace')

    assert app.run(view).json == 2
    assert app.run(data).json == {'auth.userid': 'ada'}
    assert app.store.count('grace') == 1
    del app.extra_environ['REMOTE_USER']
    app.run(view, status=403)


@executes('howto/users.rst', 'python', 'def sessions_of')
def test_sessions_of_a_user_are_listed(block, recipe, app, capsys):
    view = recipe(block).sessions_of
    app.store.create_table()
    create(app, 'ada', 'ada', 'grace')

    app.run(lambda request: view(request, 'ada'))

    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == {
        session.handle for session in app.store.for_user('ada')
    }


@executes('howto/bots.rst', 'python', 'CookieCSRFStoragePolicy')
def test_tokens_in_cookies_make_no_rows(block, recipe, make_app, rows):
    app = make_app(configure=recipe(block).includeme)
    app.store.create_table()

    token = app.run(get_csrf_token).json

    assert app.run(get_csrf_token).json == token
    assert rows() == 0


@pytest.mark.parametrize('reads', [True, False], ids=['read', 'save'])
@executes('concurrency.rst', 'python', 'exception_view_config')
def test_database_that_is_down_is_answered_and_logged(
    block, recipe, database, caplog, reads
):
    module = recipe(block)
    up = application(database)
    down = application(
        database,
        configure=lambda config: config.scan(module),
        unix_socket='/nowhere',
        host=None,
    )

    def save(request):
        request.session['seen'] = True

    up.run(save)
    browser = twin(up, down) if reads else down
    answer = browser.run(data if reads else save, status=503)

    assert answer.text == 'Please try again in half a minute.'
    assert answer.headers['Retry-After'] == '30'
    (said,) = [r for r in caplog.records if r.name == module.__name__]
    assert said.levelno == logging.ERROR
    assert said.getMessage().startswith('GET /: MySQL cannot be reached')
    up.close()
    down.close()


@executes('events.rst', 'python', 'SessionLost')
def test_lost_session_is_noted(block, recipe, make_app, caplog):
    module = recipe(block)
    app = make_app(configure=lambda config: config.scan(module))

    def change(request):
        request.session['seen'] = request.session.get('seen', 0) + 1
        if request.session['seen'] > 1:
            app.store.clear()

    app.run(change)
    app.run(change)

    assert 'a session ended before it was saved' in caplog.messages


@executes('security.rst', 'python', "path='/old'")
def test_old_cookie_is_deleted_with_the_new_id(block, app):
    def save(request):
        request.session['seen'] = True

    app.run(save)

    answer = app.run(lambda request: run(block, request=request))

    new, old = sorted(answer.headers.getall('Set-Cookie'), key=len)[::-1]
    assert old.startswith('session=; Max-Age=0; Path=/old;')
    assert new.startswith('session=')
    assert 'Path=/;' in new
    assert app.run(data).json == {'seen': True}


@executes('configuration.rst', 'python', 'as config:\n        config.include(')
def test_include_makes_a_store(block, recipe, database):
    app = recipe(block).main({}, **database.settings())

    assert get_store(app.registry).create_table() is None
    assert count(database) == 0


@executes('configuration.rst', 'python', 'PooledDB(')
def test_pool_of_the_application_serves_sessions(
    block, recipe, shop, monkeypatch
):
    server = shop.server
    server.query("CREATE USER shop@localhost IDENTIFIED BY 'correct horse'")
    server.query('GRANT ALL ON shop.* TO shop@localhost')
    connect = functools.partial(MySQLdb.connect, **server.address)
    monkeypatch.setattr(MySQLdb, 'connect', connect)

    app = recipe(block).main(
        {}, **{'mysql_session.secret': shop.settings()['mysql_session.secret']}
    )

    store = get_store(app.registry)
    store.create_table()
    assert count(shop) == 0
    asked = 'SELECT @@innodb_lock_wait_timeout, CURRENT_USER()'
    (answer,) = fetch(types.SimpleNamespace(store=store), asked)
    assert answer == (5, 'shop@localhost')
    app.registry['mysql_session.pool'].close()


@executes('configuration.rst', 'python', 'config.set_session_factory')
def test_factory_built_by_hand_is_that_of_the_application(
    block, recipe, database
):
    app = recipe(block).main({}, **database.settings())

    app.registry.getUtility(ISessionFactory).store.create_table()
    assert count(database) == 0


@executes('configuration.rst', 'python', "'sessions are alive'")
def test_script_counts_sessions(block, app, in_folder, capsys):
    app.store.create_table()
    create(app, 'ada', 'grace')

    run(block)

    assert capsys.readouterr().out == '2 sessions are alive\n'


@executes('table.rst', 'python', 'create_table')
def test_script_creates_the_table(block, in_folder, database):
    run(block)

    assert count(database) == 0


@executes('configuration.rst', 'python', 'def close(app)')
def test_factory_that_is_closed_serves_nobody(block, recipe, app):
    app.store.create_table()

    recipe(block).close(app)

    with pytest.raises(StoreUnavailable):
        app.store.count()


@executes('table.rst', 'python', 'check_table()')
def test_table_is_checked_when_the_application_starts(block, recipe, database):
    main = recipe(block).main
    app = main({}, **database.settings())

    assert get_store(app.registry).count() == 0
    database.query('ALTER TABLE sessions DROP COLUMN revision')
    with pytest.raises(SchemaError):
        main({}, **database.settings())


@executes('deployment.rst', 'python', 'ProxyFix')
def test_address_is_what_the_proxy_says_of_the_visitor(
    block, recipe, database, monkeypatch
):
    module = recipe(block)

    class Shop(module.Configurator):
        def make_wsgi_app(self):
            self.add_view(
                lambda request: f'{request.scheme} {request.remote_addr}',
                renderer='string',
            )
            self.commit()
            return super().make_wsgi_app()

    monkeypatch.setattr(module, 'Configurator', Shop)
    browser = TestApp(module.main({}, **database.settings()))

    answer = browser.get(
        '/',
        headers={
            'X-Forwarded-For': '10.9.9.9, 192.0.2.7',
            'X-Forwarded-Proto': 'https',
        },
    )

    assert answer.text == 'https 192.0.2.7'
