"""How settings become a session factory; nothing is connected."""

import pickle
import weakref
from types import SimpleNamespace
from unittest import mock

import MySQLdb
import pytest
from dbutils.persistent_db import PersistentDB
from dbutils.pooled_db import PooledDB
from pyramid.config import Configurator
from pyramid.interfaces import ISessionFactory
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

import pyramid_mysql_session
from pyramid_mysql_session import SettingsError, get_store
from pyramid_mysql_session.connection import opening
from pyramid_mysql_session.events import SessionsPurged
from pyramid_mysql_session.session.kit import SessionKit
from pyramid_mysql_session.session.sealing import NoSeal
from pyramid_mysql_session.session.session import MySQLSession
from pyramid_mysql_session.store.keys import (
    is_young,
    make_session_id,
    renew_session_id,
    stored_key,
)
from pyramid_mysql_session.web.factory import MySQLSessionFactory, Subscribers
from pyramid_mysql_session.web.visitors import Visitors
from tests.unit.web.visitor import POLICY, write

VISITORS = Visitors(track_devices=False, userid=None)
SECRET = 'a secret of more than 32 characters'


class Pool(PooledDB):
    """Connects to nothing, and counts how often it is closed."""

    def __init__(self):
        self.closed = 0

    def dedicated_connection(self):
        raise AssertionError('nothing may connect here')

    def close(self):
        self.closed += 1


@pytest.fixture
def made(monkeypatch):
    """What ``make_pooled`` was called with, and the ``pool`` it made."""
    made = SimpleNamespace(pool=Pool())

    def make_pooled(options, *rest):
        vars(made).update(options=options, rest=rest)
        return made.pool

    monkeypatch.setattr(opening, 'make_pooled', make_pooled)
    return made


@pytest.fixture
def my_cnf(tmp_path):
    """The path of an option file."""
    path = tmp_path / 'my.cnf'
    path.touch()
    return str(path)


class TestPool:
    def test_option_file_that_is_missing_is_an_error(self, make_factory):
        with pytest.raises(SettingsError) as caught:
            make_factory(read_default_file='/no/such.cnf')

        assert caught.value.problems == (
            "mysql_session.read_default_file = '/no/such.cnf': expected the "
            'path of a file that can be read (No such file or directory)',
        )

    def test_persistent_connections_are_refused_as_a_pool(self, make_factory):
        pool = PersistentDB(MySQLdb, password='hunter2')

        with pytest.raises(SettingsError) as caught:
            make_factory(pool)

        assert caught.value.problems == (
            'mysql_session.pool: expected a PooledDB of DBUtils, not something'
            ' of type dbutils.persistent_db.PersistentDB',
        )

    def test_defaults_say_how_to_connect(self, make_factory, made):
        make_factory()

        assert made.options == {
            'host': 'localhost',
            'port': 3306,
            'user': 'somebody',
            'database': 'somewhere',
            'connect_timeout': 5,
            'read_timeout': 10,
            'write_timeout': 10,
            'charset': 'utf8mb4',
        }
        assert made.rest == (5, ())

    def test_settings_say_how_to_connect(self, make_factory, made, my_cnf):
        options = {
            'host': 'db.example',
            'port': 3307,
            'unix_socket': '/run/db.sock',
            'user': 'ada',
            'password': 'hunter2',
            'database': 'shop',
            'read_default_file': my_cnf,
            'read_default_group': 'shop',
            'ssl_mode': 'VERIFY_CA',
            'connect_timeout': 1,
            'read_timeout': 2,
            'write_timeout': 3,
            'charset': 'utf8mb3',
        }

        make_factory(
            **options,
            ssl_ca='/ca.pem',
            ssl_cert='/cert.pem',
            ssl_key='/key.pem',
            connection_limit=4,
            lock_timeout=6,
            session_variables='wsrep_sync_wait = 7',
        )

        ssl = {'ca': '/ca.pem', 'cert': '/cert.pem', 'key': '/key.pem'}
        # the client library has the socket of no other host
        expected = {**options, 'host': 'localhost', 'ssl': ssl}
        assert made.options == expected
        assert made.rest == (6, ('wsrep_sync_wait = 7',))

    def test_option_file_says_what_the_settings_leave_open(
        self, make_factory, made, my_cnf
    ):
        make_factory(read_default_file=my_cnf, user=None, database=None)

        assert made.options.keys().isdisjoint(
            ['host', 'port', 'user', 'database', 'password']
        )

    @pytest.mark.parametrize(
        ('passed_in', 'close_pool', 'closed'),
        [
            (False, None, True),
            (False, False, False),
            (True, None, False),
            (True, True, True),
        ],
    )
    def test_close_closes_the_pool_as_the_setting_says(
        self, make_factory, made, passed_in, close_pool, closed
    ):
        pool = Pool()
        factory = make_factory(
            pool if passed_in else None, close_pool=close_pool
        )

        factory.close()
        factory.close()

        assert bool((pool if passed_in else made.pool).closed) == closed
        assert factory.store.closed

    def test_dropped_store_closes_its_pool(self, made):
        factory = pyramid_mysql_session.session_factory_from_settings(
            {
                'mysql_session.secret': SECRET,
                'mysql_session.user': 'ada',
                'mysql_session.database': 'shop',
            }
        )
        store = factory.store
        del factory
        assert not made.pool.closed

        del store

        assert made.pool.closed


