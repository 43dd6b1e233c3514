"""Deletes expired rows, in small transactions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ..connection.driver import Connection, DriverError, error_code
from ..errors import TransactionTooLarge
from .access import TableAccess
from .deleting import delete_rows
from .quoting import text_literal
from .statements import KEYS_AT_ONCE, Statements, listed

log = logging.getLogger(__name__)

# what Percona's strict mode, Galera and servers without it say to GET_LOCK
_NO_GET_LOCK = frozenset({1105, 1235, 1305})
# what servers before MySQL 8.0 and MariaDB 10.6 say to SKIP LOCKED
_NO_SKIP_LOCKED = frozenset({1064, 1235})
# after a batch the server is left to others for so many times as long, but
# not for more than so many seconds: who reads from a slow disk must keep up
_PAUSE = 9
_LONGEST_PAUSE = 0.1

Row = tuple[Any, ...]


class _Progress:
    """
    How far a purge has got.

    :ivar since: the deadline from which to go on, a unix second.
    :ivar batch: most rows that the next transaction deletes.
    :ivar kept: how many rows cannot be deleted.
    :ivar deleted: how many rows were.
    :ivar passed_over: the keys of those that the next batch would meet again.
    :ivar ended: whether there is nothing more to do.
    :ivar locked_out: whether somebody else was at it from the beginning.
    """

    def __init__(self, batch: int) -> None:
        self.since = self.kept = self.deleted = 0
        self.batch = batch
        self.passed_over: list[bytes] = []
        self.ended = self.locked_out = False

    def note(self, rows: Sequence[Row], kept: Sequence[bytes]) -> None:
        """
        Note what was done.

        :param rows: key and deadline of those that were tried, in order.
        :param kept: the keys of those that cannot be deleted.
        """
        self.kept += len(kept)
        self.ended = len(rows) < self.batch
        if not rows:
            return
        deadline = int(rows[-1][1])
        if deadline > self.since:
            self.since, self.passed_over = deadline, []
        last = {key for key, expires in rows if int(expires) == deadline}
        self.passed_over += [key for key in kept if key in last]
        if len(self.passed_over) > KEYS_AT_ONCE:
            # so many in one second; others of that second wait with them
            self.since, self.passed_over = deadline + 1, []


class Purger:
    """
    Deletes the expired rows of one table.

    :param access: reaches the table.
    :param statements: writes the deletion.
    :param batch: most rows that one transaction deletes.
    :param on_purge: called with rows and seconds after each purge.
    """

    def __init__(
        self,
        access: TableAccess,
        statements: Statements,
        batch: int,
        on_purge: Callable[[int, float], None],
    ) -> None:
        self._access = access
        self._table = table = access.table
        self._write = statements
        self._batch = batch
        self._on_purge = on_purge
        self._key = table.column('session_id')
        self._expires = table.column('expires')
        self._skips_locked = True

    def purge(
        self,
        stop: Callable[[], bool],
        exclusive: bool,
        progress: Callable[[int], None],
    ) -> int:
        """Delete in batches; see :meth:`.MySQLSessionStore.purge`."""
        began, at = time.monotonic(), _Progress(self._batch)
        try:
            self._purge_all(at, stop, exclusive, progress)
        except BaseException:
            # what was deleted before is gone
            if at.deleted:
                self._tell(at, began)
            raise
        self._tell(at, began)
        return at.deleted

    def _purge_all(
        self,
        at: _Progress,
        stop: Callable[[], bool],
        exclusive: bool,
        progress: Callable[[int], None],
    ) -> None:
        while not (at.ended or stop()):
            tried = time.monotonic()
            try:
                rows = self._access.run(
                    partial(self._purge_batch, at, exclusive)
                )
            except TransactionTooLarge:
                if at.batch == 1:
                    raise
                at.batch //= 2
                continue
            at.deleted += rows
            progress(rows)
            if not at.ended:
                took = time.monotonic() - tried
                # it holds neither connection nor lock meanwhile
                time.sleep(min(took * _PAUSE, _LONGEST_PAUSE))

    def _tell(self, at: _Progress, began: float) -> None:
        """Tell what a purge has done."""
        seconds = time.monotonic() - began
        if at.deleted:
            log.info('purged %d sessions in %.3f s', at.deleted, seconds)
        if at.kept:
            log.warning(
                '%d expired sessions cannot be deleted, since a foreign key '
                'or a trigger refuses it: look for the rows of other tables '
                'that refer to them',
                at.kept,
            )
        if not at.locked_out:
            self._on_purge(at.deleted, seconds)

    def _purge_batch(
        self, at: _Progress, exclusive: bool, connection: Connection
    ) -> int:
        """Delete some rows, unless somebody else does so; return how many."""
        got = self._get_lock(connection) if exclusive else None
        if got == 0:
            at.locked_out = at.since == 0
            at.ended = True
            return 0
        try:
            deleted = self._delete_batch(at, connection)
        except DriverError:
            # of a connection that is lost the server releases it, and of one
            # that something else interrupted, since it is closed
            if got:
                with suppress(DriverError):
                    self._release_lock(connection)
            raise
        if got:
            self._release_lock(connection)
        return deleted

    def _delete_batch(self, at: _Progress, connection: Connection) -> int:
        # a deleted row stays in the index for as long as any transaction may
        # still see it, one of a backup for instance: begin after such rows
        dead = (
            f'{self._expires} >= {at.since:d} '
            f'AND {self._expires} < UNIX_TIMESTAMP()'
        )
        some = dead
        if at.passed_over:
            some += f' AND {self._key} NOT IN ({listed(at.passed_over)})'
        # MySQL blocks the first live row under REPEATABLE READ
        connection.begin(read_committed=True)
        rows = self._lock_rows(
            connection,
            f'SELECT {self._key}, {self._expires} FROM {self._table.quoted} '
            f'WHERE {some} ORDER BY {self._expires} LIMIT {at.batch:d}',
        )
        deleted, kept = delete_rows(
            connection, self._write, [key for key, _ in rows], dead
        )
        connection.commit()
        at.note(rows, kept)
        return deleted

    def _lock_rows(self, connection: Connection, select: str) -> Sequence[Row]:
        """Return key and deadline of rows that nobody else has locked."""
        if self._skips_locked:
            try:
                return connection.fetch(
                    f'{select} FOR UPDATE SKIP LOCKED', locking=True
                )
            except DriverError as exc:
                if error_code(exc) not in _NO_SKIP_LOCKED:
                    raise
                self._skips_locked = False
        return connection.fetch(select)

    def _get_lock(self, connection: Connection) -> int | None:
        """Return 1, 0 when somebody else has it, ``None`` without locks."""
        try:
            ((got,),) = connection.fetch(
                f'SELECT GET_LOCK({self._lock_name()}, 0)'
            )
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
