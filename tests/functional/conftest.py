"""What the tests of whole applications share."""

import contextlib
import threading

import pytest
import waitress

from tests.helpers import application


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
def serve():
    """Call it with an application for the port where waitress serves it."""
    with contextlib.ExitStack() as stack:

        def start(app, threads=8):
            def wsgi(environ, start_response):
                return app.app(
                    {**environ, **app.extra_environ}, start_response
                )

            server = waitress.create_server(
                wsgi, listen='127.0.0.1:0', threads=threads
            )
            thread = threading.Thread(target=server.run)
            thread.start()
            stack.callback(server.task_dispatcher.shutdown)
            stack.callback(thread.join)
            # the loop ends when nothing is left to look after
            stack.callback(
                server.trigger.pull_trigger,
                lambda: [end.close() for end in list(server._map.values())],
            )
            return server.effective_port

        yield start
