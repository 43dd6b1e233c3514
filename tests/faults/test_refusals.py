"""What the server refuses is a typed error, and nothing half done."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import MySQLdb
import pytest

from pyramid_mysql_session import (
    LockTimeout,
    PayloadTooLarge,
    StoreUnavailable,
)
from pyramid_mysql_session.connection.driver import Connection
from pyramid_mysql_session.connection.trial import CONFLICT_ATTEMPTS
from tests.faults.meanwhile import (
    background,
    locked_rows,
    stored,
    updates,
    waiting,
)
from tests.faults.views import (
    WRITING,
    append,
    data,
    invalidate_and_append,
)
from tests.helpers import (
    application,
    kill_connections,
    twin,
    user,
    variables,
    wait_until,
)


class TestLocks:
    def test_stranger_who_holds_a_lock_is_a_typed_error(self, own_database):
        app = application(own_database, lock_timeout=1)
        browsers = [app.browser() for _ in WRITING]
        for browser in browsers:
            browser.run(append('first'))

        def run(browser, view):
            began = time.monotonic()
            with pytest.raises(LockTimeout, match='row locked') as caught:
                browser.run(view)
            assert not caught.value.outcome_unknown
            return time.monotonic() - began

        with (
            own_database.server.statements() as log,
            locked_rows(own_database),
            ThreadPoolExecutor() as executor,
        ):
            seconds = list(executor.map(run, browsers, WRITING))

        # MySQL looks once in a second whose time is over
        assert all(1 <= took < 3 for took in seconds)
        locking = [
            text
            for text in log
            if text.startswith(('UPDATE', 'DELETE'))
            or (text.endswith('FOR UPDATE') and '`data`' in text)
        ]
        assert len(locking) == len(WRITING)
        for browser in browsers:
            assert browser.run(data).json == {'items': ['first']}
        app.close()

    def test_deadlock_victim_tries_again(self, app, own_database):
        app.run(append('first'))
        own_database.query('CREATE TABLE other (n INT) ENGINE=InnoDB')
        own_database.query('INSERT INTO other VALUES (1)')
        own_database.query(
            'CREATE TRIGGER later BEFORE UPDATE ON sessions '
            'FOR EACH ROW UPDATE other SET n = n + 1'
        )
        with contextlib.closing(own_database.connect()) as stranger:
            stranger.query('BEGIN')
            # the one who changed less is the victim
            stranger.query(
                'INSERT INTO other VALUES ' + ','.join(['(0)'] * 1000)
            )
            stranger.query('UPDATE other SET n = 0')
            with (
                own_database.server.statements() as log,
                background(app.run, append('mine')) as request,
            ):
                wait_until(lambda: waiting(own_database))
                stranger.query("UPDATE sessions SET userid = 'stranger'")
                stranger.commit()
                request.result()

        assert len(updates(log)) == 2
        assert app.run(data).json == {'items': ['first', 'mine']}

    def test_deadlock_that_never_ends_is_a_typed_error(
        self, app, own_database
    ):
        app.run(append('first'))
        own_database.query(
            'CREATE TRIGGER always BEFORE UPDATE ON sessions FOR EACH ROW '
            "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213"
        )
        with (
            own_database.server.statements() as log,
            pytest.raises(LockTimeout, match='deadlock'),
        ):
            app.run(append('mine'))

        assert len(updates(log)) == CONFLICT_ATTEMPTS
        own_database.query('DROP TRIGGER always')
        assert app.run(data).json == {'items': ['first']}
        app.run(append('mine'))
        assert app.run(data).json == {'items': ['first', 'mine']}


class TestRefusals:
    def test_read_only_server_is_a_typed_error(self, own_database):
        with user(own_database, 'ALL') as who:
            app = application(own_database, connection_limit=1, **who)
            app.run(append('first'))
            with (
                variables(own_database.server, read_only=1),
                own_database.server.statements() as log,
            ):
                for view in WRITING:
                    with pytest.raises(StoreUnavailable, match='read-only'):
                        app.run(view)
                assert app.run(data).json == {'items': ['first']}
            app.run(append('mine'))

            # each time on another connection
            writes = [
                (thread, text)
                for thread, _, text in log.commands
                if text.startswith(('UPDATE', 'DELETE'))
            ]
            assert len(writes) == len(set(writes)) >= 3
            assert app.run(data).json == {'items': ['first', 'mine']}
            app.close()

    @pytest.mark.parametrize('view', [append, invalidate_and_append])
    def test_lowered_packet_limit_is_a_typed_error(self, own_database, view):
        app = application(own_database, connection_limit=1)
        app.run(append('first'))

        def save_much(request):
            if view is invalidate_and_append:
                request.session.invalidate()
            append('x' * 100_000)(request)

        with variables(own_database.server, max_allowed_packet=65_536):
            # the limit of a connection is that of the time when it was made
            kill_connections(own_database)
            with pytest.raises(PayloadTooLarge, match='max_allowed_packet'):
                app.run(save_much)
            assert app.run(data).json == {'items': ['first']}
            app.run(append('mine'))
            assert app.run(data).json == {'items': ['first', 'mine']}
        kill_connections(own_database)
        app.run(append('x' * 100_000))
        app.close()

    def test_full_disk_is_a_typed_error(self, app, own_database):
        app.run(append('first'))
        # what it does not find room for fails in the midst of a statement
        own_database.query(
            'CREATE TABLE full (text CHAR(255)) ENGINE=MEMORY MAX_ROWS=1'
        )
        with contextlib.closing(own_database.connect()) as stranger:
            stranger.query('SET max_heap_table_size = 16384')
            stranger.query('ALTER TABLE full ENGINE=MEMORY')
        with pytest.raises(MySQLdb.OperationalError, match='full'):
            own_database.query(
                'INSERT INTO full ' + ' UNION ALL '.join(["SELECT 'x'"] * 200)
            )
        for verb in ('INSERT', 'UPDATE', 'DELETE'):
            own_database.query(
                f'CREATE TRIGGER full_{verb} AFTER {verb} ON sessions '
                "FOR EACH ROW INSERT INTO full VALUES ('x')"
            )

        for view in (*WRITING, invalidate_and_append):
            with pytest.raises(StoreUnavailable, match='space') as caught:
                app.run(view)
            assert caught.value.code == 1114
            assert not caught.value.outcome_unknown
        with pytest.raises(StoreUnavailable, match='space'):
            app.browser().run(append('first'))

        assert stored(own_database) == '{"items":["first"]}'
        own_database.query('TRUNCATE full')
        app.run(append('mine'))
        assert app.run(data).json == {'items': ['first', 'mine']}


def test_save_that_lost_a_deadlock_was_never_in_doubt(database, monkeypatch):
    """However many others have saved by the time it is tried again."""
    app = application(database)
    app.run(append('first'))
    others = [twin(app) for _ in range(4)]
    query = Connection._query
    deadlocks = []

    def deadlock(self, statement):
        if statement.startswith(b'UPDATE') and not deadlocks:
            deadlocks.append(statement)
            for number, other in enumerate(others):
                other.run(append(number))
            raise MySQLdb.OperationalError(1213, 'Deadlock found')
        query(self, statement)

    monkeypatch.setattr(Connection, '_query', deadlock)

    app.run(append('mine'))

    assert len(deadlocks) == 1
    assert app.run(data).json == {'items': ['first', 0, 1, 2, 3, 'mine']}
    app.close()
