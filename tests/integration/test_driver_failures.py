"""Every failure of the server becomes an error that says what to do."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import MySQLdb
import pytest

from pyramid_mysql_session import (
    LockTimeout,
    SchemaError,
    SessionError,
    StoreUnavailable,
)
from tests import helpers
from tests.faults.proxy import Proxy, lose_answer

UNREACHABLE = (
    'MySQL cannot be reached. Check mysql_session.host, mysql_session.port, '
    'mysql_session.unix_socket and the ssl settings, and that the server '
    'runs.'
)
REFUSED = (
    'MySQL refused the user. Check mysql_session.user, '
    'mysql_session.password and from which host the user may connect.'
)
PRIVILEGE = (
    'A privilege is missing. GRANT SELECT, INSERT, UPDATE, DELETE on the '
    'session table, and CREATE unless mysql_session.create_table is false, '
    'to mysql_session.user.'
)
NO_DATABASE = (
    'The database does not exist. Create it or check mysql_session.database.'
)
NO_DATABASE_OR = (
    'The user may not use the database, or the database does not exist. '
    'Check mysql_session.database; GRANT SELECT, INSERT, UPDATE, DELETE on '
    'the session table to mysql_session.user.'
)
FULL = (
    'MySQL accepts no more connections. Lower '
    "mysql_session.connection_limit or raise the server's max_connections."
)
READ_ONLY = (
    'The server is read-only. Check that mysql_session.host names the '
    'primary server.'
)
DISK = (
    'MySQL ran out of space or memory. Free disk space on the server; '
    'mysql_session.purge_interval says how often expired sessions are '
    'deleted.'
)
LOCKED = (
    "Somebody else kept the session's row locked. mysql_session.lock_timeout "
    'limits the wait.'
)
READ_WAITED = (
    'A read waited too long: the table is locked, or the node lags behind its '
    'cluster. Look for ALTER TABLE and LOCK TABLES, and at how far the node '
    'is behind; mysql_session.lock_timeout limits the wait.'
)
DEADLOCK = (
    'MySQL resolved a deadlock at the cost of this statement. It was tried '
    'several times; look for long transactions that lock rows of the session '
    'table.'
)
REFUSED_ROW = (
    'the session table cannot hold sessions: it refuses the row (MySQL error '
    '{}). Call check_table() of the store: it names what differs.'
)
FAILED = (
    "MySQL reported an error while it stored something. Look at the server's "
    'log.'
)
ENDED = (
    'The server ended the statement before it was done. Look for KILL QUERY, '
    'and at max_execution_time or max_statement_time.'
)
TRIGGER = (
    'A trigger of the session table refused the row. SHOW TRIGGERS names it.'
)
FOREIGN_KEY = (
    'A foreign key between the session table and another refused the change. '
    'Let it say ON DELETE CASCADE ON UPDATE CASCADE, or drop it.'
)
UNKNOWN = (
    'MySQL reported an error that this package does not know. The error from '
    'which this one was raised has the text of the server.'
)


def fill(request):
    request.session['number'] = 1


def read(request):
    return request.session.get('number')


def count(request):
    request.session['number'] += 1
    return request.session['number']


def count_locked(request):
    with request.session.locked():
        return count(request)


@contextlib.contextmanager
def fails(text, code, error=StoreUnavailable):
    """Assert that a block raises just this error of ours."""
    with pytest.raises(SessionError) as caught:
        yield caught
    assert type(caught.value) is error
    assert isinstance(caught.value.__cause__, MySQLdb.Error)
    if isinstance(caught.value, StoreUnavailable):
        assert caught.value.code == code
        text += f' (MySQL error {code})'
    assert str(caught.value) == text


def verbs(log):
    return [text.split()[0] for text in log if text[:3] != 'SET']


class TestConnecting:
    """Nothing that is wrong with the settings is tried twice."""

    @pytest.mark.parametrize(
        ('settings', 'text', 'code'),
        [
            ({'unix_socket': '/nonexistent/socket'}, UNREACHABLE, 2002),
            (
                {'unix_socket': None, 'host': '127.0.0.1', 'port': 1},
                UNREACHABLE,
                2002,
            ),
            ({'password': 'not the password'}, REFUSED, 1045),
            ({'user': 'nobody_at_all'}, REFUSED, 1045),
            ({'database': 'no_such_database'}, NO_DATABASE_OR, 1044),
        ],
    )
    def test_wrong_settings_are_named(
        self, database, make_app, settings, text, code
    ):
        with helpers.user(database, 'ALL') as user:
            app = make_app(**{**user, **settings})

            for _ in range(2):
                with fails(text, code) as caught:
                    app.run(fill)
            assert not caught.value.outcome_unknown
            assert user['password'] not in str(caught.value.__cause__)
            assert 'not the password' not in str(caught.value.__cause__)

    def test_unknown_database_is_named(self, make_app):
        with fails(NO_DATABASE, 1049):
            make_app(database='no_such_database').run(fill)

    def test_locked_account_is_refused(self, server, database, make_app):
        with helpers.user(database, 'ALL') as user:
            database.query(f"ALTER USER {user['user']}@'%' ACCOUNT LOCK")

            code = {'mariadb': 4151, 'mysql': 3118}[server.kind]
            with fails(REFUSED, code):
                make_app(**user).run(fill)

    def test_user_with_too_many_connections_is_told_so(
        self, database, make_app
    ):
        with helpers.user(database, 'ALL') as user:
            database.query(
                f"ALTER USER {user['user']}@'%' WITH MAX_USER_CONNECTIONS 1"
            )
            app = make_app(**user, connection_wait=1)
            with (
                contextlib.closing(database.connect(**user)),
                fails(FULL, 1226),
            ):
                app.run(fill)

            helpers.wait_until(lambda: not helpers.connections(database))
            app.run(fill)
            assert app.run(read).json == 1
            app.close()

    def test_failed_connection_is_given_back_to_the_pool(
        self, database, make_app
    ):
        with helpers.user(database, 'ALL') as user:
            app = make_app(
                connection_limit=1, connection_wait=1, **{**user, 'user': 'x'}
            )
            for _ in range(3):
                with fails(REFUSED, 1045):
                    app.run(fill)


class TestPrivileges:
    @pytest.mark.parametrize(
        ('privileges', 'view', 'code'),
        [
            ('SELECT', count, 1142),
            ('SELECT', lambda request: request.session.clear(), 1142),
            ('SELECT', lambda request: request.session.invalidate(), 1142),
            ('SELECT, UPDATE (revision)', count, 1143),
            ('INSERT, UPDATE, DELETE', read, 1142),
        ],
    )
    def test_missing_privilege_is_named_and_the_row_stays(
        self, database, make_app, statements, privileges, view, code
    ):
        owner = make_app()
        owner.run(fill)
        with helpers.user(database, privileges, 'sessions') as user:
            app = make_app(**user)
            app.set_cookie('session', owner.cookies['session'])
            with contextlib.suppress(StoreUnavailable):
                app.run(read)

            with statements() as log, fails(PRIVILEGE, code):
                app.run(view)

            assert len(verbs(log)) == len(set(verbs(log)))
            assert owner.run(read).json == 1
            app.close()

    def test_revoked_privilege_that_is_granted_again_is_enough(
        self, database, make_app
    ):
        make_app().store.create_table()
        with helpers.user(database, 'ALL', 'sessions') as user:
            app = make_app(**user)
            app.run(fill)
            database.query(f'REVOKE UPDATE ON sessions FROM {user["user"]}')
            with fails(PRIVILEGE, 1142):
                app.run(count)
            database.query(f'GRANT UPDATE ON sessions TO {user["user"]}')

            assert app.run(count).json == 2
            app.close()


class TestStatements:
    @pytest.mark.parametrize(
        ('code', 'text', 'error', 'executions'),
        [
            (1021, DISK, StoreUnavailable, 1),
            (1030, DISK, StoreUnavailable, 1),
            (1037, DISK, StoreUnavailable, 1),
            (1041, DISK, StoreUnavailable, 1),
            (1114, DISK, StoreUnavailable, 1),
            (1206, DISK, StoreUnavailable, 1),
            (1213, DEADLOCK, LockTimeout, 8),
            (3572, LOCKED, LockTimeout, 1),
            (1142, PRIVILEGE, StoreUnavailable, 1),
            (1364, REFUSED_ROW.format(1364), SchemaError, 1),
            (1406, REFUSED_ROW.format(1406), SchemaError, 1),
            (3819, REFUSED_ROW.format(3819), SchemaError, 1),
            (1048, REFUSED_ROW.format(1048), SchemaError, 1),
            (1451, FOREIGN_KEY, StoreUnavailable, 1),
            (1644, TRIGGER, StoreUnavailable, 1),
            (1105, FAILED, StoreUnavailable, 1),
            (1317, ENDED, StoreUnavailable, 1),
            (1969, ENDED, StoreUnavailable, 1),
            (3024, ENDED, StoreUnavailable, 1),
            (4999, UNKNOWN, StoreUnavailable, 1),
        ],
    )
    def test_failed_statement_is_classified_and_not_repeated(
        self, database, app, statements, code, text, error, executions
    ):
        app.run(fill)
        database.query(
            'CREATE TRIGGER failure BEFORE UPDATE ON sessions FOR EACH ROW '
            "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = %s, "
            "MESSAGE_TEXT = 'not to be repeated'",
            (code,),
        )

        with statements() as log, fails(text, code, error):
            app.run(count)

        assert verbs(log).count('UPDATE') == executions
        with fails(text, code, error):
            app.run(count_locked)
        database.query('DROP TRIGGER failure')
        assert app.run(count).json == 2
        assert app.run(count_locked).json == 3

    @pytest.mark.parametrize(
        ('code', 'view'),
        [
            *((code, count) for code in (1015, 1036, 1290, 1792, 1836)),
            (1290, count_locked),
        ],
    )
    def test_read_only_server_is_left_again_and_again_for_a_while(
        self, database, make_app, statements, code, view
    ):
        app = make_app(connection_wait=1)
        app.run(fill)
        database.query(
            'CREATE TRIGGER failure BEFORE UPDATE ON sessions FOR EACH ROW '
            "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = %s, "
            "MESSAGE_TEXT = 'read-only'",
            (code,),
        )

        with statements() as log, fails(READ_ONLY, code) as caught:
            app.run(view)

        assert not caught.value.outcome_unknown
        updates = [
            thread
            for thread, _, text in log.commands
            if text.startswith('UPDATE')
        ]
        assert len(updates) == len(set(updates)) > 2
        # who comes now has waited for it long enough
        began = time.monotonic()
        with fails(READ_ONLY, code):
            app.run(view)
        assert time.monotonic() - began < 0.5

        database.query('DROP TRIGGER failure')
        assert app.run(view).json == 2

    def test_read_only_server_still_reads(
        self, server, database, make_app, statements
    ):
        with helpers.user(database, 'ALL') as user:
            app = make_app(**user, connection_wait=1)
            app.run(fill)
            with helpers.variables(server, read_only=1):
                assert app.run(read).json == 1
                with fails(READ_ONLY, 1290):
                    app.run(count)
                with fails(READ_ONLY, 1290):
                    app.browser().run(fill)
                with fails(READ_ONLY, 1290):
                    app.run(count_locked)
                assert app.run(read).json == 1

            assert app.run(count).json == 2
            app.close()

    @pytest.mark.parametrize('view', [count, count_locked])
    def test_row_that_stays_locked_is_a_lock_timeout(
        self, database, make_app, statements, view
    ):
        app = make_app(lock_timeout=1)
        app.run(fill)
        with contextlib.closing(database.connect()) as stranger:
            stranger.query('BEGIN')
            stranger.query('UPDATE sessions SET expires = expires + 1')
            began = time.monotonic()
            with statements() as log, fails(LOCKED, 1205, LockTimeout):
                app.run(view)
            taken = time.monotonic() - began
            stranger.rollback()

        assert 1 <= taken < 2.5
        waiting = [text for text in log if 'UPDATE' in text]
        assert len(waiting) == 1
        assert app.run(view).json == 2

    def test_table_that_stays_locked_is_a_lock_timeout(
        self, database, make_app
    ):
        app = make_app(lock_timeout=1)
        app.run(fill)
        with contextlib.closing(database.connect()) as stranger:
            stranger.query('LOCK TABLES sessions WRITE')
            began = time.monotonic()
            with fails(READ_WAITED, 1205, LockTimeout):
                app.run(read)

            assert 1 <= time.monotonic() - began < 2.5
        assert app.run(count).json == 2

    def test_victim_of_a_deadlock_tries_again(self, database, app):
        browsers = [app.browser() for _ in range(2)]
        for browser in browsers:
            browser.run(fill)
        first, second = database.query('SELECT HEX(session_id) FROM sessions')
        update = "UPDATE sessions SET userid = 'x' WHERE session_id = x'%s'"
        locked, go_on = threading.Event(), threading.Event()
        attempts = []

        def work(connection):
            attempts.append(connection)
            connection.begin()
            connection.execute(update % first)
            locked.set()
            go_on.wait()
            rows = connection.execute(update % second)
            connection.commit()
            return rows

        with (
            contextlib.closing(database.connect()) as stranger,
            ThreadPoolExecutor(1) as thread,
        ):
            # who changed more is not the victim
            stranger.query(
                'CREATE TABLE big (a INT PRIMARY KEY) ENGINE=InnoDB'
            )
            stranger.query('BEGIN')
            values = ', '.join(f'({number})' for number in range(1000))
            stranger.query(f'INSERT INTO big VALUES {values}')
            stranger.query(update % second)
            done = thread.submit(app.store._pool.run, work)
            locked.wait()
            go_on.set()
            stranger.query(update % first)
            stranger.commit()

            assert done.result(30) == 1
        assert len(attempts) == 2

    def test_save_whose_answer_and_server_are_lost_is_in_doubt(
        self, server, database, make_app
    ):
        with Proxy(server.address) as proxy:
            app = make_app(**proxy.settings)
            app.run(fill)

            def lose_everything(line):
                proxy.refuse()
                lose_answer(line)

            proxy.on('^UPDATE', lose_everything)
            with fails(UNREACHABLE, 2002) as caught:
                app.run(count)

        assert caught.value.outcome_unknown
        assert database.query('SELECT data FROM sessions') == [
            ('{"number":2}',)
        ]

    def test_no_error_or_log_line_shows_a_secret(
        self, database, make_app, caplog
    ):
        caplog.set_level('DEBUG')
        with helpers.user(database, 'ALL') as user:
            app = make_app(secret='hush ' * 9, **user)
            app.run(lambda request: request.session.update(a='data' * 9))
            cookie = app.cookies['session']
            ((key,),) = database.query('SELECT HEX(session_id) FROM sessions')
            database.query('DROP TABLE sessions')
            with pytest.raises(SchemaError) as caught:
                app.run(count)
            app.close()

        shown = f'{caught.value!r} {caught.value.__cause__!r} {caplog.text}'
        for secret in (
            'hush',
            user['password'],
            cookie,
            'data' * 9,
            key,
            key.lower(),
        ):
            assert secret not in shown
