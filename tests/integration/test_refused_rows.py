"""Rows that somebody else keeps from being deleted do not keep the others."""

import signal

import pytest

from pyramid_mysql_session import StoreUnavailable
from pyramid_mysql_session.connection.driver import Connection
from pyramid_mysql_session.store.keys import make_session_id
from pyramid_mysql_session.store.records import Records
from tests import helpers


@pytest.fixture
def store(make_app):
    store = make_app(purge_batch=50).store
    store.create_table()
    return store


def refer(database, number):
    """Let another table refer to so many of the sessions, the first."""
    database.query(
        'CREATE TABLE child (id INT AUTO_INCREMENT PRIMARY KEY, '
        'session BINARY(32), FOREIGN KEY (session) '
        'REFERENCES sessions (session_id)) ENGINE=InnoDB'
    )
    database.query(
        'INSERT INTO child (session) SELECT session_id FROM sessions '
        f'ORDER BY expires, session_id LIMIT {number}'
    )


class TestPurge:
    @pytest.mark.parametrize('kept', [1, 700])
    def test_rows_that_others_refer_to_are_passed_over(
        self, database, store, rows, caplog, kept
    ):
        helpers.bury(database, kept + 120)
        # the last of them are not the oldest
        database.query(
            'UPDATE sessions SET expires = expires + 9 '
            'ORDER BY session_id DESC LIMIT 120'
        )
        refer(database, kept)

        assert store.purge(exclusive=True) >= 119
        assert rows() <= kept + 1
        assert 'expired sessions cannot be deleted' in caplog.text

    @pytest.mark.parametrize('number', [1644, 1062, 30001])
    def test_rows_that_a_trigger_refuses_are_passed_over(
        self, database, store, rows, number
    ):
        helpers.bury(database, 9)
        ((key,),) = database.query(
            'SELECT HEX(session_id) FROM sessions LIMIT 1'
        )
        database.query(
            'CREATE TRIGGER refuse BEFORE DELETE ON sessions FOR EACH ROW '
            f"IF OLD.session_id = x'{key}' THEN SIGNAL SQLSTATE '45000' "
            f"SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'no'; END IF"
        )

        assert store.purge() == 8
        assert rows() == 1

    def test_interruption_is_not_taken_for_a_lost_connection(
        self, database, store, rows, monkeypatch
    ):
        helpers.bury(database, 3)
        fetch = Connection.fetch

        def interrupted(self, sql, locking=False):
            if 'SKIP LOCKED' in sql:
                # the answer is left unread
                self._driver.query(sql.encode())
                signal.raise_signal(signal.SIGINT)
            return fetch(self, sql, locking)

        with monkeypatch.context() as patched:
            patched.setattr(Connection, 'fetch', interrupted)
            with pytest.raises(KeyboardInterrupt):
                store.purge(exclusive=True)

        assert rows() == 3
        assert store.purge(exclusive=True) == 3


class TestOthers:
    def test_sessions_of_a_user_end_but_for_one_that_is_referred_to(
        self, database, store, rows
    ):
        for _ in range(5):
            store.create(make_session_id(), '{}', 100, 'ada')
        refer(database, 1)

        endings = []
        store._on_end = endings.append

        with pytest.raises(StoreUnavailable, match='foreign key'):
            store.delete_for_user('ada')
        assert rows() == 1
        assert len(endings) == 4
        ((kept,),) = database.query('SELECT HEX(session_id) FROM sessions')
        assert kept[:32].lower() not in {each.handle for each in endings}
        with pytest.raises(StoreUnavailable, match='foreign key'):
            store.end(kept[:32].lower())
        assert len(endings) == 4

    def test_clear_deletes_what_is_renewed_meanwhile(
        self, store, rows, monkeypatch
    ):
        ids = [make_session_id() for _ in range(30)]
        revisions = {each: store.create(each, '{}', 100) for each in ids}
        fetch = Connection.fetch
        renewed = []

        def renewing(self, sql, locking=False):
            if locking and not renewed:
                for each in ids:
                    new = each[:30] + make_session_id()[30:]
                    renewed.append(new)
                    store.save(
                        each, None, revisions[each], 100, new_session_id=new
                    )
            return fetch(self, sql, locking)

        monkeypatch.setattr(Connection, 'fetch', renewing)

        assert store.clear() == 30
        assert rows() == 0


class TestOldPrimary:
    """A list without a row is not believed of a server that is read-only."""

    @pytest.mark.parametrize(
        'ask',
        [
            lambda store: store.for_user('ada'),
            lambda store: list(store.iter_sessions()),
            lambda store: store.count(),
            lambda store: store.delete_for_user('ada'),
            lambda store: store.clear(),
            lambda store: store.end('0' * 32),
            lambda store: store.limit_for_user('ada', 1),
            lambda store: store.count('ada'),
            lambda store: store.stats(),
        ],
    )
    def test_empty_answer_is_asked_for_again_on_a_new_connection(
        self, server, database, make_app, monkeypatch, ask
    ):
        monkeypatch.setattr(
            'pyramid_mysql_session.connection.driver.ASK_EVERY', -1
        )
        with helpers.user(database, 'ALL') as user:
            app = make_app(**user)
            app.store.create_table()
            app.store.check_table()
            before = helpers.fetch(app, 'SELECT CONNECTION_ID()')
            with helpers.variables(server, read_only=1):
                ask(app.store)
            assert helpers.fetch(app, 'SELECT CONNECTION_ID()') != before


def test_error_after_the_commit_does_not_deny_what_is_stored(
    database, make_app, monkeypatch
):
    store = make_app().store
    gone, new = make_session_id(), make_session_id()

    def fail(*args):
        raise StoreUnavailable('It is gone', '')

    monkeypatch.setattr(Records, 'delete', fail)

    assert store.create(new, '{}', 100, replaces=[gone])
    assert store.load(new) is not None
