"""How an application gets its session factory."""

import MySQLdb
import pytest
from dbutils.pooled_db import PooledDB
from pyramid.config import Configurator
from pyramid.exceptions import (
    ConfigurationConflictError,
    ConfigurationExecutionError,
)
from pyramid.interfaces import ISessionFactory
from pyramid.session import SignedCookieSessionFactory
from webtest import TestApp

import pyramid_mysql_session
from pyramid_mysql_session import (
    MySQLSessionFactory,
    SettingsError,
    get_store,
    session_factory_from_settings,
)
from tests.helpers import application, twin

PACKAGE = 'pyramid_mysql_session'


@pytest.fixture
def make_config():
    """Call it for a configurator whose session factory is closed later."""
    made = []

    def make(settings=None):
        config = Configurator(settings=settings)
        config.add_view(count_visits, renderer='json')
        made.append(config)
        return config

    yield make
    for config in made:
        factory = config.registry.queryUtility(ISessionFactory)
        if isinstance(factory, MySQLSessionFactory):
            factory.close()


@pytest.fixture
def pool(database):
    """A pool with all the defaults of DBUtils."""
    server = database.server
    pool = PooledDB(
        MySQLdb,
        user=server.user,
        password=server.password,
        database=database.name,
        **server.address,
    )
    yield pool
    pool.close()


def count_visits(request):
    session = request.session
    session['visits'] = session.get('visits', 0) + 1
    return session['visits']


def visit_twice(config):
    app = TestApp(config.make_wsgi_app())
    return [app.get('/').json, app.get('/').json]


def test_settings_added_after_the_include_count(make_config, database):
    config = make_config()
    config.include(PACKAGE)
    config.add_settings(database.settings())

    assert visit_twice(config) == [1, 2]


def test_package_named_in_pyramid_includes_is_set_up(make_config, database):
    config = make_config(
        {**database.settings(), 'pyramid.includes': f'\n{PACKAGE}\n'}
    )

    assert visit_twice(config) == [1, 2]


def test_package_included_twice_is_set_up_once(make_config, database):
    config = make_config(database.settings())
    config.include(PACKAGE)
    config.include(PACKAGE)

    assert visit_twice(config) == [1, 2]


def test_factory_built_by_hand_serves_sessions(make_config, database, pool):
    config = make_config()
    config.set_session_factory(
        session_factory_from_settings(database.settings(), pool)
    )

    assert visit_twice(config) == [1, 2]


def test_bad_settings_fail_at_the_commit(make_config):
    config = make_config({'mysql_session.idle_timeout': '20m'})
    config.include(PACKAGE)

    with pytest.raises(ConfigurationExecutionError) as info:
        config.commit()

    assert isinstance(info.value.evalue, SettingsError)
    names = [problem.split()[0] for problem in info.value.evalue.problems]
    assert names == ['mysql_session.secret:', 'mysql_session.idle_timeout']
    assert "mysql_session.idle_timeout = '20m'" in str(info.value)


def test_nothing_is_connected_before_a_session_is_used(database, statements):
    with statements() as log:
        app = application(database)
        app.run(lambda request: repr(request.session is None))

    assert log.commands == []


def test_two_session_factories_of_includes_conflict(make_config, database):
    config = make_config(database.settings())
    config.include(PACKAGE)
    config.include(use_signed_cookies)

    with pytest.raises(ConfigurationConflictError, match='ISessionFactory'):
        config.commit()


def use_signed_cookies(config):
    config.set_session_factory(SignedCookieSessionFactory('secret'))


def test_session_factory_of_the_application_overrides_the_include(
    make_config, database
):
    config = make_config(database.settings())
    config.include(PACKAGE)
    use_signed_cookies(config)

    config.commit()

    with pytest.raises(LookupError, match='not one of pyramid_mysql_session'):
        get_store(config.registry)


def test_application_without_sessions_has_no_store(make_config):
    config = make_config()
    config.commit()

    with pytest.raises(LookupError, match='the session factory is None'):
        get_store(config.registry)


def test_introspection_shows_the_factory(make_config, database):
    config = make_config(database.settings())
    config.include(PACKAGE)
    config.commit()

    (found,) = config.introspector.get_category('session factory')

    introspectable = found['introspectable']
    assert introspectable.type_name == 'session factory'
    assert 'MySQLSessionFactory' in introspectable.title
    assert introspectable['factory'] is config.registry.getUtility(
        ISessionFactory
    )


@pytest.mark.parametrize('early', [True, False])
def test_pool_in_the_registry_is_used_and_stays_open(make_config, pool, early):
    config = make_config({'mysql_session.secret': 'a secret of the tests'})
    if early:
        config.registry[pyramid_mysql_session.POOL_KEY] = pool
    config.include(PACKAGE)
    config.registry[pyramid_mysql_session.POOL_KEY] = pool

    assert visit_twice(config) == [1, 2]
    config.registry.getUtility(ISessionFactory).close()

    connection = pool.dedicated_connection()
    cursor = connection.cursor()
    cursor.execute('SELECT COUNT(*) FROM sessions')
    assert cursor.fetchone() == (1,)
    cursor.close()
    connection.close()


def test_store_is_found_from_request_and_registry(app):
    seen = []
    app.run(lambda request: seen.append(get_store(request)))

    store = get_store(app.registry)
    assert store is app.registry.getUtility(ISessionFactory).store
    assert [each.count() for each in [store, *seen]] == [0, 0]


def test_two_applications_keep_their_sessions_apart(make_app):
    shop, forum = (
        make_app(table_name=name, cookie_name=name)
        for name in ('shop', 'forum')
    )
    for app in (shop, forum):
        app.run(lambda request: request.session.update(here=True))
    stranger = forum.browser()
    stranger.set_cookie('forum', shop.cookies['shop'])

    assert stranger.run(lambda request: dict(request.session)).json == {}
    assert (shop.store.count(), forum.store.count()) == (1, 1)


def test_two_applications_with_equal_settings_share_their_sessions(make_app):
    one = make_app()
    one.run(lambda request: request.session.update(here=True))
    other = twin(one, make_app())

    assert other.run(lambda request: dict(request.session)).json == {
        'here': True
    }
