"""A signal whose handler raises may strike between any two steps."""

import contextlib
import itertools
import random
import signal
import threading

import pytest

from pyramid_mysql_session.store.keys import make_session_id
from tests import helpers

# for each kind of server
SIGNALS = 5_000
LIMIT = 3


class Interrupted(BaseException):
    """What the handler of the signal raises."""


class Alarm:
    """
    Signals that come at random moments.

    :ivar raised: how many of them have raised.
    """

    def __init__(self):
        self.raised = 0
        self._armed = False

    def __call__(self, number, frame):
        if self._armed:
            self._armed = False
            self.raised += 1
            raise Interrupted

    def strike(self, work):
        """Do some work until a signal ends it; return whether one did."""
        try:
            self._armed = True
            signal.setitimer(
                signal.ITIMER_REAL, random.uniform(0.00002, 0.0012)
            )
            for _ in range(4):
                work()
        except Interrupted:
            return True
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        return False


@pytest.fixture
def alarm(monkeypatch):
    # what is raised in a finalizer is no error here
    monkeypatch.setattr('sys.unraisablehook', lambda _: None)
    alarm = Alarm()
    before = signal.signal(signal.SIGALRM, alarm)
    yield alarm
    signal.signal(signal.SIGALRM, before)


def locked(store, session_id):
    with store.locked(session_id) as row:
        row.save('{"locked":1}', 1000)


def save(store, session_id):
    revision = store.load(session_id).revision
    store.save(session_id, '{"saved":1}', revision, 1000)


def test_random_signals_cost_no_ticket_transaction_or_lock(
    own_database, alarm
):
    app = helpers.application(
        own_database, connection_limit=LIMIT, connection_wait=1
    )
    store = app.store
    session_id = make_session_id()
    store.create(session_id, '{}', 1000)
    works = itertools.cycle(
        [
            lambda: store.load(session_id),
            lambda: save(store, session_id),
            lambda: locked(store, session_id),
            store.purge,
        ]
    )
    while alarm.raised < SIGNALS:
        alarm.strike(next(works))

    together = threading.Barrier(LIMIT)
    failed = []

    def use_one(connection):
        together.wait(5)
        return connection.fetch('SELECT 1')

    def work():
        try:
            store._pool.run(use_one)
        except Exception as exc:  # noqa: BLE001 whatever it is
            failed.append(exc)

    threads = [threading.Thread(target=work) for _ in range(LIMIT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with contextlib.closing(own_database.connect()) as other:
        other.query('SET innodb_lock_wait_timeout = 1')
        other.query('UPDATE sessions SET expires = expires + 1')
        other.query('SELECT COUNT(*) FROM information_schema.INNODB_TRX')
        assert other.store_result().fetch_row(0) == ((0,),)
    save(store, session_id)
    assert len(helpers.connections(own_database)) <= LIMIT
    app.close()
