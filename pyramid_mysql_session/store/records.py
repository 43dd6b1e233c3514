"""Holds the SQL of single sessions: payloads in, records out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from zope.interface import implementer

from ..connection.driver import Connection
from ..errors import (
    PayloadNotSerializable,
    PayloadTooLarge,
    StoreUnavailable,
)
from ..interfaces import IMySQLSessionStore
from . import revisions
from .maintenance import Payload, Record, SessionTable
from .schema import text_literal

_USERID_LIMIT = 255


class Outcome(NamedTuple):
    """What became of a save."""

    #: The revision that was written, ``None`` when none was.
    revision: int | None
    #: The live record that stood in the way, ``None`` when it is gone.
    stored: Record | None = None


class Deletion(NamedTuple):
    """What became of a deletion."""

    #: Whether the record was there and is deleted.
    done: bool
    #: The live record that has another revision, ``None`` when it is gone.
    stored: Record | None = None


class LockedRecord:
    """
    A record whose row stays locked until the transaction ends.

    :ivar record: ``None`` when there is no live one.
    :ivar revision: the one that :meth:`save` writes.
    """

    def __init__(
        self,
        record: Record | None,
        execute: Callable[[_Update], int],
        update: Callable[..., _Update],
        delete: Callable[[], int],
    ) -> None:
        self.record = record
        self.revision = record and revisions.following(record.revision)
        self._execute = execute
        self._update = update
        self.delete = delete

    def save(
        self,
        payload: Payload | None,
        idle_timeout: int,
        userid: str | None = None,
        new_session_id: str | None = None,
    ) -> bool:
        """Save as the store does; ``False`` when it expired meanwhile."""
        return bool(
            self.record
            and self._execute(
                self._update(
                    payload,
                    self.record.revision,
                    idle_timeout,
                    userid,
                    new_session_id,
                    self.revision,
                )
            )
        )


class _Update(NamedTuple):
    """The UPDATE that saves; the payload comes between head and rest."""

    head: str
    payload: Payload | None
    rest: str

    def __repr__(self) -> str:
        return f'<UPDATE with {len(self.payload or "")} bytes>'


@implementer(IMySQLSessionStore)
class MySQLSessionStore(SessionTable):
    """
    The sessions of one table; see :class:`.IMySQLSessionStore`.

    Made by the session factory, of which it is the ``store``.
    """

    def load(self, session_id: str) -> Record | None:
        """Return the record of a session, expired or not."""
        where = self._where(session_id)
        return self._run(lambda connection: self._fetch(connection, where))

    def create(
        self,
        session_id: str,
        payload: Payload,
        idle_timeout: int,
        userid: str | None = None,
        replaces: str | None = None,
    ) -> int:
        """Insert a record under a fresh session id; return its revision."""
        self._ready()
        self._measure(payload)
        where = self._where(session_id)
        revision = revisions.first()
        idle = min(idle_timeout, self._absolute_timeout or idle_timeout)
        column = self._table.column
        insert = (
            f'INSERT INTO {self._table.quoted} ({self._key}, '
            f'{column("created")}, {self._expires}, {column("revision")}, '
            f'{self._userid}, {column("data")}) '
            f'VALUES ({self._id(session_id)}, UNIX_TIMESTAMP(), '
            f'UNIX_TIMESTAMP() + {idle:d}, {revision:d}, {_userid(userid)}, '
        )
        repeated = self._repeated()

        def work(connection: Connection) -> None:
            repeated(connection)
            if replaces:
                connection.execute('BEGIN')
                connection.execute(self._delete_statement(replaces))
            if not connection.insert(insert, payload, ')', self._packet_limit):
                # the row is ours when the answer to the INSERT was lost
                record = self._fetch(connection, where)
                if record is None or record.revision != revision:
                    raise StoreUnavailable(
                        'The table has another row for this new session',
                        'Drop unique indexes besides the primary key.',
                    )
            if replaces:
                connection.execute('COMMIT')

        self._run(work)
        return revision

    def save(
        self,
        session_id: str,
        payload: Payload | None,
        revision: int,
        idle_timeout: int,
        userid: str | None = None,
        new_session_id: str | None = None,
        attempted: int | None = None,
    ) -> Outcome:
        """Update a record if it still has the revision that was loaded."""
        written = attempted or revisions.following(revision)
        update = self._update(
            session_id,
            payload,
            revision,
            idle_timeout,
            userid,
            new_session_id,
            written,
        )
        repeated = self._repeated()

        def work(connection: Connection) -> Outcome:
            in_doubt = repeated(connection) or attempted is not None
            if self._send(connection, update):
                return Outcome(written)
            stored = self._fetch(connection, self._where(session_id))
            if in_doubt:
                if new_session_id is not None and self._fetch(
                    connection, self._where(new_session_id)
                ):
                    return Outcome(written)
                if stored is not None and _was_written(
                    written, revision, stored.revision
                ):
                    return Outcome(written)
            return Outcome(None, _live(stored))

        try:
            return self._run(work)
        except StoreUnavailable as exc:
            if exc.outcome_unknown:
                exc.attempted = written
            raise

    def touch(self, session_id: str, idle_timeout: int) -> bool:
        """Move the idle deadline; ``False`` when no live record is there."""
        where = self._where(session_id)
        sql = (
            f'UPDATE {self._table.quoted} SET {self._expires} = '
            f'GREATEST({self._expires}, {self._after(idle_timeout)}) '
            f'{where} AND {self._row_alive}'
        )

        def work(connection: Connection) -> bool:
            if connection.execute(sql):
                return True
            # without CLIENT.FOUND_ROWS a row that needed no change counts 0
            return _live(self._fetch(connection, where)) is not None

        return self._run(work)

    def delete(self, session_id: str, revision: int | None = None) -> Deletion:
        """Delete a record, if it still has the revision that was loaded."""
        sql = self._delete_statement(session_id, revision)
        repeated = self._repeated()

        def work(connection: Connection) -> Deletion:
            in_doubt = repeated(connection)
            if connection.execute(sql):
                return Deletion(True)
            if revision is None:
                return Deletion(in_doubt)
            stored = _live(self._fetch(connection, self._where(session_id)))
            return Deletion(in_doubt and stored is None, stored)

        return self._run(work)

    @contextmanager
    def locked(self, session_id: str) -> Iterator[LockedRecord]:
        """Lock a record until the ``with`` block ends, which commits."""
        self._ready()
        where = f'{self._where(session_id)} FOR UPDATE'

        def work(connection: Connection) -> Record | None:
            return _live(self._fetch(connection, where))

        with self._pool.transaction(work) as (connection, record):
            yield LockedRecord(
                record,
                lambda update: self._send(connection, update),
                lambda *args: self._update(session_id, *args),
                lambda: connection.execute(self._delete_statement(session_id)),
            )

    def _update(
        self,
        session_id: str,
        payload: Payload | None,
        revision: int,
        idle_timeout: int,
        userid: str | None,
        new_session_id: str | None,
        written: int,
    ) -> _Update:
        self._ready()
        column = self._table.column
        head = (
            f'UPDATE {self._table.quoted} SET '
            f'{column("revision")} = {written:d}, '
            f'{self._expires} = {self._after(idle_timeout)}'
        )
        if new_session_id is not None:
            head += f', {self._key} = {self._id(new_session_id)}'
        if payload is not None:
            self._measure(payload)
            head += (
                f', {self._userid} = {_userid(userid)}, {column("data")} = '
            )
        rest = (
            f' {self._where(session_id)} '
            f'AND {column("revision")} = {revision:d} AND {self._row_alive}'
        )
        return _Update(head, payload, rest)

    def _send(self, connection: Connection, update: _Update) -> int:
        if update.payload is None:
            return connection.execute(update.head + update.rest)
        return connection.execute(*update, self._packet_limit)

    def _delete_statement(
        self, session_id: str, revision: int | None = None
    ) -> str:
        sql = f'DELETE FROM {self._table.quoted} {self._where(session_id)}'
        if revision is not None:
            sql += f' AND {self._table.column("revision")} = {revision:d}'
        return sql

    def _fetch(self, connection: Connection, where: str) -> Record | None:
        rows = connection.fetch(
            f'SELECT {self._record_columns} FROM {self._table.quoted} {where}'
        )
        return self._record(rows[0]) if rows else None

    def _where(self, session_id: str) -> str:
        return f'WHERE {self._key} = {self._id(session_id)}'

    def _after(self, idle_timeout: int) -> str:
        """Return SQL for the deadline of a session that is used now."""
        idle = f'UNIX_TIMESTAMP() + {idle_timeout:d}'
        if self._absolute_timeout is None:
            return idle
        created = self._table.column('created')
        return f'LEAST({idle}, {created} + {self._absolute_timeout:d})'

    def _repeated(self) -> Callable[[Connection], bool]:
        """Return what tells from the second call on that it was called."""
        calls: list[bool] = []

        def repeated(connection: Connection) -> bool:
            if calls:
                # the server hangs up on a packet over the limit, and an
                # administrator may have lowered that
                self._read_packet_limit(connection)
            calls.append(True)
            return len(calls) > 1

        return repeated

    def _measure(self, payload: Payload) -> None:
        size = len(payload)
        if isinstance(payload, str) and not payload.isascii():
            try:
                size = len(payload.encode('utf-8'))
            except UnicodeEncodeError as exc:
                raise PayloadNotSerializable(
                    '', 'has a lone surrogate, which is no UTF-8'
                ) from exc
        limit = self._payload_limit
        if limit is not None and size > limit:
            raise PayloadTooLarge(
                'The payload in bytes',
                size,
                limit,
                'Keep less in the session, or widen the data column and '
                'raise mysql_session.max_payload_bytes.',
            )


def _live(record: Record | None) -> Record | None:
    return None if record is None or record.expires < record.now else record


def _was_written(attempted: int, loaded: int, stored: int) -> bool:
    written = revisions.was_written(attempted, loaded, stored)
    if written is None:
        raise StoreUnavailable(
            'The answer to a save was lost, and so many others have saved '
            'the session since that nobody can tell whether it was done',
            'Look for what keeps breaking the connections to the server.',
            outcome_unknown=True,
        )
    return written


def _userid(userid: str | None) -> str:
    if userid is None:
        return 'NULL'
    if len(userid) > _USERID_LIMIT:
        raise PayloadTooLarge(
            'The user id in characters',
            len(userid),
            _USERID_LIMIT,
            'Name another key with mysql_session.userid_key.',
        )
    try:
        return text_literal(userid)
    except UnicodeEncodeError as exc:
        raise PayloadNotSerializable(
            'the user id', 'has a lone surrogate, which is no UTF-8'
        ) from exc
