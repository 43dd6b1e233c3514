"""The purging thread, with time that a test lets pass."""

import logging
import threading
import weakref
from unittest import mock

import pytest

from pyramid_mysql_session.errors import StoreUnavailable
from pyramid_mysql_session.store import reaper as reaper_module
from pyramid_mysql_session.store.reaper import Reaper

LONG = 10**6


class Store:
    """
    Purges as it is told.

    :param outcomes: of each purge, a number or an exception.
    """

    closed = False

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.calls = []

    def purge(self, stop, exclusive):
        self.calls.append((stop, exclusive))
        outcome = self.outcomes.pop(0) if self.outcomes else 0
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Stop:
    """
    An Event that waits no time.

    :param purges: how many waits end before it is set.
    :ivar pauses: how long each wait would have been.
    """

    def __init__(self, purges, at_wait=lambda: None):
        self.pauses = []
        self._purges = purges
        self._at_wait = at_wait

    def wait(self, pause):
        self.pauses.append(pause)
        self._at_wait()
        return self.is_set()

    def is_set(self):
        return len(self.pauses) > self._purges


@pytest.fixture
def uniform(monkeypatch):
    """Make random numbers the largest; the list has their limits."""
    limits = []

    def largest(least, most):
        limits.append((least, most))
        return most

    monkeypatch.setattr(reaper_module.random, 'uniform', largest)
    return limits


@pytest.fixture
def logged(caplog):
    """Call it for the levels and texts that were logged."""
    caplog.set_level(logging.INFO)
    return lambda: [
        (record.levelname, record.getMessage()) for record in caplog.records
    ]


def run(store, stop, interval=100):
    """Run what the thread runs, in this one."""
    reaper_module._run(weakref.ref(store), interval, stop)


def test_first_pause_is_any_part_of_the_interval(uniform):
    store, stop = Store(), Stop(purges=0)

    run(store, stop)

    assert uniform == [(0, 100)]
    assert stop.pauses == [100]
    assert store.calls == []


def test_later_pauses_are_the_interval_give_or_take_half(uniform):
    stop = Stop(purges=3)

    run(Store(), stop)

    assert uniform == [(0, 100), *3 * [(0.5, 1.5)]]
    assert stop.pauses == [100, 150, 150, 150]


def test_each_purge_is_exclusive_and_can_be_stopped():
    store, stop = Store(), Stop(purges=2)

    run(store, stop)

    assert store.calls == 2 * [(stop.is_set, True)]


def test_failures_make_the_pauses_longer_up_to_a_limit(uniform):
    stop = Stop(purges=7)
    failures = [StoreUnavailable('MySQL stopped', '') for _ in range(5)]

    run(Store(*failures), stop)

    factors = [pause / 150 for pause in stop.pauses[1:]]
    assert factors == [2, 4, 8, 8, 8, 1, 1]


def test_failure_and_recovery_are_logged_once_each(logged):
    error = StoreUnavailable('MySQL stopped', 'Start it.', 2006)

    run(Store(5, error, error, error, 5, 5, error, 5), Stop(purges=9))

    assert logged() == 2 * [
        (
            'WARNING',
            'purging failed, it is tried again: MySQL stopped. Start it. '
            '(MySQL error 2006)',
        ),
        ('INFO', 'purging works again'),
    ]


def test_traceback_of_an_error_of_ours_is_not_logged(caplog):
    run(Store(StoreUnavailable('MySQL stopped', '')), Stop(purges=1))

    (record,) = caplog.records
    assert not record.exc_info


def test_any_other_exception_is_logged_and_survived(caplog):
    store = Store(ZeroDivisionError('hunter2'), 5)

    run(store, Stop(purges=2))

    (record,) = caplog.records
    assert record.getMessage() == (
        "purging failed, it is tried again: <class 'ZeroDivisionError'>"
    )
    assert record.exc_info[0] is ZeroDivisionError
    assert len(store.calls) == 2


@pytest.mark.parametrize('ends', ['stop', 'store'])
def test_failure_at_the_end_is_not_logged(logged, ends):
    stop = Stop(purges=1)

    class Ending(Store):
        def purge(self, *args, **kwargs):
            if ends == 'stop':
                stop.pauses += [0, 0]
            else:
                self.closed = True
            raise StoreUnavailable('The session store is closed', '')

    run(Ending(), stop)

    assert logged() == []


def test_closed_store_ends_the_thread():
    store, stop = Store(), Stop(purges=9)
    store.closed = True

    run(store, stop)

    assert (len(stop.pauses), store.calls) == (1, [])


