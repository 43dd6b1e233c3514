"""How expired sessions are deleted."""

import itertools
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from unittest import mock

import pytest

from pyramid_mysql_session import (
    LockTimeout,
    SessionsPurged,
    StoreUnavailable,
)
from pyramid_mysql_session.store import purging
from pyramid_mysql_session.store.keys import make_session_id
from tests import helpers

IDLE = 3600
READ_COMMITTED = 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED'
SELECT = 'FOR UPDATE SKIP LOCKED'


def create(store, number):
    """Create live sessions and return their ids."""
    ids = [make_session_id() for _ in range(number)]
    for session_id in ids:
        store.create(session_id, '{}', IDLE)
    return ids


class TestBatches:
    @pytest.mark.parametrize('own', [True, False], ids=['own', 'passed in'])
    def test_each_batch_is_a_small_read_committed_transaction(
        self, twos, bury, make_app, make_pool, statements, own
    ):
        store = twos
        if not own:
            pool = make_pool({'autocommit': True})
            store = make_app(pool=pool, purge_batch=2).store
        store.check_table()
        store.purge()
        bury(5)
        with statements() as log:
            assert store.purge() == 5

        log = [sql for sql in log if 'INSERT' not in sql]
        starts = [at for at, sql in enumerate(log) if sql.startswith('START')]
        assert len(starts) == 3
        for start in starts:
            select, delete, commit = log[start + 1 : start + 4]
            # our own connections have that isolation level
            assert (READ_COMMITTED in log[:start][-1:]) is not own
            assert commit.startswith('COMMIT')
            assert select.endswith(f'LIMIT 2 {SELECT}')
            assert delete.startswith('DELETE')
            for sql in select, delete:
                assert '`expires` < UNIX_TIMESTAMP()' in sql

    def test_batch_begins_where_the_last_one_ended(
        self, database, twos, bury, statements
    ):
        bury(3)
        database.query('UPDATE sessions SET expires = 1000')
        bury(1)
        with statements() as log:
            assert twos.purge() == 4

        starts = [
            re.search(r'`expires` >= (\d+) ', sql)[1]
            for sql in log
            if SELECT in sql
        ]
        assert starts[:2] == ['0', '1000']
        assert int(starts[2]) > 1000

    @pytest.mark.parametrize(
        ('took', 'pause'), [(0.001, 0.009), (0.01, 0.09), (1, 0.1)]
    )
    def test_pause_is_nine_times_as_long_as_the_batch_took(
        self, twos, bury, monkeypatch, took, pause
    ):
        bury(5)
        moments = itertools.count(0, took)
        pauses = []
        monkeypatch.setattr(
            purging,
            'time',
            SimpleNamespace(
                monotonic=lambda: next(moments), sleep=pauses.append
            ),
        )

        assert twos.purge() == 5

        assert pauses == pytest.approx([pause, pause])

    def test_long_lists_of_keys_are_split(
        self, make_app, bury, rows, statements
    ):
        bury(1300)
        with statements() as log:
            assert make_app(purge_batch=2000).store.purge() == 1300

        assert rows() == 0
        assert sum(sql.startswith('DELETE') for sql in log) == 3
        assert sum(sql.startswith('COMMIT') for sql in log) == 1

    def test_logins_and_touches_go_on_meanwhile(self, make_app, bury, rows):
        store = make_app(purge_batch=50).store
        ids = create(store, 20)
        bury(500)
        done = threading.Event()

        def touch():
            for session_id in itertools.cycle(ids):
                assert store.touch(session_id, IDLE)
                if done.is_set():
                    return

        def log_in():
            created = []
            while not done.is_set():
                created += create(store, 1)
            return created

        with ThreadPoolExecutor(3) as threads:
            touching = [threads.submit(touch) for _ in range(2)]
            logging_in = threads.submit(log_in)
            try:
                assert store.purge(exclusive=True) == 500
            finally:
                done.set()
            for one in touching:
                one.result()

        created = logging_in.result()
        assert created
        assert store.count() == rows() == len(ids) + len(created)

    @pytest.mark.parametrize('schema', [True, False])
    def test_other_unique_key_and_no_default_database(
        self, database, make_pool, make_app, twos, bury, schema
    ):
        database.query(
            'ALTER TABLE sessions DROP PRIMARY KEY, '
            'ADD UNIQUE KEY `the key` (session_id)'
        )
        bury(3)
        pool = make_pool({'database': '' if schema else database.name})
        name = f'{database.name}.sessions' if schema else 'sessions'
        app = make_app(pool=pool, table_name=name, create_table=False)

        assert app.store.purge(exclusive=True) == 3


