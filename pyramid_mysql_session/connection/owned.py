"""Makes the pool that the settings describe."""

from __future__ import annotations

from _thread import RLock
from collections.abc import Callable, Sequence
from typing import Any

from dbutils.pooled_db import PooledDB

from .driver import connect


class Deferred:
    """
    A driver connection that is made when it is first needed.

    PooledDB calls its creator while it holds the lock of the whole pool: a
    slow connect would stop every other thread. This one takes no time.
    """

    #: What is known of the driver's connection, by whoever lends it.
    known: Any = None

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._driver: Any = None

    def driver(self) -> Any:
        if self._driver is None:
            self._driver = self._connect()
        return self._driver

    @property
    def dbapi_connection(self) -> Deferred:
        """What it is called where DBUtils wraps connections."""
        return self

    @property
    def made(self) -> bool:
        """Whether it was made, and not closed since."""
        return self._driver is not None

    def close(self) -> None:
        self.known = None
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.close()

    def rollback(self) -> None:
        if self._driver is not None:
            self._driver.rollback()


class _Lock(RLock):  # type: ignore[misc]
    """
    A lock for which nobody waits to be notified.

    A signal whose handler raises may strike inside a Condition that is about
    to be entered, which would then stay locked for ever.
    """

    def notify(self) -> None:
        pass

    notify_all = notify


class OwnPool(PooledDB):  # type: ignore[misc]
    """A pool of deferred connections; how many there are others limit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lock = _Lock()

    def steady_connection(self) -> Deferred:
        # not in the wrapper that executes failed statements again
        connection: Deferred = self._creator()
        return connection

    def take(self) -> Deferred:
        """
        Return a connection without the usual wrapper.

        That one gives it back twice if a signal whose handler raises comes
        while it does so.
        """
        with self._lock:
            if self._idle_cache:
                idle: Deferred = self._idle_cache.pop(0)
                return idle
        return self.steady_connection()

    def cache(self, con: Deferred) -> None:
        # the cache is a queue: one that could not be made must not stand
        # before those that are of use
        if con.made:
            with self._lock:
                # no transaction is in it, and there are not too many
                self._idle_cache.append(con)


def make_pooled(
    options: dict[str, Any],
    lock_timeout: int,
    variables: Sequence[str] = (),
) -> PooledDB:
    """
    Make a pool of connections that are as this package wants them.

    :param options: what mysqlclient's ``connect`` takes.
    :param lock_timeout: seconds that a statement waits for a lock.
    :param variables: what else is set for each connection, in SQL.
    """
    return OwnPool(
        lambda: Deferred(lambda: connect(options, lock_timeout, variables))
    )