def test_dropped_store_ends_the_thread():
    stores = [Store()]
    # nobody else keeps it, not even the thread between two purges
    stop = Stop(9, lambda: len(stop.pauses) == 3 and stores.clear())

    reaper_module._run(weakref.ref(stores[0]), 100, stop)

    assert len(stop.pauses) == 3


class TestThread:
    @pytest.fixture
    def store(self):
        return Store()

    @pytest.fixture
    def reaper(self, store):
        reaper = Reaper(store, LONG)
        yield reaper
        reaper.close()

    @staticmethod
    def threads():
        return [
            thread
            for thread in threading.enumerate()
            if thread.name == 'pyramid_mysql_session reaper'
        ]

    def test_no_thread_runs_before_the_start(self, reaper):
        assert self.threads() == []

    def test_start_starts_one_daemon(self, reaper, caplog):
        caplog.set_level(logging.DEBUG)

        reaper.start()
        reaper.start()

        (thread,) = self.threads()
        assert thread.daemon
        assert caplog.messages == [f'purging about every {LONG} seconds']

    @pytest.mark.parametrize('times', [1, 2])
    def test_close_ends_the_thread(self, reaper, times):
        reaper.start()

        for _ in range(times):
            reaper.close()

        assert self.threads() == []

    def test_closed_reaper_starts_no_thread(self, reaper):
        reaper.close()

        reaper.start()

        assert self.threads() == []

    def test_stop_does_not_wait_for_the_thread(self, reaper):
        reaper.start()
        (thread,) = self.threads()

        reaper.stop()

        thread.join(10)
        assert not thread.is_alive()

    @pytest.fixture
    def at_exit(self, monkeypatch):
        """What the interpreter's exit would call."""
        at_exit = []
        monkeypatch.setattr(reaper_module.atexit, 'register', at_exit.append)
        monkeypatch.setattr(
            reaper_module.atexit, 'unregister', lambda _: at_exit.clear()
        )
        return at_exit

    def test_interpreter_s_exit_closes_a_reaper_that_runs(
        self, reaper, at_exit
    ):
        reaper.start()
        assert at_exit == [reaper.close]

        reaper.close()
        assert at_exit == []

    def test_forked_child_starts_a_thread_of_its_own(
        self, reaper, monkeypatch
    ):
        reaper.start()
        # in a child there would be no other thread
        monkeypatch.setattr(reaper_module.os, 'getpid', lambda: -1)
        reaper.start()
        assert len(self.threads()) == 2

        reaper.close()
        assert len(self.threads()) == 1
        monkeypatch.undo()
        reaper.close()
        assert self.threads() == []

    def test_thread_may_close_its_own_reaper(self, monkeypatch):
        class Closing(Store):
            def purge(self, stop, exclusive):
                reaper.close()
                done.append(stop())
                return 0

        # the first pause is over at once
        monkeypatch.setattr(reaper_module.random, 'uniform', lambda *_: 0)
        store, done = Closing(), []
        reaper = Reaper(store, LONG)

        reaper.start()

        for thread in self.threads():
            thread.join(10)
        assert done == [True]

    def test_thread_that_could_not_be_had_is_tried_again(
        self, reaper, monkeypatch, logged
    ):
        with monkeypatch.context() as patch:
            patch.setattr(
                threading.Thread, 'start', mock.Mock(side_effect=RuntimeError)
            )
            reaper.start()

        reaper.start()

        assert len(self.threads()) == 1
        assert len(logged()) == 1

    @pytest.fixture
    def no_thread(self, monkeypatch):
        """Let no thread start."""

        def start(thread):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, 'start', start)

    def test_start_without_a_thread_to_be_had_is_logged(
        self, reaper, no_thread, logged
    ):
        reaper.start()
        reaper.start()
        reaper.close()

        assert logged() == [
            (
                'WARNING',
                "expired sessions are not purged: can't start new thread",
            )
        ]

    def test_thread_that_loses_the_race_is_not_started(
        self, reaper, monkeypatch
    ):
        class Late(dict):
            """Another thread stores its entry between the two looks."""

            def __contains__(self, key):
                return False

        monkeypatch.setattr(reaper, '_threads', Late())
        reaper.start()

        reaper.start()

        assert len(self.threads()) == 1

    def test_stop_during_the_start_ends_the_thread(
        self, reaper, monkeypatch, at_exit
    ):
        start = threading.Thread.start

        def start_late(thread):
            reaper.stop()
            start(thread)

        monkeypatch.setattr(threading.Thread, 'start', start_late)

        reaper.start()
        assert at_exit == []

        reaper.close()
        assert self.threads() == []
