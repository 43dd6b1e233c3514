"""Runs the thread that purges."""

from __future__ import annotations

import atexit
import logging
import os
import random
import threading
import weakref
from typing import Any

from ..errors import SessionError

log = logging.getLogger(__name__)

# after failures the interval grows up to this many times
_BACK_OFF = 8


class Reaper:
    """
    Purges a store again and again, in a daemon thread of its own.

    :param store: purged until it is closed or garbage, or :meth:`stop` is
        called.
    :param interval: seconds between two purges, give or take half of them.
    """

    def __init__(self, store: Any, interval: int) -> None:
        self._store = weakref.ref(store)
        self._interval = interval
        self._closed = False
        # that no thread could be started
        self._warned = False
        # a forked child finds its parent's entry, and needs its own
        self._threads: dict[int, tuple[threading.Thread, threading.Event]] = {}

    def start(self) -> None:
        """Start the thread unless this process has it already."""
        pid = os.getpid()
        if self._closed or pid in self._threads:
            return
        stop = threading.Event()
        thread = threading.Thread(
            target=_run,
            args=(self._store, self._interval, stop),
            name='pyramid_mysql_session reaper',
            daemon=True,
        )
        # of several threads that come at once one may start it
        if self._threads.setdefault(pid, (thread, stop))[0] is not thread:
            return
        try:
            thread.start()
        except RuntimeError as exc:
            # there may be room for one later
            self._threads.pop(pid, None)
            if not self._warned:
                self._warned = True
                log.warning('expired sessions are not purged: %s', exc)
            return
        self._warned = False
        log.debug('purging about every %d seconds', self._interval)
        # the interpreter shall not end in the middle of a batch
        atexit.register(self.close)
        if self._closed:
            self.stop()

    def stop(self) -> None:
        """Tell the thread to end, and never start another."""
        self._closed = True
        atexit.unregister(self.close)
        found = self._threads.get(os.getpid())
        if found is not None:
            found[1].set()

    def close(self, wait: float = 2) -> None:
        """
        Stop the thread and wait for its end.

        A purge stops after the batch that it is at.

        :param wait: seconds after which it is left to end by itself.
        """
        self.stop()
        found = self._threads.get(os.getpid())
        if found is None or found[0] is threading.current_thread():
            return
        # one that could not be started cannot be waited for
        if found[0].is_alive():
            found[0].join(wait)


def _run(
    reference: weakref.ref[Any], interval: int, stop: threading.Event
) -> None:
    pause = random.uniform(0, interval)
    failures = 0
    while not stop.wait(pause):
        store = reference()
        if store is None or store.closed:
            return
        try:
            store.purge(stop.is_set, exclusive=True)
        except Exception as exc:
            if not (failures or stop.is_set() or store.closed):
                log.warning(
                    'purging failed, it is tried again: %s',
                    exc if isinstance(exc, SessionError) else type(exc),
                    exc_info=not isinstance(exc, SessionError),
                )
            failures += 1
        else:
            if failures:
                log.info('purging works again')
            failures = 0
        finally:
            # do not keep the store alive while waiting
            del store
        pause = interval * random.uniform(0.5, 1.5)
        pause *= min(2**failures, _BACK_OFF)
