"""What must hold when another server becomes the primary one, as planned."""

from __future__ import annotations

import collections
import contextlib
import itertools
import threading
import time

import MySQLdb
import pytest
from dbutils.pooled_db import PooledDB

from pyramid_mysql_session import SessionError
from tests.clusters.haproxy import HAProxy
from tests.helpers import SECRET, application, twin, wait_until

PROCESSES = 3
# threads of each, and so connections that lead to the old server
THREADS = 3
# a process that fails so often has not noticed anything
ENOUGH_FAILURES = 20
# requests of each thread after the switch
REQUESTS = 30


def change(request):
    request.session['n'] = request.session.get('n', 0) + 1


def change_locked(request):
    with request.session.locked():
        change(request)


def log_in_again(request):
    request.session.invalidate()
    change(request)


def read(request):
    return request.session.get('n')


def log_out(request):
    request.session.invalidate()


class Process:
    """
    An application as a process of its own has it, and its browsers.

    :ivar outcomes: of each request since the switch began: an error's
        number, ``None`` for a success.
    """

    def __init__(self, database, pool=None):
        self.app = application(
            database,
            pool=pool,
            secret=SECRET,
            connection_limit=THREADS,
            # as long as by default: the busier the machine, the longer the
            # servers take
            connection_wait=10,
        )
        self.outcomes = []
        self._browsers = [self.app.browser() for _ in range(THREADS)]

    def connect_all(self):
        """Open as many connections as the process will ever have."""
        meeting = threading.Barrier(THREADS)

        def view(request):
            with request.session.locked():
                meeting.wait(30)

        # a new session has no row to lock
        for browser in self._browsers:
            browser.run(change)
        self._in_threads(lambda browser: browser.run(view))

    def use(self, switched):
        """Send requests, in threads, until long after the switch."""
        self._in_threads(lambda browser: self._use(browser, switched))

    def _use(self, browser, switched):
        views = itertools.cycle([change, read, change_locked, log_in_again])
        left = REQUESTS
        while left and self.failures < ENOUGH_FAILURES:
            after = switched.is_set()
            try:
                browser.run(next(views))
            except SessionError as exc:
                self.outcomes.append(getattr(exc, 'code', None) or exc)
            else:
                self.outcomes.append(None)
            left -= after

    @property
    def failures(self):
        return len([code for code in self.outcomes if code is not None])

    def _in_threads(self, work):
        threads = [
            threading.Thread(target=work, args=(browser,))
            for browser in self._browsers
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def close(self):
        self.app.close()


# turned into an error, it would make DBUtils open a new connection each time
@pytest.mark.filterwarnings('ignore:The reconnect parameter of ping')
class SwitchOverContract:
    """
    Tests of a planned switch-over; whoever inherits names the ``cluster``.

    HAProxy leads new connections to the server that takes writes, and leaves
    those to the old one alone.
    """

    @pytest.fixture
    def proxy(self, cluster):
        cluster.heal()
        with HAProxy(cluster, cut=False) as proxy:
            yield proxy

    @pytest.fixture
    def cluster_database(self, cluster, proxy):
        database = proxy.create_database()
        yield database
        wait_until(lambda: proxy.leads_to(cluster.primary()))
        database.drop()

    @pytest.fixture(params=['own pool', 'passed-in pool'])
    def processes(self, request, proxy, cluster_database):
        def pool():
            if request.param == 'own pool':
                return None
            return PooledDB(
                MySQLdb,
                maxconnections=THREADS,
                **proxy.address,
                user=proxy.user,
                password=proxy.password,
                database=cluster_database.name,
            )

        with contextlib.ExitStack() as stack:
            processes = []
            for _ in range(PROCESSES):
                process = Process(cluster_database, pool())
                stack.callback(process.close)
                process.connect_all()
                processes.append(process)
            yield processes

    @pytest.fixture
    def old(self, proxy):
        """The server that takes writes before the switch."""
        return proxy.active()

    @pytest.fixture
    def new(self, cluster, old):
        """The one that does so afterwards."""
        return next(node for node in cluster.nodes if node is not old)

    def test_switch_fails_at_most_one_request_of_a_process(
        self, cluster, proxy, processes, old, new
    ):
        switched = threading.Event()
        threads = [
            threading.Thread(target=process.use, args=(switched,))
            for process in processes
        ]
        for thread in threads:
            thread.start()
        cluster.switch(old, new, proxy)
        switched.set()
        for thread in threads:
            thread.join()

        for process in processes:
            assert process.failures <= 1, collections.Counter(process.outcomes)

    def test_log_out_is_seen_by_all_processes_within_a_second(
        self, cluster, proxy, processes, cluster_database, old, new
    ):
        first = processes[0].app
        first.run(change)
        browsers = [twin(first, process.app) for process in processes]
        assert [browser.run(read).json for browser in browsers] == [1, 1, 1]

        cluster.switch(old, new, proxy)
        wait_until(lambda: proxy.leads_to(new))
        with contextlib.ExitStack() as stack:
            # what a replica shows sooner or later is no merit of ours
            stack.enter_context(old.lagging())
            late = application(cluster_database, secret=SECRET)
            stack.callback(late.close)
            twin(first, late).run(log_out)
            ended = time.monotonic()

            while True:
                asked = time.monotonic()
                # each connection of each process
                seen = [
                    twin(browser).run(read).json
                    for browser in browsers
                    for _ in range(THREADS)
                ]
                if not any(seen):
                    break
                assert asked < ended + 1, seen
