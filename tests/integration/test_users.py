"""What only a server shows of lists, ends and counts."""

import pytest

from pyramid_mysql_session import SessionEnded, get_store
from pyramid_mysql_session.connection.driver import Connection
from pyramid_mysql_session.store import census
from pyramid_mysql_session.store.keys import (
    handle,
    make_session_id,
    renew_session_id,
)
from tests import helpers


def log_in(request):
    request.session['auth.userid'] = 'ada'


def own_handle(request):
    return request.session.handle


def ids(store, number, userid='ada'):
    made = [make_session_id() for _ in range(number)]
    for session_id in made:
        store.create(session_id, '{}', 100, userid)
    return made


@pytest.mark.parametrize('shard_bytes', [0, 1, 2])
def test_handles_name_sessions_wherever_their_keys_begin(
    make_app, shard_bytes
):
    store = make_app(shard_bytes=shard_bytes).store
    made = ids(store, 9)
    renewed = renew_session_id(made[0])
    revision = store.load(made[0]).revision
    store.save(made[0], None, revision, 100, None, renewed)
    names = {handle(each, shard_bytes) for each in made}

    newest = [found.handle for found in store.for_user('ada')]
    found = [each.handle for each in store.for_user('ada', 4)]
    while part := store.for_user('ada', 4, found[-1]):
        found += [each.handle for each in part]

    assert set(newest) == names
    assert found == newest
    assert store.stats().ages['hour'] == 9
    assert store.end(newest[3], 'ada')
    rest = [each.handle for each in store.for_user('ada', after=newest[3])]
    assert rest[-5:] == newest[4:]
    assert store.limit_for_user('ada', 2, newest[-1]) == 5
    assert store.delete_for_user('ada', made[0]) >= 2
    assert [each.handle for each in store.for_user('ada')] in (
        [],
        [handle(made[0], shard_bytes)],
    )


def test_store_of_a_request_knows_its_session_and_tells_who_ended_one(app):
    events = helpers.record(app, SessionEnded)
    other = app.browser()
    app.run(log_in)
    other.run(log_in)
    own, ended = app.run(own_handle).json, other.run(own_handle).json

    def end(request):
        store = get_store(request)
        current = [x.handle for x in store.for_user('ada') if x.current]
        assert store.end(ended, 'ada')
        return current

    assert app.run(end).json == [own]
    assert not any(each.current for each in app.store.for_user('ada'))
    (event,) = events
    assert event.request.session.handle == own
    assert event[1:] == (ended, 'ada', 'end')


@pytest.mark.parametrize(
    'end',
    [
        lambda store, kept: store.end(kept[0]),
        lambda store, kept: store.delete_for_user('ada'),
        lambda store, kept: store.limit_for_user('ada', 0),
    ],
)
@pytest.mark.parametrize('done', [True, False])
def test_end_whose_answer_was_lost_is_told_once(
    database, make_app, monkeypatch, end, done
):
    store = make_app().store
    (session_id,) = ids(store, 1)
    endings = []
    store._on_end = endings.append
    commit, killed = Connection.commit, []

    def cut(self):
        if not killed:
            killed.append(self)
            if done:
                commit(self)
            helpers.kill_connections(database)
        commit(self)

    monkeypatch.setattr(Connection, 'commit', cut)

    assert end(store, [handle(session_id)]) in (1, True)

    assert killed
    assert store.load(session_id) is None
    assert [each.handle for each in endings] == [handle(session_id)]


def test_ping_after_the_connection_was_killed_finds_the_server(
    database, make_app
):
    store = make_app().store
    assert store.ping() is True

    helpers.kill_connections(database)

    assert store.ping() is True


def test_ping_is_one_statement_and_needs_no_table(
    database, make_app, statements
):
    store = make_app().store
    store.ping()

    with statements() as log:
        store.ping()

    assert len(log) == 1
    assert database.query('SHOW TABLES') == []


def test_ping_tells_of_a_server_that_takes_no_writes(
    server, database, make_app
):
    with helpers.user(database, 'ALL') as user:
        store = make_app(**user).store
        with helpers.variables(server, read_only=1):
            assert store.ping() is False
        assert store.ping() is True


def test_end_in_an_old_snapshot_does_not_meet_the_session_for_ever(
    database, make_app, make_pool, monkeypatch
):
    pool = make_pool(
        {
            'init_command': 'SET SESSION TRANSACTION ISOLATION LEVEL '
            'REPEATABLE READ'
        }
    )
    store = make_app(pool=pool).store
    other = make_app().store
    (session_id,) = ids(store, 1)
    delete = type(store._users)._delete

    def late(*args):
        other.end(handle(session_id))
        return delete(*args)

    monkeypatch.setattr(store._users, '_delete', late.__get__(store._users))

    assert store.end(handle(session_id)) is False


