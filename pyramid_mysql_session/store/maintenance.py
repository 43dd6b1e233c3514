"""Holds the SQL over many sessions: lists, counts and purges."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from ..connection.driver import Connection
from ..connection.pool import ConnectionPool
from ..errors import SchemaError
from .purging import Purger
from .schema import Table, text, text_literal

log = logging.getLogger(__name__)

Payload = str | bytes
T = TypeVar('T')


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

    def __repr__(self) -> str:
        return f'<StoredSession {self.key[4:8].hex()}: {self.record!r}>'


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
    :param purge_batch: most rows that one transaction purges.
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
        purge_batch: int = 250,
        on_purge: Callable[[int, float], None] = lambda rows, seconds: None,
    ) -> None:
        self._pool = pool
        self._table = table
        self._stored_key = stored_key
        self._create_table = create_table
        self._absolute_timeout = absolute_timeout
        self._max_payload_bytes = max_payload_bytes
        self._purge_batch = purge_batch
        self._purger = Purger(pool, table, purge_batch, on_purge)
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
        return self._purger.purge(stop, exclusive)

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
