"""Talks to mysqlclient, the driver; no other module imports it."""

from __future__ import annotations

import codecs
import logging
import math
import os
import stat
import time
from collections.abc import Sequence
from typing import Any

import MySQLdb
from MySQLdb.constants import CLIENT

from ..errors import PayloadTooLarge, SettingsError
from . import errors as driver_errors
from .errors import Phase, Verdict, judge

Payload = str | bytes
Rows = tuple[tuple[Any, ...], ...]
log = logging.getLogger(__name__)

#: What the driver raises.
DriverError = MySQLdb.Error

#: Seconds after which a connection is asked anew whether its server takes
#: writes.
ASK_EVERY = 1
# all that a payload may have if it is plain
_ASCII = ''.join(map(chr, range(32, 127)))
# Aurora's readers have the second, all others the first
_READ_ONLY = '@@GLOBAL.read_only, @@GLOBAL.innodb_read_only'

# the variable has another name in each server, and a proxy in front of it may
# have yet another version, so that it takes a statement of its own
_ISOLATION = b'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED'
# MySQL tells the driver that autocommit is on when the server's default is
# off; lock_wait_timeout is about metadata locks: a day or a year by default;
# DEFAULT is what the server has for all connections, and no limit may be less
_ALL_ROWS = 2**64 - 1
_VARIABLES = (
    "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
    'autocommit = 1',
    "completion_type = 'NO_CHAIN'",
    'sql_safe_updates = 0',
    f'sql_select_limit = {_ALL_ROWS}',
    # whatever max_join_size is
    'sql_big_selects = 1',
)


class ReadOnlyAnswer(MySQLdb.OperationalError):  # type: ignore[misc]
    """A server that takes no writes has answered; another may know more."""


class Known:
    """
    What is known of one driver connection; moments are monotonic seconds.

    :ivar socket: file descriptor and inode of its socket.
    :ivar made: when it was first seen.
    :ivar used: when somebody was done with it.
    :ivar asked: when it was asked whether its server takes writes.
    :ivar fits: whether it was found to be of use.
    :ivar clean: whether nobody has left anything in it: a transaction, half
        an answer, a lock.
    """

    __slots__ = ('asked', 'clean', 'fits', 'made', 'socket', 'used')

    def __init__(self, driver: Any) -> None:
        self.socket = socket_of(driver)
        self.made = self.used = time.monotonic()
        self.asked = -math.inf
        self.clean = True
        self.fits = False


