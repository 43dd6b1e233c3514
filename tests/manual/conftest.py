"""What the tests of the documentation's code blocks share."""

import contextlib
import importlib.util
import os
import re
import shutil
import sys

import pytest
from pyramid.paster import get_app

from tests.conftest import Database
from tests.functional.conftest import app, make_app, rows, serve
from tests.helpers import SECRET, Application
from tests.manual.blocks import PLACEHOLDER, ROOT, given
from tests.manual.terminal import Terminal

__all__ = ['app', 'make_app', 'rows', 'serve']

# where ini files look for the application
ENTRY_POINTS = '[paste.app_factory]\nmain = shop:main\n'


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker('executes'):
            # who is not handed a block cannot execute it
            assert 'blocks' in item.fixturenames, item.nodeid


@pytest.fixture
def blocks(request):
    """The blocks that the test was marked with, from the top."""
    return given(request.node)


@pytest.fixture
def block(blocks):
    """The block that the test was marked with."""
    (block,) = blocks
    return block


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Call it with a block of Python for the module that it is."""

    def make(block):
        name = f'recipe_{block.number}'
        path = tmp_path / f'{name}.py'
        path.write_text(block.text, 'utf-8')
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return make


@pytest.fixture
def shop(server):
    """
    The database ``shop``, which is empty.

    Afterwards it is dropped, and so are all users that there are by then and
    were not before: those of the manual have names.
    """
    if not server.private:
        pytest.skip('the names of this server are not ours')

    def users():
        return set(server.query('SELECT user, host FROM mysql.user'))

    before = users()
    server.query('CREATE DATABASE IF NOT EXISTS shop')
    database = Database(server, 'shop')
    yield database
    database.drop()
    for name, host in users() - before:
        server.query(f"DROP USER '{name}'@'{host}'")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The folder of the package ``shop``, to put modules into."""
    folder = tmp_path / 'lib' / 'shop'
    folder.mkdir(parents=True)
    (folder / '__init__.py').write_text('from tests.manual.shop import main\n')
    found = folder.parent / 'shop-1.0.dist-info'
    found.mkdir()
    (found / 'METADATA').write_text('Name: shop\nVersion: 1.0\n')
    (found / 'entry_points.txt').write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(folder.parent)
    # the demo has a module of that name
    for name in modules_of_the_shop():
        monkeypatch.delitem(sys.modules, name)
    yield folder
    for name in modules_of_the_shop():
        del sys.modules[name]


def modules_of_the_shop():
    return [name for name in sys.modules if name.split('.')[0] == 'shop']


@pytest.fixture
def write_ini(database, package, tmp_path):
    """
    Call it with a block for the path of the ini file that it is a part of.

    What it leaves out is added, and the address of the server is that of the
    tests.

    :param name: of the file.
    :param there: the database, if the block names it.
    :param more: settings that count instead of those of the block.
    """

    def write(text, name='production.ini', there=database, **more):
        if '[app:main]\n' not in text:
            text = f'[app:main]\n{text}'
        added = {
            'use': 'egg:shop',
            **there.settings(secret=SECRET),
            **{f'mysql_session.{k}': v for k, v in more.items()},
        }
        for key in ('host', 'port', *more):
            text = re.sub(
                rf'^mysql_session\.{key} = .*\n', '', text, flags=re.M
            )
        head, section, tail = text.partition('[app:main]\n')
        own, *_ = f'\n{tail}'.split('\n[')
        lines = [
            f'{key} = {value}\n'
            for key, value in added.items()
            if value is not None
            and not re.search(rf'^{re.escape(key)} =', own, re.M)
        ]
        path = tmp_path / name
        path.write_text(
            f'{head}{section}{"".join(lines)}{tail}'.replace(
                PLACEHOLDER, SECRET
            ),
            'utf-8',
        )
        return path

    return write


@pytest.fixture
def load():
    """Call it with the path of an ini file for an :class:`Application`."""
    with contextlib.ExitStack() as stack:

        def load(path):
            return stack.enter_context(
                contextlib.closing(Application(get_app(str(path)), None))
            )

        yield load


@pytest.fixture
def make_site(write_ini, load):
    """Call it with the text of a block for the application that it makes."""
    return lambda *args, **kwargs: load(write_ini(*args, **kwargs))


@pytest.fixture
def terminal(package, tmp_path, server):
    """A :class:`Terminal`, whose programs know package and server."""
    terminal = Terminal(
        tmp_path,
        PYTHONPATH=f'{package.parent}{os.pathsep}{ROOT}',
        MYSQL_UNIX_PORT=server.socket or '',
        MYSQL_TCP_PORT=str(server.port),
    )
    # an option file of the machine would name another server
    terminal.stand_in(
        'mysql', f'exec {shutil.which("mysql")} --no-defaults "$@"'
    )
    return terminal
