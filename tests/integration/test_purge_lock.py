"""One process purges at a time, whatever happens to it."""

import contextlib
from unittest import mock

import pytest

from pyramid_mysql_session import SessionsPurged, StoreUnavailable
from pyramid_mysql_session.store.keys import make_session_id
from tests import helpers

SELECT = 'FOR UPDATE SKIP LOCKED'


class TestOneAtATime:
    def test_nothing_is_done_while_somebody_else_is_at_a_batch(
        self, database, make_app, twos, bury, statements, patch_fetch
    ):
        bury(3)
        twos.check_table()
        other = make_app(purge_batch=2)
        events = helpers.record(other, SessionsPurged)
        met = []

        def meanwhile(sql):
            if SELECT in sql:
                met.append(other.store.purge(exclusive=True))

        patch_fetch(after=meanwhile)
        with statements() as log:
            assert twos.purge(exclusive=True) == 3

        assert met == [0, 0]
        assert events == []
        assert helpers.lock_is_free(database, log)

    def test_who_meets_another_in_a_batch_leaves_the_rest_to_it(
        self, make_app, twos, bury, patch_fetch
    ):
        bury(5)
        other = make_app(purge_batch=2)
        events = helpers.record(other, SessionsPurged)
        deleted = []

        def meanwhile(sql):
            if SELECT in sql:
                # it has done a batch, and meets the one that is on
                once = iter((False, False, True))
                deleted.append(twos.purge(lambda: next(once), exclusive=True))

        def between():
            if len(deleted) == 1:
                patch_fetch(after=meanwhile)
            return False

        once = iter((False, True))
        deleted.append(twos.purge(lambda: next(once), exclusive=True))
        assert other.store.purge(between, exclusive=True) == 3

        assert deleted == [2, 0, 0]
        assert [event.rows for event in events] == [3]

    def test_each_table_has_a_lock_of_its_own(
        self, database, make_app, twos, bury, patch_fetch
    ):
        bury(3)
        others = [
            make_app(table_name='others').store,
            make_app(table_name=f'{database.name}.others').store,
        ]
        met = []

        def meanwhile(sql):
            # theirs comes to this, too
            if SELECT not in sql or 'others' in sql:
                return
            met.append([other.purge(exclusive=True) for other in others])
            for other in others:
                other.create(make_session_id(), '{}', 60)
            database.query('UPDATE others SET expires = 1')

        for other in others:
            other.create_table()
        patch_fetch(after=meanwhile)

        assert twos.purge(exclusive=True) == 3
        # both names of the other table have the same lock, but not at once
        assert met == [[0, 0], [2, 0]]

    def test_no_connection_is_kept_between_batches(
        self, database, make_app, twos, bury, statements
    ):
        bury(5)
        app = make_app(purge_batch=2, connection_limit=1, connection_wait=1)
        seen = []

        def between():
            seen.append(app.store.count())
            return False

        with statements() as log:
            assert app.store.purge(between, exclusive=True) == 5

        assert seen == [0, 0, 0]
        assert len(helpers.connections(database)) <= 2
        assert helpers.lock_is_free(database, log)

    def test_processes_take_turns(self, database, twos, bury, statements):
        bury(30)
        code = (
            'from pyramid_mysql_session import session_factory_from_settings\n'
            'factory = session_factory_from_settings(settings)\n'
            'store = factory.store\n'
            'store.check_table()\n'
            'print(flush=True)\n'
            'sys.stdin.readline()\n'
            'deleted = 0\n'
            'for _ in range(40):\n'
            '    once = iter((False, True))\n'
            '    deleted += store.purge(lambda: next(once), exclusive=True)\n'
            'print(deleted)\n'
        )
        settings = database.settings(secret=helpers.SECRET, purge_batch=2)
        with contextlib.ExitStack() as stack, statements() as log:
            processes = [
                stack.enter_context(helpers.python(code, settings))
                for _ in range(3)
            ]
            for process in processes:
                process.stdout.readline()
            answers = [
                process.communicate('go\n', timeout=60)
                for process in processes
            ]

        assert [error for _, error in answers] == 3 * ['']
        assert sum(int(deleted) for deleted, _ in answers) == 30
        assert len(set(helpers.purgers(log))) > 1

    @pytest.mark.parametrize('code', [1105, 1235, 1305])
    def test_server_without_get_lock_purges_all_the_same(
        self, twos, bury, rows, statements, patch_fetch, raising, code
    ):
        refused = raising(code)
        patch_fetch(lambda sql: refused if 'GET_LOCK' in sql else sql)
        bury(3)
        with statements() as log:
            assert twos.purge(exclusive=True) == 3

        assert rows() == 0
        assert refused in log
        assert not any('RELEASE_LOCK' in sql for sql in log)

    def test_get_lock_that_fails_otherwise_is_an_error(
        self, twos, bury, patch_fetch, raising
    ):
        refused = raising(1142)
        patch_fetch(lambda sql: refused if 'GET_LOCK' in sql else sql)

        with pytest.raises(StoreUnavailable, match='privilege is missing'):
            twos.purge(exclusive=True)

    def test_get_lock_that_has_no_answer_leaves_it_to_others(
        self, twos, bury, patch_fetch
    ):
        patch_fetch(lambda sql: 'SELECT NULL' if 'GET_LOCK' in sql else sql)
        bury(1)

        assert twos.purge(exclusive=True) == 0