class Connection:
    """
    A connection in use; it executes each statement exactly once.

    It goes past DBUtils' cursors, which execute a failed statement again,
    and past those of the driver, whose class a passed-in pool may choose.

    :param known: what is known of it.
    :param ours: whether it is as this package has made it.
    :param sceptical: whether the answer of a server that takes no writes is
        to be asked for again on another connection.

    :ivar ours: as above; then it is neither started nor finished.
    :ivar phase: what it is doing, for whoever has to understand an error.
    :ivar repeated: whether what is being done was tried before.
    :ivar in_doubt: whether it may have been done then.
    :ivar read_only: whether its server has said that it takes no writes.
    """

    phase = Phase.READING
    in_doubt = repeated = read_only = False
    # whether a statement outside a transaction commits itself
    _autocommits = True
    _in_transaction = _uncommitted = False

    def __init__(
        self, driver: Any, known: Known, ours: bool, sceptical: bool
    ) -> None:
        self._driver = driver
        self._known = known
        self.ours = ours
        self._sceptical = sceptical

    def start(self) -> None:
        """End whatever was left in it, a snapshot too."""
        driver, known = self._driver, self._known
        if not known.fits:
            _see_that_it_fits(driver)
            known.fits = True
        self._autocommits = bool(driver.get_autocommit())
        self._in_transaction = not self._autocommits
        if not self._autocommits:
            driver.rollback()

    def begin(self, read_committed: bool = False) -> None:
        """
        Begin a transaction.

        :param read_committed: whether it needs this isolation level, which
            our own connections have anyway.
        """
        self.phase = Phase.READING
        if read_committed and not self.ours:
            self._query(b'SET TRANSACTION ISOLATION LEVEL READ COMMITTED')
        # BEGIN is something else in MariaDB's sql_mode ORACLE
        self._query(b'START TRANSACTION')
        self._in_transaction = True

    def commit(self) -> None:
        """Commit the transaction, and begin no other."""
        if self._uncommitted:
            self.phase = Phase.COMMITTING
        # whatever completion_type is
        self._query(b'COMMIT AND NO CHAIN NO RELEASE')
        self._uncommitted = False
        self._in_transaction = not self._autocommits

    def finish(self) -> None:
        """Commit what does not commit itself."""
        if not self._autocommits:
            self.commit()

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
        statement = self._encoded(sql)
        if payload is not None:
            statement = b'%b%b%b' % (
                statement,
                self._literal(payload),
                self._encoded(rest),
            )
            # the packet has a byte more; MySQL hangs up on a larger one
            size = len(statement) + 1
            if limit is not None and size >= limit:
                # somebody may have raised it since it was read
                ((now,),) = self.fetch('SELECT @@GLOBAL.max_allowed_packet')
                limit = int(now)
            if limit is not None and size >= limit:
                raise packet_too_large(size, limit)
        if self._in_transaction:
            self.phase = Phase.WRITING
            self._uncommitted = True
        else:
            self.phase = Phase.COMMITTING
        self._query(statement)
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

    def fetch(self, sql: str, locking: bool = False) -> Rows:
        """
        Execute a statement and return its rows.

        :param locking: whether it waits for locks of rows.
        """
        driver = self._driver
        self.phase = Phase.WRITING if locking else Phase.READING
        driver.query(self._encoded(sql))
        rows: Rows = driver.store_result().fetch_row(0)
        return rows

    def fetch_current(
        self,
        columns: str,
        rest: str = '',
        locking: bool = False,
        ask: bool = False,
        none_counts: bool = False,
    ) -> Rows:
        """
        Execute a SELECT whose answer must not be that of an old primary.

        A server that became read-only keeps its connections, and goes on
        answering from what it has. It is asked for that in the same
        statement, but not each time.

        :param columns: what to select.
        :param rest: of the statement.
        :param locking: whether to lock the rows; then it is asked, too.
        :param ask: whether to ask now, however lately it was asked.
        :param none_counts: whether it counts, too, that there are no rows:
            then the server has to be asked by a statement of its own.
        """
        known, now = self._known, time.monotonic()
        if locking:
            rest += ' FOR UPDATE'
        if not (ask or locking) and now - known.asked < ASK_EVERY:
            return self.fetch(f'SELECT {columns}{rest}')
        rows = self.fetch(f'SELECT {columns}, {_READ_ONLY}{rest}', locking)
        answer = rows
        if not rows and none_counts:
            answer = self.fetch(f'SELECT {_READ_ONLY}')
        if not answer:
            return rows
        self.read_only = any(map(_is_on, answer[0][-2:]))
        if self.read_only and self._sceptical:
            raise ReadOnlyAnswer(1290, 'the server is read-only')
        known.asked = now
        return tuple(row[:-2] for row in rows)

    def _encoded(self, sql: str) -> bytes:
        try:
            encoded: bytes = sql.encode(self._driver.encoding)
        except UnicodeEncodeError as exc:
            # no text but names stands in a statement as it is
            setting = 'mysql_session.charset'
            if not self.ours:
                setting = 'mysql_session.pool: its connections have charset'
            raise SettingsError(
                [
                    f'{setting} = {self.character_set}, in which the names of '
                    'table and columns cannot be written; expected utf8mb4'
                ]
            ) from exc
        return encoded

    def _query(self, statement: bytes) -> None:
        _send(self._driver, statement)

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


