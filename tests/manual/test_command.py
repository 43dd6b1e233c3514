"""The command lines of the manual, on a terminal."""

import re

import pytest

from pyramid_mysql_session.store.keys import make_session_id
from tests.conftest import server_parameters
from tests.helpers import bury, count
from tests.manual.blocks import executes
from tests.manual.terminal import program

HANDLE = '6b0656f00f77f2822c564c1cc71d4a3f'
YES = {'[y/N]': 'y'}


# tests/functional/test_command.py runs each command on both servers
pytestmark = pytest.mark.parametrize(
    'server', server_parameters()[:1], indirect=True, scope='session'
)


@pytest.fixture
def site(make_site):
    """An application whose file is ``production.ini``; it has a table."""
    site = make_site('')
    site.store.create_table()
    return site


def create(site, *users):
    for user in users:
        site.store.create(make_session_id(), '{}', 3600, user)


@executes('command.rst', 'sh', 'production.ini check\n')
def test_check_finds_nothing_wrong(block, site, terminal):
    assert terminal.run(block.text) == (0, 'sessions can be kept\n')


@executes('command.rst', 'sh', 'check || exit')
def test_check_before_a_deployment_ends_it(block, site, terminal, database):
    script = f'{block.text}\necho deployed\n'
    assert terminal.run(script) == (0, 'sessions can be kept\ndeployed\n')

    database.query('ALTER TABLE sessions DROP COLUMN revision')
    code, shown = terminal.run(script)
    assert code == 1
    assert 'ADD COLUMN `revision`' in shown
    assert 'deployed' not in shown


@executes('command.rst', 'sh', 'mysql_session.host=db2')
def test_options_replace_settings_and_variables(
    block, site, write_ini, terminal, server
):
    create(site, 'ada')
    tcp = {'unix_socket': None, 'port': server.port}
    write_ini('', host='nowhere.invalid', **tcp)
    write_ini('', 'development.ini', host='%(db_host)s', **tcp)
    # of which the client makes the server's socket
    local = server.host
    script = block.text.replace('=db2', f'={local}')
    script = script.replace('=localhost', f'={local}')

    code, shown = terminal.run(script)

    assert code == 0, shown
    assert re.search(r'live +1\b', shown)
    assert shown.endswith('sessions can be kept\n')
    assert terminal.run(block.text).code == 1


@executes('command.rst', 'sh', 'init > sessions.sql')
def test_init_makes_all_that_the_settings_name(
    block, write_ini, load, shop, terminal
):
    shop.drop()
    path = write_ini(
        'mysql_session.user = shop\n'
        'mysql_session.password = correct horse\n'
        'mysql_session.database = shop\n'
    )
    first, comment, last = block.text.splitlines()
    assert 'where <password> stands' in comment

    assert terminal.run(first) == (0, '')
    script = path.with_name('sessions.sql')
    script.write_text(
        script.read_text().replace('<password>', "'correct horse'")
    )
    code, shown = terminal.run(last, {'password:': ''})

    assert code == 0, shown
    assert 'password' in shown.lower()
    assert load(path).run().json['visits'] == 1


@executes('command.rst', 'sh', 'purge --dry-run')
def test_purge_deletes_what_has_expired(block, site, terminal, database):
    purge, dry_run, bounded = block.text.splitlines()
    create(site, 'ada')
    bury(database, 3)

    assert '3' in terminal.run(dry_run).shown
    assert count(database) == 4
    assert terminal.run(purge).code == 0
    assert count(database) == 1
    bury(database, 3)
    assert terminal.run(bounded).code == 0
    assert count(database) == 1


@executes('command.rst', 'sh', 'list --user ada')
def test_sessions_are_counted_and_listed(block, site, terminal):
    stats, everybody, ada, handles = block.text.splitlines()
    program('jq', 'jq')
    create(site, 'ada', 'ada', 'grace')
    found = {session.handle for session in site.store.iter_sessions()}

    assert re.search(r'live +3\b', terminal.run(stats).shown)
    assert all(handle in terminal.run(everybody).shown for handle in found)
    shown = terminal.run(ada).shown
    assert sum(handle in shown for handle in found) == 2
    assert set(terminal.run(handles).shown.split()) == found


@executes('command.rst', 'sh', 'end --user ada')
def test_sessions_are_ended_by_user_by_handle_and_all(
    block, site, terminal, database
):
    user, handle, everybody = block.text.replace('\\\n', '').splitlines()
    create(site, 'ada', 'ada', 'grace', 'grace')
    database.query(
        f"UPDATE sessions SET session_id = UNHEX(CONCAT('{HANDLE}', "
        "SUBSTR(HEX(session_id), 33))) WHERE userid = 'grace' LIMIT 1"
    )

    assert terminal.run(user, {'[y/N]': 'n'}).code == 1
    assert count(database) == 4
    assert terminal.run(user, YES).code == 0
    assert database.query('SELECT DISTINCT userid FROM sessions') == [
        ('grace',)
    ]
    assert terminal.run(handle, YES).code == 0
    assert count(database) == 1
    assert terminal.run(everybody, YES).code == 0
    assert count(database) == 0


@executes('purge.rst', 'sh', '*/15 * * * *')
def test_line_of_cron_purges(block, site, terminal, database):
    *times, command = block.text.split(maxsplit=5)
    assert times == ['*/15', '*', '*', '*', '*']
    assert '/etc/shop.ini' in command
    bury(database, 3)

    code, shown = terminal.run(
        command.replace('/etc/shop.ini', 'production.ini')
    )

    assert (code, shown.strip()) == (0, '')
    assert count(database) == 0
