"""Writes the SQL of single sessions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import NamedTuple

from ..errors import PayloadNotSerializable, PayloadTooLarge
from . import keys
from .access import TableAccess
from .quoting import text_literal
from .results import Device, Payload, UserID
from .userids import userid_literal

#: MariaDB makes a subquery of a list of 1000 values, MySQL gives up on the
#: index if the list takes too much memory.
KEYS_AT_ONCE = 600
# of so many sessions a process keeps the keys in memory
_REMEMBERED = 1024


class Statement(NamedTuple):
    """A statement that stores; the payload comes between head and rest."""

    head: str
    payload: Payload | None
    rest: str

    def __repr__(self) -> str:
        return f'<statement with {len(self.payload or "")} bytes>'


class Statements:
    """
    The statements about single sessions of a table.

    :param access: knows the names, the limits and the absolute time-out.
    :param shard_bytes: how many hashed bytes stand in front of each key.

    :ivar columns: what a SELECT asks for to make a record of.
    """

    def __init__(self, access: TableAccess, shard_bytes: int) -> None:
        self._access = access
        self._shard_bytes = shard_bytes
        column = access.column
        self._key = column('session_id')
        self._expires = column('expires')
        self._created = column('created')
        self._data = column('data')
        self._revision = column('revision')
        self._userid = column('userid')
        self._tracks = access.table.tracks_devices
        # a request that saves needs it twice, a page's requests ten times
        self._id = lru_cache(_REMEMBERED)(
            partial(_literal_of, shard_bytes=shard_bytes)
        )
        self.columns = (
            f'{self._data}, {self._created}, {self._expires}, '
            f'{self._revision}, UNIX_TIMESTAMP()'
        )

    def of_session(self, session_id: str) -> str:
        """Write what follows the columns of a SELECT."""
        return f' FROM {self._access.name} {self._where(session_id)}'

    def find_live(self, session_ids: Sequence[str]) -> tuple[str, str]:
        """Write the columns and the rest of a SELECT."""
        families = ' OR '.join(map(self.of_family, session_ids))
        return (
            self._key,
            f' {self.in_table(f"({families}) AND {self._access.row_alive}")}',
        )

    def insert(
        self,
        session_id: str,
        payload: Payload,
        revision: int,
        idle_timeout: int | None,
        userid: UserID | None,
        device: Device | None,
    ) -> Statement:
        row = self._row(session_id, revision, idle_timeout, userid, device)
        self._fit(payload)
        return Statement(
            f'INSERT INTO {self._access.name} ({", ".join(row)}, '
            f'{self._data}) VALUES ({", ".join(row.values())}, ',
            payload,
            ')',
        )

    def replace(
        self,
        replaced: str,
        session_id: str,
        payload: Payload,
        revision: int,
        idle_timeout: int | None,
        userid: UserID | None,
        device: Device | None,
    ) -> Statement:
        """
        Write what gives the row of a session to a new one.

        :param replaced: an id that the session has or had.
        """
        # nothing that is known of the one is left to the other
        device = device or Device()
        row = self._row(session_id, revision, idle_timeout, userid, device)
        self._fit(payload)
        setting = ', '.join(f'{name} = {value}' for name, value in row.items())
        return Statement(
            f'UPDATE {self._access.name} {self._by_key} '
            f'SET {setting}, {self._data} = ',
            payload,
            f' WHERE {self.of_family(replaced)}',
        )

    def update(
        self,
        session_id: str,
        payload: Payload | None,
        revision: int,
        idle_timeout: int | None,
        userid: UserID | None,
        new_session_id: str | None,
        written: int,
        device: Device | None,
    ) -> Statement:
        """Write what replaces a revision with another, if it is there."""
        access = self._access
        head = (
            f'UPDATE {access.name} SET {self._revision} = {written:d}, '
            f'{self._expires} = {self._after(idle_timeout)}'
            f'{self._note(device)}'
        )
        if new_session_id is not None:
            head += f', {self._key} = {self._id(new_session_id)}'
        if payload is not None:
            head += f', {self._userid} = {_userid(userid)}, {self._data} = '
            self._fit(payload)
        rest = (
            f' {self._where(session_id)} '
            f'AND {self._revision} = {revision:d} AND {access.row_alive}'
        )
        return Statement(head, payload, rest)

    def touch(
        self,
        session_id: str,
        idle_timeout: int | None,
        revision: int | None,
        device: Device | None,
    ) -> str:
        access = self._access
        unchanged = ''
        if revision is not None:
            unchanged = f' AND {self._revision} = {revision:d}'
        return (
            f'UPDATE {access.name} SET {self._expires} = '
            f'GREATEST({self._expires}, {self._after(idle_timeout)})'
            f'{self._note(device)} '
            f'{self._where(session_id)}{unchanged} AND {access.row_alive}'
        )

    def delete(self, session_id: str, revision: int) -> str:
        # where the table is sharded by Spider, MariaDB tells of no row that
        # the form for one table has deleted
        return (
            f'DELETE {self._access.name}{self.of_session(session_id)} '
            f'AND {self._revision} = {revision:d}'
        )

    def delete_family(self, session_id: str) -> str:
        return f'DELETE {self._access.name} {self._from_family(session_id)}'

    def delete_keys(self, some: Sequence[bytes], condition: str) -> str:
        """
        Write the deletion of those of some rows that meet a condition.

        :param some: their keys, :data:`KEYS_AT_ONCE` at most.
        """
        # without a hint, which both servers take only in this form of DELETE,
        # they read and lock every row of a small table
        name = self._access.name
        return (
            f'DELETE {name} FROM {name} {self._by_key} '
            f'WHERE {self.has_key(some)} AND {condition}'
        )

    def has_key(self, some: Sequence[bytes]) -> str:
        """Write what is true of the rows of some keys."""
        return f'{self._key} IN ({listed(some)})'

    def of_user(self, userid: UserID) -> str:
        """Write what is true of the rows of a user, dead ones too."""
        # utf8mb4_bin finds 'me ' for 'me'; bytes are compared exactly
        literal = userid_literal(userid)
        return (
            f'{self._userid} = {literal} '
            f'AND CAST({self._userid} AS BINARY) = CAST({literal} AS BINARY)'
        )

    def find_family(self, session_id: str) -> str:
        return f'SELECT 1 {self._from_family(session_id)}'

    def of_handle(self, handle: str) -> str:
        """Write what is true of the row of the session of a handle."""
        least, greatest = keys.handle_range(handle)
        return self._between(least, greatest)

    def in_table(self, condition: str) -> str:
        """
        Write FROM and WHERE of what the primary key finds.

        What its index is called is known when the table was checked.
        """
        # both servers read and lock every row of a small table without a
        # hint, which a DELETE takes only in the form that names the table
        return f'FROM {self._access.name} {self._by_key} WHERE {condition}'

    def of_family(self, session_id: str) -> str:
        """Write what is true of the row of a session, renewed or not."""
        return self._between(*keys.family_range(session_id, self._shard_bytes))

    def of_either(self, keep: str) -> str:
        """
        Write the same of a handle, or of an id that the session has or had.

        :raises ValueError: it is neither.
        """
        if keys.is_handle(keep):
            return self.of_handle(keep)
        if not keys.is_session_id(keep):
            raise ValueError(
                'keep: expected the handle of a session, 32 hexadecimal '
                'digits in lower case, or an id of it'
            )
        return self.of_family(keep)

    def measure(self, payload: Payload, userid: UserID | None) -> None:
        """
        See that the columns can hold a payload and a user id.

        :raises pyramid_mysql_session.PayloadTooLarge: it is too large.
        :raises pyramid_mysql_session.PayloadNotSerializable: it is no UTF-8.
        """
        _userid(userid)
        self._fit(payload)

    def _fit(self, payload: Payload) -> None:
        """See that the data column can hold a payload, as above."""
        size = len(payload)
        if isinstance(payload, str) and not payload.isascii():
            try:
                size = len(payload.encode('utf-8'))
            except UnicodeEncodeError as exc:
                raise PayloadNotSerializable(
                    '', 'has a lone surrogate, which is no UTF-8'
                ) from exc
        limit = self._access.payload_limit
        if limit is not None and size > limit:
            raise PayloadTooLarge(
                'The payload in bytes',
                size,
                limit,
                'Keep less in the session, or widen the data column and '
                'raise mysql_session.max_payload_bytes.',
            )

    def _from_family(self, session_id: str) -> str:
        return self.in_table(self.of_family(session_id))

    def _between(self, least: bytes, greatest: bytes) -> str:
        return f"{self._key} BETWEEN x'{least.hex()}' AND x'{greatest.hex()}'"

    @property
    def _by_key(self) -> str:
        return f'FORCE INDEX ({self._access.table.key_index})'

    def _row(
        self,
        session_id: str,
        revision: int,
        idle_timeout: int | None,
        userid: UserID | None,
        device: Device | None,
    ) -> dict[str, str]:
        """Return SQL for a new row without its payload, by quoted names."""
        timeouts = (idle_timeout, self._access.absolute_timeout)
        idle = min(each for each in timeouts if each is not None)
        return {
            self._key: self._id(session_id),
            self._created: 'UNIX_TIMESTAMP()',
            self._expires: f'UNIX_TIMESTAMP() + {idle:d}',
            self._revision: f'{revision:d}',
            self._userid: _userid(userid),
            **self._tracked(device),
        }

    def _tracked(self, device: Device | None) -> dict[str, str]:
        """Return SQL for the device columns, by their quoted names."""
        if not self._tracks:
            return {}
        column = self._access.column
        values = {column('seen'): 'UNIX_TIMESTAMP()'}
        if device is not None:
            ip, agent = device
            values |= {
                column('ip'): 'NULL' if ip is None else f"x'{ip.hex()}'",
                column('agent'): 'NULL'
                if agent is None
                else text_literal(agent),
            }
        return values

    def _note(self, device: Device | None) -> str:
        """Write what an UPDATE sets besides where devices are tracked."""
        return ''.join(
            f', {column} = {value}'
            for column, value in self._tracked(device).items()
        )

    def _where(self, session_id: str) -> str:
        return f'WHERE {self._key} = {self._id(session_id)}'

    def key(self, session_id: str) -> bytes:
        """Return the primary key of a session id."""
        return keys.stored_key(session_id, self._shard_bytes)

    def _after(self, idle_timeout: int | None) -> str:
        """Return SQL for the deadline of a session that is used now."""
        deadlines = []
        if idle_timeout is not None:
            deadlines.append(f'UNIX_TIMESTAMP() + {idle_timeout:d}')
        absolute_timeout = self._access.absolute_timeout
        if absolute_timeout is not None:
            deadlines.append(f'{self._created} + {absolute_timeout:d}')
        both = ', '.join(deadlines)
        return f'LEAST({both})' if len(deadlines) > 1 else both


def _literal_of(session_id: str, shard_bytes: int) -> str:
    return f"x'{keys.stored_key(session_id, shard_bytes).hex()}'"


def _userid(userid: UserID | None) -> str:
    """Write the value of the userid column."""
    return 'NULL' if userid is None else userid_literal(userid)


def listed(some: Sequence[bytes]) -> str:
    """Write keys for an IN condition."""
    return ', '.join(f"x'{key.hex()}'" for key in some)