class TestInterruption:
    """Lock and connection are given back whatever happens."""

    @pytest.fixture
    def app(self, make_app, twos):
        return make_app(purge_batch=2, connection_limit=1, connection_wait=1)

    @pytest.mark.parametrize('exclusive', [True, False])
    def test_connection_lost_between_batches_is_replaced(
        self, database, app, bury, rows, exclusive
    ):
        bury(5)
        killed = []

        def kill():
            if rows() == 3 and not killed:
                killed.append(helpers.kill_connections(database))

        assert app.store.purge(kill, exclusive) == 5
        assert killed

    def test_connection_lost_in_a_batch_is_replaced(
        self, database, app, bury, statements, patch_fetch
    ):
        bury(5)
        app.store.check_table()
        killed = []

        def kill(sql):
            if SELECT in sql and not killed:
                killed.append(helpers.kill_connections(database))

        patch_fetch(after=kill)
        with statements() as log:
            assert app.store.purge(exclusive=True) == 5

        assert killed
        assert helpers.lock_is_free(database, log)

    def test_stale_connection_is_replaced_before_the_lock_is_taken(
        self, database, app, bury
    ):
        bury(5)
        app.store.check_table()
        helpers.kill_connections(database)

        assert app.store.purge(exclusive=True) == 5

    @pytest.mark.parametrize('error', [KeyboardInterrupt, ValueError])
    def test_exception_between_batches_is_passed_on(
        self, database, app, bury, rows, statements, error
    ):
        bury(5)
        with statements() as log, pytest.raises(error):
            app.store.purge(mock.Mock(side_effect=[False, error]), True)

        assert rows() == 3
        assert helpers.lock_is_free(database, log)
        assert app.store.purge(exclusive=True) == 3

    def test_exception_in_a_batch_leaves_nothing_behind(
        self, database, app, bury, rows, statements, patch_fetch, monkeypatch
    ):
        bury(5)

        def interrupt(sql):
            if SELECT in sql:
                raise KeyboardInterrupt

        with monkeypatch.context(), statements() as log:
            patch_fetch(after=interrupt)
            with pytest.raises(KeyboardInterrupt):
                app.store.purge(exclusive=True)
            monkeypatch.undo()

        assert rows() == 5
        assert helpers.lock_is_free(database, log)
        assert app.store.purge(exclusive=True) == 5
