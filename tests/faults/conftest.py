"""What the tests of faults share."""

import socket

import pytest

from pyramid_mysql_session import SessionLost
from tests import certificates
from tests.conftest import PROGRAMS, OwnServer, template
from tests.faults.proxy import Proxy
from tests.helpers import application, record
from tests.integration.conftest import make_pool

__all__ = ['make_pool']


def pytest_addoption(parser):
    parser.addoption(
        '--soak-seconds',
        type=int,
        default=10,
        help='how long the soak test runs on each server',
    )


@pytest.fixture(params=['TCP', 'TLS'])
def proxy(server, request):
    """
    A proxy in front of the server, see :class:`Proxy`.

    Before MySQL all sockets of this program have a default time-out.
    """
    with Proxy(server.address, tls=request.param == 'TLS') as proxy:
        before = socket.getdefaulttimeout()
        if server.kind == 'mysql':
            socket.setdefaulttimeout(30)
        yield proxy
        socket.setdefaulttimeout(before)


@pytest.fixture
def proxied(database, proxy):
    """An application whose statements go through the proxy."""
    app = application(database, **proxy.settings)
    yield app
    app.close()


@pytest.fixture(scope='session')
def own_server(server):
    """A private server that may be stopped and killed."""
    if server.kind not in PROGRAMS:
        pytest.skip('needs a server that may be stopped and killed')
    with OwnServer(
        server.kind,
        options=certificates.server_options(),
        template=template(server.kind),
    ) as own:
        yield own


@pytest.fixture
def own_database(own_server):
    """A database on the private server, which runs."""
    own_server.start()
    database = own_server.create_database()
    yield database
    own_server.start()
    database.drop()


@pytest.fixture(params=['DISABLED', 'REQUIRED'])
def transport(own_server, request):
    """Settings that lead to the private server, encrypted or not."""
    if own_server.kind == 'mysql' and request.param == 'DISABLED':
        pytest.skip('MySQL starts slowly; MariaDB is tested both ways')
    return {
        'unix_socket': None,
        'host': own_server.host,
        'port': own_server.port,
        'ssl_mode': request.param,
    }


@pytest.fixture
def app(own_database, transport):
    """
    An application with a single connection to the private server.

    If a test lost the connection of the pool, the next request would fail.
    """
    app = application(
        own_database, connection_limit=1, connection_wait=1, **transport
    )
    yield app
    app.close()


@pytest.fixture
def lost(request):
    """The :class:`SessionLost` events of the application."""
    name = 'proxied' if 'proxied' in request.fixturenames else 'app'
    return record(request.getfixturevalue(name), SessionLost)
