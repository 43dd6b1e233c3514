"""What the manual writes into ini files, in files that make applications."""

import pytest

from tests import certificates
from tests.helpers import fetch, twin
from tests.manual.blocks import executes


def store(request):
    request.session['word'] = 'teapot'


def log_in(request):
    request.session['auth.userid'] = 'ada'


def lifetimes(database):
    """Return how long each session lives, unless it is used."""
    rows = database.query(
        'SELECT CAST(expires AS SIGNED) - UNIX_TIMESTAMP() FROM sessions'
    )
    return [seconds for (seconds,) in rows]


def about(seconds):
    """Give the statement time to arrive."""
    return pytest.approx(seconds, abs=5)


@executes('timeouts.rst', 'ini', 'half an hour')
def test_session_lives_half_an_hour_unused_or_twelve_in_all(
    block, make_site, database
):
    site = make_site(block.text)
    site.run()
    assert lifetimes(database) == [about(1800)]

    database.query('UPDATE sessions SET created = created - 43200 + 60')
    assert site.run().json['visits'] == 2
    assert lifetimes(database) == [about(60)]
    database.query('UPDATE sessions SET created = created - 61')
    assert site.run().json['visits'] == 1


@executes('howto/bots.rst', 'ini', 'anonymous_idle_timeout')
def test_visitor_without_a_user_has_half_an_hour(block, make_site, database):
    site = make_site(block.text)

    site.run()
    assert lifetimes(database) == [about(1800)]
    site.run(log_in)
    assert lifetimes(database) == [about(604800)]


@executes('howto/devices.rst', 'ini', 'track_devices')
def test_devices_are_noted(block, make_site, database):
    site = make_site(block.text)
    site.extra_environ['REMOTE_ADDR'] = '127.0.0.1'

    site.run(headers={'User-Agent': 'a browser'})

    (row,) = database.query('SELECT INET6_NTOA(ip), agent FROM sessions')
    assert row == ('127.0.0.1', 'a browser')


@pytest.mark.plain
@executes('howto/encryption.rst', 'ini', 'encrypt')
def test_what_is_stored_is_not_to_be_read(block, make_site, database):
    site = make_site(block.text)
    site.run(store)

    ((data,),) = database.query('SELECT data FROM sessions')
    assert b'teapot' not in data
    assert site.run(lambda request: request.session['word']).json == 'teapot'


@executes('security.rst', 'ini', '__Host-session')
def test_strictest_cookie_is_for_https_and_this_host(block, make_site):
    site = make_site(block.text)
    site.extra_environ['wsgi.url_scheme'] = 'https'

    cookie = site.run().headers['Set-Cookie']
    assert cookie.startswith('__Host-session=')
    assert {'Path=/', 'secure'} <= set(cookie.split('; '))
    assert 'Domain' not in cookie


@executes('security.rst', 'ini', 'the-new-secret')
def test_change_of_the_secret_logs_nobody_out(block, make_site):
    name, new, old = block.text.split()[0], *block.text.split()[2:]
    before = make_site(f'{name} = {old}\n')
    between = make_site(block.text)
    after = make_site(f'{name} = {new}\n')
    before.run()

    browser = twin(before, between)
    answer = browser.run()
    assert answer.json['visits'] == 2
    # signed by the new one
    assert 'Set-Cookie' in answer.headers
    assert twin(browser, after).run().json['visits'] == 3
    # to whom the old one says nothing any more
    assert twin(before, after).run().json['visits'] == 1


@executes('configuration.rst', 'ini', '[client]')
@executes('configuration.rst', 'ini', 'read_default_file')
def test_option_file_says_where_and_who(blocks, make_site, tmp_path, shop):
    option_file, ini = blocks
    server = shop.server
    path = tmp_path / 'mysql.cnf'
    where = {'unix_socket': 'socket', 'host': 'host', 'port': 'port'}
    address = '\n'.join(
        f'{where[name]} = {value}' for name, value in server.address.items()
    )
    assert 'host = db.example\n' in option_file.text
    path.write_text(option_file.text.replace('host = db.example', address))
    assert '/etc/shop/mysql.cnf' in ini.text
    server.query("CREATE USER shop@localhost IDENTIFIED BY 'correct horse'")
    server.query('GRANT ALL ON shop.* TO shop@localhost')

    site = make_site(
        ini.text.replace('/etc/shop/mysql.cnf', str(path)),
        **dict.fromkeys(('unix_socket', 'host', 'port', 'user', 'password')),
    )

    assert site.run().json['visits'] == 1
    ((who,),) = fetch(site, 'SELECT CURRENT_USER()')
    assert who == 'shop@localhost'
    assert shop.query('SELECT COUNT(*) FROM sessions') == [(1,)]


@executes('configuration.rst', 'ini', 'ssl_mode')
def test_connection_is_encrypted(block, make_site, server):
    if not server.private:
        pytest.skip('the certificate of this server is not ours')
    certificate, _ = certificates.make()
    assert '/etc/shop/mysql-ca.pem' in block.text

    site = make_site(
        block.text.replace('/etc/shop/mysql-ca.pem', str(certificate)),
        unix_socket=None,
        host=server.host,
        port=server.port,
    )

    ((_, cipher),) = fetch(site, "SHOW STATUS LIKE 'Ssl_cipher'")
    assert cipher


@pytest.mark.parametrize('tracked', [True, False])
@executes('howto/users.rst', 'python', '# shop/security.py')
@executes('configuration.rst', 'ini', 'shop.security.userid')
@executes('howto/users.rst', 'ini', 'shop.security.userid')
def test_callable_tells_who_the_user_is(
    blocks, make_site, package, database, tracked
):
    module, tracking, plain = blocks
    (package / 'security.py').write_text(module.text)
    ini = tracking if tracked else plain

    site = make_site(ini.text)
    site.extra_environ['REMOTE_USER'] = 'ada'

    site.run()

    assert database.query('SELECT userid FROM sessions') == [('ada',)]
    columns = {name for name, *_ in database.query('DESCRIBE sessions')}
    assert ('agent' in columns) == tracked


@executes('configuration.rst', 'ini', 'shop.database.make_pool')
def test_pool_is_found_by_its_dotted_name(block, make_site, package, database):
    arguments = {
        **database.server.address,
        'user': database.server.user,
        'password': database.server.password,
        'database': database.name,
        'charset': 'utf8mb4',
    }
    (package / 'database.py').write_text(
        'import MySQLdb\n'
        'from dbutils.pooled_db import PooledDB\n'
        'def make_pool():\n'
        f'    return PooledDB(MySQLdb, **{arguments!r})\n'
    )
    names = 'unix_socket', 'host', 'port', 'user', 'password', 'database'

    site = make_site(block.text, **dict.fromkeys(names))

    assert site.run().json['visits'] == 1
    assert database.query('SELECT COUNT(*) FROM sessions') == [(1,)]


@executes('index.rst', 'ini', 'mysql_session')
@executes('index.rst', 'python', 'add_to_cart')
def test_first_page_shows_a_cart(blocks, make_site, shop, recipe):
    ini, code = blocks
    add_to_cart = recipe(code).add_to_cart
    shop.query("CREATE USER shop@localhost IDENTIFIED BY 'correct horse'")
    shop.query('GRANT ALL ON shop.* TO shop@localhost')
    site = make_site(ini.text)

    carts = [site.run(add_to_cart).json for _ in range(2)]

    assert carts == [{'cart': ['teapot']}, {'cart': ['teapot'] * 2}]
    assert shop.query('SELECT COUNT(*) FROM sessions') == [(1,)]
