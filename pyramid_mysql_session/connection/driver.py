"""Talks to mysqlclient, the driver; no other module imports it."""

from __future__ import annotations

import logging
import os
import stat
from typing import Any

import MySQLdb
from MySQLdb.constants import CLIENT

from ..errors import PayloadTooLarge, SessionError
from . import errors as driver_errors

Payload = str | bytes
log = logging.getLogger(__name__)

#: What the driver raises.
DriverError = MySQLdb.Error
THREAD_SAFETY = MySQLdb.threadsafety

_SESSION_SETUP = (
    'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
    # MySQL tells the driver that autocommit is on when the server's default
    # is off; lock_wait_timeout is about metadata locks: a day or a year by
    # default
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', "
    "autocommit = 1, completion_type = 'NO_CHAIN', "
    'innodb_lock_wait_timeout = {0}, lock_wait_timeout = {0}',
)


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
        :param limit: the server's ``max_allowed_packet`` when it was read.
        :returns: the number of rows that it found; for an UPDATE through a
            passed-in pool perhaps only those that it changed.
        :raises pyramid_mysql_session.PayloadTooLarge: it was not sent.
        """
        driver = self._driver
        statement = sql.encode(driver.encoding)
        if payload is not None:
            statement = b'%b%b%b' % (
                statement,
                self._literal(payload),
                rest.encode(driver.encoding),
            )
            # the packet has a byte more; MySQL hangs up on a larger one
            size = len(statement) + 1
            if limit is not None and size >= limit:
                # somebody may have raised it since it was read
                ((now,),) = self.fetch('SELECT @@GLOBAL.max_allowed_packet')
                limit = int(now)
            if limit is not None and size >= limit:
                raise packet_too_large(size, limit)
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


def packet_too_large(size: int, limit: int) -> PayloadTooLarge:
    """Return the error for a statement that the server would not take."""
    return PayloadTooLarge(
        'The statement that stores the session',
        size,
        limit,
        'Raise max_allowed_packet of the server or keep less in the session.',
    )


def connect(options: dict[str, Any], lock_timeout: int) -> Any:
    """
    Make a driver connection that is as this package wants it.

    :param options: what mysqlclient's ``connect`` takes.
    :param lock_timeout: seconds that a statement waits for a lock.
    """
    flags = options.get('client_flag', 0) | CLIENT.FOUND_ROWS
    driver = MySQLdb.connect(
        **{**options, 'client_flag': flags, 'autocommit': True}
    )
    try:
        if options.get('ssl_mode') == 'REQUIRED':
            _require_encryption(driver)
        for statement in _SESSION_SETUP:
            driver.query(statement.format(lock_timeout))
            driver.store_result()
    except BaseException:
        driver.close()
        raise
    log.debug('connected to MySQL')
    return driver


def _require_encryption(driver: Any) -> None:
    # MariaDB's client library goes on without when the server has no TLS
    driver.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
    ((_, cipher),) = driver.store_result().fetch_row(0)
    if not cipher:
        raise MySQLdb.OperationalError(2026, 'the server has no TLS')


def learn_autocommit(driver: Any) -> None:
    """
    Let the driver know whether autocommit is off.

    MySQL does not tell its clients when ``autocommit = 0`` is the server's
    default, but only when a connection changes it: they take it to be on,
    and never commit.
    """
    driver.query('SELECT @@autocommit')
    ((on,),) = driver.store_result().fetch_row(0)
    if driver.get_autocommit() and not int(on):
        driver.rollback()
        for statement in ('SET autocommit = 1', 'SET autocommit = 0'):
            driver.query(statement)
            driver.store_result()


def error_code(exc: BaseException) -> int | None:
    """Return the number of a driver's error, ``None`` without one."""
    code = exc.args[0] if exc.args else None
    return code if isinstance(code, int) else None


def translate(exc: BaseException, connecting: bool = False) -> SessionError:
    """
    Return the exception of ours that says what a driver's error means.

    :param connecting: whether a connection was to be made.
    """
    return driver_errors.translate(error_code(exc), connecting)


def socket_of(driver: Any) -> tuple[int, int]:
    """Return file descriptor and inode of a connection's socket."""
    try:
        descriptor = driver.fileno()
        status = os.fstat(descriptor)
    except (OSError, MySQLdb.Error):
        return -1, -1
    # a socket object of ours would change how the connection's own one blocks
    if not stat.S_ISSOCK(status.st_mode):
        return -1, -1
    return descriptor, status.st_ino
