"""Loads, saves and deletes single sessions, each by one statement."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..connection.driver import Connection, packet_too_large
from ..errors import LockTimeout, StoreUnavailable
from . import revisions
from .access import TableAccess
from .keys import FAMILY_BYTES
from .results import (
    Deletion,
    Living,
    LockedRecord,
    Outcome,
    Payload,
    Record,
    UserID,
)
from .statements import Statement, Statements

#: How many renewals a deletion follows; it meets one after the other only if
#: somebody wants it so.
RENEWALS = 10


class Records:
    """
    The sessions of the table, one at a time; see :class:`.IMySQLSessionStore`.

    :param access: reaches the table.
    :param statements: says what to send.
    """

    def __init__(self, access: TableAccess, statements: Statements) -> None:
        self._access = access
        self._write = statements

    def of_row(self, row: Sequence[Any]) -> Record:
        """Return the record of what a SELECT of the columns gave."""
        payload, created, expires, revision, now = row
        # a passed-in pool may convert numbers in its own way
        record = Record(
            payload, int(created), int(expires), int(revision), int(now)
        )
        absolute_timeout = self._access.absolute_timeout
        if absolute_timeout is not None:
            deadline = record.created + absolute_timeout
            if deadline < record.expires:
                record = record._replace(expires=deadline)
        return record

    def load(self, session_id: str) -> Record | None:
        return self._access.run(
            lambda connection: self._fetch(connection, session_id)
        )

    def find_live(self, session_ids: Sequence[str]) -> Living:
        rows = self._access.fetch(self._write.find_live(session_ids))
        keys = {key for (key,) in rows}
        families = {key[:FAMILY_BYTES] for key in keys}
        living = Living([], [])
        for session_id in session_ids:
            key = self._write.key(session_id)
            if key in keys:
                living.live.append(session_id)
            elif key[:FAMILY_BYTES] in families:
                living.renewed.append(session_id)
        return living

    def is_renewed(self, session_id: str) -> bool:
        access = self._access
        return bool(
            access.fetch(
                f'{self._write.find_family(session_id)} '
                f'AND {access.row_alive} LIMIT 1'
            )
        )

    def create(
        self,
        session_id: str,
        payload: Payload,
        idle_timeout: int | None,
        userid: UserID | None,
        replaces: Sequence[str],
    ) -> int:
        access = self._access
        access.ready()
        revision = revisions.first()
        insert = self._write.insert(
            session_id, payload, revision, idle_timeout, userid
        )
        repeated = self._repeated()

        def work(connection: Connection) -> int:
            repeated(connection)
            if replaces:
                connection.execute('BEGIN')
                for replaced in replaces:
                    self._delete_family(connection, replaced)
            written = revision
            if not connection.insert(
                insert.head, payload, insert.rest, access.packet_limit
            ):
                # nobody else can know this id: the row is ours when the
                # answer to the INSERT was lost
                record = self._fetch(connection, session_id)
                if record is None:
                    raise StoreUnavailable(
                        'The table has another row for this new session',
                        'Drop unique indexes besides the primary key.',
                    )
                written = record.revision
            if replaces:
                connection.execute('COMMIT')
            return written

        return access.run(work)

    def measure(self, payload: Payload, userid: UserID | None) -> None:
        access = self._access
        access.ready()
        self._write.measure(payload, userid)
        if len(payload) >= access.packet_limit:
            # somebody may have raised it since it was read
            access.run(access.read_packet_limit)
            if len(payload) >= access.packet_limit:
                raise packet_too_large(len(payload), access.packet_limit)

    def save(
        self,
        session_id: str,
        payload: Payload | None,
        revision: int,
        idle_timeout: int | None,
        userid: UserID | None,
        new_session_id: str | None,
        attempted: int | None,
    ) -> Outcome:
        written = attempted or revisions.following(revision)
        self._access.ready()
        update = self._write.update(
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
            stored = self._fetch(connection, session_id)
            if in_doubt:
                if new_session_id is not None and self._fetch(
                    connection, new_session_id
                ):
                    return Outcome(written)
                if (
                    stored is not None
                    and not stored.precedes(revision)
                    and _was_written(written, stored.revision)
                ):
                    return Outcome(written)
            return Outcome(None, _live(stored))

        try:
            return self._access.run(work)
        except StoreUnavailable as exc:
            if exc.outcome_unknown:
                exc.attempted = written
            raise

    def touch(
        self, session_id: str, idle_timeout: int | None, revision: int | None
    ) -> bool | None:
        sql = self._write.touch(session_id, idle_timeout, revision)

        def work(connection: Connection) -> bool | None:
            if connection.execute(sql):
                return True
            # without CLIENT.FOUND_ROWS a row that needed no change counts 0
            record = _live(self._fetch(connection, session_id))
            if record is None:
                return False
            return True if revision in (None, record.revision) else None

        return self._access.run(work)

    def delete(self, session_id: str, revision: int | None) -> Deletion:
        repeated = self._repeated()

        def work(connection: Connection) -> Deletion:
            in_doubt = repeated(connection)
            if revision is None:
                done = self._delete_family(connection, session_id)
                return Deletion(done or in_doubt)
            if connection.execute(self._write.delete(session_id, revision)):
                return Deletion(True)
            stored = _live(self._fetch(connection, session_id))
            return Deletion(in_doubt and stored is None, stored)

        return self._access.run(work)

    @contextmanager
    def locked(self, session_id: str) -> Iterator[LockedRecord]:
        access = self._access
        access.ready()

        def work(connection: Connection) -> Record | None:
            return _live(self._fetch(connection, session_id, ' FOR UPDATE'))

        with access.pool.transaction(work) as (connection, record):

            def save(*args: Any) -> int:
                return self._send(
                    connection, self._write.update(session_id, *args)
                )

            def delete(revision: int) -> int:
                return connection.execute(
                    self._write.delete(session_id, revision)
                )

            yield LockedRecord(record, save, delete)

    def _send(self, connection: Connection, statement: Statement) -> int:
        if statement.payload is None:
            return connection.execute(statement.head + statement.rest)
        return connection.execute(*statement, self._access.packet_limit)

    def _delete_family(self, connection: Connection, session_id: str) -> bool:
        """Delete the row of a session whatever its id is by now."""
        for attempt in range(RENEWALS):
            if connection.execute(self._write.delete_family(session_id)):
                return True
            # it may have waited for a renewal that moved the row to where
            # it had looked already; a snapshot shows it in one place
            if not connection.fetch(
                f'{self._write.find_family(session_id)} LIMIT 1'
            ):
                return False
            time.sleep(random.uniform(0, 0.001 * 2**attempt))
        raise LockTimeout(
            'The id of a session was renewed each time that the session was '
            'to be deleted',
            'Look for what renews it again and again.',
        )

    def _fetch(
        self, connection: Connection, session_id: str, rest: str = ''
    ) -> Record | None:
        rows = connection.fetch(self._write.select(session_id, rest))
        return self.of_row(rows[0]) if rows else None

    def _repeated(self) -> Callable[[Connection], bool]:
        """Return what tells from the second call on that it was called."""
        calls: list[bool] = []

        def repeated(connection: Connection) -> bool:
            if calls:
                # the server hangs up on a packet over the limit, and an
                # administrator may have lowered that
                self._access.read_packet_limit(connection)
            calls.append(True)
            return len(calls) > 1

        return repeated


def _live(record: Record | None) -> Record | None:
    return record if record is not None and record.alive else None


def _was_written(attempted: int, stored: int) -> bool:
    written = revisions.was_written(attempted, stored)
    if written is None:
        raise StoreUnavailable(
            'The answer to a save was lost, and so many others have saved '
            'the session since that nobody can tell whether it was done',
            'Look for what keeps breaking the connections to the server.',
            outcome_unknown=True,
        )
    return written
