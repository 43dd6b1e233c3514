"""Counts the sessions of the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..connection.driver import Connection
from .access import TableAccess
from .catalogue import Catalogue
from .results import UserID
from .statements import Statements

#: Up to so many rows all is counted, row by row.
FEW_ROWS = 10_000
#: Up to so many entries of an index are counted, one by one.
MOST_COUNTED = 1_000_000

#: The limits of the ages by which live sessions are counted, in seconds.
AGES = {'hour': 3600, 'day': 86400, 'week': 604_800, 'month': 2_592_000}

# of what EXPLAIN says; MySQL tells more
_COLUMNS_OF_MARIADB = 10
# bytes
_SECOND, _KEY = 4, 32


class Stats(NamedTuple):
    """What the table holds; see :meth:`.MySQLSessionStore.stats`."""

    #: Live sessions.
    live: int
    #: Expired ones that are not purged yet.
    dead: int
    #: Live sessions without a user.
    anonymous: int
    #: Users with a live session.
    users: int
    #: Bytes of the table and its indexes, as the server estimates them.
    bytes: int
    #: Unix second of the creation of the oldest live session, ``None``
    #: without one, or where it would take too long to find it.
    oldest: int | None
    #: Live sessions by their age: ``hour``, ``day``, ``week`` and ``month``
    #: (30 days) have those that are younger, but not as young as the one
    #: before, ``older`` has the rest; ``None`` where that would take too long.
    ages: dict[str, int] | None
    #: Whether the counts are exact, or estimates.
    exact: bool


class Census:
    """
    Counts sessions.

    :param access: reaches the table.
    :param statements: writes what is true of the rows of a user.
    :param shard_bytes: how many hashed bytes stand in front of each key.
    """

    def __init__(
        self, access: TableAccess, statements: Statements, shard_bytes: int
    ) -> None:
        self._access = access
        self._write = statements
        self._shard_bytes = shard_bytes
        column = access.column
        self._key = column('session_id')
        self._expires = column('expires')
        self._created = column('created')
        self._userid = column('userid')

    def count(self, userid: UserID | None) -> int:
        """Return the number of live sessions, of all or of a user."""
        access = self._access
        condition = access.alive
        if userid is not None:
            condition += f' AND {self._write.of_user(userid)}'
        ((rows,),) = access.fetch_current(
            # beside a COUNT of nothing MariaDB takes any variable for 0
            f'(SELECT COUNT(*) FROM {access.name} WHERE {condition})',
            '',
        )
        return int(rows)

    def stats(self) -> Stats:
        """Return what the table holds, estimated where it is large."""
        return self._access.run(self._stats)

    def _stats(self, connection: Connection) -> Stats:
        name = self._access.name
        ((rows,),) = connection.fetch_current(
            f'(SELECT COUNT(*) FROM (SELECT 1 FROM {name} '
            f'LIMIT {FEW_ROWS + 1:d}) few)'
        )
        table = Catalogue(connection, *self._access.table.name)
        if int(rows) <= FEW_ROWS:
            return self._of_few(connection, table)
        return self._of_many(connection, table)

    def _of_few(self, connection: Connection, table: Catalogue) -> Stats:
        """Count row by row."""
        alive = self._access.alive

        def of_live(value: str) -> str:
            return f'IF({alive}, {value}, NULL)'

        younger = ', '.join(
            # the clock of another server may have been ahead
            f'COUNT({of_live(f"IF({self._created} > {since}, 1, NULL)")})'
            for since in _beginnings('UNIX_TIMESTAMP()')
        )
        ((rows, live, known, users, oldest, *counts),) = connection.fetch(
            f'SELECT COUNT(*), COUNT({of_live("1")}), '
            f'COUNT({of_live(self._userid)}), '
            # utf8mb4_bin takes 'me ' for 'me'
            f'COUNT(DISTINCT {of_live(f"CAST({self._userid} AS BINARY)")}), '
            f'MIN({of_live(self._created)}), {younger} '
            f'FROM {self._access.name}'
        )
        return Stats(
            int(live),
            int(rows) - int(live),
            int(live) - int(known),
            int(users),
            table.sizes().bytes,
            None if oldest is None else int(oldest),
            _by_age(int(live), map(int, counts)),
            True,
        )

    def _of_many(self, connection: Connection, table: Catalogue) -> Stats:
        """Count entries of indexes, and estimate what is beyond."""
        schema, name = self._access.table, self._access.name
        indexes, sizes = table.indexes(), table.sizes()
        by_expires = _Index(
            connection, name, schema.index_on('expires', indexes), sizes.rows
        )
        by_userid = _Index(
            connection, name, schema.index_on('userid', indexes), sizes.rows
        )
        alive = f'{self._expires} >= UNIX_TIMESTAMP()'
        expired = f'{self._expires} < UNIX_TIMESTAMP()'
        live = by_expires.count(alive, expired)
        dead = by_expires.count(expired, alive)
        unknown = by_userid.count(
            f'{self._userid} IS NULL', f'{self._userid} IS NOT NULL'
        )
        # the dead are among those, and taken for a fair share
        share = live / max(live + dead, 1)
        anonymous = min(round(unknown * share), live)
        distinct = sizes.distinct.get(schema.column_key('userid'), 0)
        oldest, ages = None, None
        if live <= MOST_COUNTED:
            oldest, ages = self._by_entries(by_expires, alive)
        elif not self._shard_bytes:
            key = _Index(connection, name, schema.key_index, sizes.rows)
            oldest, ages = self._by_key(connection, key, live)
        return Stats(
            live,
            dead,
            anonymous,
            min(round(distinct * share), live - anonymous),
            sizes.bytes,
            oldest,
            ages,
            False,
        )

    def _by_entries(
        self, index: _Index, alive: str
    ) -> tuple[int | None, dict[str, int]]:
        """Tell oldest and ages, by the keys that are in each index."""
        began = (
            f'SUBSTRING({self._key}, {self._shard_bytes + 1:d}, {_SECOND:d})'
        )
        younger = ', '.join(
            f"COALESCE(SUM(began > UNHEX(LPAD(HEX({since}), 8, '0'))), 0)"
            for since in _beginnings('UNIX_TIMESTAMP()')
        )
        oldest, live, *counts = index.read(
            f'MIN(began), COUNT(*), {younger}', f'{began} AS began', alive
        )
        return (
            None if oldest is None else int.from_bytes(oldest, 'big'),
            _by_age(int(live), map(int, counts)),
        )

    def _by_key(
        self, connection: Connection, key: _Index, live: int
    ) -> tuple[int | None, dict[str, int]]:
        """Tell them by estimates of how many keys begin with a second."""
        ((oldest, now),) = connection.fetch(
            'SELECT MIN(created), UNIX_TIMESTAMP() FROM ('
            f'SELECT {self._created} AS created, {self._expires} AS expires '
            f'FROM {self._access.name} ORDER BY {self._key} '
            f'LIMIT {FEW_ROWS:d}) few WHERE expires >= UNIX_TIMESTAMP()'
        )
        younger = []
        for seconds in AGES.values():
            since = max(int(now) - seconds + 1, 0).to_bytes(_SECOND, 'big')
            least = since.ljust(_KEY, bytes(1)).hex()
            condition = f"{self._key} {{}} x'{least}'"
            share = key.estimate(condition.format('>='), condition.format('<'))
            younger.append(min(share, live))
        return None if oldest is None else int(oldest), _by_age(live, younger)


class _Index:
    """
    Counts rows by one index alone.

    :param name: its quoted name; without one the whole table is read.
    :param rows: how many the table has, as the server estimates it.
    """

    def __init__(
        self, connection: Connection, table: str, name: str | None, rows: int
    ) -> None:
        self._connection = connection
        # MySQL estimates nothing where an index is forced upon it
        self._table = f'{table} USE INDEX ({name})' if name else table
        self._rows = rows
        self._counts: dict[str, int] = {}

    def count(self, these: str, others: str) -> int:
        """
        Count the rows that meet one condition; all others meet another.

        More than :data:`MOST_COUNTED` are estimated.
        """
        rows = self._count(these)
        if rows <= MOST_COUNTED:
            return rows
        rest = self._count(others)
        if rest <= MOST_COUNTED:
            return max(rows, self._rows - rest)
        return max(rows, self.estimate(these, others))

    def _count(self, condition: str) -> int:
        if condition not in self._counts:
            (rows,) = self.read('COUNT(*)', '1', condition)
            self._counts[condition] = int(rows)
        return self._counts[condition]

    def read(self, what: str, columns: str, condition: str) -> Sequence[Any]:
        """Select from columns of the rows that meet a condition, the first."""
        (row,) = self._connection.fetch(
            f'SELECT {what} FROM (SELECT {columns} FROM {self._table} '
            f'WHERE {condition} LIMIT {MOST_COUNTED + 1:d}) some'
        )
        return row

    def estimate(self, these: str, others: str) -> int:
        """Do what :meth:`count` does, but read next to nothing."""
        first, second = self._explain(these), self._explain(others)
        # InnoDB doubles the estimate of a part that has more than a few
        # pages, but never takes it for more than half of the table
        if first < second:
            return first // 2
        if first > second:
            return max(self._rows - second // 2, 0)
        return self._rows // 2

    def _explain(self, condition: str) -> int:
        (row,) = self._connection.fetch(
            # whatever format is the default of the server
            f'EXPLAIN FORMAT=TRADITIONAL SELECT COUNT(*) FROM {self._table} '
            f'WHERE {condition}'
        )
        return int(row[-2 if len(row) == _COLUMNS_OF_MARIADB else -3] or 0)


def _beginnings(now: str) -> list[str]:
    """Write the moments after which what has each age was created."""
    return [f'{now} - {seconds:d}' for seconds in AGES.values()]


def _by_age(live: int, younger: Iterable[int]) -> dict[str, int]:
    """Return how many have each age, of how many are younger than each."""
    counts, before = {}, 0
    for name, number in zip(AGES, younger, strict=True):
        counts[name] = max(number - before, 0)
        before = max(number, before)
    counts['older'] = max(live - before, 0)
    return counts
