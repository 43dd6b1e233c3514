"""What is said of a save's outcome is true, and nothing is done twice."""

import contextlib

import MySQLdb
import pytest
from pyramid.events import NewResponse

from pyramid_mysql_session import LockTimeout, StoreUnavailable
from pyramid_mysql_session.connection.driver import Connection
from pyramid_mysql_session.errors import PayloadTooLarge
from pyramid_mysql_session.store.records import Records
from tests.faults.proxy import lose_answer
from tests.faults.views import append, data
from tests.helpers import application, kill_connections


@pytest.fixture
def deadlocks(monkeypatch):
    """Call it for so many statements that begin with a verb and deadlock."""
    query = Connection._query
    met = []

    def patch(verb, number):
        def patched(self, statement):
            if statement.startswith(verb) and len(met) < number:
                met.append(statement)
                raise MySQLdb.OperationalError(1213, 'Deadlock found')
            query(self, statement)

        monkeypatch.setattr(Connection, '_query', patched)
        return met

    return patch


class TestLag:
    def test_save_without_an_answer_that_is_not_seen_yet_is_done_once(
        self, proxied, proxy, monkeypatch
    ):
        fetch = Records._fetch
        before = []

        def late(self, connection, session_id, locking=False):
            record = fetch(self, connection, session_id, locking)
            if connection.in_doubt and before:
                return before.pop()
            return record

        def load_and_append(request):
            append('mine')(request)
            before.append(proxied.store.load(request.session.session_id))

        proxied.run(append('first'))
        monkeypatch.setattr(Records, '_fetch', late)
        rule = proxy.on('^UPDATE', lose_answer)

        proxied.run(load_and_append)

        assert rule.matched == 1
        assert before == []
        assert proxied.run(data).json == {'items': ['first', 'mine']}


class TestTooLarge:
    def test_limit_that_was_lowered_does_not_hide_what_is_stored(
        self, proxied, proxy, monkeypatch
    ):
        send = Records._send

        def refuse_the_second(self, connection, statement):
            if connection.in_doubt:
                raise PayloadTooLarge('The statement', 2, 1, '')
            return send(self, connection, statement)

        proxied.run(append('first'))
        monkeypatch.setattr(Records, '_send', refuse_the_second)
        proxy.on('^UPDATE', lose_answer)

        proxied.run(append('mine'))

        assert proxied.run(data).json == {'items': ['first', 'mine']}


class TestForeignErrors:
    @pytest.mark.parametrize(
        'error',
        [
            MySQLdb.IntegrityError(1062, 'theirs'),
            MySQLdb.OperationalError(1290, 'theirs'),
            MySQLdb.OperationalError(2006, 'theirs'),
            MySQLdb.ProgrammingError(1146, 'theirs'),
        ],
    )
    def test_driver_error_of_the_application_in_a_block_stays_its_own(
        self, app, error
    ):
        def view(request):
            with request.session.locked():
                append('not stored')(request)
                raise error

        app.run(append('first'))
        with pytest.raises(type(error)) as caught:
            app.run(view)

        assert caught.value is error
        assert app.run(data).json == {'items': ['first']}


class TestRetry:
    """Of pyramid_retry, which does a request again."""

    def configure(self, config):
        config.add_settings({'retry.attempts': 3})
        config.include('pyramid_retry')

    def test_certain_failure_is_tried_again(self, own_database, deadlocks):
        app = application(own_database, configure=self.configure)
        app.run(append('first'))
        met = deadlocks(b'UPDATE', 8)

        app.run(append('mine'))

        assert len(met) == 8
        assert app.run(data).json == {'items': ['first', 'mine']}
        app.close()

    def test_what_may_be_stored_is_not(self):
        error = LockTimeout('It', '')
        error.allow_retry()
        error.leave_in_doubt()

        interfaces = pytest.importorskip('pyramid_retry')
        assert error.outcome_unknown
        assert not interfaces.IRetryableError.providedBy(error)

    @pytest.mark.parametrize('where', ['response', 'subscriber'])
    def test_nothing_is_done_again_after_the_commit(
        self, own_database, deadlocks, where
    ):
        pytest.importorskip('pyramid_tm')
        runs = []

        def save(event):
            if where == 'subscriber' and runs:
                event.request.session.save()

        def configure(config):
            self.configure(config)
            config.include('pyramid_tm')
            config.add_subscriber(save, NewResponse)

        def view(request):
            runs.append(request.tm)
            append('mine')(request)

        app = application(own_database, configure=configure)
        app.run(append('first'))
        deadlocks(b'UPDATE', 8)

        with pytest.raises(LockTimeout):
            app.run(view)

        assert len(runs) == 1
        app.close()


class TestLeftovers:
    def test_connection_that_comes_back_in_a_transaction_is_closed(
        self, own_database
    ):
        app = application(own_database)
        app.run(append('first'))
        lease = app.store._pool._lender.lend()
        connection = lease.open()
        connection.start()
        connection.begin()
        connection.execute('UPDATE sessions SET expires = expires + 1')
        lease.give_back()

        with contextlib.closing(own_database.connect()) as other:
            other.query('SET innodb_lock_wait_timeout = 1')
            other.query('UPDATE sessions SET expires = expires + 1')
        app.run(append('mine'))
        app.close()

    @pytest.mark.plain
    def test_pooled_connection_that_was_let_go_in_a_transaction_is_closed(
        self, database, make_pool
    ):
        pool = make_pool(
            {'autocommit': True}, {'maxcached': 2, 'reset': False, 'ping': 0}
        )
        app = application(database, pool=pool)
        app.run(append('first'))
        lease = app.store._pool._lender.lend()
        connection = lease.open()
        connection.start()
        connection.begin()
        connection.execute('DELETE FROM sessions')
        # as after a signal; DBUtils takes it back
        del lease, connection

        app.run(append('mine'))

        assert database.query('SELECT data FROM sessions') == [
            ('{"items":["first","mine"]}',)
        ]
        app.close()

    def test_block_that_lost_its_connection_says_whether_it_is_stored(
        self, own_database
    ):
        app = application(own_database)
        app.run(append('first'))
        other = app.browser()
        for cookie in app.cookiejar:
            other.cookiejar.set_cookie(cookie)

        def view(request):
            with request.session.locked():
                append('mine')(request)
                kill_connections(own_database)
                for number in range(4):
                    other.run(append(number))

        with pytest.raises(StoreUnavailable) as caught:
            app.run(view)

        assert not caught.value.outcome_unknown
        assert app.run(data).json == {'items': ['first', 0, 1, 2, 3]}
        app.close()
