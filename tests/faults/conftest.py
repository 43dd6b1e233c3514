"""What the tests of faults share."""

import pytest

from pyramid_mysql_session import SessionLost
from tests.faults.proxy import Proxy
from tests.helpers import application


def pytest_addoption(parser):
    parser.addoption(
        '--soak-seconds',
        type=int,
        default=10,
        help='how long the soak test runs on each server',
    )


@pytest.fixture
def proxy(server):
    """A proxy in front of the server, see :class:`Proxy`."""
    with Proxy(server.address) as proxy:
        yield proxy


@pytest.fixture
def lost():
    """The :class:`SessionLost` events of ``app``."""
    return []


@pytest.fixture
def app(database, proxy, lost):
    """An application whose statements go through the proxy."""
    app = application(
        database,
        configure=lambda config: config.add_subscriber(
            lost.append, SessionLost
        ),
        **proxy.settings,
    )
    yield app
    app.close()
