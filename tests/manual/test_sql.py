"""The SQL of the manual, on servers that have sessions."""

import re

import pytest

from pyramid_mysql_session.store.keys import handle, make_session_id
from tests.helpers import bury, count, variables, wait_until
from tests.manual.blocks import executes

#: What the page says that the user needs.
EVENT_PRIVILEGES = 'EVENT, SELECT, DELETE'
HANDLE = '6b0656f00f77f2822c564c1cc71d4a3f'


@pytest.fixture
def store(app):
    app.store.create_table()
    return app.store


def create(store, *users):
    """Create a session of each user; return their ids."""
    ids = [make_session_id() for _ in users]
    for session_id, user in zip(ids, users, strict=True):
        store.create(session_id, '{}', 3600, user)
    return ids


@executes('table.rst', 'sql', 'SELECT DISTINCT userid')
def test_users_who_are_here_are_listed(block, store, database):
    create(store, 'ada', 'ada', None)
    bury(database, 1)
    database.query("UPDATE sessions SET userid = 'old' WHERE revision = 0")

    assert database.query(block.text) == [('ada',)]


@executes('table.rst', 'sql', 'INET6_NTOA(ip)')
def test_devices_of_users_are_listed(block, make_app, database):
    app = make_app(track_devices=True)

    def log_in(request):
        request.session['auth.userid'] = 'ada'

    for name in ('a browser', 'another'):
        browser = app.browser()
        browser.extra_environ['REMOTE_ADDR'] = '192.0.2.7'
        browser.run(log_in, headers={'User-Agent': name})
        database.query('UPDATE sessions SET seen = seen - 1000')

    latest, first = database.query(block.text)
    assert (latest[0], latest[2:]) == ('ada', ('192.0.2.7', 'another'))
    assert (first[0], first[2:]) == ('ada', ('192.0.2.7', 'a browser'))


@executes('table.rst', 'sql', 'HEX(session_id) LIKE')
def test_session_is_found_by_its_handle(block, store, database):
    session_id, _ = create(store, 'ada', 'grace')

    sql = block.text.replace(HANDLE.upper(), handle(session_id).upper())

    assert sql != block.text
    ((userid, _),) = database.query(sql.replace('%', '%%'), ())
    assert userid == 'ada'


@executes('security.rst', 'sql', 'SUBSTR(HEX(session_id)')
def test_session_is_found_by_what_the_log_says(block, store, database):
    session_id, _ = create(store, 'ada', 'grace')

    sql = block.text.replace('DB8E1AB1', handle(session_id)[-8:].upper())

    assert sql != block.text
    ((userid, _, _),) = database.query(sql)
    assert userid == 'ada'


@executes('table.rst', 'sql', 'CREATE TABLE')
@executes('table.rst', 'sql', 'GRANT SELECT')
def test_table_made_by_hand_serves_a_user_with_least_privileges(
    blocks, shop, make_site
):
    create_table, grant = blocks
    server = shop.server
    server.query("CREATE USER shop@localhost IDENTIFIED BY 'correct horse'")
    server.query('GRANT CREATE ON shop.* TO shop@localhost')
    shop.query(create_table.text)
    server.query('REVOKE CREATE ON shop.* FROM shop@localhost')
    server.query(grant.text)

    site = make_site('', there=shop, user='shop', password='correct horse')

    assert site.store.check_table() == []
    assert [site.run().json['visits'] for _ in range(2)] == [1, 2]
    site.run(lambda request: request.session.renew_id())
    bury(shop, 2)
    assert site.store.purge() == 2
    site.run(lambda request: request.session.invalidate())
    assert count(shop) == 0


@executes('howto/devices.rst', 'sql', 'ADD COLUMN `seen`')
def test_table_gets_the_columns_of_devices(block, store, make_app, database):
    (session_id,) = create(store, 'ada')

    database.query(block.text)

    assert store.load(session_id) is not None
    assert make_app(track_devices=True).store.check_table() == []


@executes('howto/encryption.rst', 'sql', 'mediumblob')
def test_table_gets_a_column_for_sealed_data(block, store, make_app, database):
    (session_id,) = create(store, 'ada')

    database.query(block.text)

    assert store.load(session_id) is not None
    assert make_app(encrypt='starting').store.check_table() == []


@executes('howto/testing.rst', 'sql', 'UPDATE sessions')
def test_sessions_expire_at_once(block, make_site, database):
    site = make_site('')
    site.run()
    assert site.run().json['visits'] == 2

    database.query(block.text)

    assert site.run().json['visits'] == 1


@executes('internals.rst', 'sql', ':payload')
def test_save_changes_only_the_revision_that_was_loaded(
    block, store, database
):
    (session_id,) = create(store, 'ada')
    ((key, revision),) = database.query(
        'SELECT session_id, revision FROM sessions'
    )
    sql = re.sub(r':(\w+)', r'%(\1)s', block.text)
    values = {'key': key, 'payload': '{"a": 1}', 'deadline': 2**40}

    def save(loaded, written):
        database.query(sql, {**values, 'loaded': loaded, 'written': written})

    save(revision, 7)
    save(revision, 8)

    record = store.load(session_id)
    assert (record.revision, record.payload) == (7, '{"a": 1}')
    database.query('UPDATE sessions SET expires = 1')
    save(7, 8)
    assert database.query('SELECT revision FROM sessions') == [(7,)]


@executes('timeouts.rst', 'sql', 'created + 604800')
def test_what_a_shorter_absolute_timeout_has_ended_is_deleted(
    block, make_app, database
):
    store = make_app(absolute_timeout=604_800).store
    create(store, 'ada', 'ada', 'grace')
    database.query(
        'UPDATE sessions SET created = created - 604801 WHERE userid = %s',
        ('ada',),
    )
    # by their deadlines they live
    assert (store.stats().dead, store.purge()) == (2, 0)

    database.query(block.text)

    assert store.stats().dead == 0
    assert [found.userid for found in store.iter_sessions()] == ['grace']


@executes('purge.rst', 'sql', 'CREATE EVENT')
def test_event_of_the_server_purges(block, shop, make_site, terminal):
    make_site('', there=shop).store.create_table()
    shop.server.query("CREATE USER eve@localhost IDENTIFIED BY ''")
    shop.server.query(f'GRANT {EVENT_PRIVILEGES} ON shop.* TO eve@localhost')
    bury(shop, 3)
    (terminal.folder / 'event.sql').write_text(block.text)

    with variables(shop.server, event_scheduler='ON'):
        # only a client knows DELIMITER
        assert terminal.run('mysql -u eve shop < event.sql') == (0, '')
        wait_until(lambda: count(shop) == 0)