class TestLocking:
    def test_locked_rows_are_passed_over(self, database, twos, bury, rows):
        bury(5)
        with database.connect(autocommit=False) as other:
            other.query('SELECT * FROM sessions LIMIT 1 FOR UPDATE')
            other.store_result()

            assert twos.purge() == 4
            # the server is not always done with it when it is closed
            other.rollback()
        assert rows() == 1
        assert twos.purge() == 1

    def test_live_sessions_do_not_wait_for_a_batch(
        self, server, make_app, make_pool, twos, bury, patch_fetch
    ):
        """Also where the pool has MySQL's default, REPEATABLE READ."""
        # MariaDB locks the first live row, too, if it comes that far
        batch = 3 if server.kind == 'mariadb' else 4
        (session_id,) = create(twos, 1)
        bury(3)
        purging = make_app(pool=make_pool(), purge_batch=batch).store
        met = []

        def meanwhile(sql):
            if SELECT in sql and not met:
                # would fail after a second of waiting
                met.append(twos.touch(session_id, IDLE))
                met.append(create(twos, 1))

        patch_fetch(after=meanwhile)

        assert purging.purge() == 3
        assert met[0]

    def test_session_that_revives_before_the_delete_survives(
        self, database, twos, bury, rows, patch_fetch
    ):
        """A server may take FOR UPDATE lightly, a cluster above all."""
        bury(2)

        def revive(sql):
            if 'LIMIT 2' in sql:
                database.query(
                    'UPDATE sessions SET expires = UNIX_TIMESTAMP() + 9 '
                    'LIMIT 1'
                )

        patch_fetch(lambda sql: sql.removesuffix(SELECT), revive)

        assert twos.purge() == 1
        assert rows() == 1

    @pytest.mark.parametrize(
        'instead', ['SELECT * FROM sessions FOR UPDATE SKIP', 1235]
    )
    def test_server_without_skip_locked_deletes_what_it_has_seen(
        self, twos, bury, rows, statements, patch_fetch, raising, instead
    ):
        if instead == 1235:
            instead = raising(instead)
        tried = []

        def change(sql):
            if SELECT not in sql:
                return sql
            tried.append(sql)
            return instead

        patch_fetch(change)
        create(twos, 1)
        bury(5)
        with statements() as log:
            assert twos.purge() == 5

        assert rows() == 1
        deletes = [sql for sql in log if sql.startswith('DELETE')]
        assert len(deletes) == 3
        assert all('`expires` < UNIX_TIMESTAMP()' in sql for sql in deletes)
        assert not any('LOCKED' in sql for sql in log)
        assert len(tried) == 1

    def test_another_error_of_the_select_is_raised(
        self, twos, bury, rows, patch_fetch, raising
    ):
        refused = raising(1142)
        patch_fetch(lambda sql: refused if SELECT in sql else sql)
        bury(1)

        with pytest.raises(StoreUnavailable, match='privilege is missing'):
            twos.purge()
        assert rows() == 1


class TestDeadlocks:
    @pytest.fixture
    def deadlocks(self, database, twos):
        """Call it for the number of DELETEs that shall see a deadlock."""
        # a rollback does not undo what happens to such a table
        database.query('CREATE TABLE failures (number INT) ENGINE=MEMORY')
        database.query('INSERT INTO failures VALUES (0)')
        database.query(
            'CREATE TRIGGER victim BEFORE DELETE ON sessions FOR EACH ROW '
            'IF (SELECT number FROM failures) > 0 THEN '
            'UPDATE failures SET number = number - 1; '
            "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213; "
            'END IF'
        )
        return lambda number: database.query(
            'UPDATE failures SET number = %s', (number,)
        )

    @pytest.mark.parametrize('exclusive', [False, True])
    def test_batch_that_lost_a_deadlock_is_tried_again(
        self, twos, bury, rows, deadlocks, exclusive
    ):
        bury(5)
        deadlocks(3)

        assert twos.purge(exclusive=exclusive) == 5
        assert rows() == 0

    def test_deadlocks_without_end_are_a_typed_error(
        self, database, twos, bury, rows, deadlocks, statements
    ):
        bury(3)
        deadlocks(1000)
        with (
            statements() as log,
            pytest.raises(LockTimeout, match='resolved a deadlock'),
        ):
            twos.purge(exclusive=True)

        assert helpers.lock_is_free(database, log)
        assert rows() == 3
        deadlocks(0)
        assert twos.purge(exclusive=True) == 3


class TestEvents:
    def test_purge_tells_rows_and_seconds(self, make_app, twos, bury):
        app = make_app(purge_batch=2)
        events = helpers.record(app, SessionsPurged)
        bury(3)

        app.store.purge()
        app.store.purge(exclusive=True)

        assert [event.rows for event in events] == [3, 0]
        assert all(0 < event.seconds < 30 for event in events)

    def test_stopped_purge_tells_what_it_has_done(self, make_app, bury):
        app = make_app(purge_batch=2)
        events = helpers.record(app, SessionsPurged)
        bury(3)
        once = iter((False, True))

        app.store.purge(lambda: next(once))

        assert [event.rows for event in events] == [2]

    def test_purge_that_fails_tells_what_it_has_done(
        self, make_app, bury, rows
    ):
        app = make_app(purge_batch=2)
        events = helpers.record(app, SessionsPurged)
        bury(5)
        progress = mock.Mock(side_effect=[None, ValueError])

        with pytest.raises(ValueError):  # noqa: PT011
            app.store.purge(progress=progress)

        assert [event.rows for event in events] == [4]
        assert rows() == 1

    def test_subscriber_that_fails_is_heard_after_the_lock_is_free(
        self, database, make_app, bury, statements
    ):
        app = make_app()
        app.registry.registerHandler(
            mock.Mock(side_effect=ValueError), (SessionsPurged,)
        )
        bury(3)
        with statements() as log, pytest.raises(ValueError):  # noqa: PT011
            app.store.purge(exclusive=True)

        assert helpers.lock_is_free(database, log)
        assert app.store.count() == 0
