"""Connections, and the server itself, go away at any moment."""

import pytest

from pyramid_mysql_session import StoreUnavailable
from pyramid_mysql_session.connection.trial import BROKEN_ATTEMPTS
from tests.faults.meanwhile import (
    background,
    kill_waiting,
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
    locked_append,
)
from tests.helpers import (
    application,
    connections,
    kill_connections,
    variables,
    wait_until,
)


class TestKill:
    def test_idle_connection_is_replaced(self, app, own_database, own_server):
        app.run(append('first'))
        kill_connections(own_database)

        with own_server.statements() as log:
            app.run(append('mine'))

        assert app.run(data).json == {'items': ['first', 'mine']}
        assert len(updates(log)) == 1

    def test_connection_killed_before_the_save_is_replaced(
        self, app, own_database, own_server
    ):
        def view(request):
            append('mine')(request)
            kill_connections(own_database)

        app.run(append('first'))

        with own_server.statements() as log:
            app.run(view)

        assert app.run(data).json == {'items': ['first', 'mine']}
        assert len(updates(log)) == 1

    def test_connection_killed_in_a_locked_block_is_replaced(
        self, app, own_database
    ):
        def view(request):
            with request.session.locked():
                append('mine')(request)
                kill_connections(own_database)

        app.run(append('first'))

        app.run(view)

        assert app.run(data).json == {'items': ['first', 'mine']}

    @pytest.mark.parametrize('view', [append('mine'), locked_append])
    def test_connection_killed_inside_the_save_saves_once(
        self, app, own_database, view, lost
    ):
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

    def test_connection_killed_every_time_is_a_typed_error(
        self, app, own_database
    ):
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

    def test_killed_statement_is_a_typed_error(self, app, own_database):
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
    def test_stopped_server_is_a_typed_error(self, app, own_server):
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
    def test_restart_before_the_save_goes_unnoticed(
        self, app, own_server, end
    ):
        def view(request):
            append('mine')(request)
            getattr(own_server, end)()
            own_server.start()

        app.run(append('first'))
        app.run(view)

        assert app.run(data).json == {'items': ['first', 'mine']}

    @pytest.mark.parametrize('view', WRITING)
    def test_server_killed_inside_the_save_is_a_typed_error(
        self, app, own_server, own_database, view
    ):
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

        # a transaction ends with its connection
        assert caught.value.outcome_unknown is (view is not locked_append)
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
