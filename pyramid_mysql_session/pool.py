"""Lends connections of a DBUtils pool; no other module imports DBUtils."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from dbutils.pooled_db import PooledDB, TooManyConnectionsError

from . import driver_errors
from .driver import (
    THREAD_SAFETY,
    Connection,
    DriverError,
    connect,
    error_code,
    socket_of,
    translate,
)
from .errors import StoreUnavailable

T = TypeVar('T')
log = logging.getLogger(__name__)

#: How often work is tried that lost a deadlock, or its connection.
DEADLOCK_ATTEMPTS = 8
BROKEN_ATTEMPTS = 3

# held where our PooledDBs hold theirs, and across a fork: so a child never
# inherits a lock that a thread of its parent was holding
_pooled_lock = threading.RLock()
_pools: weakref.WeakSet[ConnectionPool] = weakref.WeakSet()


class ConnectionPool:
    """
    Lends the connections of a DBUtils pool; each wait is bounded.

    A child that was forked never uses, closes or collects a connection of
    its parent, and the parent's stay alive.

    :param make: makes the ``PooledDB``; called anew in a forked child.
    :param limit: number of connections of a pool that is ours; ``None`` for
        a passed-in one, which has limits and connections of its own.
    :param wait: seconds to wait for a free connection.
    :param lock_timeout: seconds after which no lock is waited for again.
    :param read_timeout: seconds that a statement may take; one that took
        longer is not tried again.
    :param close_pool: whether :meth:`close` closes the ``PooledDB``.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        *,
        limit: int | None,
        wait: float,
        lock_timeout: float,
        read_timeout: float,
        close_pool: bool,
    ) -> None:
        self._make = make
        self._limit = limit
        self._wait = wait
        self._lock_timeout = lock_timeout
        self._read_timeout = read_timeout
        self._close_pool = close_pool
        self._closed = False
        # the socket of each connection that we saw: file descriptor, inode
        self._sockets: weakref.WeakKeyDictionary[Any, tuple[int, int]] = (
            weakref.WeakKeyDictionary()
        )
        self._start()
        _watch_forks()
        _pools.add(self)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._pooled = self._make()
        self._gate = threading.BoundedSemaphore(self._limit or 1)

    def run(self, work: Callable[[Connection], T]) -> T:
        """
        Let some work be done with a connection, and return its result.

        The work is done again, from its beginning, when it lost a deadlock
        or its connection, a bounded number of times: it must be such that
        doing it twice does no harm.

        :raises pyramid_mysql_session.StoreUnavailable: and its relatives,
            for every error of the driver.
        """
        lease = self._lend()
        try:
            return self._attempt(lease, work)
        finally:
            self._take_back(lease)

    @contextmanager
    def keep(self) -> Iterator[Callable[[Callable[[Connection], T]], T]]:
        """Keep one connection; gives what is like :meth:`run` with it."""
        lease = self._lend()
        try:
            yield lambda work: self._attempt(lease, work)
        finally:
            self._take_back(lease)

    @contextmanager
    def transaction(
        self, work: Callable[[Connection], T]
    ) -> Iterator[tuple[Connection, T]]:
        """
        Begin a transaction with some work and commit it at the end.

        The work may be done again as in :meth:`run`; what follows it in the
        ``with`` block is not. An exception rolls back.
        """
        lease = self._lend()
        try:
            connection, result = self._attempt(
                lease, lambda connection: (connection, work(connection)), True
            )
            try:
                yield connection, result
                connection.execute('COMMIT')
            except DriverError as exc:
                self._recover(lease)
                raise translate(exc) from exc
            except BaseException:
                self._recover(lease)
                raise
        finally:
            self._take_back(lease)

    def close(self) -> None:
        """Refuse further use; close the connections of a pool of ours."""
        self._closed = True
        if self._close_pool:
            self._close_idle()

    def _lend(self) -> _Lease:
        if self._closed:
            raise StoreUnavailable(
                'The session store is closed',
                'It was closed with close(); build a new session factory.',
            )
        if self._pid != os.getpid():
            self._forget_inherited()
        if self._limit is None:
            return _Lease(self._borrow(), None)
        gate = self._gate
        if not gate.acquire(timeout=self._wait):
            raise StoreUnavailable(
                f'No connection became free within {self._wait} seconds',
                'Raise mysql_session.connection_limit, which is '
                f'{self._limit}, or mysql_session.connection_wait.',
            )
        with _pooled_lock:
            return _Lease(self._pooled.dedicated_connection(), gate)

    def _borrow(self) -> Any:
        try:
            return self._pooled.dedicated_connection()
        except TooManyConnectionsError as exc:
            raise StoreUnavailable(
                'The passed-in pool has no free connection',
                'Raise its maxconnections, or build it with blocking=True.',
            ) from exc
        except DriverError as exc:
            raise translate(exc) from exc

    def _take_back(self, lease: _Lease) -> None:
        if lease.gate is None:
            lease.pooled.close()
        else:
            with _pooled_lock:
                lease.pooled.close()
            lease.gate.release()
        if self._closed and self._close_pool:
            self._close_idle()

    def _open(self, lease: _Lease) -> Any:
        driver = lease.pooled.dbapi_connection
        if isinstance(driver, _Deferred):
            driver = driver.driver()
        if driver not in self._sockets:
            self._sockets[driver] = socket_of(driver)
        return driver

    def _attempt(
        self,
        lease: _Lease,
        work: Callable[[Connection], T],
        in_transaction: bool = False,
    ) -> T:
        began = time.monotonic()
        deadlocks = losses = 0
        while True:
            tried = time.monotonic()
            try:
                driver = self._open(lease)
                implicit = self._limit is None and not driver.get_autocommit()
                if implicit:
                    # whatever was left in it, a snapshot too, is over
                    driver.rollback()
                connection = Connection(driver)
                if in_transaction:
                    connection.execute('BEGIN')
                result = work(connection)
                if implicit and not in_transaction:
                    driver.commit()
                return result
            except DriverError as exc:
                code = error_code(exc)
                self._recover(lease)
                now = time.monotonic()
                if code == driver_errors.DEADLOCK:
                    deadlocks += 1
                    again = deadlocks < DEADLOCK_ATTEMPTS
                elif code in driver_errors.BROKEN:
                    losses += 1
                    again = (
                        losses < BROKEN_ATTEMPTS
                        and now - tried < self._read_timeout
                    )
                else:
                    again = (
                        code == driver_errors.LOCK_WAIT
                        and now - began < self._lock_timeout
                    )
                if not again:
                    raise translate(exc) from exc
                log.debug('trying again after MySQL error %d', code)
            except BaseException:
                # neither an open transaction nor half an answer may stay
                self._recover(lease)
                raise
            if deadlocks:
                time.sleep(random.uniform(0, 0.002 * 2**deadlocks))

    def _recover(self, lease: _Lease) -> None:
        # DBUtils replaces a connection whose rollback fails
        with suppress(DriverError):
            lease.pooled.rollback()

    def _close_idle(self) -> None:
        if self._limit is None:
            self._pooled.close()
        else:
            with _pooled_lock:
                self._pooled.close()

    def _before_fork(self) -> None:
        # of a passed-in pool we may never have seen the idle connections:
        # the parent closes them, so that there is nothing to inherit
        if self._limit is None:
            self._pooled.close()

    def _forget_inherited(self) -> None:
        with open(os.devnull, 'r+b', buffering=0) as nowhere:
            for descriptor, inode in list(self._sockets.values()):
                # closing an inherited connection would tell the server to
                # end the parent's: what the child says goes nowhere instead
                with suppress(OSError):
                    if os.fstat(descriptor).st_ino == inode:
                        os.dup2(nowhere.fileno(), descriptor)
        self._sockets.clear()
        self._start()


