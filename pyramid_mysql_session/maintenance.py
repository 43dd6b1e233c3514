"""Holds the SQL over many sessions: lists, counts and purges."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from .driver import Connection, DriverError, error_code
from .errors import SchemaError
from .pool import ConnectionPool
from .schema import Table, text, text_literal

log = logging.getLogger(__name__)

Payload = str | bytes
T = TypeVar('T')

# what Percona's strict mode, Galera and servers without it say to GET_LOCK
_NO_GET_LOCK = frozenset({1105, 1235, 1305})
# MariaDB makes a subquery of a list of 1000 values, MySQL gives up on the
# index if the list takes too much memory
_LIST_LENGTH = 600
# seconds
_LONGEST_PAUSE = 0.5
# what servers before MySQL 8.0 and MariaDB 10.6 say to SKIP LOCKED
_NO_SKIP_LOCKED = frozenset({1064, 1235})


class Record(NamedTuple):
    """One session in transit; all moments are the server's."""

    payload: Payload
    created: int  # unix second
    expires: int  # the last unix second of its life
    revision: int
    now: int  # unix second at which the record was read

    def __repr__(self) -> str:
        size = len(self.payload)
        return f'<Record of {size} bytes, expires {self.expires}>'


class StoredSession(NamedTuple):
    """One session of a list."""

    key: bytes  # the stored key; it cannot be turned into a cookie
    userid: str | None
    record: Record


