"""
The quick start, as a stranger pastes it.

The commands of the page are run as they stand there, in a folder that is
empty but for a copy of this clone. These things are not the page's:

* The server is a private one: ``MYSQL_UNIX_PORT`` and ``MYSQL_HOME`` tell the
  application and the client which socket ``localhost`` is.
* ``sudo`` is a script of the test, for a test changes no machine. It installs
  nothing, but sees that what it is to install is there; and it runs the
  database's client as the administrator of the private server.
* For MySQL the client is called ``mysql``, as the page says.
* 6543 is another port, for somebody may use that one.
"""

import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import types
from contextlib import contextmanager
from pathlib import Path

import plaster
import pytest
from private_server import free_port
from pyramid.config import Configurator
from pyramid.interfaces import ISessionFactory
from webtest import TestApp

from tests.helpers import SECRET
from tests.manual.blocks import PLACEHOLDER, ROOT, block, executes

PAGE = 'quickstart.rst'

#: What the test has in the place of ``sudo``.
SUDO = """\
#!/bin/sh
case $1 in
apt-get) shift 2; exec dpkg-query --show -- "$@" ;;
*) program=$1; shift; exec "$program" --user=root "$@" ;;
esac
"""

#: The shape of the file that Pyramid's cookiecutter makes.
EXISTING = """\
[app:main]
use = call:shop:main

pyramid.reload_templates = true
pyramid.includes =
    pyramid_debugtoolbar

sqlalchemy.url = sqlite:///%(here)s/shop.sqlite

retry.attempts = 3

[pshell]
setup = shop.pshell.setup

[server:main]
use = egg:waitress#main
listen = localhost:6543

[loggers]
keys = root, shop

[handlers]
keys = console

[formatters]
keys = generic

[logger_root]
level = WARN
handlers = console

[logger_shop]
level = DEBUG
handlers =
qualname = shop

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic

[formatter_generic]
format = %(asctime)s %(levelname)-5.5s [%(name)s] %(message)s
"""


class Shell:
    """Terminals into which blocks are pasted, one after the other."""

    def __init__(self, folder, server, port):
        self.folder = folder
        self._server = server
        self._port = str(port)
        programs = folder / 'programs'
        programs.mkdir()
        (programs / 'sudo').write_text(SUDO)
        (programs / 'sudo').chmod(0o755)
        # Debian's own option file says more than the variable
        (folder / 'my.cnf').write_text(f'[client]\nsocket={server.socket}\n')
        path = [programs, Path(sys.executable).parent, os.environ['PATH']]
        self._environ = {
            **os.environ,
            'PATH': os.pathsep.join(map(str, path)),
            'MYSQL_HOME': str(folder),
            'MYSQL_UNIX_PORT': server.socket,
        }
        for name in ('PYTHONPATH', 'PYTHONWARNINGS', 'VIRTUAL_ENV'):
            self._environ.pop(name, None)

    def _adapted(self, text):
        if self._server.kind == 'mysql':
            text = re.sub(r'^(sudo )?mariadb\b', r'\1mysql', text, flags=re.M)
        return text.replace('6543', self._port)

    def _open(self, blocks, folder):
        return subprocess.Popen(
            ['bash', '-e', '-c', self._adapted('\n'.join(blocks))],
            cwd=self.folder / folder,
            env=self._environ,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, *blocks, folder='.'):
        """Paste blocks; return what the terminal shows."""
        process = self._open(blocks, folder)
        shown, _ = process.communicate(timeout=300)
        assert process.returncode == 0, shown
        return shown

    @contextmanager
    def running(self, *blocks, folder='.', until):
        """Paste blocks of which the last goes on, and give what is shown."""
        process = self._open(blocks, folder)
        shown = []
        try:
            for line in process.stdout:
                shown.append(line)
                if until in line:
                    break
            else:
                pytest.fail(''.join(shown))
            yield ''.join(shown)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=30)


@pytest.fixture
def terminal(private_server, tmp_path):
    """A folder beside a clone, on a machine with a server."""
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
    return Shell(tmp_path, private_server(), free_port())


@executes(PAGE, 'sh', 'sudo apt-get')
@executes(PAGE, 'sh', 'python3 -m venv')
@executes(PAGE, 'sh', 'sudo mariadb')
@executes(PAGE, 'sh', 'app.py')
@executes(PAGE, 'sh', '>development.ini')
@executes(PAGE, 'sh', 'pserve')
@executes(PAGE, 'sh', 'curl -s')
@executes(PAGE, 'sh', 'FROM_UNIXTIME')
def test_pasted_blocks_count_visits(blocks, terminal, server):
    *first, visit, look = (block.text for block in blocks)

    with terminal.running(*first, until='Serving on') as shown:
        visits = terminal.run(visit, folder='shop')
        row = terminal.run(look, folder='shop')

    name = {'mariadb': 'MariaDB', 'mysql': 'MySQL'}[server.kind]
    assert f'sessions are kept in shop.sessions on {name} ' in shown
    assert visits == block(PAGE, 'text', '1\n2\n3\n').text
    title, kept = row.splitlines()
    assert title == 'data\tcreated'
    assert kept.startswith('{"visits":3}\t20')


