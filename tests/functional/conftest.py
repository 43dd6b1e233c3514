"""What the tests of whole applications share."""

import contextlib
import threading

import pytest
import waitress
from waitress import wasyncore

from tests.functional.commands import CommandLine
from tests.helpers import SECRET, application


@pytest.fixture
def make_app(database):
    """Call it as ``helpers.application``; what it made is closed."""
    made = []

    def make(**kwargs):
        made.append(application(database, **kwargs))
        return made[-1]

    yield make
    for app in made:
        app.close()


@pytest.fixture
def app(make_app):
    """An application with the default settings, see ``helpers``."""
    return make_app()


@pytest.fixture
def rows(database):
    """Call it for the number of rows, dead ones included."""

    def count():
        ((number,),) = database.query('SELECT COUNT(*) FROM sessions')
        return number

    return count


@pytest.fixture
def make_command(database, tmp_path, capsys):
    """Call it, with settings without prefix, for a :class:`CommandLine`."""
    return lambda **settings: CommandLine(
        tmp_path, database.settings(**{'secret': SECRET, **settings}), capsys
    )


@pytest.fixture
def command(make_command):
    """The command line of an application with the default settings."""
    return make_command()


@pytest.fixture
def serve():
    """Call it with an application for the port where waitress serves it."""
    with contextlib.ExitStack() as stack:
        yield lambda app: stack.enter_context(serving(app))


@contextlib.contextmanager
def serving(app):
    def wsgi(environ, start_response):
        return app.app({**environ, **app.extra_environ}, start_response)

    def loop():
        while not stopped.is_set():
            wasyncore.loop(timeout=1, map=server._map, count=1)

    server = waitress.create_server(wsgi, listen='127.0.0.1:0', threads=8)
    stopped = threading.Event()
    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield server.effective_port
    finally:
        server.task_dispatcher.shutdown()
        stopped.set()
        server.pull_trigger()
        thread.join()
        for end in list(server._map.values()):
            end.close()
