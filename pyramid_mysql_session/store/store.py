"""The store as its users see it; the work is done by the rooms beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from zope.interface import implementer

from ..connection.pool import ConnectionPool
from ..interfaces import IMySQLSessionStore
from .access import TableAccess
from .purging import Purger
from .records import Records
from .results import (
    Deletion,
    Living,
    LockedRecord,
    Outcome,
    Payload,
    Record,
    UserID,
)
from .schema import Table
from .statements import Statements
from .users import StoredSession, Users


@implementer(IMySQLSessionStore)
class MySQLSessionStore:
    """
    The sessions of one table; see :class:`.IMySQLSessionStore`.

    Made by the session factory, of which it is the ``store``.

    :param pool: lends the connections.
    :param table: names, creates and checks the table.
    :param shard_bytes: how many hashed bytes stand in front of each key.
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
        *,
        shard_bytes: int,
        create_table: bool,
        absolute_timeout: int | None,
        max_payload_bytes: int | None,
        purge_batch: int,
        on_purge: Callable[[int, float], None],
    ) -> None:
        self._pool = pool
        self._access = TableAccess(
            pool, table, create_table, absolute_timeout, max_payload_bytes
        )
        statements = Statements(self._access, shard_bytes)
        self._records = Records(self._access, statements)
        self._users = Users(
            self._access, self._records, statements, purge_batch
        )
        self._purger = Purger(self._access, statements, purge_batch, on_purge)

    def load(self, session_id: str) -> Record | None:
        """Return the record of a session, expired or not."""
        return self._records.load(session_id)

    def find_live(self, session_ids: Sequence[str]) -> Living:
        """Tell which of some sessions live, and which under another id."""
        return self._records.find_live(session_ids)

    def is_renewed(self, session_id: str) -> bool:
        """Tell whether the session of an unknown id lives under another."""
        return self._records.is_renewed(session_id)

    def create(
        self,
        session_id: str,
        payload: Payload,
        idle_timeout: int | None,
        userid: UserID | None = None,
        replaces: Sequence[str] = (),
    ) -> int:
        """Insert a record under a fresh session id; return its revision."""
        return self._records.create(
            session_id, payload, idle_timeout, userid, replaces
        )

    def measure(self, payload: Payload, userid: UserID | None = None) -> None:
        """Raise what ``create`` would, if it is too large to be stored."""
        self._records.measure(payload, userid)

    def save(
        self,
        session_id: str,
        payload: Payload | None,
        revision: int,
        idle_timeout: int | None,
        userid: UserID | None = None,
        new_session_id: str | None = None,
        attempted: int | None = None,
    ) -> Outcome:
        """Update a record if it still has the revision that was loaded."""
        return self._records.save(
            session_id,
            payload,
            revision,
            idle_timeout,
            userid,
            new_session_id,
            attempted,
        )

    def touch(
        self,
        session_id: str,
        idle_timeout: int | None,
        revision: int | None = None,
    ) -> bool | None:
        """
        Move the idle deadline; ``False`` when no live record is there.

        :param revision: as loaded; if the record has another one, nothing is
            done and ``None`` returned.
        """
        return self._records.touch(session_id, idle_timeout, revision)

    def delete(self, session_id: str, revision: int | None = None) -> Deletion:
        """
        End a session under every id that it ever had.

        :param revision: delete the record of this one id, if it still has
            the revision that was loaded.
        """
        return self._records.delete(session_id, revision)

    def locked(self, session_id: str) -> AbstractContextManager[LockedRecord]:
        """Lock a record until the ``with`` block ends, which commits."""
        return self._records.locked(session_id)

    def count(self) -> int:
        """Return the number of live sessions."""
        return self._users.count()

    def iter_sessions(self, batch: int = 1000) -> Iterator[StoredSession]:
        """
        Iterate over the records of all live sessions.

        They come in batches, each of which is a consistent view of its own.
        """
        return self._users.iterate(batch)

    def for_user(self, userid: UserID) -> list[StoredSession]:
        """
        Return the live sessions of a user.

        :param userid: text or a whole number; 5 and ``'5'`` are the same.
        :raises pyramid_mysql_session.UserIDError: it is something else.
        """
        return self._users.of_user(userid)

    def delete_for_user(self, userid: UserID, keep: str | None = None) -> int:
        """
        Delete the live sessions of a user.

        :param userid: text or a whole number; 5 and ``'5'`` are the same.
        :param keep: an id of one that stays, also if it was renewed since;
            whoever has locked it is not waited for.
        :returns: the number of sessions that were deleted.
        :raises pyramid_mysql_session.UserIDError: before anything is deleted.
        """
        return self._users.delete_of_user(userid, keep)

    def clear(self) -> int:
        """Delete all sessions, in batches; return the number of rows."""
        return self._users.clear()

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
        return self._purger.purge(stop, exclusive)

    def create_table(self) -> None:
        """Create the table if it is missing, whatever the settings say."""
        self._access.create()

    def check_table(self) -> list[str]:
        """
        Compare the table with what the store needs.

        :returns: a list of warnings, such as a missing index.
        :raises pyramid_mysql_session.SchemaError: lists every deviation and
            what mends it: statements that lose no data, or advice.
        """
        return self._access.check()

    def close(self) -> None:
        """Refuse further use; may be called twice and from any thread."""
        self._pool.close()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._pool.closed
