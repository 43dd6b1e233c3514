"""What the manual writes about clusters and shards."""

import contextlib
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from private_server import free_port

from tests.clusters.needs import MISSING
from tests.helpers import count, fetch, variables, wait_until
from tests.manual import balancer
from tests.manual.blocks import ROOT, executes

GROUP = 'group_replication'


def statements(text):
    """Return the statements of a script, without its comments."""
    lines = [x for x in text.splitlines() if not x.startswith('--')]
    return [each for each in '\n'.join(lines).split(';') if each.strip()]


@contextlib.contextmanager
def health_check(option_file):
    """Run the health check of the manual on a port."""
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, ROOT / 'docs' / 'health_check.py'),
            *('--port', str(port), '--option-file', option_file),
        ]
    )
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def answer(port):
    """Return the status of a health check, ``None`` before it listens."""
    try:
        with urllib.request.urlopen(f'http://127.0.0.1:{port}') as answer:
            return answer.status
    except urllib.error.HTTPError as exc:
        return exc.code
    except OSError:
        return None


@executes('scaling.rst', 'sql', 'performance_schema')
@executes('scaling.rst', 'cfg', 'haproxy.cfg')
@executes('scaling.rst', 'ini', 'mysql_session.port = 3307')
def test_sessions_are_kept_behind_haproxy(blocks, make_site, shop, tmp_path):
    sql, configuration, ini = blocks
    server, port = shop.server, free_port()
    create, mysql_only = sql.text.split('-- MySQL only\n')
    server.query(create)
    if server.kind == 'mysql':
        server.query(mysql_only)
    option_file = tmp_path / 'check.cnf'
    option_file.write_text(
        '[client]\nuser = check\npassword = "a password"\n'
        f'socket = {server.socket}\n'
    )
    server.query("CREATE USER shop@'%' IDENTIFIED BY 'a password'")
    server.query("GRANT ALL ON shop.* TO shop@'%'")
    text = configuration.text.replace(':3307', f':{port}')
    for number in (1, 2, 3):
        assert f'10.0.0.{number}:3306' in text
        text = text.replace(
            f'10.0.0.{number}:3306', f'127.0.0.1:{server.port}'
        )

    with health_check(option_file) as check_port:
        wait_until(lambda: answer(check_port) == 200)
        text = text.replace('port 9200', f'port {check_port}')
        text = text.replace('inter 1s', 'inter 100ms')
        with balancer.running(tmp_path, text) as states:
            wait_until(lambda: states()['db1'] == 'UP')
            assert 'mysql_session.host = 127.0.0.1\n' in ini.text
            site = make_site(
                ini.text, unix_socket=None, host='127.0.0.1', port=port
            )
            assert site.run().json['visits'] == 1
            assert count(shop) == 1
            # all three are this server
            with variables(server, read_only=1):
                wait_until(lambda: states()['db1'] == 'DOWN')


@pytest.fixture
def group_plugin(server):
    """What knows the variables of a group, which has no members."""
    if server.kind != 'mysql':
        pytest.skip('Group Replication is of MySQL')
    if 'Group Replication' in MISSING or not server.private:
        pytest.skip('needs a plugin of MySQL')
    server.query(f"INSTALL PLUGIN {GROUP} SONAME '{GROUP}.so'")
    yield
    server.query(f'UNINSTALL PLUGIN {GROUP}')


@executes('scaling.rst', 'ini', '# Group Replication')
def test_reads_wait_for_the_group(block, group_plugin, make_site):
    site = make_site(block.text)

    ((value,),) = fetch(site, f'SELECT @@SESSION.{GROUP}_consistency')
    assert value == 'BEFORE'
    assert site.run().json['visits'] == 1


@executes('scaling.rst', 'ini', '# Galera')
def test_reads_wait_for_the_cluster(block, make_site, server):
    if server.kind != 'mariadb':
        pytest.skip('Galera is of MariaDB')
    site = make_site(block.text)

    ((value,),) = fetch(site, 'SELECT @@SESSION.wsrep_sync_wait')
    assert value == 7
    assert site.run().json['visits'] == 1


@executes('scaling.rst', 'sql', 'ENGINE=SPIDER')
@executes('scaling.rst', 'ini', 'shard_bytes')
def test_sessions_are_spread_over_shards(
    blocks, make_app, make_site, private_server, server
):
    if server.kind != 'mariadb':
        pytest.skip('Spider is of MariaDB')
    if 'Spider' in MISSING or not server.private:
        pytest.skip('needs a plugin of MariaDB')
    sql, ini = blocks
    front = private_server(plugin_load_add='ha_spider.so')
    parts = [server.create_database() for _ in range(3)]
    server.query("CREATE USER shop@'%' IDENTIFIED BY 'a password'")
    here = front.create_database()
    first, table = statements(sql.text)
    assert "HOST '10.0.0.1', PORT 3306" in first
    assert "DATABASE 'shop'" in first
    first = first.replace(
        "HOST '10.0.0.1', PORT 3306",
        f"HOST '{server.host}', PORT {server.port}",
    )
    for number, part in enumerate(parts):
        server.query(
            'GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, CREATE TEMPORARY '
            f"TABLES ON `{part.name}`.* TO shop@'%'"
        )
        site = make_site('', there=part)
        site.store.create_table()
        front.query(
            first.replace('n0', f'n{number}').replace(
                "DATABASE 'shop'", f"DATABASE '{part.name}'"
            )
        )
    here.query(table)

    site = make_site(ini.text, there=here)

    browsers = [site.browser() for _ in range(40)]
    assert all(browser.run().json['visits'] == 1 for browser in browsers)
    assert all(browser.run().json['visits'] == 2 for browser in browsers)
    numbers = [count(part) for part in parts]
    assert sum(numbers) == 40
    assert all(numbers)
    server.query("DROP USER shop@'%'")
    for part in parts:
        part.drop()
