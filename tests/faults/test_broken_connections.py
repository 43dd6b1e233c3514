"""Connections, locks, space and the server itself fail at any moment."""

import contextlib
import re
import time
from concurrent.futures import ThreadPoolExecutor

import MySQLdb
import pytest

from pyramid_mysql_session import (
    LockTimeout,
    PayloadTooLarge,
    StoreUnavailable,
)
from pyramid_mysql_session.pool import BROKEN_ATTEMPTS, DEADLOCK_ATTEMPTS
from tests.faults.views import (
    append,
    data,
    invalidate_and_append,
    locked_append,
    log_out,
    renew,
)
from tests.helpers import (
    application,
    connections,
    kill_connections,
    user,
    variables,
    wait_until,
)

WRITING = [append('mine'), locked_append, renew, log_out]


@contextlib.contextmanager
def locked_rows(database):
    """Be a stranger who locks all rows of the session table."""
    with contextlib.closing(database.connect()) as stranger:
        stranger.query('BEGIN')
        stranger.query('SELECT * FROM sessions FOR UPDATE')
        stranger.store_result()
        yield stranger


@contextlib.contextmanager
def background(function, *args):
    """Call a function in a thread; gives its future."""
    with ThreadPoolExecutor(1) as executor:
        yield executor.submit(function, *args)


def waiting(database):
    """Return the ids of the connections whose statement waits for a lock."""
    # information_schema.innodb_trx shows who asks often always the same
    ((_, _, status),) = database.query('SHOW ENGINE INNODB STATUS')
    transactions = status.partition('\nTRANSACTIONS\n')[2]
    return [
        int(number)
        for number in re.findall(
            r'\nLOCK WAIT .*?thread id (\d+),', transactions, re.DOTALL
        )
    ]


def kill_waiting(database, times=1):
    """Kill those who wait for a lock, as soon as somebody new does."""
    killed = set()
    for _ in range(times):
        wait_until(lambda: {*waiting(database)} - killed)
        for number in {*waiting(database)} - killed:
            database.query(f'KILL {number}')
            killed.add(number)
    return killed


def updates(log):
    """Return the UPDATE statements of a log."""
    return [text for text in log if text.startswith('UPDATE `sessions`')]


def stored(database):
    """Return the payload of the only row."""
    ((payload,),) = database.query('SELECT data FROM sessions')
    return payload


class TestKill:
    def test_idle_connection(self, app, own_database, own_server):
        app.run(append('first'))
        kill_connections(own_database)

        with own_server.statements() as log:
            app.run(append('mine'))

        assert app.run(data).json == {'items': ['first', 'mine']}
        assert len(updates(log)) == 1

    def test_between_load_and_save(self, app, own_database, own_server):
        def view(request):
            append('mine')(request)
            kill_connections(own_database)

        app.run(append('first'))

        with own_server.statements() as log:
            app.run(view)

        assert app.run(data).json == {'items': ['first', 'mine']}
        assert len(updates(log)) == 1

    def test_in_a_locked_block(self, app, own_database):
        def view(request):
            with request.session.locked():
                append('mine')(request)
                kill_connections(own_database)

        app.run(append('first'))

        app.run(view)

        assert app.run(data).json == {'items': ['first', 'mine']}

    @pytest.mark.parametrize('view', [append('mine'), locked_append])
    def test_inside_the_save(self, app, own_database, view, lost):
        app.run(append('first'))
        with (
            locked_rows(own_database) as stranger,
            background(app.run, view) as request,
        ):
            killed = kill_waiting(own_database)
            # it waits again, with another connection
            wait_until(lambda: {*waiting(own_database)} - killed)
            stranger.rollback()
            request.result()

        assert app.run(data).json == {'items': ['first', 'mine']}
        assert lost == []

    def test_every_time_is_a_typed_error(self, app, own_database):
        app.run(append('first'))
        with (
            locked_rows(own_database),
            background(app.run, append('mine')) as request,
        ):
            kill_waiting(own_database, BROKEN_ATTEMPTS)
            with pytest.raises(
                StoreUnavailable, match='connection to MySQL was lost'
            ) as caught:
                request.result()

        assert caught.value.outcome_unknown
        assert app.run(data).json == {'items': ['first']}

    def test_of_the_statement_only_is_a_typed_error(self, app, own_database):
        app.run(append('first'))
        with (
            locked_rows(own_database),
            background(app.run, append('mine')) as request,
        ):
            wait_until(lambda: waiting(own_database))
            (number,) = waiting(own_database)
            own_database.query(f'KILL QUERY {number}')
            with pytest.raises(StoreUnavailable, match='error 1317'):
                request.result()

        assert app.run(data).json == {'items': ['first']}