def connect(
    options: dict[str, Any], lock_timeout: int, variables: Sequence[str] = ()
) -> Any:
    """
    Make a driver connection that is as this package wants it.

    :param options: what mysqlclient's ``connect`` takes.
    :param lock_timeout: seconds that a statement waits for a lock.
    :param variables: what else is set, in SQL.
    """
    flags = options.get('client_flag', 0) | CLIENT.FOUND_ROWS
    # None: one statement sets all that is to be set
    driver = MySQLdb.connect(
        **{**options, 'client_flag': flags, 'autocommit': None}
    )
    try:
        if options.get('ssl_mode') == 'REQUIRED':
            _require_encryption(driver)
        assignments = (
            *_VARIABLES,
            f'innodb_lock_wait_timeout = {lock_timeout}',
            f'lock_wait_timeout = {lock_timeout}',
            *variables,
        )
        _send(driver, _ISOLATION)
        _send(driver, f'SET SESSION {", ".join(assignments)}'.encode('ascii'))
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


def _see_that_it_fits(driver: Any) -> None:
    """
    See that a connection of a passed-in pool does what it is told to.

    :raises pyramid_mysql_session.SettingsError: it is of no use.
    """
    answer = _answer(driver)
    if answer is None:
        raise SettingsError(
            [
                'mysql_session.pool: its connections have charset = '
                f'{driver.character_set_name()}, which does not bring back '
                'all that is stored; expected utf8mb4, and no other by SET'
            ]
        )
    autocommit, completion_type, limit = answer
    if isinstance(completion_type, bytes):
        completion_type = completion_type.decode('ascii')
    if completion_type != 'NO_CHAIN':
        raise SettingsError(
            [
                'mysql_session.pool: its connections have completion_type = '
                f"{completion_type}, expected 'NO_CHAIN': what follows a "
                'COMMIT would not be committed'
            ]
        )
    # as large as a revision: a number that conv has rounded shows, too
    limit = int(limit)
    if limit != _ALL_ROWS:
        raise SettingsError(
            [
                'mysql_session.pool: its connections have sql_select_limit = '
                f'{limit}, expected {_ALL_ROWS}: answers would be cut short, '
                'or their numbers are rounded'
            ]
        )
    if driver.get_autocommit() and not int(autocommit):
        # MySQL does not tell its clients when that is the server's default,
        # but only when a connection changes it: they take it to be on, and
        # never commit
        driver.rollback()
        for statement in (b'SET autocommit = 1', b'SET autocommit = 0'):
            _send(driver, statement)


def _answer(driver: Any) -> tuple[Any, ...] | None:
    """
    Ask for what matters of somebody else's connection.

    :returns: ``None`` when a payload does not arrive as it was sent.
    """
    # in which Python does not find a backslash again
    if driver.character_set_name() == 'sjis':
        return None
    # either may be one that Python does not know, and SET may have changed one
    try:
        codecs.lookup(driver.encoding)
        driver.query(
            b'SELECT @@autocommit, @@completion_type, @@sql_select_limit, %b '
            # whatever that limit is
            b'LIMIT 1' % driver.string_literal(_ASCII)
        )
        ((*answer, sent),) = driver.store_result().fetch_row(0)
    except (LookupError, ValueError):
        return None
    return tuple(answer) if sent in (_ASCII, _ASCII.encode()) else None


def _send(driver: Any, statement: bytes) -> None:
    """Have a statement executed that returns no rows."""
    driver.query(statement)
    driver.store_result()


def error_code(exc: BaseException) -> int | None:
    """Return the number of a driver's error, ``None`` without one."""
    code = exc.args[0] if exc.args else None
    return code if isinstance(code, int) else None


def verdict_on(exc: BaseException, phase: Phase) -> Verdict:
    """Return what an error of the driver means."""
    return judge(error_code(exc), str(exc), phase)


def refuses_rows(exc: BaseException, phase: Phase) -> bool:
    """
    Tell whether fewer rows might not have met an error.

    That is so of what foreign keys and triggers say, also with a number of
    their own, and of a limit to what is changed at once.
    """
    return verdict_on(exc, phase).meaning.of_rows


def is_of_driver(driver: Any) -> bool:
    """Tell whether a connection is one of mysqlclient's."""
    return isinstance(driver, MySQLdb.connections.Connection)


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


def _is_on(value: Any) -> bool:
    """Tell whether a variable that says how read-only a server is says so."""
    word = value.decode('ascii') if isinstance(value, bytes) else str(value)
    return word.upper() not in ('0', 'OFF', 'NONE')
