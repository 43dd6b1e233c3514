"""What becomes of threads and connections at the end."""

import contextlib
import gc
import sys
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyramid_mysql_session import SessionsPurged, StoreUnavailable
from pyramid_mysql_session.store import reaper as reaper_module
from tests import helpers

CLOSED = r'^The session store is closed\. '
DEAD = 500


@pytest.fixture
def purge_at_once(monkeypatch):
    """Let threads purge at once, and then every second."""
    monkeypatch.setattr(
        reaper_module.random, 'uniform', lambda least, most: 0.001
    )


def fill(request):
    request.session['number'] = 1


def read(request):
    return request.session['number']


def increment(request):
    request.session['number'] += 1


def waits_for_a_connection():
    """Tell whether a thread waits until one comes back."""
    return any(
        frame.f_code.co_name == 'enter'
        and frame.f_code.co_filename.endswith('gate.py')
        for frame in sys._current_frames().values()
    )


def start_purging(app, database):
    """Bring the application's thread to the middle of a long purge."""
    app.store.create_table()
    helpers.bury(database, DEAD)
    app.run(fill)
    helpers.wait_until(lambda: helpers.count(database) < DEAD)


class TestClose:
    def test_use_after_close_is_a_typed_error(self, make_app):
        app = make_app(purge_expired=True)
        app.run(fill)
        app.close()
        app.close()

        with pytest.raises(StoreUnavailable, match=CLOSED):
            app.run(read)
        with pytest.raises(StoreUnavailable, match=CLOSED):
            app.browser().run(fill)
        with pytest.raises(StoreUnavailable, match=CLOSED):
            app.store.purge()
        assert app.store.closed
        assert helpers.reapers() == []

    def test_closed_application_starts_no_thread(self, make_app):
        app = make_app(purge_expired=True)
        app.close()

        with pytest.raises(StoreUnavailable, match=CLOSED):
            app.run(fill)

        assert helpers.reapers() == []

    def test_several_threads_may_close(self, database, make_app):
        app = make_app(purge_expired=True)
        app.run(fill)

        with ThreadPoolExecutor(8) as threads:
            for closing in [threads.submit(app.close) for _ in range(8)]:
                closing.result()

        assert helpers.reapers() == []
        helpers.wait_until(lambda: not helpers.connections(database))

    def test_request_in_flight_is_not_disturbed(self, database, make_app):
        app = make_app()
        app.run(fill)

        def view(request):
            with request.session.locked():
                app.close()
                increment(request)

        app.run(view)

        # its connection was closed when it came back
        helpers.wait_until(lambda: not helpers.connections(database))
        assert helpers.twin(app, make_app()).run(read).json == 2

    def test_who_waits_for_a_connection_learns_of_it(self, make_app):
        app = make_app(connection_limit=1)
        app.run(fill)
        other = helpers.twin(app)

        with ThreadPoolExecutor(1) as threads:

            def view(request):
                with request.session.locked():
                    reading = threads.submit(other.run, read)
                    helpers.wait_until(waits_for_a_connection)
                    app.close()
                return reading

            found = []
            app.run(lambda request: found.append(view(request)))

            with pytest.raises(StoreUnavailable, match=CLOSED):
                found[0].result()

    def test_closed_store_ends_the_thread_quietly(
        self, purge_at_once, make_app, caplog
    ):
        app = make_app(purge_expired=True)
        app.run(fill)
        (thread,) = helpers.reapers()

        app.store.close()

        thread.join(10)
        assert not thread.is_alive()
        assert 'purging failed' not in caplog.text


