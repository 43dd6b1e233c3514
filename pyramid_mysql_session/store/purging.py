"""Deletes expired rows, in small transactions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..connection.driver import Connection, DriverError, error_code
from ..connection.pool import ConnectionPool
from .schema import Table, text_literal
from .statements import KEYS_AT_ONCE, Statements

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


class Purger:
    """
    Deletes the expired rows of one table.

    :param pool: lends the connections.
    :param table: knows the names.
    :param statements: writes the deletion.
    :param batch: most rows that one transaction deletes.
    :param on_purge: called with rows and seconds after each purge.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        table: Table,
        statements: Statements,
        batch: int,
        on_purge: Callable[[int, float], None],
    ) -> None:
        self._pool = pool
        self._table = table
        self._write = statements
        self._batch = batch
        self._on_purge = on_purge
        self._key = table.column('session_id')
        self._expires = table.column('expires')
        self._skips_locked = True

    def purge(self, stop: Callable[[], bool], exclusive: bool) -> int:
        """Delete in batches; see :meth:`.MySQLSessionStore.purge`."""
        began = time.monotonic()
        if exclusive:
            with self._pool.keep(self._get_lock) as (got, run):
                if got == 0:
                    return 0
                try:
                    deleted = self._delete_all(run, stop)
                finally:
                    if got:
                        run(self._release_lock)
        else:
            deleted = self._delete_all(self._pool.run, stop)
        seconds = time.monotonic() - began
        if deleted:
            log.info('purged %d sessions in %.3f s', deleted, seconds)
        self._on_purge(deleted, seconds)
        return deleted

    def _delete_all(
        self, run: Callable[..., Any], stop: Callable[[], bool]
    ) -> int:
        deleted = since = 0
        while not stop():
            began = time.monotonic()
            rows, since = run(partial(self._delete_batch, since))
            deleted += rows
            if rows < self._batch:
                break
            took = time.monotonic() - began
            time.sleep(min(took * _PAUSE, _LONGEST_PAUSE))
        return deleted

    def _delete_batch(
        self, since: int, connection: Connection
    ) -> tuple[int, int]:
        """
        Delete some rows that expired at a unix second or later.

        :returns: the number of rows, and the second from which to go on.
        """
        # a deleted row stays in the index for as long as any transaction may
        # still see it, one of a backup for instance: begin after such rows
        dead = (
            f'{self._expires} >= {since:d} '
            f'AND {self._expires} < UNIX_TIMESTAMP()'
        )
        some = (
            f'FROM {self._table.quoted} WHERE {dead} '
            f'ORDER BY {self._expires} LIMIT {self._batch:d}'
        )
        # MySQL blocks the first live row under REPEATABLE READ
        connection.execute('SET TRANSACTION ISOLATION LEVEL READ COMMITTED')
        connection.execute('BEGIN')
        rows = self._lock_rows(connection, some)
        if rows is None:
            deleted = connection.execute(f'DELETE {some}')
        else:
            deleted = self._delete_rows(connection, rows, dead)
        connection.execute('COMMIT')
        return deleted, int(rows[-1][1]) if rows else since

    def _lock_rows(
        self, connection: Connection, some: str
    ) -> Sequence[Row] | None:
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

    def _delete_rows(
        self, connection: Connection, rows: Sequence[Row], dead: str
    ) -> int:
        keys = [key for key, _ in rows]
        return sum(
            connection.execute(
                self._write.delete_keys(keys[at : at + KEYS_AT_ONCE], dead)
            )
            for at in range(0, len(keys), KEYS_AT_ONCE)
        )

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
