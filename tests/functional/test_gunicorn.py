"""Applications that gunicorn serves with several processes."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.helpers import (
    application,
    bury,
    connections,
    count,
    purgers,
    wait_until,
)

WORKERS = 4


@pytest.fixture
def serve(tmp_path):
    """Call it with settings and gunicorn's options for process and port."""
    with contextlib.ExitStack() as stack:

        def start(settings, *options):
            output = tmp_path / 'output'
            return stack.enter_context(serving(settings, options, output))

        yield start


@contextlib.contextmanager
def serving(settings, options, output):
    command = [sys.executable, '-m', 'gunicorn', f'--workers={WORKERS}']
    # connections wait in it until a worker is ready
    listener = socket.create_server(('127.0.0.1', 0))
    with listener, output.open('a') as file:
        bind = f'--bind=fd://{listener.fileno()}'
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            [*command, bind, *options, 'tests.functional.gunicorn_app'],
            cwd=pathlib.Path(__file__).parents[2],
            env={
                **os.environ,
                # where gunicorn puts a socket of its own
                'XDG_RUNTIME_DIR': str(output.parent),
                'SESSION_SETTINGS': json.dumps(settings),
            },
            stdout=file,
            stderr=file,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    process.output = output
    try:
        yield process, port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def visit(port, client, cookie=None):
    """Return the answer to a request, and the session's cookie."""
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    with contextlib.closing(connection):
        headers = {'Cookie': cookie} if cookie else {}
        connection.request('GET', f'/?client={client}', headers=headers)
        response = connection.getresponse()
        body = response.read()
    assert response.status == 200, body
    cookie = response.getheader('Set-Cookie', cookie).partition(';')[0]
    return json.loads(body), cookie


def visit_often(port, client, cookie, times):
    """Send requests; each answer must be of the client's own session."""
    workers = set()
    for before in range(times):
        answer, cookie_now = visit(port, client, cookie)
        visits = answer['visits']
        assert cookie_now == cookie
        assert visits.pop('all') == sum(visits.values())
        assert visits[client] == before + 1
        assert {name[0] for name in visits} == {client[0]}
        workers.add(answer['worker'])
    return workers


def stop(*processes):
    """End gunicorn as an init system does; nothing may be left of it."""
    for process in processes:
        process.terminate()
    for process in processes:
        assert process.wait(timeout=10) == 0
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
        assert 'Traceback' not in process.output.read_text()


@pytest.mark.parametrize(
    ('options', 'times'),
    [
        pytest.param(['--threads=3'], 60, id='gthread'),
        pytest.param(['--worker-class=sync'], 20, id='sync'),
    ],
)
def test_forked_workers_share_no_connection_and_lose_no_update(
    database, serve, options, times
):
    settings = database.settings(purge_expired=False)
    process, port = serve(settings, '--preload', *options)
    # two clients share each of five sessions
    cookies = [visit(port, f'{number}-new')[1] for number in range(5)]
    clients = [
        (port, f'{number}-{name}', cookie, times)
        for number, cookie in enumerate(cookies)
        for name in ('left', 'right')
    ]
    with ThreadPoolExecutor(len(clients)) as executor:
        workers = executor.map(visit_often, *zip(*clients, strict=True))
        assert len(set().union(*workers)) > 1
    for number, cookie in enumerate(cookies):
        answer, _ = visit(port, f'{number}-last', cookie)
        assert answer['visits']['all'] == 2 * times + 2
    assert answer['importer'] == process.pid
    # the master's own connection, made before the fork
    assert answer['connection'] in connections(database)
    stop(process)
    wait_until(lambda: not connections(database))


def test_eight_workers_of_two_masters_purge_one_at_a_time(
    database, serve, statements
):
    app = application(database)
    app.store.create_table()
    app.close()
    bury(database, 3000)
    settings = database.settings(purge_interval=1, purge_batch=100)
    with statements() as log:
        processes = [serve(settings)[0] for _ in range(2)]
        # each worker saves one session when it imports the application
        wait_until(lambda: count(database) == 2 * WORKERS)
        wait_until(lambda: lock_seekers(database) == 2 * WORKERS)
        stop(*processes)
    assert purgers(log)
    assert not connections(database)


def lock_seekers(database):
    """Return how many clients have asked for the lock of a purge."""
    # who reads the log without a pause keeps the server from writing it
    time.sleep(0.2)
    ((number,),) = database.query(
        'SELECT COUNT(DISTINCT thread_id) FROM mysql.general_log '
        "WHERE argument LIKE 'SELECT GET_LOCK%'"
    )
    return number