class TestServerGone:
    def test_stop_between_load_and_save(self, app, own_server):
        def view(request):
            append('mine')(request)
            own_server.stop()

        app.run(append('first'))
        with pytest.raises(StoreUnavailable, match='cannot be reached'):
            app.run(view)
        with pytest.raises(StoreUnavailable, match='cannot be reached'):
            app.run(data)
        own_server.start()

        assert app.run(data).json == {'items': ['first']}
        app.run(append('mine'))
        assert app.run(data).json == {'items': ['first', 'mine']}

    @pytest.mark.parametrize('end', ['stop', 'kill'])
    def test_restart_between_load_and_save(self, app, own_server, end):
        def view(request):
            append('mine')(request)
            getattr(own_server, end)()
            own_server.start()

        app.run(append('first'))
        app.run(view)

        assert app.run(data).json == {'items': ['first', 'mine']}

    @pytest.mark.parametrize('view', WRITING)
    def test_kill_inside_the_save(self, app, own_server, own_database, view):
        app.run(append('first'))
        with (
            locked_rows(own_database),
            background(app.run, view) as request,
        ):
            wait_until(lambda: waiting(own_database))
            own_server.kill()
            with pytest.raises(StoreUnavailable) as caught:
                request.result()
        own_server.start()

        assert caught.value.outcome_unknown
        assert app.run(data).json == {'items': ['first']}

    def test_session_after_invalidate_replaces_all_or_nothing(
        self, app, own_server, own_database
    ):
        app.run(append('first'))
        with (
            locked_rows(own_database),
            background(app.run, invalidate_and_append) as request,
        ):
            wait_until(lambda: waiting(own_database))
            own_server.kill()
            with pytest.raises(StoreUnavailable):
                request.result()
        own_server.start()

        assert stored(own_database) == '{"items":["first"]}'
        assert app.run(data).json == {'items': ['first']}


class TestTimeouts:
    def test_idle_connection_that_the_server_closed(self, own_database):
        with variables(own_database.server, wait_timeout=1):
            app = application(own_database, connection_limit=1)
            app.run(append('first'))
        wait_until(lambda: not connections(own_database))

        with own_database.server.statements() as log:
            app.run(append('mine'))

        assert app.run(data).json == {'items': ['first', 'mine']}
        assert len(updates(log)) == 1
        app.close()

    def test_connection_that_was_closed_between_load_and_save(
        self, own_database
    ):
        def view(request):
            append('mine')(request)
            wait_until(lambda: not connections(own_database))

        with variables(own_database.server, wait_timeout=1):
            app = application(own_database, connection_limit=1)
            app.run(append('first'))
        app.run(view)

        assert app.run(data).json == {'items': ['first', 'mine']}
        app.close()

    def test_answer_that_takes_too_long_is_a_typed_error(self, own_database):
        app = application(
            own_database, connection_limit=1, read_timeout=1, lock_timeout=9
        )
        app.run(append('first'))
        with (
            own_database.server.statements() as log,
            locked_rows(own_database),
            pytest.raises(StoreUnavailable) as caught,
        ):
            app.run(append('mine'))
        # the server did not notice that nobody waits for the answer any more
        wait_until(lambda: not waiting(own_database))

        assert caught.value.outcome_unknown
        assert len(updates(log)) == 1
        app.close()


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

        assert len(updates(log)) == DEADLOCK_ATTEMPTS
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

            writes = [t for t in log if t.startswith(('UPDATE', 'DELETE'))]
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
