"""Reaches the session table, which is created and checked at first use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ..connection.driver import Connection
from ..connection.pool import ConnectionPool, Run
from ..errors import SchemaError
from .quoting import text
from .schema import Table

log = logging.getLogger(__name__)

T = TypeVar('T')


class TableAccess:
    """
    The way to the session table.

    :param pool: lends the connections.
    :param table: names, creates and checks the table.
    :param create_table: whether a missing table is created at first use.
    :param absolute_timeout: seconds after its creation when a session is
        dead however busy it is; ``None`` for no such limit.
    :param max_payload_bytes: ``None`` for what table and server can hold.

    :ivar name: the quoted name of the table.
    :ivar payload_limit: bytes of the largest payload; ``None`` until the
        table was checked.
    :ivar packet_limit: bytes of the largest statement, likewise.
    :ivar alive: SQL that is true of live rows.
    :ivar row_alive: the same for a statement that names its one row.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        table: Table,
        create_table: bool,
        absolute_timeout: int | None,
        max_payload_bytes: int | None,
    ) -> None:
        self.pool = pool
        self.table = table
        self.name = table.quoted
        self.column = table.column
        self.absolute_timeout = absolute_timeout
        self.payload_limit: int | None = None
        self.packet_limit = 0
        self._create_table = create_table
        self._max_payload_bytes = max_payload_bytes
        self._told = False
        expires = table.column('expires')
        alive = '>= UNIX_TIMESTAMP()'
        if absolute_timeout is not None:
            created = table.column('created')
            alive += f' AND {created} + {absolute_timeout:d} {alive}'
        self.alive = f'{expires} {alive}'
        # in a small table MariaDB would take the index, lock its entry
        # before the row, and meet those that lock in the other order
        self.row_alive = f'{expires} + 0 {alive}'

    def deadline(self, created: int, expires: int) -> int:
        """Return the last second of a session, as the settings have it."""
        if self.absolute_timeout is None:
            return expires
        return min(expires, created + self.absolute_timeout)

    def create(self) -> None:
        """Create the table if it is missing, whatever the settings say."""
        self.pool.run(self.table.create)

    def check(self) -> list[str]:
        """Compare the table with what is needed; return warnings."""
        return self.pool.run(self._check)

    def ready(self) -> None:
        """Check the table unless that was done."""
        # several threads may do it at once, which does no harm
        if self.payload_limit is None:
            self.check()

    def run(self, work: Callable[[Connection], T]) -> T:
        """Let some work be done as :meth:`.ConnectionPool.run` does."""
        self.ready()
        try:
            return self.pool.run(work)
        except SchemaError:
            self._look_again_next_time()
            raise

    @contextmanager
    def transaction(
        self, work: Callable[[Connection], T]
    ) -> Iterator[tuple[Run, T]]:
        """Do the same as :meth:`.ConnectionPool.transaction`."""
        self.ready()
        try:
            with self.pool.transaction(work) as found:
                yield found
        except SchemaError:
            self._look_again_next_time()
            raise

    def _look_again_next_time(self) -> None:
        """See that the table is checked again: somebody has changed it."""
        self.payload_limit = None

    def execute(self, sql: str) -> int:
        """Execute a statement; return the number of rows."""
        return self.run(lambda connection: connection.execute(sql))

    def fetch_current(
        self, columns: str, rest: str
    ) -> tuple[tuple[Any, ...], ...]:
        """
        Return the rows of a SELECT, but not those of an old primary.

        See :meth:`.Connection.fetch_current`.
        """
        return self.run(
            lambda connection: connection.fetch_current(
                columns, rest, none_counts=True
            )
        )

    def read_packet_limit(self, connection: Connection) -> None:
        """Learn how large a statement the server takes now."""
        ((limit,),) = connection.fetch('SELECT @@max_allowed_packet')
        self.packet_limit = int(limit)

    def _tell_where(self, schema: str, version: str) -> None:
        """Log, once, where sessions are kept."""
        if self._told:
            return
        self._told = True
        number, *rest = version.split('-')
        log.info(
            'sessions are kept in %s.%s on %s %s',
            schema,
            self.table.name[1],
            'MariaDB' if 'MariaDB' in rest else 'MySQL',
            number,
        )

    def _check(self, connection: Connection) -> list[str]:
        table = self.table
        if not table.exists(connection):
            if not self._create_table:
                raise SchemaError(
                    table.quoted,
                    ['it is missing, and mysql_session.create_table is false'],
                    table.create_statement(),
                )
            table.create(connection)
        held, warnings = table.check(connection)
        for warning in warnings:
            log.warning(warning)
        ((limit, schema, version),) = connection.fetch(
            'SELECT @@max_allowed_packet, DATABASE(), VERSION()'
        )
        self.packet_limit = int(limit)
        self.payload_limit = min(self._max_payload_bytes or held, held)
        self._tell_where(table.name[0] or text(schema), text(version))
        return warnings
