"""A log-out that is followed by new data gives the row to a new session."""

import contextlib

import MySQLdb
import pytest

from pyramid_mysql_session import SessionEnded, SessionLost
from pyramid_mysql_session.store.keys import (
    handle,
    make_session_id,
    renew_session_id,
    stored_key,
)
from tests.faults.meanwhile import background, waiting
from tests.helpers import record, twin, user, wait_until
from tests.integration.table import CREATE, alter

IDLE = 1000
INSTEAD = ['START', 'DELETE', 'INSERT', 'COMMIT']
OLD_ID = f'00000001{make_session_id()[8:]}'


def fill(request):
    request.session.update(n=1, userid='ada')


def read(request):
    return dict(request.session)


def leave(request):
    request.session.invalidate()
    request.session.flash('Goodbye')


def verbs(log):
    return [text.split()[0] for text in log]


@pytest.fixture
def app(make_app):
    return make_app(userid_key='userid')


@pytest.fixture
def neighbour(make_app, app):
    """A browser with the same session, at another application."""
    app.run(fill)
    return twin(app, make_app(userid_key='userid'))


class TestTables:
    """Of what else belongs to a row nothing must reach the next session."""

    @pytest.mark.parametrize(
        ('changes', 'expected'),
        [
            ('COMMENT = "as we make it"', ['UPDATE']),
            # it is computed anew
            ('ADD half VARCHAR(9) AS (LEFT(data, 9))', ['UPDATE']),
            ('ADD half VARCHAR(9) AS (LEFT(data, 9)) STORED', ['UPDATE']),
            ('ADD UNIQUE (session_id, expires)', ['UPDATE']),
            (
                'DROP PRIMARY KEY, ADD UNIQUE `own key` (session_id)',
                ['UPDATE'],
            ),
            ('PARTITION BY KEY (session_id) PARTITIONS 3', ['UPDATE']),
            ("ADD note VARCHAR(9) DEFAULT 'none'", INSTEAD),
            ('ADD number INT NOT NULL AUTO_INCREMENT UNIQUE', INSTEAD),
            (
                'ADD moment TIMESTAMP DEFAULT NOW() ON UPDATE NOW()',
                INSTEAD,
            ),
            ('ADD unseen INT INVISIBLE', INSTEAD),
            ('ADD SYSTEM VERSIONING', INSTEAD),
        ],
    )
    def test_row_with_more_than_ours_is_not_kept(
        self, app, database, statements, changes, expected
    ):
        if 'VERSIONING' in changes and database.server.kind == 'mysql':
            pytest.skip('MariaDB has it')
        alter(database, changes)
        app.run(fill)
        if 'note' in changes:
            database.query("UPDATE sessions SET note = 'hers'")

        with statements() as log:
            app.run(leave)

        assert verbs(log) == expected
        assert app.run(read).json == {'_f_': ['Goodbye']}
        (row,) = database.query('SELECT * FROM sessions')
        assert 'hers' not in row

    @pytest.mark.parametrize(
        'actions',
        [
            'ON DELETE CASCADE ON UPDATE CASCADE',
            'ON DELETE SET NULL ON UPDATE CASCADE',
            'ON DELETE CASCADE',
        ],
    )
    def test_rows_that_refer_to_the_old_session_do_not_go_along(
        self, app, database, statements, actions
    ):
        database.query(CREATE)
        self.refer(database, actions)
        app.run(fill)
        database.query('INSERT INTO carts SELECT session_id FROM sessions')

        with statements() as log:
            app.run(leave)

        assert verbs(log) == INSTEAD
        assert app.run(read).json == {'_f_': ['Goodbye']}
        assert database.query('SELECT * FROM carts WHERE s IS NOT NULL') == []

    def test_unseen_reference_that_lets_no_key_change_is_respected(
        self, make_app, database, statements
    ):
        database.query(CREATE)
        self.refer(database, 'ON DELETE CASCADE')
        rights = 'SELECT, INSERT, UPDATE, DELETE'
        with user(database, rights, 'sessions') as stranger:
            app = make_app(**stranger)
            app.run(fill)
            database.query('INSERT INTO carts SELECT session_id FROM sessions')

            with statements() as log:
                app.run(leave)

            assert verbs(log) == ['UPDATE', *INSTEAD]
            assert app.run(read).json == {'_f_': ['Goodbye']}
            assert database.query('SELECT * FROM carts') == []

    @pytest.mark.parametrize('number', [1644, 31000])
    def test_unseen_trigger_that_lets_no_key_change_is_respected(
        self, app, database, statements, number
    ):
        app.run(fill)
        database.query(
            'CREATE TRIGGER keep BEFORE UPDATE ON sessions FOR EACH ROW '
            f"SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}"
        )

        with statements() as log:
            app.run(leave)

        # MariaDB logs what triggers do
        sent = [verb for verb in verbs(log) if verb != 'SIGNAL']
        assert sent == ['UPDATE', *INSTEAD]
        assert app.run(read).json == {'_f_': ['Goodbye']}
        assert app.store.count() == 1

    def test_references_that_took_too_long_to_find_are_feared(
        self, app, database, statements, patch_fetch
    ):
        def be_late(sql):
            if 'max_statement_time' in sql:
                raise MySQLdb.OperationalError(1969, 'it took too long')
            return sql

        patch_fetch(be_late)
        app.run(fill)

        with statements() as log:
            app.run(leave)

        assert verbs(log) == INSTEAD

    def test_triggers_see_a_deletion_and_a_creation(
        self, app, database, statements
    ):
        database.query(CREATE)
        database.query('CREATE TABLE log (what TEXT)')
        for verb in ('INSERT', 'UPDATE', 'DELETE'):
            database.query(
                f'CREATE TRIGGER on_{verb} AFTER {verb} ON sessions '
                f"FOR EACH ROW INSERT INTO log VALUES ('{verb}')"
            )
        app.run(fill)
        app.run(leave)

        found = [what for (what,) in database.query('SELECT * FROM log')]
        assert found == ['INSERT', 'DELETE', 'INSERT']

    def refer(self, database, actions):
        database.query(
            'CREATE TABLE carts (s BINARY(32), FOREIGN KEY (s) '
            f'REFERENCES sessions (session_id) {actions})'
        )


