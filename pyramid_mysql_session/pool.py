"""Connects: the only module that imports DBUtils and the driver."""

from __future__ import annotations

import logging
import os
import random
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import MySQLdb
from dbutils.pooled_db import PooledDB, TooManyConnectionsError
from MySQLdb.constants import CLIENT

from . import driver_errors
from .errors import PayloadTooLarge, StoreUnavailable

Payload = str | bytes
T = TypeVar('T')
log = logging.getLogger(__name__)

#: How often work is tried that lost a deadlock, or its connection.
DEADLOCK_ATTEMPTS = 8
BROKEN_ATTEMPTS = 3

_SESSION_SETUP = (
    'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
    # lock_wait_timeout is about metadata locks: a day or a year by default
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', "
    'innodb_lock_wait_timeout = {0}, lock_wait_timeout = {0}',
)

# held where our PooledDBs hold theirs, and across a fork: so a child never
# inherits a lock that a thread of its parent was holding
_pooled_lock = threading.RLock()
_pools: weakref.WeakSet[ConnectionPool] = weakref.WeakSet()


class Connection:
    """
    A connection in use; it executes each statement exactly once.

    It goes past DBUtils' cursors, which execute a failed statement again,
    and past those of the driver, whose class a passed-in pool may choose.
    """

    __slots__ = ('_driver',)

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def execute(
        self,
        sql: str,
        payload: Payload | None = None,
        rest: str = '',
        limit: int | None = None,
    ) -> int:
        """
        Execute a statement that returns no rows.

        :param payload: a value that comes between ``sql`` and ``rest``.
        :param limit: the server's ``max_allowed_packet``, if that is known.
        :returns: the number of rows that it found; for an UPDATE through a
            passed-in pool perhaps only those that it changed.
        :raises pyramid_mysql_session.PayloadTooLarge: nothing was sent.
        """
        driver = self._driver
        statement = sql.encode(driver.encoding)
        if payload is not None:
            statement = b'%b%b%b' % (
                statement,
                self._literal(payload),
                rest.encode(driver.encoding),
            )
            # MySQL answers a larger one by hanging up
            if limit is not None and len(statement) >= limit:
                raise PayloadTooLarge(
                    'The statement that stores the session',
                    len(statement),
                    limit,
                    'Raise max_allowed_packet of the server or keep less '
                    'in the session.',
                )
        driver.query(statement)
        driver.store_result()
        rows: int = driver.affected_rows()
        return rows

    def insert(
        self, sql: str, payload: Payload, rest: str, limit: int
    ) -> bool:
        """Execute an INSERT; ``False`` when the key exists already."""
        try:
            self.execute(sql, payload, rest, limit)
        except MySQLdb.IntegrityError as exc:
            if error_code(exc) != driver_errors.DUPLICATE_KEY:
                raise
            return False
        return True

    def fetch(self, sql: str) -> tuple[tuple[Any, ...], ...]:
        """Execute a statement and return its rows."""
        driver = self._driver
        driver.query(sql.encode(driver.encoding))
        rows: tuple[tuple[Any, ...], ...] = driver.store_result().fetch_row(0)
        return rows

    def _literal(self, payload: Payload) -> bytes:
        # hexadecimal is right in every sql_mode and character set
        if isinstance(payload, bytes):
            return b"x'%b'" % payload.hex().encode('ascii')
        if payload.isascii():
            quoted: bytes = self._driver.string_literal(payload)
            return quoted
        return b"_utf8mb4 x'%b'" % payload.encode().hex().encode('ascii')

    @property
    def character_set(self) -> str:
        """The character set in which results arrive."""
        name: str = self._driver.character_set_name()
        return name

    @property
    def skips_locked(self) -> bool:
        """Whether the server knows SKIP LOCKED (MySQL 8.0, MariaDB 10.6)."""
        info = self._driver.get_server_info()
        found = re.search(r'(\d+)\.(\d+)\.\d+-MariaDB', info)
        if found:
            return tuple(map(int, found.groups())) >= (10, 6)
        return int(info.split('.')[0]) >= 8


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
            except MySQLdb.Error as exc:
                self._recover(lease)
                raise driver_errors.translate(error_code(exc)) from exc
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
        except MySQLdb.Error as exc:
            raise driver_errors.translate(error_code(exc)) from exc

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
            self._sockets[driver] = _socket_of(driver)
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
            except MySQLdb.Error as exc:
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
                    raise driver_errors.translate(code) from exc
                log.debug('trying again after MySQL error %d', code)
            if deadlocks:
                time.sleep(random.uniform(0, 0.002 * 2**deadlocks))

    def _recover(self, lease: _Lease) -> None:
        # DBUtils replaces a connection whose rollback fails
        with suppress(MySQLdb.Error):
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

    threadsafety = MySQLdb.threadsafety

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

    def connect() -> Any:
        flags = options.get('client_flag', 0) | CLIENT.FOUND_ROWS
        driver = MySQLdb.connect(
            **{**options, 'client_flag': flags, 'autocommit': True}
        )
        try:
            for statement in _SESSION_SETUP:
                driver.query(statement.format(lock_timeout))
                driver.store_result()
        except BaseException:
            driver.close()
            raise
        log.debug('connected to MySQL')
        return driver

    return PooledDB(
        lambda: _Deferred(connect),
        maxcached=limit,
        maxconnections=limit,
        reset=False,
        ping=0,
        failures=(MySQLdb.Error,),
        isfatal=lambda exc: error_code(exc) in driver_errors.BROKEN,
    )


def error_code(exc: BaseException) -> int | None:
    """Return the number of a driver's error, ``None`` without one."""
    code = exc.args[0] if exc.args else None
    return code if isinstance(code, int) else None


def _socket_of(driver: Any) -> tuple[int, int]:
    try:
        descriptor = driver.fileno()
        return descriptor, os.fstat(descriptor).st_ino
    except OSError:
        return -1, -1


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