class SessionTable:
    """
    What can be done with the table as a whole.

    :param pool: lends the connections.
    :param table: names, creates and checks the table.
    :param stored_key: computes the 32 bytes of the key of a session id.
    :param create_table: whether a missing table is created at first use.
    :param absolute_timeout: seconds after its creation when a session is
        dead however busy it is; ``None`` for no such limit.
    :param max_payload_bytes: ``None`` for what table and server can hold.
    :param purge_batch: most rows that one statement purges.
    :param on_purge: called with rows and seconds after each purge.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        table: Table,
        stored_key: Callable[[str], bytes],
        create_table: bool = True,
        absolute_timeout: int | None = None,
        max_payload_bytes: int | None = None,
        purge_batch: int = 1000,
        on_purge: Callable[[int, float], None] = lambda rows, seconds: None,
    ) -> None:
        self._pool = pool
        self._table = table
        self._stored_key = stored_key
        self._create_table = create_table
        self._absolute_timeout = absolute_timeout
        self._max_payload_bytes = max_payload_bytes
        self._purge_batch = purge_batch
        self._on_purge = on_purge
        self._skips_locked = True
        # bytes that table and server hold, known once the table was checked
        self._payload_limit: int | None = None
        self._packet_limit = 0
        column = table.column
        self._key = column('session_id')
        self._expires = column('expires')
        self._userid = column('userid')
        alive = '>= UNIX_TIMESTAMP()'
        if absolute_timeout is not None:
            alive += f' AND {column("created")} + {absolute_timeout:d} {alive}'
        self._alive = f'{self._expires} {alive}'
        # of one row: in a small table MariaDB would take the index, lock its
        # entry before the row, and meet those that lock in the other order
        self._row_alive = f'{self._expires} + 0 {alive}'
        self._record_columns = (
            f'{column("data")}, {column("created")}, {self._expires}, '
            f'{column("revision")}, UNIX_TIMESTAMP()'
        )

    def create_table(self) -> None:
        """Create the table if it is missing, whatever the settings say."""
        self._pool.run(self._table.create)

    def check_table(self) -> list[str]:
        """
        Compare the table with what the store needs.

        :returns: a list of warnings, such as a missing index.
        :raises pyramid_mysql_session.SchemaError: lists every deviation and
            the statement that mends it.
        """
        return self._pool.run(self._check)

    def close(self) -> None:
        """Refuse further use; may be called twice and from any thread."""
        self._pool.close()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._pool.closed

    def count(self) -> int:
        """Return the number of live sessions."""
        ((rows,),) = self._rows(
            f'SELECT COUNT(*) FROM {self._table.quoted} WHERE {self._alive}'
        )
        return int(rows)

    def iter_sessions(self, batch: int = 1000) -> Iterator[StoredSession]:
        """
        Iterate over the records of all live sessions.

        They come in batches, each of which is a consistent view of its own.
        """
        last = b''
        while sessions := self._list(
            f"{self._key} > x'{last.hex()}'", f'LIMIT {batch:d}'
        ):
            yield from sessions
            last = sessions[-1].key

    def for_user(self, userid: str) -> list[StoredSession]:
        """Return the live sessions whose user id is this text."""
        return self._list(self._of_user(userid))

    def delete_for_user(self, userid: str, keep: str | None = None) -> int:
        """
        Delete the live sessions of a user.

        :param keep: the session id of one that stays.
        :returns: the number of sessions that were deleted.
        """
        others = (
            '' if keep is None else f' AND {self._key} <> {self._id(keep)}'
        )
        return self._execute(
            f'DELETE FROM {self._table.quoted} WHERE '
            f'{self._of_user(userid)} AND {self._alive}{others}'
        )

    def clear(self) -> int:
        """Delete all sessions, in batches; return the number of rows."""
        rows = deleted = self._purge_batch
        deleted = 0
        while rows == self._purge_batch:
            rows = self._execute(
                f'DELETE FROM {self._table.quoted} LIMIT {self._purge_batch}'
            )
            deleted += rows
        return deleted

    def purge(
        self,
        stop: Callable[[], bool] = lambda: False,
        exclusive: bool = False,
    ) -> int:
        """
        Delete the expired sessions, in small transactions.

        No live session waits for it longer than one batch takes.

        :param stop: asked between two batches whether to stop.
        :param exclusive: do nothing while another process or host does the
            same; where the server has no GET_LOCK all purge at once, which
            does no harm.
        :returns: the number of sessions that were deleted.
        """
        self._ready()
        began = time.monotonic()
        if exclusive:
            with self._pool.keep(self._get_lock) as (got, run):
                if got == 0:
                    return 0
                try:
                    deleted = self._purge_all(run, stop)
                finally:
                    if got:
                        run(self._release_lock)
        else:
            deleted = self._purge_all(self._run, stop)
        seconds = time.monotonic() - began
        if deleted:
            log.info('purged %d sessions in %.3f s', deleted, seconds)
        self._on_purge(deleted, seconds)
        return deleted

    def _purge_all(
        self, run: Callable[..., int], stop: Callable[[], bool]
    ) -> int:
        deleted = since = 0
        while not stop():
            began = time.monotonic()
            rows, since = run(partial(self._purge_some, since))
            deleted += rows
            if rows < self._purge_batch:
                break
            # leave the server to others for as long as they had to share it
            time.sleep(min(time.monotonic() - began, _LONGEST_PAUSE))
        return deleted

    def _purge_some(
        self, since: int, connection: Connection
    ) -> tuple[int, int]:
        """
        Delete one batch of sessions that expired at some second or later.

        :returns: the number of rows, and the second from which to go on.
        """
        # MySQL blocks the first live row under REPEATABLE READ
        connection.execute('SET TRANSACTION ISOLATION LEVEL READ COMMITTED')
        connection.execute('BEGIN')
        # a deleted row stays in the index for as long as any transaction may
        # still see it, one of a backup for instance: do not start before it
        dead = (
            f'{self._expires} >= {since:d} '
            f'AND {self._expires} < UNIX_TIMESTAMP()'
        )
        some = (
            f'FROM {self._table.quoted} WHERE {dead} '
            f'ORDER BY {self._expires} LIMIT {self._purge_batch}'
        )
        rows = self._lock_some(connection, some)
        if rows is None:
            deleted = connection.execute(f'DELETE {some}')
        else:
            deleted = self._delete_keys(connection, rows, dead)
        connection.execute('COMMIT')
        return deleted, int(rows[-1][1]) if rows else since

    def _lock_some(
        self, connection: Connection, some: str
    ) -> Sequence[tuple[Any, ...]] | None:
        """Return key and deadline of rows that nobody else has locked."""
        if self._skips_locked:
            try:
                return connection.fetch(
                    f'SELECT {self._key}, {self._expires} {some} '
                    'FOR UPDATE SKIP LOCKED'
                )
            except DriverError as exc:
                if error_code(exc) not in _NO_SKIP_LOCKED:
                    raise
                self._skips_locked = False
        return None

    def _delete_keys(
        self,
        connection: Connection,
        rows: Sequence[tuple[Any, ...]],
        dead: str,
    ) -> int:
        table = self._table
        keys = [f"x'{key.hex()}'" for key, _ in rows]
        # without a hint, which both servers take only in this form of DELETE,
        # they read and lock every row of a small table
        return sum(
            connection.execute(
                f'DELETE {table.quoted} FROM {table.quoted} '
                f'FORCE INDEX ({table.key_index}) WHERE {dead} AND '
                f'{self._key} IN ({", ".join(keys[at : at + _LIST_LENGTH])})'
            )
            for at in range(0, len(keys), _LIST_LENGTH)
        )

    def _get_lock(self, connection: Connection) -> int | None:
        """Return 1, 0 when somebody else has it, ``None`` without locks."""
        sql = f'SELECT GET_LOCK({self._lock_name()}, 0)'
        try:
            ((got,),) = connection.fetch(sql)
        except DriverError as exc:
            if error_code(exc) in _NO_GET_LOCK:
                return None
            raise
        return int(got or 0)

    def _release_lock(self, connection: Connection) -> None:
        connection.fetch(f'SELECT RELEASE_LOCK({self._lock_name()})')

    def _lock_name(self) -> str:
        # the name of a user-level lock has 64 characters at most, and MySQL
        # 9 has no SHA1 any more
        schema, table = self._table.name
        where = text_literal(schema) if schema else 'DATABASE()'
        return (
            "CONCAT('purge.', "
            f'SHA2(CONCAT({where}, 0x00, {text_literal(table)}), 224))'
        )

    def _check(self, connection: Connection) -> list[str]:
        if not self._table.exists(connection):
            if not self._create_table:
                raise SchemaError(
                    self._table.quoted,
                    ['it is missing, and mysql_session.create_table is false'],
                    self._table.create_statement(),
                )
            self._table.create(connection)
        held, warnings = self._table.check(connection)
        for warning in warnings:
            log.warning(warning)
        self._read_packet_limit(connection)
        self._payload_limit = min(self._max_payload_bytes or held, held)
        return warnings

    def _read_packet_limit(self, connection: Connection) -> None:
        ((limit,),) = connection.fetch('SELECT @@max_allowed_packet')
        self._packet_limit = int(limit)

    def _ready(self) -> None:
        # several threads may do it at once, which does no harm
        if self._payload_limit is None:
            self._pool.run(self._check)

    def _run(self, work: Callable[[Connection], T]) -> T:
        self._ready()
        try:
            return self._pool.run(work)
        except SchemaError:
            # somebody changed the table: look at it again next time
            self._payload_limit = None
            raise

    def _execute(self, sql: str) -> int:
        return self._run(lambda connection: connection.execute(sql))

    def _rows(self, sql: str) -> tuple[tuple[Any, ...], ...]:
        return self._run(lambda connection: connection.fetch(sql))

    def _list(self, condition: str, rest: str = '') -> list[StoredSession]:
        rows = self._run(
            lambda connection: connection.fetch(
                # UTF-8 whatever the character set of the connection
                f'SELECT {self._key}, CAST({self._userid} AS BINARY), '
                f'{self._record_columns} FROM {self._table.quoted} '
                f'WHERE {condition} AND {self._alive} '
                f'ORDER BY {self._key} {rest}'
            )
        )
        return [
            StoredSession(
                key,
                None if userid is None else text(userid),
                self._record(row),
            )
            for key, userid, *row in rows
        ]

    def _of_user(self, userid: str) -> str:
        # utf8mb4_bin finds 'me ' for 'me'; bytes are compared exactly
        literal = text_literal(userid)
        return (
            f'{self._userid} = {literal} '
            f'AND CAST({self._userid} AS BINARY) = CAST({literal} AS BINARY)'
        )

    def _id(self, session_id: str) -> str:
        return f"x'{self._stored_key(session_id).hex()}'"

    def _record(self, row: Sequence[Any]) -> Record:
        payload, created, expires, revision, now = row
        # a passed-in pool may convert numbers in its own way
        record = Record(
            payload, int(created), int(expires), int(revision), int(now)
        )
        if self._absolute_timeout is not None:
            deadline = record.created + self._absolute_timeout
            if deadline < record.expires:
                record = record._replace(expires=deadline)
        return record
