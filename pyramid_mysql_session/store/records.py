"""Loads, saves and deletes single sessions, each by one statement."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from ..connection.driver import (
    Connection,
    DriverError,
    packet_too_large,
    refuses_rows,
)
from ..errors import (
    LockTimeout,
    PayloadTooLarge,
    SessionError,
    StoreUnavailable,
)
from . import revisions
from .access import TableAccess
from .keys import FAMILY_BYTES, is_young
from .results import (
    Deletion,
    Device,
    Living,
    LockedRecord,
    Outcome,
    Payload,
    Record,
    UserID,
)
from .statements import Statement, Statements

log = logging.getLogger(__name__)

#: How many renewals a deletion follows; it meets one after the other only if
#: somebody wants it so.
RENEWALS = 10
#: Seconds after which a server that lags may have what others stored.
SECOND_LOOK = 0.1
# seconds between looks for what became of a statement without an answer
_PAUSES = (0.05, 0.1, 0.2)


class Records:
    """
    The sessions of the table, one at a time; see :class:`.IMySQLSessionStore`.

    :param access: reaches the table.
    :param statements: says what to send.
    """

    def __init__(self, access: TableAccess, statements: Statements) -> None:
        self._access = access
        self._write = statements

    def _of_row(self, row: Sequence[Any]) -> Record:
        """Return the record of what a SELECT of the columns gave."""
        payload, created, expires, revision, now = row
        # a passed-in pool may convert numbers in its own way
        created = int(created)
        expires = self._access.deadline(created, int(expires))
        return Record(payload, created, expires, int(revision), int(now))

    def load(self, session_id: str) -> Record | None:
        return self._access.run(partial(self._fetch, session_id=session_id))

    def find_live(self, session_ids: Sequence[str]) -> Living:
        self._access.ready()
        columns, rest = self._write.find_live(session_ids)
        rows = self._access.run(
            lambda connection: connection.fetch_current(columns, rest)
        )
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
        access.ready()
        family = self._write.find_family(session_id)
        ((found,),) = access.run(
            lambda connection: connection.fetch_current(
                f'EXISTS ({family} AND {access.row_alive})', ask=True
            )
        )
        return bool(int(found))

    def create(
        self,
        session_id: str,
        payload: Payload,
        idle_timeout: int | None,
        userid: UserID | None,
        replaces: Sequence[str],
        device: Device | None,
        ended: list[str] | None,
    ) -> int:
        access = self._access
        access.ready()
        revision = revisions.first()
        row = session_id, payload, revision, idle_timeout, userid, device
        # most need the one or the other
        replace = insert = None
        if len(replaces) == 1 and access.table.holds_nothing_else:
            replace = self._write.replace(replaces[0], *row)
        else:
            insert = self._write.insert(*row)
        missed: set[str] = set()
        # an attempt that nobody knows of may have ended them
        gone = set(replaces)

        def work(connection: Connection) -> int:
            self._see_what_it_takes(connection)
            missed.clear()
            # whoever is in doubt has to look who has which row
            if (
                replace is not None
                and not connection.in_doubt
                and self._replace(connection, replace)
            ):
                gone.update(replaces)
                return revision
            found = set()
            if replaces:
                connection.begin()
                for replaced in replaces:
                    if self._delete_family(connection, replaced):
                        found.add(replaced)
                    elif is_young(replaced):
                        missed.add(replaced)
            written = revision
            new = insert or self._write.insert(*row)
            try:
                inserted = connection.insert(
                    new.head, payload, new.rest, access.packet_limit
                )
            except PayloadTooLarge:
                if (
                    not connection.in_doubt
                    or self._fetch(connection, session_id) is None
                ):
                    raise
                inserted = False
            if inserted:
                gone.intersection_update(found)
            else:
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
                connection.commit()
            return written

        written = access.run(work)
        for replaced in missed:
            # the new session is stored, whatever becomes of this
            try:
                if self.delete(replaced, None).done:
                    gone.add(replaced)
            except SessionError as exc:
                log.warning('an old session may not have ended: %s', exc)
        if ended is not None:
            ended += [each for each in replaces if each in gone]
        return written

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
        device: Device | None,
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
            device,
        )

        def work(connection: Connection) -> Outcome:
            self._see_what_it_takes(connection)
            in_doubt = connection.in_doubt or attempted is not None
            too_large = None
            try:
                if self._send(connection, update):
                    return Outcome(written)
            except PayloadTooLarge as exc:
                # an administrator has lowered the limit; before that it may
                # have been stored
                if not in_doubt:
                    raise
                too_large = exc
            if not in_doubt:
                stored = self._fetch(connection, session_id)
                return Outcome(None, _live(stored))
            # whoever knows of the doubt looks again himself
            for pause in (0,) if attempted is not None else _PAUSES:
                if new_session_id is not None and self._fetch(
                    connection, new_session_id
                ):
                    return Outcome(written)
                stored = _live(self._fetch(connection, session_id))
                if stored is not None and not stored.precedes(revision):
                    if _was_written(written, stored.revision):
                        return Outcome(written)
                    if too_large is not None:
                        raise too_large
                if stored is not None and stored.follows(revision):
                    return Outcome(None, stored)
                # it is gone, or the server lags behind
                time.sleep(pause)
            if stored is not None and attempted is None:
                raise _lagging()
            return Outcome(None, stored)

        try:
            return self._access.run(work)
        except StoreUnavailable as exc:
            if exc.outcome_unknown:
                exc.attempted = written
            raise

    def touch(
        self,
        session_id: str,
        idle_timeout: int | None,
        revision: int | None,
        device: Device | None,
    ) -> bool | None:
        sql = self._write.touch(session_id, idle_timeout, revision, device)

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
        deletion = self._delete_now(session_id, revision)
        if revision is None and not deletion.done and is_young(session_id):
            # on a server that lags it may only not be there yet
            time.sleep(SECOND_LOOK)
            deletion = self._delete_now(session_id, revision)
        return deletion

    def _delete_now(self, session_id: str, revision: int | None) -> Deletion:
        def work(connection: Connection) -> Deletion:
            in_doubt = connection.in_doubt
            if revision is None:
                done = self._delete_family(connection, session_id)
                return Deletion(done or in_doubt)
            if connection.execute(self._write.delete(session_id, revision)):
                return Deletion(True)
            stored = _live(self._fetch(connection, session_id))
            if not in_doubt:
                return Deletion(False, stored)
            for pause in _PAUSES:
                if stored is None or stored.follows(revision):
                    return Deletion(stored is None, stored)
                time.sleep(pause)
                stored = _live(self._fetch(connection, session_id))
            raise _lagging()

        return self._access.run(work)

    @contextmanager
    def locked(self, session_id: str) -> Iterator[LockedRecord]:
        def work(connection: Connection) -> Record | None:
            began = time.monotonic()
            record = self._fetch(connection, session_id, locking=True)
            if record is None:
                return None
            # the server says when the statement began, which may have waited
            waited = int(time.monotonic() - began)
            return _live(record._replace(now=record.now + waited))

        with self._access.transaction(work) as (run, record):

            def save(*args: Any) -> int:
                update = self._write.update(session_id, *args)
                rows: int = run(partial(self._send, statement=update))
                return rows

            def delete(revision: int) -> int:
                sql = self._write.delete(session_id, revision)
                rows: int = run(lambda connection: connection.execute(sql))
                return rows

            yield LockedRecord(record, save, delete)

    def _send(self, connection: Connection, statement: Statement) -> int:
        if statement.payload is None:
            return connection.execute(statement.head + statement.rest)
        return connection.execute(*statement, self._access.packet_limit)

    def _replace(self, connection: Connection, update: Statement) -> bool:
        """Give the row of a session to another, if it is there and can be."""
        try:
            return bool(self._send(connection, update))
        except DriverError as exc:
            if not refuses_rows(exc, connection.phase):
                raise
            # a foreign key or trigger that the check has not seen may only
            # let it go, or an earlier attempt has stored the other; if this
            # one has, nothing is found to be deleted, and the new one is there
            return False

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
        self, connection: Connection, session_id: str, locking: bool = False
    ) -> Record | None:
        rows = connection.fetch_current(
            self._write.columns,
            self._write.of_session(session_id),
            locking=locking,
        )
        return self._of_row(rows[0]) if rows else None

    def _see_what_it_takes(self, connection: Connection) -> None:
        """Read the limit of statements anew if one may have been too large."""
        # the server hangs up on those, and an administrator may have lowered
        # the limit
        if connection.repeated:
            self._access.read_packet_limit(connection)


def _live(record: Record | None) -> Record | None:
    return record if record is not None and record.alive else None


def _lagging() -> StoreUnavailable:
    return StoreUnavailable(
        'The answer to a save was lost, and now the server shows what was '
        'there before it',
        'It lags behind another one: see that reads wait for what was '
        'written.',
        outcome_unknown=True,
    )


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
