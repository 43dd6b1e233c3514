"""Lists sessions, many at a time, and ends those of a user."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..connection.driver import Connection
from ..errors import LockTimeout
from .access import TableAccess
from .deleting import delete_rows
from .devices import device_name
from .keys import (
    FAMILY_BYTES,
    YOUNG,
    handle_range,
    handle_second,
    is_handle,
    is_young_handle,
)
from .quoting import text
from .records import RENEWALS, SECOND_LOOK
from .results import Payload, UserID
from .statements import KEYS_AT_ONCE, Statements

#: The user ids of sessions that were ended, by their handles.
Ended = dict[str, str | None]

# the servers take no larger number
_MOST = 2**63 - 1

Row = Sequence[Any]


@dataclass(frozen=True, repr=False)
class StoredSession:
    """
    One session of a list.

    :ivar handle: names it, also after its id was renewed; opens nothing.
    :ivar userid: the text of its user id, ``None`` without one.
    :ivar created: unix second of its creation.
    :ivar expires: the last unix second of its life, if it is not used again.
    :ivar size: bytes of its data as stored.
    :ivar seen: unix second of the last request that was noted; ``None``
        unless devices are tracked.
    :ivar ip: the network address of that request, likewise, as text.
    :ivar agent: what the browser of that request called itself, likewise.
    :ivar current: whether it is that of the request whose store gave the
        list: ``get_store(request)``.
    """

    handle: str
    userid: str | None
    created: int
    expires: int
    size: int
    seen: int | None = None
    ip: str | None = None
    agent: str | None = None
    current: bool = False
    _read: Callable[[], dict[str, Any] | None] = field(
        default=lambda: None, compare=False
    )

    def data(self) -> dict[str, Any] | None:
        """
        Return what is in the session, without changing it.

        It is read now, unless the list came with it.

        :returns: ``None`` when the session has ended since.
        :raises pyramid_mysql_session.SessionError: it is sealed, and only its
            cookie opens it; or nothing can be made of it.
        """
        return self._read()

    @property
    def device(self) -> str | None:
        """
        What to call the device of that request: ``Firefox on Ubuntu``.

        That needs ua-parser, the extra ``devices``; without it, or if it
        does not know the browser, it is the ``agent`` itself. ``None``
        without one. Like that it is what a visitor has sent: escape it.
        """
        return device_name(self.agent)

    def __repr__(self) -> str:
        return (
            f'<StoredSession {self.handle[-8:]} of {self.size} bytes, '
            f'expires {self.expires}>'
        )


class Users:
    """
    The sessions of the table, many at a time.

    :param access: reaches the table.
    :param statements: writes what they have in common.
    :param batch: most rows that one statement of :meth:`clear` deletes.
    :param decode: makes data of a payload.
    :param shard_bytes: how many hashed bytes stand in front of each key.
    """

    def __init__(
        self,
        access: TableAccess,
        statements: Statements,
        batch: int,
        decode: Callable[[Payload], dict[str, Any]],
        shard_bytes: int,
    ) -> None:
        self._access = access
        self._write = statements
        self._batch = batch
        self._decode = decode
        self._shard_bytes = shard_bytes
        column = access.column
        self._key = column('session_id')
        self._userid = column('userid')
        self._created = column('created')
        self._data = column('data')
        columns = [
            self._key,
            # UTF-8 whatever the character set of the connection
            f'CAST({self._userid} AS BINARY)',
            self._created,
            column('expires'),
            f'OCTET_LENGTH({self._data})',
        ]
        if access.table.tracks_devices:
            columns += [
                column('seen'),
                column('ip'),
                f'CAST({column("agent")} AS BINARY)',
            ]
        self._columns = ', '.join(columns)

    def iterate(self, batch: int, own: str | None) -> Iterator[StoredSession]:
        """Iterate over all live sessions with their data, in batches."""
        access, last = self._access, b''
        while rows := access.fetch_current(
            f'{self._columns}, {self._data}',
            f" FROM {access.name} WHERE {self._key} > x'{last.hex()}' "
            f'AND {access.alive} ORDER BY {self._key} '
            f'LIMIT {min(batch, _MOST):d}',
        ):
            for *row, payload in rows:
                yield self._session(row, own, payload)
            last = rows[-1][0]

    def newest(self, limit: int, own: str | None) -> list[StoredSession]:
        """Return the live sessions of the greatest keys."""
        access = self._access
        # the name of the index on the key is known after that
        access.ready()
        rows = access.fetch_current(
            self._columns,
            f' {self._write.in_table(access.row_alive)} '
            f'ORDER BY {self._key} DESC LIMIT {min(limit, _MOST):d}',
        )
        return [self._session(row, own) for row in rows]

    def of_user(
        self,
        userid: UserID,
        limit: int | None,
        after: str | None,
        own: str | None,
    ) -> list[StoredSession]:
        """Return the live sessions of a user, the newest first."""
        condition = self._write.of_user(userid)
        if after is not None:
            self._access.ready()
            condition += f' AND {self._older_than(after)}'
        rows = self._find(self._columns, condition, limit=limit)
        return [self._session(row, own) for row in rows]

    def end(self, handle: str, condition: str, ended: Ended) -> None:
        """
        Delete the live session of a handle, if a condition is true of it.

        :param ended: gets it if it was there, as below.
        """
        if not is_handle(handle):
            return
        is_it = f'{self._write.of_handle(handle)} AND {condition}'
        self._end(is_it, 0, ended)
        if not ended and is_young_handle(handle, self._shard_bytes):
            # on a server that lags it may only not be there yet
            time.sleep(SECOND_LOOK)
            self._end(is_it, 0, ended)

    def delete_of_user(
        self, userid: UserID, keep: str | None, newest: int, ended: Ended
    ) -> None:
        """
        Delete live sessions of a user.

        :param keep: a condition that is true of the one that stays.
        :param newest: so many others stay, too.
        :param ended: gets those that were deleted, also before an error.
        """
        condition = self._write.of_user(userid)
        if keep is not None:
            condition += f' AND NOT ({keep})'
        self._end(condition, newest, ended)

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
                gone: set[bytes] = set()
                # a renewal has moved one to where it had looked already
                moved |= not self._delete(keys, 'TRUE', gone)
                deleted += len(gone)
                last = keys[-1]
            if not moved:
                break
        return deleted

    def _find(
        self, columns: str, condition: str, limit: int | None, skip: int = 0
    ) -> Sequence[Row]:
        """Return columns of live rows, the newest first."""
        access = self._access
        most = ''
        if limit is not None:
            most = f' LIMIT {min(skip, _MOST):d}, {min(limit, _MOST):d}'
        return access.fetch_current(
            columns,
            f' FROM {access.name} WHERE {condition} AND {access.alive} '
            f'ORDER BY {self._created} DESC, {self._key} DESC{most}',
        )

    def _older_than(self, handle: str) -> str:
        """Write what is true of the rows that follow one in a list."""
        if not is_handle(handle):
            raise ValueError(
                'after: expected the handle of a session, 32 hexadecimal '
                'digits in lower case'
            )
        access = self._access
        least, _ = handle_range(handle)
        # it may have ended since; the second in the handle is by the clock of
        # another host, and who comes twice is better than who is left out
        latest = handle_second(handle, self._shard_bytes) + YOUNG + 1
        created = (
            f'COALESCE((SELECT {self._created} '
            f'{self._write.in_table(self._write.of_handle(handle))} LIMIT 1), '
            f'{latest:d})'
        )
        name = access.name
        return (
            f'({name}.{self._created} < {created} '
            f'OR {name}.{self._created} = {created} '
            f"AND {name}.{self._key} < x'{least.hex()}')"
        )

    def _end(self, condition: str, newest: int, ended: Ended) -> None:
        """Delete the live sessions that meet a condition, but the newest."""
        misses, missed = 0, set[bytes]()
        while misses < RENEWALS:
            # a DELETE would wait for the lock of one that stays, and tell
            # neither handles nor users
            found = self._find(
                f'{self._key}, CAST({self._userid} AS BINARY)',
                condition,
                limit=KEYS_AT_ONCE,
                skip=newest,
            )
            if not found:
                return
            gone: set[bytes] = set()
            try:
                whole = self._delete(
                    [key for key, _ in found], condition, gone
                )
            finally:
                ended.update(
                    (_handle(key), None if userid is None else text(userid))
                    for key, userid in found
                    if key in gone
                )
            if whole and len(found) < KEYS_AT_ONCE:
                return
            # a renewal has moved one to where nobody has looked yet, unless
            # somebody else has ended it
            families = {key[:FAMILY_BYTES] for key, _ in found}
            misses += not missed.isdisjoint(families)
            missed = families - {key[:FAMILY_BYTES] for key in gone}
        raise LockTimeout(
            'The ids of sessions were renewed each time that they were to be '
            'deleted',
            'Look for what renews them again and again.',
        )

    def _delete(
        self, keys: Sequence[bytes], condition: str, gone: set[bytes]
    ) -> bool:
        """
        Delete rows.

        :param gone: gets the keys of those that this has deleted.
        :returns: whether all were there.
        :raises pyramid_mysql_session.StoreUnavailable: some of them cannot be
            deleted; the others are.
        """
        tried: set[bytes] = set()
        kept: list[bytes] = []

        def work(connection: Connection) -> bool:
            if not connection.in_doubt:
                tried.clear()
            connection.begin(read_committed=True)
            rows = connection.fetch(
                f'SELECT {self._key} '
                f'{self._write.in_table(self._write.has_key(keys))} '
                f'AND {condition} FOR UPDATE',
                locking=True,
            )
            locked = [key for (key,) in rows]
            # an attempt whose answer was lost has deleted what is not there
            # any more, but what has another key meanwhile has to be found
            tried.update(locked)
            _, kept[:] = delete_rows(
                connection, self._write, locked, condition
            )
            connection.commit()
            return len(locked) == len(keys)

        whole = self._access.run(work)
        gone |= tried.difference(kept)
        if kept:
            # says why
            self._access.execute(self._write.delete_keys(kept[:1], condition))
        return whole

    def _session(
        self, row: Row, own: str | None, payload: Payload | None = None
    ) -> StoredSession:
        """Make a session of the columns of a list."""
        key, userid, created, expires, size, *device = row
        handle = _handle(key)
        seen, ip, agent = device or (None, None, None)
        return StoredSession(
            handle,
            None if userid is None else text(userid),
            int(created),
            self._access.deadline(int(created), int(expires)),
            int(size),
            None if seen is None else int(seen),
            _address(ip),
            None if agent is None else text(agent),
            handle == own,
            partial(self._read, handle, payload),
        )

    def _read(
        self, handle: str, payload: Payload | None
    ) -> dict[str, Any] | None:
        if payload is None:
            self._access.ready()
            rows = self._access.fetch_current(
                self._data,
                f' {self._write.in_table(self._write.of_handle(handle))} '
                f'AND {self._access.row_alive} LIMIT 1',
            )
            if not rows:
                return None
            ((payload,),) = rows
        return self._decode(payload)


def _handle(key: bytes) -> str:
    return key[:FAMILY_BYTES].hex()


def _address(ip: bytes | None) -> str | None:
    """Return a network address as text, ``None`` if it is none."""
    return str(ipaddress.ip_address(ip)) if ip and len(ip) in (4, 16) else None
