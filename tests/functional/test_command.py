"""What the command line does with table, server and sessions."""

import json
import os
import re
import secrets
import subprocess
import sys
from types import SimpleNamespace

import MySQLdb
import pytest
from dbutils.pooled_db import PooledDB

from pyramid_mysql_session.commands import failing, table
from pyramid_mysql_session.store.keys import make_session_id
from tests import helpers
from tests.functional import commands

HOUR = 3600
LEAST = 'SELECT, INSERT, UPDATE, DELETE'
NO_HANDLE = 32 * '0'


@pytest.fixture
def store(app):
    app.store.create_table()
    return app.store


def create(store, *users):
    """Create a session of each user; return their handles."""
    for user in users:
        store.create(make_session_id(), '{"a": "secret data"}', HOUR, user)
    return {one.userid: one.handle for one in store.iter_sessions()}


# init


def test_init_prints_sql_that_makes_what_the_user_needs(
    database, make_command
):
    name, password = f'user_{secrets.token_hex(6)}', secrets.token_urlsafe(12)
    command = make_command(user=name, password=password)

    code, out, _ = command('init')

    assert code == 0
    assert password not in out
    lines = [line for line in out.splitlines() if not line.startswith('--')]
    script = '\n'.join(lines).replace('<password>', f"'{password}'")
    try:
        for statement in script.split(';\n'):
            database.query(statement.rstrip(';'))
        assert command('check') == (0, 'sessions can be kept\n', '')
        assert command('purge').code == 0
    finally:
        database.query(
            re.search('(?<=TO ).*(?=;)', out)[0].join(('DROP USER ', ''))
        )


def test_init_needs_no_server(command):
    code, out, err = command(
        *('init', '-o', 'mysql_session.unix_socket='),
        *('-o', 'mysql_session.host=nowhere.invalid'),
        *('-o', 'mysql_session.table_name=of`mine'),
    )

    assert (code, err) == (0, '')
    assert 'CREATE TABLE IF NOT EXISTS `of``mine` (' in out
    assert out.count('@`%`') == 2


def test_init_without_user_and_database_leaves_them_open(
    make_command, tmp_path
):
    options = tmp_path / 'my.cnf'
    options.touch()
    command = make_command(user=None, database=None, read_default_file=options)

    code, out, _ = command('init')

    assert code == 0
    assert 'CREATE DATABASE IF NOT EXISTS `<database>`;' in out
    assert 'CREATE USER IF NOT EXISTS `<user>`@' in out


def test_init_takes_the_database_of_the_table(make_command):
    out = make_command(table_name='else.where')('init').out

    assert 'CREATE DATABASE IF NOT EXISTS `else`;' in out
    assert f'GRANT {LEAST} ON `else`.`where` TO' in out


def test_init_with_run_makes_the_table_and_checks_it(database, make_command):
    command = make_command(create_table=False)

    assert command('init', '--run') == (0, 'sessions can be kept\n', '')

    assert helpers.count(database) == 0
    assert command('init', '--run').code == 0


# check


def test_check_of_a_missing_table_makes_none(database, command):
    code, out, _ = command('check')

    assert code == 1
    assert out.startswith('wrong: `sessions`: it is missing')
    assert 'CREATE TABLE IF NOT EXISTS `sessions`' in out
    assert not database.query('SHOW TABLES')


def test_check_prints_what_mends_the_table(database, store, command):
    database.query(
        'ALTER TABLE sessions MODIFY expires INT NOT NULL, '
        'MODIFY userid VARCHAR(50)'
    )

    code, out, _ = command('check')

    assert code == 1
    wrong = re.findall('^wrong: `sessions`: .*', out, re.M)
    assert len(wrong) == 2
    database.query(re.search('^ALTER TABLE .*;$', out, re.M)[0])
    assert command('check') == (0, 'sessions can be kept\n', '')


def test_check_prints_a_warning_once(database, store, command):
    database.query('ALTER TABLE sessions DROP KEY expires')

    code, out, err = command('check')

    assert (code, err) == (0, '')
    assert out.count('warning: ') == out.count('ALTER TABLE') == 1