class TestOthers:
    """Who does something with the session at the same moment."""

    @contextlib.contextmanager
    def overtaken(self, app, database, statement, args=()):
        """Run a log-out that waits for a statement of somebody else."""
        with contextlib.closing(database.connect()) as stranger:
            stranger.query('BEGIN')
            with stranger.cursor() as cursor:
                cursor.execute(statement, args)
            with background(app.run, leave) as request:
                wait_until(lambda: waiting(database))
                stranger.commit()
                yield
                request.result()

    @pytest.mark.parametrize(
        'statement',
        [
            'DELETE FROM sessions',
            'UPDATE sessions SET revision = revision + 1, data = '
            """'{"n":2}'""",
            'UPDATE sessions SET expires = expires + 7',
            'SELECT * FROM sessions FOR UPDATE',
        ],
        ids=['deleted', 'saved', 'touched', 'locked'],
    )
    def test_whatever_came_first_the_session_has_ended(
        self, app, neighbour, database, statement
    ):
        with self.overtaken(app, database, statement):
            pass

        assert app.run(read).json == {'_f_': ['Goodbye']}
        assert neighbour.run(read).json == {}
        assert app.store.count() == 1

    @pytest.mark.parametrize('act', ['save', 'renew_id', 'clear', 'locked'])
    def test_slower_request_brings_nothing_back(self, app, neighbour, act):
        lost = record(neighbour, SessionLost)

        def view(request):
            session = request.session
            session['n'] = 2
            app.run(leave)
            if act == 'locked':
                with session.locked():
                    session['n'] = 3
            else:
                getattr(session, act)()

        neighbour.run(view)

        assert len(lost) == 1
        assert app.run(read).json == {'_f_': ['Goodbye']}
        assert neighbour.run(read).json == {}
        assert app.store.count() == 1

    def test_log_out_with_an_older_id_ends_the_session(
        self, app, neighbour, statements
    ):
        neighbour.run(read)
        app.run(lambda request: request.session.renew_id())
        ended = record(neighbour, SessionEnded)

        with statements() as log:
            neighbour.run(leave)

        assert verbs(log) == ['UPDATE']
        assert len(ended) == 1
        assert app.run(read).json == {}
        assert neighbour.run(read).json == {'_f_': ['Goodbye']}

    def test_sessions_of_others_are_not_waited_for(self, app, database):
        browsers = [app.browser() for _ in range(3)]
        for browser in browsers:
            browser.run(fill)
        own = browsers[0].run(lambda request: request.session.handle).json
        with contextlib.closing(database.connect()) as stranger:
            stranger.query('BEGIN')
            # which of them stand before and which behind is by chance
            for (key,) in database.query('SELECT session_id FROM sessions'):
                if key[:16].hex() != own:
                    stranger.query(
                        'SELECT * FROM sessions '
                        f"WHERE session_id = x'{key.hex()}' FOR UPDATE"
                    )
                    stranger.store_result()

            browsers[0].run(leave)

        assert browsers[0].run(read).json == {'_f_': ['Goodbye']}


def test_expired_row_is_taken_over(app, database, statements):
    app.run(fill)
    database.query('UPDATE sessions SET expires = UNIX_TIMESTAMP() - 9')
    ended = record(app, SessionEnded)

    with statements() as log:
        app.run(leave)

    assert verbs(log) == ['UPDATE']
    assert len(ended) == 1
    assert app.run(read).json == {'_f_': ['Goodbye']}


def test_new_session_instead_of_one_that_is_gone(app, database, statements):
    store = app.store
    store.create_table()
    ended = []
    new = make_session_id()

    store.check_table()
    with statements() as log:
        store.create(new, '{}', IDLE, replaces=[OLD_ID], ended=ended)

    # whether it has moved meanwhile is asked
    assert verbs(log) == [
        *('UPDATE', 'START', 'DELETE', 'SELECT', 'INSERT', 'COMMIT')
    ]
    assert ended == []
    assert store.load(new)


def test_key_of_the_new_session_is_of_another_family(app, database):
    store = app.store
    renewed = renew_session_id(OLD_ID)
    revision = store.create(OLD_ID, '{}', IDLE)
    store.save(OLD_ID, None, revision, IDLE, new_session_id=renewed)
    new = make_session_id()

    store.create(new, '{}', IDLE, replaces=[OLD_ID])

    assert database.query('SELECT session_id FROM sessions') == [
        (stored_key(new),)
    ]
    assert handle(new) != handle(OLD_ID)
