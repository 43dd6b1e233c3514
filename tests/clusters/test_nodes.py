"""Tests of what the tests of clusters stand on."""

import contextlib
import signal
from pathlib import Path

import MySQLdb
import pytest

from tests.clusters.conftest import require
from tests.clusters.haproxy import HAProxy
from tests.clusters.nodes import Node, start_together
from tests.helpers import wait_until


class Pair:
    """Two servers that have nothing to do with one another."""

    def __init__(self):
        self.nodes = [Node('mariadb', f'n{i}', {}) for i in range(2)]

    def healthy(self, node):
        return node.running


@pytest.fixture(scope='module')
def pair():
    require('MariaDB', 'HAProxy', 'setpriv')
    pair = Pair()
    with contextlib.ExitStack() as stack:
        for node in pair.nodes:
            stack.callback(node.close)
        start_together(pair.nodes)
        for node in pair.nodes:
            node.admit_visitors()
        yield pair


def is_gone(pid):
    """Whether a process ended; nobody may have asked for its status yet."""
    try:
        return ') Z' in Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return True


@pytest.mark.parametrize('run_as', [None, 'nobody'])
def test_node_dies_with_the_process_that_guards_it(run_as):
    require('MariaDB', 'setpriv')
    node = Node('mariadb', 'n0', {}, run_as=run_as)
    with contextlib.closing(node):
        node.start()
        pid = node.pid

        node._guard.send_signal(signal.SIGKILL)

        wait_until(lambda: is_gone(pid))


@pytest.mark.parametrize('active', ['one', 'all'])
def test_proxy_leads_to_one_node_only(pair, active):
    first, second = pair.nodes
    with HAProxy(pair, active) as proxy:
        for node in (second, first, second):
            proxy.only(node)
            assert [proxy.active() for _ in range(3)] == 3 * [node]


@pytest.mark.parametrize('cut', [False, True])
def test_proxy_keeps_or_cuts_the_connections_to_others(pair, cut):
    first, second = pair.nodes
    with HAProxy(pair) as proxy:
        assert proxy.active() is first
        with contextlib.closing(proxy.connect()) as connection:
            proxy.only(second, cut)
            if cut:
                with pytest.raises(MySQLdb.OperationalError):
                    connection.query('DO 1')
            else:
                connection.query('DO 1')


def test_node_that_comes_back_does_not_become_active(pair):
    first, second = pair.nodes
    with HAProxy(pair) as proxy:
        assert proxy.active() is first
        first.kill()
        wait_until(lambda: proxy.leads_to(second))
        assert proxy.active() is second

        first.start()
        wait_until(lambda: proxy.leads_to(first, second))

        assert proxy.active() is second
