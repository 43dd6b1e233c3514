"""What the manual says to whoever runs the database."""

import shutil

import pytest

from pyramid_mysql_session import LockTimeout
from tests.helpers import count
from tests.manual.blocks import executes


def put(request):
    request.session['auth.userid'] = 'ada'


def read(request):
    return dict(request.session)


@pytest.fixture
def dump(terminal, server):
    """The terminal, with a mysqldump that talks to the server."""
    found = shutil.which('mysqldump')
    if found is None:
        pytest.skip('needs mysqldump')
    terminal.stand_in('mysqldump', f'exec {found} --no-defaults "$@"')
    return terminal


@pytest.fixture
def site(make_site, shop):
    return make_site('', there=shop)


@executes('operations.rst', 'sh', '--ignore-table')
def test_backup_has_the_table_and_none_of_its_rows(block, site, shop, dump):
    shop.query('CREATE TABLE orders (id int)')
    shop.query('INSERT INTO orders VALUES (42)')
    site.run(put)

    code, shown = dump.run(block.text)

    assert code == 0, shown
    saved = (dump.folder / 'shop.sql').read_text('utf-8')
    assert 'INSERT INTO `orders` VALUES' in saved
    assert 'CREATE TABLE `sessions`' in saved
    assert 'INSERT INTO `sessions`' not in saved


@executes('operations.rst', 'sh', 'end --all')
def test_restored_sessions_live_again_until_all_are_ended(
    block, site, shop, terminal
):
    site.run(put)
    shop.query('CREATE TABLE backup AS SELECT * FROM sessions')
    # somebody has kept the cookie
    cookie = site.cookies['session']
    site.run(lambda request: request.session.invalidate())
    site.set_cookie('session', cookie)
    assert site.run(read).json == {}

    shop.query('INSERT INTO sessions SELECT * FROM backup')
    assert site.run(read).json == {'auth.userid': 'ada'}
    assert terminal.run(block.text).code == 0

    assert site.run(read).json == {}


@executes('operations.rst', 'sql', 'innodb_trx')
def test_transaction_that_holds_locks_is_found(block, app, database):
    app.run(put)
    connection = database.connect(autocommit=False)
    try:
        with connection.cursor() as cursor:
            cursor.execute('SELECT CONNECTION_ID() FROM sessions FOR UPDATE')
            ((mine,),) = cursor.fetchall()

            found = database.query(block.text)
    finally:
        connection.close()

    assert mine in [row[0] for row in found]


@executes('operations.rst', 'sql', 'ADD KEY (userid)')
def test_index_is_added_beside_writes(block, app, database):
    app.store.create_table()
    database.query('ALTER TABLE sessions DROP KEY userid')
    assert app.store.check_table()

    database.query(block.text)

    assert not app.store.check_table()


@executes('operations.rst', 'sql', 'OPTIMIZE TABLE')
def test_file_is_made_smaller_and_the_rows_stay(block, app, database):
    app.run(put)

    assert 'OK' in [row[-1] for row in database.query(block.text)]
    assert count(database) == 1


def test_sessions_can_be_read_and_not_saved_while_a_table_is_copied(
    make_app, database
):
    app = make_app(lock_timeout=1)
    app.run(put)
    connection = database.connect()
    try:
        with connection.cursor() as cursor:
            # what ALTER TABLE holds meanwhile
            cursor.execute('LOCK TABLES sessions READ')

            assert app.run(read).json == {'auth.userid': 'ada'}
            with pytest.raises(LockTimeout):
                app.run(lambda request: request.session.update(key=1))
    finally:
        connection.close()


@executes('operations.rst', 'sh', 'list --user ada')
def test_commands_to_keep_at_hand_work(block, site, shop, terminal):
    site.run(put)

    code, shown = terminal.run(block.text)

    assert code == 0, shown
    assert count(shop) == 0
