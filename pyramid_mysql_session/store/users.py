"""Holds the SQL over many sessions: lists, counts, and all of a user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..errors import LockTimeout
from .access import TableAccess
from .deleting import delete_rows
from .keys import FAMILY_BYTES
from .quoting import text
from .records import RENEWALS, Records
from .results import Record, UserID
from .statements import KEYS_AT_ONCE, Statements
from .userids import userid_literal


class StoredSession(NamedTuple):
    """One session of a list."""

    key: bytes  # the stored key; it cannot be turned into a cookie
    userid: str | None
    record: Record

    @property
    def handle(self) -> str:
        """The handle of the session, which renewal does not change."""
        return self.key[:FAMILY_BYTES].hex()

    def __repr__(self) -> str:
        return f'<StoredSession {self.handle[-8:]}: {self.record!r}>'


class Users:
    """
    The sessions of the table, many at a time.

    :param access: reaches the table.
    :param records: reads the rows.
    :param statements: writes what they have in common.
    :param batch: most rows that one statement of :meth:`clear` deletes.
    """

    def __init__(
        self,
        access: TableAccess,
        records: Records,
        statements: Statements,
        batch: int,
    ) -> None:
        self._access = access
        self._records = records
        self._write = statements
        self._batch = batch
        self._key = access.column('session_id')
        self._userid = access.column('userid')

    def count(self) -> int:
        """Return the number of live sessions."""
        access = self._access
        ((rows,),) = access.fetch_current(
            # beside a COUNT of nothing MariaDB takes any variable for 0
            f'(SELECT COUNT(*) FROM {access.name} WHERE {access.alive})',
            '',
        )
        return int(rows)

    def iterate(self, batch: int) -> Iterator[StoredSession]:
        """Iterate over all live sessions, in batches."""
        last = b''
        while sessions := self._list(
            f"{self._key} > x'{last.hex()}'", f'LIMIT {batch:d}'
        ):
            yield from sessions
            last = sessions[-1].key

    def of_user(self, userid: UserID) -> list[StoredSession]:
        """Return the live sessions of a user."""
        return self._list(self._is_user(userid))

    def delete_of_user(self, userid: UserID, keep: str | None) -> int:
        """Delete the live sessions of a user but one; return their number."""
        access = self._access
        is_user = self._is_user(userid)
        others = ''
        if keep is not None:
            others = f' AND NOT ({self._write.of_family(keep)})'
        deleted = misses = 0
        while misses < RENEWALS:
            # a DELETE would wait for the lock of the one that stays
            found = access.fetch_current(
                self._key,
                f' FROM {access.name} WHERE {is_user} AND {access.alive}'
                f'{others} LIMIT {KEYS_AT_ONCE}',
            )
            if not found:
                return deleted
            rows = self._delete([key for (key,) in found], is_user)
            deleted += rows
            if rows == len(found) < KEYS_AT_ONCE:
                return deleted
            # a renewal has moved one to where nobody has looked yet
            misses += rows < len(found)
        raise LockTimeout(
            'The ids of sessions were renewed each time that they were to be '
            'deleted',
            'Look for what renews them again and again.',
        )

    def clear(self) -> int:
        """Delete all sessions, in batches; return the number of rows."""
        access = self._access
        most = min(self._batch, KEYS_AT_ONCE)
        deleted = 0
        for _ in range(RENEWALS):
            last, moved = b'', False
            while found := access.fetch_current(
                self._key,
                f" FROM {access.name} WHERE {self._key} > x'{last.hex()}' "
                f'ORDER BY {self._key} LIMIT {most:d}',
            ):
                keys = [key for (key,) in found]
                rows = self._delete(keys, 'TRUE')
                deleted += rows
                last = keys[-1]
                # a renewal has moved one to where it had looked already
                moved |= rows < len(keys)
            if not moved:
                break
        return deleted

    def _delete(self, keys: Sequence[bytes], condition: str) -> int:
        """
        Delete rows; return how many.

        :raises pyramid_mysql_session.StoreUnavailable: some of them cannot be
            deleted; the others are.
        """
        rows, kept = self._access.run(
            lambda connection: delete_rows(
                connection, self._write, keys, condition
            )
        )
        if kept:
            # says why
            rows += self._access.execute(
                self._write.delete_keys(kept[:1], condition)
            )
        return rows

    def _list(self, condition: str, rest: str = '') -> list[StoredSession]:
        access = self._access
        rows = access.fetch_current(
            # UTF-8 whatever the character set of the connection
            f'{self._key}, CAST({self._userid} AS BINARY), '
            f'{self._write.columns}',
            f' FROM {access.name} WHERE {condition} AND {access.alive} '
            f'ORDER BY {self._key} {rest}',
        )
        return [
            StoredSession(
                key,
                None if userid is None else text(userid),
                self._records.of_row(row),
            )
            for key, userid, *row in rows
        ]

    def _is_user(self, userid: UserID) -> str:
        # utf8mb4_bin finds 'me ' for 'me'; bytes are compared exactly
        literal = userid_literal(userid)
        return (
            f'{self._userid} = {literal} '
            f'AND CAST({self._userid} AS BINARY) = CAST({literal} AS BINARY)'
        )
