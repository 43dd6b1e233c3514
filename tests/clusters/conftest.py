"""Clusters for the tests, one at a time."""

from __future__ import annotations

import os

import pytest

from tests.clusters import soak
from tests.clusters.galera import Galera
from tests.clusters.group_replication import GroupReplication
from tests.clusters.needs import MISSING
from tests.clusters.replicated import Replicated
from tests.clusters.spider import Spider

ADVICE = (
    'Debian has them in mariadb-server, galera-4, rsync, haproxy and '
    'mariadb-plugin-spider; the variable MYSQLD may name a MySQL server'
)


def pytest_addoption(parser):
    parser.addoption(
        '--cluster-seconds',
        type=int,
        default=5,
        help='how long the soak test of each scenario of a cluster runs',
    )


def pytest_configure():
    if os.environ.get('CI') and MISSING:
        raise pytest.UsageError(
            f'CI tests clusters, but lacks: {", ".join(MISSING)}. {ADVICE}.'
        )


def pytest_terminal_summary(terminalreporter):
    if MISSING:
        terminalreporter.write_line(
            f'Clusters not tested for lack of: {", ".join(MISSING)}. '
            f'{ADVICE}.',
            yellow=True,
        )


def require(*names):
    """Skip the test unless the machine has all of this."""
    lacking = [name for name in names if name in MISSING]
    if lacking:
        pytest.skip(f'needs {", ".join(lacking)}')


@pytest.fixture(scope='module')
def galera():
    """A cluster, see :class:`.Galera`."""
    require('MariaDB', 'Galera', 'rsync', 'HAProxy', 'setpriv')
    with Galera() as cluster:
        yield cluster


@pytest.fixture(scope='module')
def group():
    """A group, see :class:`.GroupReplication`."""
    require('MySQL', 'Group Replication', 'HAProxy', 'setpriv')
    with GroupReplication() as cluster:
        yield cluster


@pytest.fixture(scope='module', params=['MariaDB', 'MySQL'])
def replicated(request):
    """A server and its replica, see :class:`.Replicated`."""
    require(request.param, 'HAProxy', 'setpriv')
    with Replicated(request.param.lower()) as cluster:
        yield cluster


@pytest.fixture(scope='module')
def spider():
    """A server in front of others, see :class:`.Spider`."""
    require('MariaDB', 'Spider', 'setpriv')
    with Spider() as spider:
        yield spider


@pytest.fixture
def soaked(request):
    """Call it with a cluster and a scenario for what became of it."""

    def run(cluster, scenario, several=False):
        seconds = request.config.getoption('--cluster-seconds', default=5)
        tally = soak.run(cluster, scenario, several, seconds)
        print(f'\n{tally}')
        return tally

    return run
