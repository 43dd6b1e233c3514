"""
The quick start and the README, as a stranger pastes them.

The quick start is pasted into a shell, block after block, in a folder that is
empty but for a copy of this clone. These things are not the page's:

* The server is a private one: ``MYSQL_UNIX_PORT`` tells the application, and
  ``mariadb`` and ``mysql`` of the test tell the client, which socket
  ``localhost`` is.
* ``sudo`` is a script of the test, for a test changes no machine. It installs
  nothing, but sees that what it is to install is there; and it runs the
  database's client as the administrator of the private server.
* For MySQL the client is called ``mysql``, as the page says.
* 6543 is another port, for somebody may use that one.
"""

import re
import shlex
import shutil
import subprocess
import sys
import types

import plaster
import pytest
from private_server import free_port
from pyramid.config import Configurator
from pyramid.interfaces import ISessionFactory
from webtest import TestApp

from tests.helpers import SECRET, wait_until
from tests.manual.blocks import PLACEHOLDER, ROOT, block, executes
from tests.manual.cookiecutter import EXISTING, logging_as, merged
from tests.manual.terminal import Terminal

PAGE = 'quickstart.rst'

#: What the test has in the place of ``sudo``.
SUDO = """\
case $1 in
apt-get) shift 2; exec dpkg-query --show -- "$@" ;;
*) program=$1; shift; exec "$program" --user=root "$@" ;;
esac"""


@pytest.fixture
def fresh(shop):
    """A server on which nobody has heard of the shop."""
    shop.drop()
    return shop.server


@pytest.fixture
def terminal(fresh, tmp_path):
    """A terminal in a folder beside a clone, on a machine with a server."""
    clone = tmp_path / 'pyramid_mysql_session'
    clone.mkdir()
    # all that is installed is made of
    for name in ('LICENSE', '*.rst', 'pyproject.toml', 'setup.*'):
        for path in ROOT.glob(name):
            shutil.copy(path, clone)
    shutil.copytree(
        ROOT / clone.name,
        clone / clone.name,
        ignore=shutil.ignore_patterns('__pycache__'),
    )
    terminal = Terminal(tmp_path, MYSQL_UNIX_PORT=fresh.socket)
    for name in ('PIP_NO_INDEX', 'PYTHONPATH', 'VIRTUAL_ENV'):
        terminal.environment.pop(name, None)
    client = {'mariadb': 'mariadb', 'mysql': 'mysql'}[fresh.kind]
    # an option file of the machine would name another server
    terminal.stand_in(
        client, f'exec {shutil.which(client)} --no-defaults "$@"'
    )
    terminal.stand_in('sudo', SUDO)
    return terminal


@executes(PAGE, 'sh', 'sudo apt-get')
@executes(PAGE, 'sh', 'python3 -m venv')
@executes(PAGE, 'sh', 'sudo mariadb')
@executes(PAGE, 'sh', 'app.py')
@executes(PAGE, 'sh', '>development.ini')
@executes(PAGE, 'sh', 'pserve')
@executes(PAGE, 'sh', 'curl -s')
@executes(PAGE, 'sh', 'FROM_UNIXTIME')
@executes('README.rst', 'sh', 'pip install .')
def test_pasted_blocks_count_visits(blocks, terminal, fresh):
    port = str(free_port())
    *first, serve, visit, look, install = (
        re.sub(r'\bmariadb\b', fresh.kind, block.text).replace('6543', port)
        for block in blocks
    )

    code, shown = terminal.run('\n'.join(first))
    assert code == 0, shown
    # where the blocks have gone
    terminal.folder /= 'shop'
    with terminal.running(serve) as process:
        wait_until(lambda: process.poll() or 'Serving on' in terminal.shown())
        shown = terminal.shown()
        visits = terminal.run(visit)
        row = terminal.run(look)

    # what the README has, in the clone
    terminal.folder = terminal.folder.with_name('pyramid_mysql_session')
    installed = terminal.run(f'PATH=../shop/env/bin:$PATH\n{install}')

    assert installed.code == 0, installed.shown
    assert 'Successfully installed pyramid-mysql-session' in installed.shown
    name = {'mariadb': 'MariaDB', 'mysql': 'MySQL'}[fresh.kind]
    assert f'sessions are kept in shop.sessions on {name} ' in shown
    assert visits == (0, block(PAGE, 'text', '1\n2\n3\n').text)
    assert row.code == 0
    title, kept = row.shown.splitlines()
    assert title.split() == ['data', 'created']
    assert kept.startswith('{"visits":3}')