@pytest.fixture
def own_server(private_server):
    """A server in which the page's names are free."""
    return private_server()


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Call it with an ini file's text and a view for the application."""
    apps = []

    def make(text, view):
        def main(global_config, **settings):
            with Configurator(settings=settings) as config:
                config.add_view(view, renderer='json')
            return config.make_wsgi_app()

        shop = types.ModuleType('shop')
        shop.main = main
        monkeypatch.setitem(sys.modules, 'shop', shop)
        path = tmp_path / 'development.ini'
        path.write_text(text)
        loader = plaster.get_loader(str(path), protocols=['wsgi'])
        loader.setup_logging()
        app = loader.get_wsgi_app('main')
        apps.append(app)
        return TestApp(app)

    yield make
    for app in apps:
        app.registry.getUtility(ISessionFactory).close()


@pytest.fixture
def logging_stays():
    """What an ini file does to the loggers is taken back."""
    before = logging.root.manager.loggerDict.copy()
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = handlers, level
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger):
            logger.disabled = False
            if name not in before or name == 'pyramid_mysql_session':
                logger.setLevel(logging.NOTSET)


def merged(existing, block):
    """
    Return an ini file after somebody has put a block into it.

    Its lines go below the title of their section. What has a name that is
    there already takes its place; a section that is not there is added.
    """
    for section in re.split(r'^(?=\[)', block, flags=re.M)[1:]:
        title, *lines = section.strip().splitlines()
        if title not in existing:
            existing += f'\n{section}'
            continue
        begin, _, rest = existing.partition(f'{title}\n')
        old, bracket, others = rest.partition('\n[')
        for name in re.findall(r'^[\w.]+(?= *=)', section, re.M):
            old = re.sub(rf'^{name} *=.*\n(?: +\S.*\n)*', '', old, flags=re.M)
        new = '\n'.join(lines)
        existing = f'{begin}{title}\n{new}\n{old}{bracket}{others}'
    return existing


def make_database(server, sql):
    for statement in sql.split(';\n'):
        if statement.strip():
            server.query(statement)


@executes(PAGE, 'ini', 'pyramid_debugtoolbar')
@executes(PAGE, 'sh', 'token_urlsafe(48))"\n')
@executes(PAGE, 'ini', 'keys = root, shop, sessions')
@executes(PAGE, 'python', 'teapot')
@pytest.mark.usefixtures('logging_stays')
def test_lines_go_into_the_file_of_the_cookiecutter(
    blocks, own_server, recipe, start, capsys
):
    ours, command, log, cart = blocks
    _, made, _ = re.split("<<'END'\n|END\n", block(PAGE, 'sh', 'sudo ma').text)
    make_database(own_server, made)
    program = shlex.split(command.text)
    secret = subprocess.check_output([sys.executable, *program[1:]], text=True)

    text = merged(merged(EXISTING, ours.text), log.text)
    text = text.replace(PLACEHOLDER, secret.strip()).replace(
        'mysql_session.host = localhost',
        f'mysql_session.unix_socket = {own_server.socket}',
    )
    app = start(text, recipe(cart).add_to_cart)

    for number in (1, 2, 3):
        assert app.get('/').json == {'cart': {'teapot': number}}
    assert (
        'pyramid_debugtoolbar' in app.app.registry.settings['pyramid.includes']
    )
    shown = capsys.readouterr().err
    assert re.search(
        r'INFO  \[pyramid_mysql_session\S*\] sessions are kept in shop\.',
        shown,
    )


@executes(PAGE, 'ini', 'mysql_session.port')
@executes(PAGE, 'sql', "shop@'%'")
def test_user_of_any_address_comes_by_tcp(blocks, own_server, recipe, start):
    address, sql = blocks
    make_database(own_server, sql.text)
    cart = block(PAGE, 'python', 'teapot')
    text = merged(EXISTING, block(PAGE, 'ini', 'pyramid_debugtoolbar').text)

    text = merged(text, f'[app:main]\n{address.text}')
    app = start(
        text.replace(PLACEHOLDER, SECRET).replace(
            '3306', str(own_server.port)
        ),
        recipe(cart).add_to_cart,
    )

    assert app.get('/').json == {'cart': {'teapot': 1}}