class TestCloseWhilePurging:
    @pytest.fixture
    def app(self, purge_at_once, database, make_app):
        app = make_app(purge_expired=True, purge_batch=1)
        start_purging(app, database)
        return app

    def test_close_stops_the_purge_after_its_batch(self, database, app):
        began = time.monotonic()
        app.close()

        assert time.monotonic() - began < 2
        assert helpers.reapers() == []
        assert 0 < helpers.count(database) < DEAD
        helpers.wait_until(lambda: not helpers.connections(database))

    def test_close_does_not_wait_for_a_batch_that_hangs(
        self, server, database, make_app, app
    ):
        with server.connect(database=database.name) as other:
            other.query('LOCK TABLES sessions READ')
            helpers.wait_until(
                lambda: any(
                    'SKIP LOCKED' in (info or '')
                    for info in helpers.connections(database).values()
                )
            )
            began = time.monotonic()
            app.close()
            assert time.monotonic() - began < 4
            (thread,) = helpers.reapers()
        thread.join(10)
        assert not thread.is_alive()

        helpers.wait_until(lambda: not helpers.connections(database))
        assert helpers.count(database) > 0

    def test_subscriber_may_close(self, purge_at_once, database, make_app):
        app = make_app(purge_expired=True)
        app.store.create_table()
        app.registry.registerHandler(
            lambda event: app.close(), (SessionsPurged,)
        )
        app.run(fill)

        helpers.wait_until(lambda: app.store.closed)

        helpers.wait_until(lambda: not helpers.reapers())


class TestDropped:
    def test_hundred_applications_leave_nothing_behind(self, database):
        for _ in range(100):
            app = helpers.application(database, purge_expired=True)
            app.run(fill)
        assert len(helpers.reapers()) > 0

        del app
        gc.collect()

        helpers.wait_until(lambda: not helpers.reapers())
        helpers.wait_until(lambda: not helpers.connections(database))

    def test_application_dropped_while_it_purges(
        self, purge_at_once, database
    ):
        app = helpers.application(database, purge_expired=True, purge_batch=1)
        start_purging(app, database)

        del app
        gc.collect()

        helpers.wait_until(lambda: not helpers.reapers())
        helpers.wait_until(lambda: not helpers.connections(database))
        assert helpers.count(database) > 0

    def test_store_outlives_its_application(self, database):
        app = helpers.application(database, purge_expired=True)
        app.run(fill)
        store = app.store

        del app
        gc.collect()

        helpers.wait_until(lambda: not helpers.reapers())
        assert store.count() == 1
        del store
        helpers.wait_until(lambda: not helpers.connections(database))

    def test_passed_in_pool_outlives_the_application(
        self, database, make_pool
    ):
        pool = make_pool()
        app = helpers.application(database, pool=pool, purge_expired=True)
        app.run(fill)
        reference = weakref.ref(app.store)

        del app
        gc.collect()

        assert reference() is None
        helpers.wait_until(lambda: not helpers.reapers())
        assert len(helpers.connections(database)) == 1
        with helpers.borrowed(pool) as connection:
            connection.query('SELECT 1')


USE = """
import threading
from pyramid_mysql_session.store import reaper
from tests import helpers

reaper.random.uniform = lambda least, most: 0.001

def fill(request):
    request.session['number'] = 1

def rows():
    return helpers.fetch(app, 'SELECT COUNT(*) FROM sessions')[0][0]

app = helpers.assemble(settings)
app.run(fill)
"""
PURGE = f'helpers.wait_until(lambda: rows() < {DEAD})'
HOLD = """
held, never = threading.Event(), threading.Event()

def hold(request):
    with request.session.locked():
        held.set()
        never.wait()

threading.Thread(target=app.run, args=(hold,), daemon=True).start()
held.wait()
"""


class TestExit:
    @pytest.mark.parametrize(
        'last',
        [
            'pass',
            PURGE,
            HOLD,
            f'{PURGE}; app.close()',
            f'{PURGE}; del app',
        ],
    )
    def test_exit_is_quiet_and_prompt(self, database, last):
        with contextlib.closing(helpers.application(database)) as app:
            app.store.create_table()
        helpers.bury(database, DEAD)
        code = f'{USE}\nprint(flush=True)\n{last}\nprint(flush=True)'
        settings = database.settings(secret=helpers.SECRET, purge_batch=1)
        # what others deprecate is not our noise
        flags = (
            '-Xdev',
            '-Wignore::DeprecationWarning',
            '-Wignore::UserWarning',
        )
        with helpers.python(code, settings, *flags) as process:
            for _ in range(2):
                process.stdout.readline()
            began = time.monotonic()
            assert process.communicate(timeout=60) == ('', '')
            assert time.monotonic() - began < 3

        assert process.returncode == 0
        helpers.wait_until(lambda: not helpers.connections(database))
        assert helpers.count(database) > 0