@pytest.fixture
def start(monkeypatch):
    """Call it with an ini file and a view for the application."""
    apps = []

    def make(path, view):
        def main(global_config, **settings):
            with Configurator(settings=settings) as config:
                config.add_view(view, renderer='json')
            return config.make_wsgi_app()

        shop = types.ModuleType('shop')
        shop.main = main
        monkeypatch.setitem(sys.modules, 'shop', shop)
        loader = plaster.get_loader(str(path), protocols=['wsgi'])
        app = loader.get_wsgi_app('main')
        apps.append(app)
        return TestApp(app)

    yield make
    for app in apps:
        app.registry.getUtility(ISessionFactory).close()


def make_database(server, sql):
    """Let the administrator execute statements."""
    for statement in sql.split(';\n'):
        if statement.strip():
            server.query(statement)


@executes(PAGE, 'ini', 'pyramid_debugtoolbar')
@executes(PAGE, 'sh', 'token_urlsafe(48))"\n')
@executes(PAGE, 'ini', 'keys = root, shop, sessions')
@executes(PAGE, 'python', 'teapot')
def test_lines_go_into_the_file_of_the_cookiecutter(
    blocks, fresh, recipe, start, tmp_path, capsys
):
    ours, command, log, cart = blocks
    _, made, _ = re.split(
        "<<'END'\n|END\n", block(PAGE, 'sh', 'sudo mariadb').text
    )
    make_database(fresh, made)
    program = shlex.split(command.text)
    secret = subprocess.check_output([sys.executable, *program[1:]], text=True)

    text = merged(merged(EXISTING, ours.text), log.text)
    text = text.replace(PLACEHOLDER, secret.strip()).replace(
        'mysql_session.host = localhost',
        f'mysql_session.unix_socket = {fresh.socket}',
    )
    path = tmp_path / 'development.ini'
    path.write_text(text)
    with logging_as(path):
        app = start(path, recipe(cart).add_to_cart)

        for number in (1, 2, 3):
            assert app.get('/').json == {'cart': {'teapot': number}}
    included = app.app.registry.settings['pyramid.includes']
    assert included.split() == [
        'pyramid_debugtoolbar',
        'pyramid_mysql_session',
    ]
    assert re.search(
        r'INFO  \[pyramid_mysql_session\S*\] sessions are kept in shop\.',
        capsys.readouterr().err,
    )


@executes(PAGE, 'ini', 'mysql_session.port')
@executes(PAGE, 'sql', "shop@'%'")
def test_user_of_any_address_comes_by_tcp(
    blocks, fresh, recipe, start, tmp_path
):
    address, sql = blocks
    make_database(fresh, sql.text)
    cart = recipe(block(PAGE, 'python', 'teapot')).add_to_cart
    text = merged(EXISTING, block(PAGE, 'ini', 'pyramid_debugtoolbar').text)

    text = merged(text, f'[app:main]\n{address.text}')
    text = text.replace(PLACEHOLDER, SECRET)
    path = tmp_path / 'development.ini'
    path.write_text(text.replace('3306', str(fresh.port)))
    app = start(path, cart)

    assert app.get('/').json == {'cart': {'teapot': 1}}


@executes('README.rst', 'sql', 'CREATE DATABASE')
@executes('README.rst', 'ini', 'mysql_session')
@executes('README.rst', 'python', 'def main')
def test_readme_makes_a_session(blocks, fresh, tmp_path, recipe):
    sql, ini, code = blocks
    make_database(fresh, sql.text)
    path = tmp_path / 'development.ini'
    path.write_text(ini.text.replace(PLACEHOLDER, SECRET))
    settings = plaster.get_loader(str(path)).get_settings('app:main')
    # in which localhost has another socket
    settings['mysql_session.unix_socket'] = fresh.socket

    router = recipe(code).main({}, **settings)

    app = TestApp(router)
    try:
        for number in (1, 2, 3):
            assert app.get('/').json == {'visits': number}
    finally:
        router.registry.getUtility(ISessionFactory).close()
