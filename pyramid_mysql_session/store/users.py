"""Holds the SQL over many sessions: lists, counts, and all of a user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..errors import LockTimeout
from .access import TableAccess
from .keys import FAMILY_BYTES
from .records import RENEWALS, Records
from .results import Record, UserID
from .schema import text
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
        ((rows,),) = access.fetch(
            f'SELECT COUNT(*) FROM {access.name} WHERE {access.alive}'
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
            keys = access.fetch(
                f'SELECT {self._key} FROM {access.name} '
                f'WHERE {is_user} AND {access.alive}{others} '
                f'LIMIT {KEYS_AT_ONCE}'
            )
            if not keys:
                return deleted
            rows = access.execute(
                self._write.delete_keys([key for (key,) in keys], is_user)
            )
            deleted += rows
            if rows == len(keys) < KEYS_AT_ONCE:
                return deleted
            # a renewal has moved one to where nobody has looked yet
            misses += rows < len(keys)
        raise LockTimeout(
            'The ids of sessions were renewed each time that they were to be '
            'deleted',
            'Look for what renews them again and again.',
        )

    def clear(self) -> int:
        """Delete all sessions, in batches; return the number of rows."""
        rows = self._batch
        deleted = 0
        while rows == self._batch:
            rows = self._access.execute(
                f'DELETE FROM {self._access.name} LIMIT {self._batch}'
            )
            deleted += rows
        return deleted

    def _list(self, condition: str, rest: str = '') -> list[StoredSession]:
        access = self._access
        rows = access.fetch(
            # UTF-8 whatever the character set of the connection
            f'SELECT {self._key}, CAST({self._userid} AS BINARY), '
            f'{self._write.columns} FROM {access.name} '
            f'WHERE {condition} AND {access.alive} '
            f'ORDER BY {self._key} {rest}'
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
