"""The health check of the manual."""

import contextlib
import http.client
import socket
import threading

import health_check
import pytest

from tests.helpers import user, variables, wait_until


@pytest.fixture
def option_file(database, tmp_path):
    """The option file of a user who may do what the manual grants."""
    where = {
        {'unix_socket': 'socket'}.get(name, name): value
        for name, value in database.server.address.items()
    }
    with user(database, 'USAGE') as who:
        client = {**where, 'user': who['user'], 'password': who['password']}
        if database.server.kind == 'mysql':
            database.query(
                'GRANT SELECT ON performance_schema.replication_group_members '
                f"TO {who['user']}@'%'"
            )
        path = tmp_path / 'check.cnf'
        path.write_text(
            '[client]\n'
            + ''.join(f'{name} = {value}\n' for name, value in client.items())
        )
        yield path


def test_server_is_healthy_while_it_takes_writes(server, option_file):
    options = {'read_default_file': str(option_file)}

    assert health_check.answer(options) == 200
    with variables(server, read_only=1):
        assert health_check.answer(options) == 503
    assert health_check.answer(options) == 200


def test_server_that_cannot_be_reached_is_not_healthy():
    assert health_check.answer({'unix_socket': '/no/such/socket'}) == 503


def test_command_answers_by_http(option_file):
    with socket.create_server(('127.0.0.1', 0)) as probe:
        port = probe.getsockname()[1]
    arguments = ['--port', str(port), '--option-file', str(option_file)]
    threading.Thread(
        target=health_check.main, args=(arguments,), daemon=True
    ).start()

    def status():
        with contextlib.closing(
            http.client.HTTPConnection('127.0.0.1', port, timeout=5)
        ) as connection:
            connection.request('GET', '/')
            return connection.getresponse().status

    def listens():
        with (
            contextlib.suppress(OSError),
            socket.create_connection(('127.0.0.1', port), 1),
        ):
            return True

    wait_until(listens)
    assert status() == 200