def test_check_of_a_read_only_server_fails(server, store, command):
    with helpers.variables(server, read_only=1):
        code, out, _ = command('check')

    assert code == 1
    assert 'wrong: the server is read-only' in out
    assert 'can be kept' not in out


@pytest.mark.parametrize(
    ('seconds', 'found'),
    [(0, None), (100, '100 seconds behind'), (-100, '100 seconds ahead of')],
)
def test_check_compares_the_clocks(
    store, command, monkeypatch, seconds, found
):
    moment = store.now() + seconds
    monkeypatch.setattr(store.__class__, 'now', lambda self: moment - seconds)
    monkeypatch.setattr(table, 'time', SimpleNamespace(time=lambda: moment))

    code, out, _ = command('check')

    assert code == 0
    assert ('warning: the clock' in out) == (found is not None)
    assert found is None or found in out


def test_short_secret_is_a_warning(command):
    _, _, err = command('init', '-o', 'mysql_session.secret=short')

    assert err == (
        'pyramid-mysql-session: mysql_session.secret has fewer than 32 '
        'characters: take a longer one, such as the output of python -c '
        '"import secrets; print(secrets.token_urlsafe(48))"\n'
    )


# stats and list


def test_stats_count_what_is_there(database, store, command):
    create(store, 'ada', 'bob', None)
    helpers.bury(database, 2)

    code, out, err = command('stats')

    assert (code, err) == (0, '')
    found = dict(re.split(' {2,}', line) for line in out.splitlines())
    assert found['live'] == found['up to an hour old'] == '3'
    assert found['dead'] == '2'
    assert found['users'] == '2'
    assert re.fullmatch(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d', found['oldest'])
    assert found['numbers are'] == 'exact'


def test_stats_can_be_json(store, command):
    create(store, 'ada')

    found = json.loads(command('stats', '--json').out)

    assert found == json.loads(json.dumps(store.stats()._asdict()))


@pytest.mark.plain
def test_list_shows_the_newest_and_neither_id_nor_data(store, command):
    create(store, 'ada', None)
    handles = [one.handle for one in store.newest(9)]

    code, out, err = command('list')

    assert (code, err) == (0, '')
    head, *rows = out.splitlines()
    assert head.split() == ['handle', 'userid', 'created', 'expires', 'size']
    assert [row.split()[0] for row in rows] == handles
    assert {row.split()[1] for row in rows} == {'ada', '-'}
    assert {row.split()[-1] for row in rows} == {'20'}
    assert 'secret data' not in out
    assert not re.search('[0-9A-Za-z_-]{52}', out)


def test_list_of_a_user_is_limited(store, command):
    create(store, 'ada', 'bob', 'ada', 'ada')

    code, out, err = command('list', '--user', 'ada', '--limit', 2, '--json')

    assert code == 0
    assert [one['userid'] for one in json.loads(out)] == ['ada', 'ada']
    assert err == 'The newest 2 are shown, --limit shows more.\n'


def test_list_shows_devices_where_they_are_tracked(
    database, make_app, make_command
):
    app = make_app(track_devices=True)
    app.extra_environ['REMOTE_ADDR'] = '192.0.2.1'
    app.run(lambda request: request.session.update(a=1))
    database.query(
        'UPDATE sessions SET agent = %s', ('Browser \x1b[2J\u202e 漢',)
    )
    command = make_command(track_devices=True)

    table, document = command('list').out, command('list', '--json').out

    assert 'Browser \\u001b[2J\\u202e 漢\n' in table
    assert '192.0.2.1' in table
    (found,) = json.loads(document)
    assert found['ip'] == '192.0.2.1'
    assert found['seen'] == found['created']
    assert document.isascii()


def test_list_without_sessions_is_a_head_or_an_empty_document(store, command):
    assert command('list').out.split()[0] == 'handle'
    assert json.loads(command('list', '--json').out) == []


def test_moment_of_no_calendar_is_shown_as_a_number(database, store, command):
    create(store, 'ada')
    database.query(f'UPDATE sessions SET expires = {2**62}')

    assert f'{2**62:,}' not in command('list').out
    assert str(2**62) in command('list').out


def test_user_that_the_terminal_cannot_show_is_escaped(store, command):
    create(store, '漢')

    code, out, err = command.run(
        'list', env={**os.environ, 'PYTHONIOENCODING': 'ascii'}
    )

    assert (code, err) == (0, '')
    assert '\\u6f22' in out


# end


def test_end_of_a_user_leaves_others(store, command):
    create(store, 'ada', 'bob', 'ada')

    found = command('end', '--user', 'ada', '--yes')

    assert found == (0, '2 sessions ended\n', '')
    assert [one.userid for one in store.newest(9)] == ['bob']


@pytest.mark.parametrize('spell', [str.lower, str.upper])
def test_end_of_a_handle_ends_one_session(store, command, spell):
    handles = create(store, 'ada', 'bob')

    found = command('end', '--yes', '--handle', spell(handles['ada']))

    assert found == (0, '1 session ended\n', '')
    assert [one.userid for one in store.newest(9)] == ['bob']


@pytest.mark.parametrize(
    'handle', [NO_HANDLE, make_session_id()], ids=['none', 'session id']
)
def test_end_of_an_unknown_handle_fails_and_does_not_show_it(
    store, command, handle
):
    found = command('end', '--yes', '--handle', handle)

    assert found == (1, '', 'there is no live session of this handle\n')


def test_end_of_all_leaves_none(database, store, command):
    create(store, 'ada', None)
    helpers.bury(database, 1)

    found = command('end', '--all', '--yes')

    assert found == (0, '3 sessions deleted, expired ones included\n', '')
    assert helpers.count(database) == 0


def test_end_is_possible_where_the_key_is_no_primary_key(
    database, store, command
):
    database.query(
        'ALTER TABLE sessions DROP PRIMARY KEY, ADD UNIQUE mine (session_id)'
    )
    handles = create(store, 'ada')

    assert command('end', '--yes', '--handle', handles['ada']).code == 0


@pytest.mark.parametrize('what', [('--user', 'a'), ('--all',)])
def test_end_without_a_terminal_needs_to_be_sure(store, command, what):
    create(store, 'a')

    code, out, err = command.run('end', *what)

    assert (code, out) == (2, '')
    assert 'error: there is no terminal to ask on: --yes is needed' in err
    assert store.count() == 1


@pytest.mark.parametrize(
    ('what', 'question'),
    [
        (('--user', 'ada'), 'End the 2 sessions of this user? [y/N] '),
        (('--all',), 'End all 3 sessions? [y/N] '),
        (('--handle', NO_HANDLE), 'End this session? [y/N] '),
    ],
)
@pytest.mark.parametrize('answer', ['y', 'YES', 'n', ''])
def test_end_asks_on_the_terminal(store, command, what, question, answer):
    create(store, 'ada', 'ada', None)
    ours, theirs = os.openpty()
    agreed = answer.lower() in ('y', 'yes')

    with command.process('end', *what, stdin=theirs) as process:
        os.write(ours, f'{answer}\n'.encode())
        _, err = process.communicate(timeout=60)

    assert err.startswith(question)
    assert ('nothing was ended' in err) == (not agreed)
    done = agreed and NO_HANDLE not in what
    assert process.returncode == (0 if done else 1)
    assert (store.count() < 3) == done
    os.close(ours)
    os.close(theirs)


# who may, and what goes wrong


def test_user_with_the_least_privileges_may_do_all_but_make_the_table(
    database, store, make_command
):
    create(store, 'ada', 'bob')
    helpers.bury(database, 3)
    with helpers.user(database, LEAST, 'sessions') as account:
        command = make_command(**account)

        assert command('check').code == 0
        assert command('stats').code == 0
        assert command('list').code == 0
        assert command('purge').out == '3 expired sessions purged\n'
        assert command('end', '--user', 'ada', '--yes').code == 0
        assert command('end', '--all', '--yes').code == 0
        assert command('init').code == 0
        code, out, err = command('init', '--run')

    assert (code, out) == (1, '')
    assert err.startswith('pyramid-mysql-session: A privilege is missing. ')
    assert helpers.count(database) == 0


@pytest.mark.parametrize(
    ('settings', 'code', 'message'),
    [
        ({'unix_socket': '/nowhere'}, 1, 'MySQL cannot be reached'),
        ({'password': 'wr0ng'}, 1, 'MySQL refused the user'),
        ({'database': 'nowhere'}, 1, 'The user may not use the database'),
        ({'table_name': 'no'}, 1, '`no` cannot hold sessions: it is missing'),
        ({'table_name': 'odd'}, 1, '`odd` cannot hold sessions: column'),
        ({'port': 'wr0ng'}, 2, "mysql_session.port = 'wr0ng': expected"),
        ({'serializer': 'wr0ng'}, 2, 'mysql_session.serializer = '),
    ],
)
def test_error_is_one_line_and_shows_no_password(
    database, store, make_command, settings, code, message
):
    database.query('CREATE TABLE odd LIKE sessions')
    database.query('ALTER TABLE odd DROP COLUMN expires')

    with helpers.user(database, 'ALL') as account:
        command = make_command(**{**account, **settings})
        found = command('stats')

    assert found.code == code
    assert found.out == ''
    assert found.err.startswith(f'pyramid-mysql-session: {message}')
    assert found.err.count('\n') == 1
    assert account['password'] not in found.err
    assert 'password = wr0ng' not in found.err


def test_each_problem_of_the_settings_is_a_line(command):
    code, out, err = command(
        *('-o', 'mysql_session.idle_timeout=20m', 'stats'),
        *('-o', 'mysql_session.port=0'),
    )

    assert (code, out) == (2, '')
    lines = err.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ['pyramid-mysql-session:', 'mysql_session.port'],
        ['pyramid-mysql-session:', 'mysql_session.idle_timeout'],
    ]


