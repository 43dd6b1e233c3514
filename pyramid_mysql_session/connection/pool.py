"""Lends connections of a DBUtils pool; no other module imports DBUtils."""

from __future__ import annotations

import logging
import queue
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from dbutils.pooled_db import PooledDB, TooManyConnectionsError

from ..errors import StoreUnavailable
from . import errors as driver_errors
from .driver import (
    THREAD_SAFETY,
    Connection,
    DriverError,
    connect,
    error_code,
    learn_autocommit,
    translate,
)
from .forks import Belongings

T = TypeVar('T')
log = logging.getLogger(__name__)

#: How often work is tried that lost a deadlock, or its connection.
DEADLOCK_ATTEMPTS = 8
BROKEN_ATTEMPTS = 3


class ConnectionPool:
    """
    Lends the connections of a DBUtils pool; each wait is bounded.

    A child that was forked never uses, closes or collects a connection of
    its parent, and the parent's stay alive.

    :param pooled: the ``PooledDB``.
    :param limit: number of connections of a pool that is ours; ``None`` for
        a passed-in one, which has limits and connections of its own.
    :param wait: seconds to wait for a free connection.
    :param lock_timeout: seconds after which no lock is waited for again.
    :param patience: seconds after which work that lost its connection is
        not tried again.
    :param close_pool: whether :meth:`close` closes the ``PooledDB``.
    """

    def __init__(
        self,
        pooled: Any,
        *,
        limit: int | None,
        wait: float,
        lock_timeout: float,
        patience: float,
        close_pool: bool,
    ) -> None:
        self._pooled = pooled
        self._limit = limit
        self._wait = wait
        self._lock_timeout = lock_timeout
        self._patience = patience
        self._close_pool = close_pool
        self._closed = False
        self._belongings = Belongings(pooled, limit or 1)

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
    def keep(
        self, work: Callable[[Connection], T]
    ) -> Iterator[tuple[T, Callable[[Callable[[Connection], Any]], Any]]]:
        """
        Keep the connection with which some work was done.

        Gives the result and what is like :meth:`run` with that connection:
        if it gets lost, further work is not done again with another one.
        """
        lease = self._lend()
        try:
            result = self._attempt(lease, work)
            yield (
                result,
                lambda work: self._attempt(lease, work, broken_attempts=1),
            )
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
        self._belongings.notice_fork()
        if self._close_pool:
            self._pooled.close()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def _lend(self) -> _Lease:
        self._belongings.notice_fork()
        self._refuse_if_closed()
        if self._limit is None:
            return _Lease(self._borrow(), None)
        gate = self._belongings.gate
        try:
            gate.get(timeout=self._wait)
        except queue.Empty:
            raise StoreUnavailable(
                f'No connection became free within {self._wait} seconds',
                'Raise mysql_session.connection_limit, which is '
                f'{self._limit}, or mysql_session.connection_wait.',
            ) from None
        try:
            # it may have been closed during the wait
            self._refuse_if_closed()
            return _Lease(self._borrow(), gate)
        except BaseException:
            gate.put(None)
            raise

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable(
                'The session store is closed',
                'It was closed with close(); build a new session factory.',
            )

    def _borrow(self) -> Any:
        try:
            return self._pooled.dedicated_connection()
        except TooManyConnectionsError as exc:
            raise StoreUnavailable(
                'The passed-in pool has no free connection',
                'Raise its maxconnections, or build it with blocking=True.',
            ) from exc
        except DriverError as exc:
            raise translate(exc, connecting=True) from exc

    def _take_back(self, lease: _Lease) -> None:
        lease.pooled.close()
        if lease.gate is not None:
            lease.gate.put(None)
        if self._closed and self._close_pool:
            self._pooled.close()

    def _open(self, lease: _Lease) -> Any:
        driver = lease.pooled.dbapi_connection
        if isinstance(driver, _Deferred):
            driver = driver.driver()
        if self._belongings.note(driver) and self._limit is None:
            learn_autocommit(driver)
        return driver

    def _attempt(
        self,
        lease: _Lease,
        work: Callable[[Connection], T],
        in_transaction: bool = False,
        broken_attempts: int = BROKEN_ATTEMPTS,
    ) -> T:
        began = time.monotonic()
        deadlocks = losses = 0
        # whether an attempt whose connection broke may have worked
        in_doubt = False
        while True:
            tried = time.monotonic()
            connecting = True
            try:
                driver = self._open(lease)
                connecting = False
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
                if losses:
                    log.info('lost the connection to MySQL and made another')
                return result
            except DriverError as exc:
                code = error_code(exc)
                self._recover(lease)
                now = time.monotonic()
                if code == driver_errors.DEADLOCK:
                    deadlocks += 1
                    again = deadlocks < DEADLOCK_ATTEMPTS
                elif driver_errors.is_broken(code):
                    losses += 1
                    in_doubt |= not connecting
                    again = (
                        losses < broken_attempts
                        and now - tried < self._patience
                    )
                else:
                    again = (
                        code == driver_errors.LOCK_WAIT
                        and now - began < self._lock_timeout
                    )
                if not again:
                    error = translate(exc, connecting)
                    if in_doubt and isinstance(error, StoreUnavailable):
                        error.outcome_unknown = True
                    raise error from exc
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


class _Lease:
    """A pooled connection and the gate to open when it comes back."""

    __slots__ = ('gate', 'pooled')

    def __init__(
        self, pooled: Any, gate: queue.SimpleQueue[None] | None
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

    @property
    def made(self) -> bool:
        """Whether it was made, and not closed since."""
        return self._driver is not None

    def close(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.close()

    def rollback(self) -> None:
        if self._driver is not None:
            self._driver.rollback()

    def cursor(self, *args: Any) -> Any:
        return self.driver().cursor(*args)


class _OwnPool(PooledDB):  # type: ignore[misc]
    """A pool of deferred connections; how many there are others limit."""

    def cache(self, con: Any) -> None:
        # the cache is a queue: one that could not be made must not stand
        # before those that are of use
        if con.dbapi_connection.made:
            super().cache(con)


def make_pooled(
    options: dict[str, Any], limit: int, lock_timeout: int
) -> PooledDB:
    """
    Make a pool of connections that are as this package wants them.

    :param options: what mysqlclient's ``connect`` takes.
    :param limit: most connections that it opens.
    :param lock_timeout: seconds that a statement waits for a lock.
    """

    return _OwnPool(
        lambda: _Deferred(lambda: connect(options, lock_timeout)),
        maxcached=limit,
        reset=False,
        ping=0,
        failures=(DriverError,),
        isfatal=lambda exc: driver_errors.is_broken(error_code(exc)),
    )
