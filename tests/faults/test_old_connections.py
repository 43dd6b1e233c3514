"""Connections that were idle, or alive, for too long are not trusted."""

import threading
import time

import pytest

from pyramid_mysql_session import StoreUnavailable
from pyramid_mysql_session.connection import lending, trial
from pyramid_mysql_session.store.keys import make_session_id
from tests import helpers

NUMBER = 10


def use_together(store):
    """Let the pool of a store make all the connections that it may."""
    together = threading.Barrier(NUMBER)

    def work(connection):
        connection.fetch('SELECT 1')
        together.wait(20)

    threads = [
        threading.Thread(target=store._pool.run, args=(work,))
        for _ in range(NUMBER)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def connection_id(app):
    ((number,),) = helpers.fetch(app, 'SELECT CONNECTION_ID()')
    return number


@pytest.fixture
def later(monkeypatch):
    """Call it for connections that have seen some seconds pass."""

    def move(seconds):
        now = time.monotonic

        class Later:
            sleep = staticmethod(time.sleep)

            @staticmethod
            def monotonic():
                return now() + seconds

        monkeypatch.setattr(lending, 'time', Later)

    return move


class TestFirewall:
    """What drops connections without a word costs one slow request."""

    @pytest.mark.parametrize('pooled', ['own', 'passed in'])
    def test_only_one_request_is_slow(
        self, database, make_pool, proxy, monkeypatch, pooled
    ):
        # they need not wait for it here
        monkeypatch.setattr(trial, '_LONG_IDLE', 0)
        times = {'connect_timeout': 1, 'read_timeout': 1}
        if pooled == 'own':
            app = helpers.application(
                database, connection_limit=NUMBER, **proxy.settings, **times
            )
        else:
            address = {name: proxy.settings[name] for name in ('host', 'port')}
            pool = make_pool(
                {
                    **{
                        'unix_socket': '',
                        'ssl_mode': proxy.settings['ssl_mode'],
                    },
                    **{**address, **times},
                },
                {'maxconnections': NUMBER, 'maxcached': NUMBER, 'ping': 0},
            )
            app = helpers.application(database, pool=pool, **times)
        store = app.store
        session_id = make_session_id()
        store.create(session_id, '{}', 1000)
        use_together(store)
        assert len(helpers.connections(database)) >= NUMBER
        proxy.drop_lines()

        slow = 0
        for _ in range(3 * NUMBER):
            began = time.monotonic()
            assert store.load(session_id) is not None
            slow += time.monotonic() - began > 0.9
        assert slow == 1
        app.close()


class TestReplacement:
    @pytest.mark.parametrize(
        ('settings', 'seconds', 'replaced'),
        [
            ({}, 49, False),
            ({}, 52, True),
            ({'connection_max_idle': 10_000}, 1700, False),
            ({'connection_max_idle': 10_000}, 1802, True),
            (
                {'connection_max_idle': 9000, 'connection_max_age': 9000},
                8990,
                False,
            ),
        ],
    )
    @pytest.mark.parametrize('pooled', ['own', 'passed in'])
    def test_connection_that_is_old_is_replaced_before_use(
        self, database, make_pool, later, settings, seconds, replaced, pooled
    ):
        pool = None
        if pooled == 'passed in':
            pool = make_pool(options={'ping': 0})
        app = helpers.application(database, pool=pool, **settings)
        app.run(lambda request: request.session.update(a=1))
        before = connection_id(app)

        later(seconds)

        assert (connection_id(app) != before) is replaced
        assert app.run(lambda request: request.session['a']).json == 1
        app.close()


class TestWrongServer:
    """What one connection says of its server holds for all of them."""

    @pytest.mark.parametrize('pooled', ['own', 'passed in'])
    def test_none_that_was_open_when_it_took_no_writes_is_used_again(
        self, database, make_pool, pooled
    ):
        with helpers.user(database, 'ALL') as who:
            pool = None
            if pooled == 'passed in':
                pool = make_pool(
                    who,
                    {'maxconnections': NUMBER, 'maxcached': NUMBER, 'ping': 0},
                )
            app = helpers.application(
                database,
                pool=pool,
                connection_limit=NUMBER,
                connection_wait=1,
                **who,
            )
            store = app.store
            session_id = make_session_id()
            revision = store.create(session_id, '{}', 1000)
            use_together(store)
            before = set(helpers.connections(database))
            assert len(before) >= NUMBER

            def read_while_a_save_fails(connection):
                with (
                    helpers.variables(database.server, read_only=1),
                    pytest.raises(StoreUnavailable, match='read-only'),
                ):
                    store.save(session_id, '{"a":1}', revision, 1000)
                # it still reads
                connection.fetch('SELECT 1')

            store._pool.run(read_while_a_save_fails)

            used = {connection_id(app) for _ in range(2 * NUMBER)}
            assert not used & before
            app.close()