def test_pool_that_a_setting_names_is_used(database, store, command):
    create(store, 'ada')
    server = database.server
    pool = PooledDB(
        MySQLdb,
        user=server.user,
        password=server.password,
        database=database.name,
        **server.address,
    )
    commands.POOLS.append(pool)
    command.write(
        {
            'mysql_session.secret': helpers.SECRET,
            'mysql_session.pool': f'{commands.__name__}.get_pool',
        }
    )

    code, out, _ = command('list')

    assert code == 0
    assert 'ada' in out
    pool.close()


def test_no_thread_of_ours_starts(store, command):
    create(store, 'ada')

    command('list')

    assert helpers.reapers() == []


def test_reader_that_has_enough_is_no_error(store, command):
    create(store, 'ada')
    reader, writer = os.pipe()

    with command.process('list', stdout=writer) as process:
        os.close(writer)
        os.close(reader)
        _, err = process.communicate(timeout=60)

    assert err == ''


@pytest.mark.parametrize(
    ('closed', 'arguments', 'code'),
    [
        ('>&-', ['stats'], 0),
        ('2>&-', ['list', '--json', '--limit', '1'], 0),
        ('2>&-', ['purge'], 0),
        ('<&-', ['end', '--user', 'ada'], 2),
        ('<&- >&- 2>&-', ['end', '--user', 'ada', '--yes'], 0),
    ],
)
def test_stream_that_is_closed_leads_nowhere(
    store, command, closed, arguments, code
):
    create(store, 'ada', 'bob')
    program = [sys.executable, commands.QUIET, '-m', 'pyramid_mysql_session']
    shell = ['sh', '-c', f'"$@" {closed}', 'sh']
    done = subprocess.run(
        [*shell, *program, command.path, *arguments],
        cwd=commands.ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == code
    assert 'Traceback' not in done.stderr
    if '--json' in arguments:
        assert len(json.loads(done.stdout)) == 1


def test_input_that_is_closed_is_at_its_end(monkeypatch):
    monkeypatch.setattr(sys, 'stdin', None)

    failing.open_streams()

    with sys.stdin as stdin:
        assert stdin.read() == ''


def test_output_that_has_no_room_is_an_error(store, command):
    with open('/dev/full', 'w') as full:
        code, _, err = command.run('list', stdout=full)

    assert code == 1
    assert err == (
        'pyramid-mysql-session: the output cannot be written: No space left '
        'on device\n'
    )


def test_list_as_json_is_what_other_programs_read(store, command):
    create(store, 'ada', 'bob')

    with command.process('list', '--json') as process:
        found = json.load(process.stdout)
        assert process.wait(60) == 0

    assert {one['userid'] for one in found} == {'ada', 'bob'}