class TestSettings:
    def test_cookie_is_as_the_defaults_say(self, make_factory):
        policy = make_factory()._policy

        assert policy == POLICY._replace(
            signer=policy.signer, reader=policy.reader, doubted=set()
        )

    def test_cookie_is_as_the_settings_say(self, make_factory):
        cookie = {
            'name': '__Secure-s',
            'path': '/shop',
            'domain': 'shop.example',
            'secure': True,
            'httponly': False,
            'samesite': 'None',
        }

        policy = make_factory(
            set_on_exception=False,
            **{f'cookie_{name}': value for name, value in cookie.items()},
        )._policy

        assert policy._asdict() == {
            **cookie,
            'signer': policy.signer,
            'reader': policy.reader,
            'set_on_exception': False,
            'doubted': set(),
        }

    def test_secrets_sign_and_verify(self, make_factory):
        session_id = '0' * 52
        old, new = (
            make_factory(secret=secret)._policy.signer
            for secret in (SECRET, f'new{SECRET}\n{SECRET}')
        )

        assert new.verify(old.sign(session_id)) == (session_id, True)

    def test_short_secret_is_warned_of_but_not_shown(
        self, make_factory, caplog
    ):
        make_factory(secret=['x' * 32])
        assert caplog.messages == []

        make_factory(secret=f'{SECRET}{SECRET}\nhunter2')
        assert caplog.messages == [
            'mysql_session.secret has fewer than 32 characters: take a longer '
            'one, such as the output of python -c "import secrets; '
            'print(secrets.token_urlsafe(48))"'
        ]

    @pytest.mark.parametrize(
        ('settings', 'told'),
        [
            ({'port': 3307}, True),
            ({'host': 'localhost', 'port': '3307'}, True),
            ({'host': '127.0.0.1', 'port': 3307}, False),
            ({'host': 'localhost', 'port': 3306}, False),
            ({'port': 3307, 'unix_socket': '/run/db.sock'}, False),
            ({'port': 3307, 'pool': Pool()}, False),
        ],
    )
    def test_port_that_is_not_used_is_told(
        self, make_factory, caplog, settings, told
    ):
        make_factory(secret=SECRET, **settings)

        expected = (
            'mysql_session.port = 3307 is not used: localhost stands for the '
            'socket of the server; set mysql_session.host = 127.0.0.1 to '
            'connect to that port'
        )
        assert caplog.messages == [expected] * told

    def test_sessions_are_as_the_settings_say(self, make_factory):
        factory = make_factory(
            serializer=pickle,
            idle_timeout=60,
            anonymous_idle_timeout=30,
            absolute_timeout=600,
            touch_interval=7,
            cookie_max_age=50,
            userid_key='who',
            lock_timeout=6,
        )

        kit = factory._kit
        assert type(kit.seal) is NoSeal
        assert kit._replace(handle=None, seal=None) == SessionKit(
            store=factory.store,
            serializer=pickle,
            make_session_id=make_session_id,
            renew_session_id=renew_session_id,
            seal=None,
            handle=None,
            is_young=is_young,
            idle_timeout=60,
            anonymous_idle_timeout=30,
            absolute_timeout=600,
            touch_interval=7,
            cookie_max_age=50,
            longest_timeout=34_560_000,
            userid_key='who',
            asks_userid=False,
            lock_timeout=6,
        )

    @pytest.mark.parametrize('shard_bytes', [0, 1, 2])
    def test_sessions_and_store_make_the_same_keys(
        self, make_factory, shard_bytes
    ):
        factory = make_factory(shard_bytes=shard_bytes)
        session_id = factory._kit.make_session_id()
        key = stored_key(session_id, shard_bytes)

        assert factory._kit.handle(session_id) == key[:16].hex()
        assert factory.store._records._write.key(session_id) == key


