"""The purging thread in a real application."""

import logging

import pytest

from pyramid_mysql_session import SessionsPurged
from pyramid_mysql_session.store import reaper as reaper_module
from tests import helpers


@pytest.fixture
def quick(monkeypatch):
    """Make all pauses of the thread short."""
    monkeypatch.setattr(
        reaper_module.random, 'uniform', lambda least, most: 0.01
    )


@pytest.fixture
def logged(caplog):
    """Call it for the levels and texts that the thread has logged."""
    caplog.set_level(logging.INFO)
    return lambda: [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == reaper_module.__name__
    ]


def fill(request):
    request.session['number'] = 1


class TestStart:
    def test_thread_starts_with_the_first_session_that_is_used(self, make_app):
        app = make_app(purge_expired=True)
        assert helpers.reapers() == []
        app.run(lambda request: bool(request))
        app.run(lambda request: request.session is None)
        app.run(lambda request: 'number' in request.session)
        assert helpers.reapers() == []

        app.run(fill)
        (thread,) = helpers.reapers()
        assert thread.daemon

        app.run(fill)
        app.browser().run(fill)
        assert helpers.reapers() == [thread]

    def test_thread_starts_with_a_session_that_is_loaded(self, make_app):
        other = make_app()
        other.run(fill)
        app = helpers.twin(other, make_app(purge_expired=True))
        assert helpers.reapers() == []

        assert app.run(lambda request: request.session['number']).json == 1

        assert len(helpers.reapers()) == 1

    def test_each_factory_has_a_thread(self, make_app):
        for number in range(3):
            make_app(purge_expired=True).run(fill)
            assert len(helpers.reapers()) == number + 1

    def test_setting_switches_the_thread_off(self, make_app):
        make_app(purge_expired=False).run(fill)

        assert helpers.reapers() == []


class TestPurge:
    @pytest.fixture
    def app(self, quick, make_app):
        app = make_app(purge_expired=True, purge_interval=1)
        app.store.create_table()
        return app

    def test_expired_sessions_are_deleted_and_told(self, database, app, rows):
        events = helpers.record(app, SessionsPurged)
        helpers.bury(database, 7)
        app.run(fill)

        helpers.wait_until(lambda: rows() == 1)
        helpers.wait_until(lambda: sum(event.rows for event in events) == 7)

        # again and again
        helpers.bury(database, 3)
        helpers.wait_until(lambda: sum(event.rows for event in events) == 10)
        assert app.store.count() == rows() == 1

    def test_purge_is_logged(self, database, app, caplog):
        caplog.set_level(logging.INFO)
        helpers.bury(database, 7)
        app.run(fill)

        helpers.wait_until(lambda: 'purged 7 sessions in 0.' in caplog.text)

    def test_subscriber_that_fails_does_not_end_the_thread(
        self, database, app, rows, logged
    ):
        calls = []

        def fail(event):
            calls.append(event)
            if len(calls) < 4:
                raise ValueError('a subscriber failed')

        app.registry.registerHandler(fail, (SessionsPurged,))
        app.run(fill)

        helpers.wait_until(lambda: len(calls) > 4)

        assert logged() == [
            (
                'WARNING',
                "purging failed, it is tried again: <class 'ValueError'>",
            ),
            ('INFO', 'purging works again'),
        ]


class TestServerDown:
    def test_outage_is_logged_once_and_then_purging_goes_on(
        self, quick, private_server, logged
    ):
        server = private_server()
        database = server.create_database()
        app = helpers.application(
            database, purge_expired=True, purge_interval=1
        )
        app.run(fill)
        helpers.bury(database, 5)
        helpers.wait_until(lambda: helpers.count(database) == 1)
        (thread,) = helpers.reapers()

        server.stop()
        helpers.wait_until(logged)
        server.start()
        helpers.bury(database, 5)
        helpers.wait_until(lambda: helpers.count(database) == 1)
        helpers.wait_until(lambda: len(logged()) > 1)

        down, up = logged()
        assert down[0] == 'WARNING'
        assert down[1].startswith('purging failed, it is tried again: ')
        assert up == ('INFO', 'purging works again')
        assert helpers.reapers() == [thread]
        app.close()
        assert helpers.reapers() == []