class _Lease:
    """A pooled connection and the gate to open when it comes back."""

    __slots__ = ('gate', 'pooled')

    def __init__(
        self, pooled: Any, gate: threading.BoundedSemaphore | None
    ) -> None:
        self.pooled = pooled
        self.gate = gate


class _Deferred:
    """
    A driver connection that is made when it is first needed.

    PooledDB calls its creator while it holds the lock of the whole pool: a
    slow connect would stop every other thread. This one takes no time.
    """

    threadsafety = THREAD_SAFETY

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._driver: Any = None

    def driver(self) -> Any:
        if self._driver is None:
            self._driver = self._connect()
        return self._driver

    def close(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.close()

    def rollback(self) -> None:
        if self._driver is not None:
            self._driver.rollback()

    def cursor(self, *args: Any) -> Any:
        return self.driver().cursor(*args)


def make_pooled(
    options: dict[str, Any], limit: int, lock_timeout: int
) -> PooledDB:
    """
    Make a pool of connections that are as this package wants them.

    :param options: what mysqlclient's ``connect`` takes.
    :param limit: most connections that it opens.
    :param lock_timeout: seconds that a statement waits for a lock.
    """

    return PooledDB(
        lambda: _Deferred(lambda: connect(options, lock_timeout)),
        maxcached=limit,
        maxconnections=limit,
        reset=False,
        ping=0,
        failures=(DriverError,),
        isfatal=lambda exc: error_code(exc) in driver_errors.BROKEN,
    )


def _before_fork() -> None:
    for pool in list(_pools):
        pool._before_fork()
    _pooled_lock.acquire()


def _after_fork_in_child() -> None:
    _pooled_lock.release()
    for pool in list(_pools):
        pool._forget_inherited()


_hooks: list[bool] = []


def _watch_forks() -> None:
    if not _hooks:
        _hooks.append(True)
        os.register_at_fork(
            before=_before_fork,
            after_in_parent=_pooled_lock.release,
            after_in_child=_after_fork_in_child,
        )