class TestManyRows:
    """Counts of a table that is taken for a large one."""

    @pytest.fixture(autouse=True)
    def few(self, monkeypatch):
        monkeypatch.setattr(census, 'FEW_ROWS', 10)

    @pytest.fixture
    def fill(self, database):
        """Call it for rows: how many live, are dead, and have no user."""

        def fill(live, dead, anonymous):
            with database.connect() as connection:
                connection.cursor().executemany(
                    'INSERT INTO sessions (session_id, expires, data, '
                    'created, revision, userid) VALUES (CONCAT(UNHEX(LPAD('
                    "HEX(UNIX_TIMESTAMP() - %s), 8, '0')), RANDOM_BYTES(28)), "
                    "UNIX_TIMESTAMP() + %s, '{}', "
                    'UNIX_TIMESTAMP() - %s, 1, %s)',
                    [
                        (
                            number * 600,
                            9000 if number < live else -9000,
                            number * 600,
                            None if number % 100 < anonymous else f'u{number}',
                        )
                        for number in range(live + dead)
                    ],
                )
            database.query('ANALYZE TABLE sessions')

        return fill

    @pytest.mark.parametrize('shard_bytes', [0, 1])
    @pytest.mark.parametrize(
        ('live', 'dead', 'anonymous'),
        [(600, 0, 0), (0, 600, 50), (400, 200, 100), (300, 300, 50)],
    )
    def test_live_and_dead_and_ages_are_counted(
        self, database, make_app, fill, shard_bytes, live, dead, anonymous
    ):
        store = make_app(shard_bytes=shard_bytes).store
        store.create_table()
        fill(live, dead, anonymous)

        found = store.stats()

        assert found[:3] == (live, dead, live * anonymous // 100)
        assert found.users <= live - found.anonymous
        assert found.exact is False
        assert found.bytes > 0
        if shard_bytes == 0:
            assert found.ages['hour'] == min(live, 6)
            assert found.ages['day'] == min(live, 144) - min(live, 6)
            assert (found.oldest is None) is (live == 0)
        assert sum(found.ages.values()) == live

    @pytest.mark.parametrize(
        ('live', 'dead'), [(5000, 0), (0, 5000), (2500, 2500), (4900, 100)]
    )
    def test_what_is_beyond_the_limit_is_estimated(
        self, make_app, fill, monkeypatch, live, dead
    ):
        monkeypatch.setattr(census, 'MOST_COUNTED', 200)
        store = make_app().store
        store.create_table()
        fill(live, dead, 50)

        found = store.stats()

        assert live / 2 <= found.live <= live * 2
        assert dead / 2 <= found.dead <= dead * 2
        assert found.live / 5 <= found.anonymous <= found.live
        # of 5000 sessions, one in ten minutes
        assert sum(found.ages.values()) == found.live
        if live:
            day = found.ages['hour'] + found.ages['day']
            assert 36 <= day <= 300

    def test_sharded_table_tells_no_age_beyond_the_limit(
        self, make_app, fill, monkeypatch
    ):
        monkeypatch.setattr(census, 'MOST_COUNTED', 200)
        store = make_app(shard_bytes=1).store
        store.create_table()
        fill(5000, 0, 0)

        found = store.stats()

        assert (found.oldest, found.ages) == (None, None)

    @pytest.mark.parametrize('most', [10**6, 100])
    @pytest.mark.parametrize(
        'change',
        [
            'DROP KEY expires',
            'DROP KEY userid',
            'ALTER INDEX expires INVISIBLE',
            'DROP KEY userid, ADD FULLTEXT KEY (userid)',
            'DROP KEY userid, ADD KEY (userid(20))',
        ],
    )
    def test_index_that_cannot_be_used_is_not_asked_for(
        self, server, database, make_app, fill, monkeypatch, most, change
    ):
        monkeypatch.setattr(census, 'MOST_COUNTED', most)
        store = make_app().store
        store.create_table()
        fill(300, 50, 0)
        if server.kind == 'mariadb':
            change = change.replace('INVISIBLE', 'IGNORED')
        database.query(f'ALTER TABLE sessions {change}')

        found = store.stats()

        assert 100 < found.live <= 350
        assert found.dead == 50

    @pytest.mark.parametrize('mode', ['ANSI_QUOTES', 'ORACLE', 'TREE', 'JSON'])
    @pytest.mark.parametrize('most', [10**6, 100])
    def test_counts_work_in_every_mode_and_for_a_user_with_few_privileges(
        self,
        server,
        database,
        make_app,
        make_pool,
        fill,
        monkeypatch,
        most,
        mode,
    ):
        monkeypatch.setattr(census, 'MOST_COUNTED', most)
        make_app().store.create_table()
        fill(300, 50, 20)
        if mode in ('TREE', 'JSON'):
            if server.kind == 'mariadb':
                pytest.skip('MariaDB has no explain_format')
            command = f"SET SESSION explain_format = '{mode}'"
        elif mode == 'ORACLE' and server.kind == 'mysql':
            pytest.skip('MySQL has no such mode')
        else:
            command = f"SET SESSION sql_mode = '{mode}'"
        privileges = 'SELECT, INSERT, UPDATE, DELETE'
        with helpers.user(database, privileges, 'sessions') as user:
            pool = make_pool(
                {
                    'user': user['user'],
                    'passwd': user['password'],
                    'init_command': command,
                }
            )
            store = make_app(pool=pool).store

            found = store.stats()

            assert 150 <= found.live <= 350
            assert found.dead == 50
            assert store.count() == 300


def test_index_over_an_expression_is_passed_over(server, make_app, database):
    if server.kind == 'mariadb':
        pytest.skip('MariaDB has none')
    store = make_app().store
    store.create_table()
    database.query('ALTER TABLE sessions ADD KEY odd ((expires + 1))')

    assert store.stats().live == 0
