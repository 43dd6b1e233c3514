"""The store as its users see it; the work is done by the rooms beside."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from zope.interface import implementer

from ..connection.driver import Connection
from ..connection.pool import ConnectionPool
from ..events import tell_each
from ..interfaces import IMySQLSessionStore
from .access import TableAccess
from .census import Census, Stats
from .purging import Purger
from .records import Records
from .results import (
    Deletion,
    Device,
    Ending,
    Living,
    LockedRecord,
    Outcome,
    Payload,
    Record,
    UserID,
)
from .schema import Table
from .setup import setup_statements
from .statements import Statements
from .users import Ended, StoredSession, Users

_ANYBODY: Any = object()


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
    :param decode: makes data of a payload.
    :param on_purge: called with rows and seconds after each purge.
    :param on_end: called for each session that was ended here.
    """

    # of whom the store was asked for
    _request: Any = None
    _origin: Any = None
    _own_handle: Callable[[], str | None] = staticmethod(lambda: None)

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
        decode: Callable[[Payload], dict[str, Any]],
        on_purge: Callable[[int, float], None],
        on_end: Callable[[Ending], None],
    ) -> None:
        self._pool = pool
        self._on_end = on_end
        self._access = TableAccess(
            pool, table, create_table, absolute_timeout, max_payload_bytes
        )
        statements = Statements(self._access, shard_bytes)
        self._write = statements
        self._records = Records(self._access, statements)
        self._users = Users(
            self._access, statements, purge_batch, decode, shard_bytes
        )
        self._census = Census(self._access, statements, shard_bytes)
        self._purger = Purger(self._access, statements, purge_batch, on_purge)

    def for_request(
        self, request: Any, own_handle: Callable[[], str | None]
    ) -> MySQLSessionStore:
        """
        Return this store as one request sees it.

        :param request: is told of by :class:`.SessionEnded`.
        :param own_handle: returns the handle of the request's session.
        """
        store = copy.copy(self)
        store._request, store._own_handle = request, own_handle
        # whose garbage collection closes a pool of ours
        store._origin = self
        return store

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
        device: Device | None = None,
        ended: list[str] | None = None,
    ) -> int:
        """
        Insert a record under a fresh session id; return its revision.

        :param ended: gets those of ``replaces`` that were there.
        """
        return self._records.create(
            session_id, payload, idle_timeout, userid, replaces, device, ended
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
        device: Device | None = None,
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
            device,
        )

    def touch(
        self,
        session_id: str,
        idle_timeout: int | None,
        revision: int | None = None,
        device: Device | None = None,
    ) -> bool | None:
        """
        Move the idle deadline; ``False`` when no live record is there.

        :param revision: as loaded; if the record has another one, nothing is
            done and ``None`` returned.
        """
        return self._records.touch(session_id, idle_timeout, revision, device)

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

    def ping(self) -> bool:
        """
        Ask the server whether it is there, by one statement.

        Nothing is tried again or waited for but an answer, for as long as
        ``connect_timeout`` and ``read_timeout`` allow, and for a second a
        free connection. The table is not looked at.

        :returns: ``False`` when the server is read-only: sessions are read,
            but none can be saved.
        :raises pyramid_mysql_session.StoreUnavailable: it does not answer.
        """
        return self._pool.run_now(_is_writable)

    def now(self) -> int:
        """
        Return the unix second by the clock of the server.

        That clock alone decides which sessions are alive. The table is not
        looked at.
        """
        ((now,),) = self._pool.run(
            lambda connection: connection.fetch('SELECT UNIX_TIMESTAMP()')
        )
        return int(now)

    def count(self, userid: UserID | None = None) -> int:
        """
        Return the number of live sessions, of all or of a user.

        Without a user each live session costs a look at an entry of the
        index of ``expires``, a tenth to half a second for a million; with
        ``absolute_timeout`` at its row, ten times as long.

        :param userid: text or a whole number; 5 and ``'5'`` are the same.
        :raises pyramid_mysql_session.UserIDError: it is something else.
        """
        return self._census.count(userid)

    def stats(self) -> Stats:
        """
        Return what the table holds.

        A table of up to 10,000 rows is counted row by row. In a larger one
        up to a million entries of each index are counted, and what is beyond
        is the optimizer's estimate, which may be twice or half the truth;
        that takes a second or two, however large the table is. Users are
        estimated, and those without one, for no index tells which of them
        live. Payloads are never read, unless ``expires`` or ``userid`` has no
        index. Where more than a million live and ``shard_bytes`` is not 0,
        ``oldest`` and ``ages`` are ``None``.
        """
        return self._census.stats()

    def iter_sessions(self, batch: int = 1000) -> Iterator[StoredSession]:
        """
        Iterate over all live sessions, with their data.

        They come in batches, each of which is a consistent view of its own.

        :raises ValueError: the batch is no number above 0.
        """
        _see_that_it_counts('batch', batch, 1)
        return self._users.iterate(batch, self._own_handle())

    def newest(self, limit: int) -> list[StoredSession]:
        """
        Return the newest live sessions.

        Their data stays in the table until it is asked for. They are found by
        the second in their keys: where ``shard_bytes`` is not 0, it is the
        greatest keys that are returned, whatever their age. What costs is
        dead sessions among them that are not purged.

        :param limit: so many at most.
        :raises ValueError: the limit is no number above 0.
        """
        _see_that_it_counts('limit', limit, 1)
        return self._users.newest(limit, self._own_handle())

    def for_user(
        self,
        userid: UserID,
        limit: int | None = None,
        after: str | None = None,
    ) -> list[StoredSession]:
        """
        Return the live sessions of a user, the newest first.

        Their data stays in the table until it is asked for.

        :param userid: text or a whole number; 5 and ``'5'`` are the same.
        :param limit: so many at most.
        :param after: the handle of the last one of an earlier list, which is
            to be continued; it may have ended since, but then others that
            are as old, by some seconds, may come twice. Only where the clock
            of its host was behind that of the server by more than five
            seconds some are left out then.
        :raises pyramid_mysql_session.UserIDError: it is something else.
        :raises ValueError: ``after`` is no handle, or the limit no number
            above 0.
        """
        if limit is not None:
            _see_that_it_counts('limit', limit, 1)
        return self._users.of_user(userid, limit, after, self._own_handle())

    def end(self, handle: str, userid: UserID = _ANYBODY) -> bool:
        """
        End one session, whatever its id is by now.

        :param handle: as lists have it; whatever is none ends nothing.
        :param userid: end it only if it is this user's: text or a whole
            number. Whoever lets visitors say which session to end must pass
            it.
        :returns: ``False`` when there is no such live session, or it is
            somebody else's.
        :raises pyramid_mysql_session.UserIDError: the user id is something
            else, ``None`` for instance.
        """
        condition = 'TRUE'
        if userid is not _ANYBODY:
            condition = self._write.of_user(userid)
        with self._telling('end') as ended:
            self._users.end(handle, condition, ended)
        return bool(ended)

    def delete_for_user(self, userid: UserID, keep: str | None = None) -> int:
        """
        Delete the live sessions of a user.

        :param userid: text or a whole number; 5 and ``'5'`` are the same.
        :param keep: the handle of one that stays, or an id that it has or
            had; whoever has locked it is not waited for.
        :returns: the number of sessions that were deleted.
        :raises pyramid_mysql_session.UserIDError: before anything is deleted.
        :raises ValueError: ``keep`` is neither handle nor id.
        """
        return self._delete_of_user(userid, keep, 0, 'delete_for_user')

    def limit_for_user(
        self, userid: UserID, most: int, keep: str | None = None
    ) -> int:
        """
        End the oldest live sessions of a user, beyond a number.

        :param userid: text or a whole number; 5 and ``'5'`` are the same.
        :param most: how many stay, the newest.
        :param keep: the handle of one that stays besides, or an id that it
            has or had: that of the request, which may be old, or have no
            user yet.
        :returns: the number of sessions that were ended.
        :raises pyramid_mysql_session.UserIDError: before anything is ended.
        :raises ValueError: ``most`` is no number from 0 on, or ``keep``
            neither handle nor id.
        """
        _see_that_it_counts('most', most, 0)
        return self._delete_of_user(userid, keep, most, 'limit_for_user')

    def clear(self) -> int:
        """Delete all sessions, in batches; return the number of rows."""
        return self._users.clear()

    def purge(
        self,
        stop: Callable[[], bool] = lambda: False,
        exclusive: bool = False,
        progress: Callable[[int], None] = lambda rows: None,
    ) -> int:
        """
        Delete the expired sessions, in small transactions.

        No live session waits for it longer than one batch takes.

        :param stop: asked between two batches whether to stop.
        :param exclusive: do nothing while another process or host does the
            same; where the server has no GET_LOCK all purge at once, which
            does no harm.
        :param progress: called after each batch with the number of sessions
            that it has deleted.
        :returns: the number of sessions that were deleted.
        """
        return self._purger.purge(stop, exclusive, progress)

    def create_table(self) -> None:
        """Create the table if it is missing, whatever the settings say."""
        self._access.create()

    def setup_statements(
        self, database: str, user: str, host: str
    ) -> list[str]:
        """
        Return the statements that make database, user and table.

        They are in the order that works and give no more privileges than are
        needed. None is sent. ``<password>`` stands where the password belongs,
        in quotes.

        :param database: the one of the connections.
        :param user: the name of the user.
        :param host: from where the user connects; ``%`` is anywhere.
        """
        return setup_statements(self._access.table, database, user, host)

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

    def _delete_of_user(
        self, userid: UserID, keep: str | None, newest: int, how: str
    ) -> int:
        kept = None if keep is None else self._write.of_either(keep)
        with self._telling(how) as ended:
            self._users.delete_of_user(userid, kept, newest, ended)
        return len(ended)

    @contextmanager
    def _telling(self, how: str) -> Iterator[Ended]:
        """Tell of each session that is ended in the block."""
        ended: Ended = {}
        try:
            yield ended
        finally:
            # those before an error have ended, too
            tell_each(
                self._on_end,
                [
                    Ending(self._request, handle, userid, how)
                    for handle, userid in ended.items()
                ],
            )


def _is_writable(connection: Connection) -> bool:
    connection.fetch_current('1', ask=True)
    return not connection.read_only


def _see_that_it_counts(name: str, number: int, least: int) -> None:
    if (
        not isinstance(number, int)
        or isinstance(number, bool)
        or number < least
    ):
        raise ValueError(
            f'{name} = {number!r}: expected a whole number from {least} on'
        )
