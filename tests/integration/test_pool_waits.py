"""Every wait has a limit, and a lost connection is replaced."""

import contextlib
import functools
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import MySQLdb
import pytest

from pyramid_mysql_session import StoreUnavailable
from tests import helpers
from tests.faults.proxy import Proxy

#: Seconds that a bounded wait may take longer than its limit.
MARGIN = 0.9

LOST = (
    'The connection to MySQL was lost. Check that the server runs and look '
    'at its log; mysql_session.connect_timeout and '
    'mysql_session.read_timeout limit how long an answer may take. '
    '(MySQL error 2013)'
)
UNREACHABLE = (
    'MySQL cannot be reached. Check mysql_session.host, mysql_session.port, '
    'mysql_session.unix_socket and the ssl settings, and that the server '
    'runs. (MySQL error {})'
)


def fill(request):
    request.session['number'] = 1


def count(request):
    request.session['number'] += 1
    return request.session['number']


def read(request):
    return request.session.get('number')


def keep_a_connection_and(work):
    """Return a view that keeps a connection while it does something."""

    def view(request):
        with request.session.locked():
            work()

    return view


@contextlib.contextmanager
def takes(seconds):
    """Assert that a block takes so many seconds, and a margin at most."""
    began = time.monotonic()
    yield
    assert seconds <= time.monotonic() - began < seconds + MARGIN


@pytest.fixture
def thread():
    """Runs functions in another thread."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


class TestLimit:
    def browsers(self, app, number):
        browsers = [app.browser() for _ in range(number)]
        for browser in browsers:
            browser.run(fill)
        return browsers

    def test_process_never_opens_more_connections_than_the_limit(
        self, database, make_app
    ):
        app = make_app(connection_limit=2, connection_wait=1)
        first, second, third = self.browsers(app, 3)
        opened = []

        def use_a_third():
            opened.append(len(helpers.connections(database)))
            return third.run(count)

        with takes(1), pytest.raises(StoreUnavailable) as caught:
            first.run(
                keep_a_connection_and(
                    lambda: second.run(keep_a_connection_and(use_a_third))
                )
            )

        assert str(caught.value) == (
            'No connection became free within 1 seconds. Raise '
            'mysql_session.connection_limit, which is 2, or '
            'mysql_session.connection_wait.'
        )
        assert caught.value.code is None
        assert opened == [2]
        assert third.run(count).json == 2
        assert len(helpers.connections(database)) == 2

    def test_request_goes_on_as_soon_as_a_connection_is_free(
        self, make_app, thread
    ):
        app = make_app(connection_limit=1, connection_wait=30)
        first, second = self.browsers(app, 2)
        waiting = []

        first.run(
            keep_a_connection_and(
                lambda: waiting.append(thread.submit(second.run, count))
            )
        )

        assert waiting[0].result(MARGIN).json == 2


class TestSlowServer:
    def test_connecting_ends_after_connect_timeout(self, make_app):
        with socket.create_server(('127.0.0.1', 0)) as silent:
            host, port = silent.getsockname()
            app = make_app(
                host=host, port=port, unix_socket=None, connect_timeout=1
            )

            with takes(1), pytest.raises(StoreUnavailable) as caught:
                app.run(fill)

        assert str(caught.value) == UNREACHABLE.format(2013)
        # nothing was sent that could have been executed
        assert not caught.value.outcome_unknown
        assert isinstance(caught.value.__cause__, MySQLdb.OperationalError)

    def test_statement_ends_after_read_timeout(self, private_server):
        server = private_server()
        app = helpers.application(
            server.create_database(),
            read_timeout=1,
            connect_timeout=1,
            connection_wait=1,
        )
        app.run(fill)

        server.pause()
        for text in (LOST, UNREACHABLE.format(2013)):
            with takes(1), pytest.raises(StoreUnavailable) as caught:
                app.run(read)
            assert str(caught.value) == text
            # a read stores nothing
            assert not caught.value.outcome_unknown
        server.resume()

        assert app.run(count).json == 2
        app.close()

    def test_slow_connect_does_not_stop_other_threads(
        self, server, make_app, thread
    ):
        connecting, go_on = threading.Event(), threading.Event()

        def hold(line):
            connecting.set()
            go_on.wait()
            line.execute()
            line.deliver()

        with Proxy(server.address) as proxy:
            app = make_app(**proxy.settings)
            first, second = app.browser(), app.browser()
            first.run(fill)
            second.run(fill)
            proxy.on('ISOLATION LEVEL', hold)
            waiting = []

            def make_another_connect():
                waiting.append(thread.submit(second.run, count))
                connecting.wait()

            first.run(keep_a_connection_and(make_another_connect))
            with takes(0):
                assert first.run(count).json == 2
            assert not waiting[0].done()
            go_on.set()

            assert waiting[0].result(10).json == 2


class TestLostConnections:
    def test_connection_killed_while_idle_is_replaced(
        self, database, statements, app
    ):
        app.run(fill)
        helpers.kill_connections(database)

        with statements() as log:
            assert app.run(count).json == 2

        assert [text.split()[0] for text in log if text[:3] != 'SET'] == [
            'SELECT',
            'UPDATE',
        ]
        assert len(helpers.connections(database)) == 1

    def test_every_idle_connection_may_have_been_killed(
        self, database, make_app
    ):
        app = make_app()
        browsers = [app.browser() for _ in range(5)]
        for browser in browsers:
            browser.run(fill)
        work = dict
        for browser in browsers:
            # each keeps its connection while the next one needs another
            work = functools.partial(browser.run, keep_a_connection_and(work))
        work()
        assert len(helpers.connections(database)) == 5
        helpers.kill_connections(database)

        assert [browser.run(count).json for browser in browsers] == [2] * 5

    def test_restarted_server_is_used_again_without_an_error(
        self, private_server
    ):
        server = private_server()
        app = helpers.application(server.create_database())
        app.run(fill)

        server.restart()
        assert app.run(count).json == 2
        server.stop()
        with pytest.raises(StoreUnavailable) as caught:
            app.run(count)
        assert str(caught.value) == UNREACHABLE.format(2002)
        server.start()

        assert app.run(count).json == 3
        app.close()


class TestClose:
    def test_use_after_close_fails_and_nothing_stays_open(self, database, app):
        app.run(fill)
        app.close()
        app.close()

        helpers.wait_until(lambda: not helpers.connections(database))
        with pytest.raises(StoreUnavailable) as caught:
            app.run(read)
        assert str(caught.value) == (
            'The session store is closed. It was closed with close(); build '
            'a new session factory.'
        )
        assert helpers.connections(database) == {}

    def test_close_during_a_request_lets_it_finish(self, database, make_app):
        app = make_app()
        app.run(fill)

        def close_and_count(request):
            with request.session.locked():
                app.close()
                return count(request)

        assert app.run(close_and_count).json == 2
        helpers.wait_until(lambda: not helpers.connections(database))
        assert database.query('SELECT data FROM sessions') == [
            ('{"number":2}',)
        ]

    def test_close_wakes_who_waits_for_a_connection(self, make_app, thread):
        app = make_app(connection_limit=1, connection_wait=30)
        other = app.browser()
        app.run(fill)
        other.run(fill)
        waiting = []

        def close(request):
            with request.session.locked():
                waiting.append(thread.submit(other.run, count))
                app.close()

        app.run(close)

        with pytest.raises(StoreUnavailable, match='is closed'):
            waiting[0].result(MARGIN)