class TestRequests:
    @pytest.fixture
    def registry(self):
        return Registry()

    @pytest.fixture
    def reaper(self):
        return mock.Mock(spec_set=['start', 'stop', 'close'])

    @pytest.fixture
    def factory(self, store, make_kit, reaper):
        return MySQLSessionFactory(
            store, POLICY, make_kit(), VISITORS, Subscribers(), reaper
        )

    @staticmethod
    def visit(factory, registry, use):
        request = Request.blank('/')
        request.registry = registry
        session = factory(request)
        assert type(session) is MySQLSession
        use(session)
        request._process_response_callbacks(Response())
        request._process_finished_callbacks()

    def test_saved_session_starts_the_reaper(self, factory, registry, reaper):
        self.visit(factory, registry, lambda session: None)
        self.visit(factory, registry, dict)
        assert reaper.mock_calls == []

        self.visit(factory, registry, write)
        assert reaper.mock_calls == [mock.call.start()]

    def test_application_that_uses_sessions_hears_of_purges(
        self, store, make_kit, registry
    ):
        subscribers = Subscribers()
        factory = MySQLSessionFactory(
            store, POLICY, make_kit(), VISITORS, subscribers, None
        )

        self.visit(factory, registry, write)

        assert subscribers.registry() is registry

    def test_close_closes_reaper_and_store(self, factory, reaper, store):
        factory.close()

        assert reaper.mock_calls == [mock.call.close()]
        assert store.closed

    def test_dropped_factory_stops_the_reaper(self, store, make_kit, reaper):
        MySQLSessionFactory(
            store, POLICY, make_kit(), VISITORS, Subscribers(), reaper
        )

        assert reaper.mock_calls == [mock.call.stop()]

    def test_factory_without_a_reaper_works(self, store, make_kit, registry):
        factory = MySQLSessionFactory(
            store, POLICY, make_kit(), VISITORS, Subscribers(), None
        )

        self.visit(factory, registry, dict)
        factory.close()

    @pytest.mark.parametrize('purge', [True, False])
    def test_setting_says_whether_there_is_a_reaper(self, make_factory, purge):
        factory = make_factory(purge_expired=purge, purge_interval=7)

        assert (factory._reaper is not None) == purge


class TestSubscribers:
    def test_purge_is_told_to_the_application(self):
        registry, events = Registry(), []
        registry.registerHandler(events.append, (SessionsPurged,))
        subscribers = Subscribers()
        subscribers.registry = weakref.ref(registry)

        subscribers.on_purge(5, 0.5)

        assert events == [SessionsPurged(rows=5, seconds=0.5)]

    def test_purge_is_told_to_nobody_without_an_application(self):
        registry, subscribers = Registry(), Subscribers()
        subscribers.on_purge(5, 0.5)
        subscribers.registry = weakref.ref(registry)

        del registry

        assert subscribers.registry() is None
        subscribers.on_purge(5, 0.5)


class TestInclude:
    @pytest.fixture
    def config(self, made):
        config = Configurator()
        config.include('pyramid_mysql_session')
        config.add_settings(
            {
                'mysql_session.secret': SECRET,
                'mysql_session.user': 'ada',
                'mysql_session.database': 'shop',
            }
        )
        yield config
        config.registry.getUtility(ISessionFactory).close()

    def test_store_is_found_from_registry_and_request(self, config):
        config.commit()
        registry = config.registry
        request = SimpleNamespace(registry=registry)
        store = registry.getUtility(ISessionFactory).store

        assert get_store(registry) is store
        assert get_store(request)._pool is store._pool

    def test_pool_of_the_registry_is_used(self, config, made):
        pool = config.registry['mysql_session.pool'] = Pool()
        config.commit()

        assert not hasattr(made, 'options')
        get_store(config.registry).close()
        assert not pool.closed

    def test_factory_of_somebody_else_has_no_store(self):
        registry = Registry()

        with pytest.raises(LookupError) as caught:
            get_store(registry)

        assert str(caught.value) == (
            'the session factory is None, not one of pyramid_mysql_session: '
            'include it in the configuration'
        )
