"""An in-memory store; ``contract.StoreContract`` keeps it honest."""

from __future__ import annotations

import ipaddress
import json
from contextlib import contextmanager
from typing import NamedTuple

from zope.interface import implementer

from pyramid_mysql_session.errors import (
    LockTimeout,
    PayloadTooLarge,
    StoreUnavailable,
)
from pyramid_mysql_session.interfaces import IMySQLSessionStore
from pyramid_mysql_session.session.kit import SessionKit
from pyramid_mysql_session.session.sealing import NoSeal
from pyramid_mysql_session.session.serializers import JSONSerializer
from pyramid_mysql_session.settings.table import LONGEST_TIMEOUT
from pyramid_mysql_session.store import revisions
from pyramid_mysql_session.store.census import AGES, Stats
from pyramid_mysql_session.store.keys import (
    YOUNG,
    handle,
    handle_range,
    handle_second,
    is_handle,
    is_session_id,
    make_session_id,
    renew_session_id,
    stored_key,
)
from pyramid_mysql_session.store.results import (
    Deletion,
    Device,
    Ending,
    Living,
    LockedRecord,
    Outcome,
    Record,
)
from pyramid_mysql_session.store.userids import userid_literal, userid_text
from pyramid_mysql_session.store.users import StoredSession

#: When the clocks of tests begin.
BEGINNING = 1_700_000_000

#: The idle time-out of their sessions.
IDLE = 1000


def in_doubt(attempted):
    """Return what a store raises when the answer to a save was lost."""
    error = StoreUnavailable('The line was cut', '', outcome_unknown=True)
    error.attempted = attempted
    return error


def make_kit(store, **changed):
    """Return what sessions over a store share, with the usual settings."""
    kit = SessionKit(
        store=store,
        serializer=JSONSerializer(),
        make_session_id=make_session_id,
        renew_session_id=renew_session_id,
        seal=NoSeal(),
        handle=handle,
        is_young=lambda _: False,
        idle_timeout=IDLE,
        anonymous_idle_timeout=None,
        absolute_timeout=None,
        touch_interval='auto',
        cookie_max_age=None,
        longest_timeout=LONGEST_TIMEOUT,
        userid_key='auth.userid',
        asks_userid=False,
        lock_timeout=5,
        second_look=0,
    )
    return kit._replace(**changed)


ANYBODY = object()


def handle_of(keep):
    """Return the handle that a ``keep`` argument means."""
    if not (is_handle(keep) or is_session_id(keep)):
        raise ValueError('keep: expected the handle of a session, or an id')
    return keep if is_handle(keep) else handle(keep)


def _see_that_it_counts(name, number, least):
    if type(number) is not int or number < least:
        raise ValueError(f'{name} = {number!r}: a number from {least} on')


def _text(userid):
    """Return the text of a user id that the column can hold."""
    userid_literal(userid)
    return userid_text(userid)


def _size(payload):
    return len(payload.encode() if isinstance(payload, str) else payload)


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self):
        self.now = BEGINNING

    def move(self, seconds):
        self.now += seconds


class Row(NamedTuple):
    """What a table would hold under a stored key."""

    payload: str
    created: int
    expires: int
    revision: int
    userid: str | None
    seen: int | None = None
    device: Device | None = None


@implementer(IMySQLSessionStore)
class MemoryStore:
    """
    Sessions in a ``dict``.

    :param absolute_timeout: and the rest as in the settings.
    :ivar rows: :class:`Row` objects by stored key.
    :ivar calls: the names of the methods that a session called.
    """

    def __init__(
        self,
        clock,
        absolute_timeout=None,
        max_payload_bytes=2**24 - 1,
        purge_batch=250,
        track_devices=False,
    ):
        self.clock = clock
        self.rows = {}
        self.calls = []
        self._absolute_timeout = absolute_timeout
        self._max_payload_bytes = max_payload_bytes
        self._purge_batch = purge_batch
        self._track_devices = track_devices
        #: What :meth:`end` and its like have told.
        self.endings = []
        self._locked = set()
        self.closed = False

    def load(self, session_id):
        self._open('load')
        return self._record(self._find(session_id))

    def find_live(self, session_ids):
        self._open('find_live')
        living = Living([], [])
        for each in session_ids:
            if self._alive(self._find(each)):
                living.live.append(each)
            elif self._alive_under_another_id(each):
                living.renewed.append(each)
        return living

    def is_renewed(self, session_id):
        self._open('is_renewed')
        return self._alive_under_another_id(session_id)

    def create(
        self,
        session_id,
        payload,
        idle_timeout,
        userid=None,
        replaces=(),
        device=None,
        ended=None,
    ):
        self._open('create')
        self._measure(payload, userid)
        for replaced in replaces:
            self._unlocked(replaced)
        gone = [replaced for replaced in replaces if self._end(replaced)]
        row = self._find(session_id)
        if ended is not None:
            # an attempt whose answer was lost may have ended the others
            ended += gone if row is None else replaces
        if row is None:
            now = self.clock.now
            expires = self._deadline(now, idle_timeout)
            text = None if userid is None else userid_text(userid)
            row = Row(payload, now, expires, revisions.first(), text)
            row = self._note(row, device)
            self.rows[stored_key(session_id)] = row
        return row.revision

    def measure(self, payload, userid=None):
        self._open('measure')
        self._measure(payload, userid)

    def save(
        self,
        session_id,
        payload,
        revision,
        idle_timeout,
        userid=None,
        new_session_id=None,
        attempted=None,
        device=None,
    ):
        self._open('save')
        self._unlocked(session_id)
        written = attempted or revisions.following(revision)
        if self._swap(
            session_id,
            payload,
            revision,
            idle_timeout,
            userid,
            new_session_id,
            written,
            device,
        ):
            return Outcome(written)
        row = self._find(session_id)
        if attempted is not None:
            if new_session_id is not None and self._find(new_session_id):
                return Outcome(written)
            record = self._record(row)
            if record is not None and not record.precedes(revision):
                done = revisions.was_written(attempted, row.revision)
                if done is None:
                    raise in_doubt(attempted)
                if done:
                    return Outcome(written)
        return Outcome(None, self._record(row) if self._alive(row) else None)

    def touch(self, session_id, idle_timeout, revision=None, device=None):
        self._open('touch')
        self._unlocked(session_id)
        row = self._find(session_id)
        if not self._alive(row):
            return False
        if revision not in (None, row.revision):
            return None
        deadline = self._deadline(row.created, idle_timeout)
        row = row._replace(expires=max(row.expires, deadline))
        self.rows[stored_key(session_id)] = self._note(row, device)
        return True

    def delete(self, session_id, revision=None):
        self._open('delete')
        self._unlocked(session_id)
        if revision is None:
            return Deletion(self._end(session_id))
        row = self._find(session_id)
        if row is not None and revision == row.revision:
            self._remove(session_id)
            return Deletion(True)
        return Deletion(False, self._record(row) if self._alive(row) else None)

    @contextmanager
    def locked(self, session_id):
        self._open('locked')
        self._unlocked(session_id)
        key = stored_key(session_id)
        row = self._find(session_id)
        self._locked.add(key)
        try:
            yield LockedRecord(
                self._record(row) if self._alive(row) else None,
                lambda *args: self._swap(session_id, *args),
                lambda revision: self._remove(session_id),
            )
        except BaseException:
            # what others did with other rows stays
            self._end(session_id)
            if row is not None:
                self.rows[key] = row
            raise
        finally:
            self._locked.remove(key)

    def ping(self):
        self._open('ping')
        return True

    def now(self):
        self._open('now')
        return self.clock.now

    def count(self, userid=None):
        self._open('count')
        if userid is not None:
            return len(self.for_user(userid))
        return sum(map(self._alive, self.rows.values()))

    def stats(self):
        self._open('stats')
        now = self.clock.now
        live = [row for row in self.rows.values() if self._alive(row)]
        ages = dict.fromkeys([*AGES, 'older'], 0)
        for row in live:
            younger = [x for x in AGES if now - row.created < AGES[x]]
            ages[(younger or ['older'])[0]] += 1
        users = {row.userid for row in live if row.userid is not None}
        return Stats(
            len(live),
            len(self.rows) - len(live),
            len([row for row in live if row.userid is None]),
            len(users),
            sum(len(row.payload) for row in self.rows.values()),
            min((row.created for row in live), default=None),
            ages,
            True,
        )

    def iter_sessions(self, batch=1000):
        self._open('iter_sessions')
        _see_that_it_counts('batch', batch, 1)
        for key, row in sorted(self.rows.items()):
            if self._alive(row):
                yield self._stored(key, row)

    def newest(self, limit):
        if limit < 1:
            raise ValueError(limit)
        return list(self.iter_sessions())[::-1][:limit]

    def for_user(self, userid, limit=None, after=None):
        userid = _text(userid)
        if limit is not None:
            _see_that_it_counts('limit', limit, 1)
        found = sorted(
            self.iter_sessions(),
            key=lambda stored: (stored.created, stored.handle),
            reverse=True,
        )
        found = [stored for stored in found if stored.userid == userid]
        if after is not None:
            if not is_handle(after):
                raise ValueError('after: expected the handle of a session')
            last = handle_second(after) + YOUNG + 1, after
            for row in self._of_handle(after):
                last = row.created, after
            found = [x for x in found if (x.created, x.handle) < last]
        return found[:limit]

    def end(self, handle, userid=ANYBODY):
        if userid is not ANYBODY:
            userid = _text(userid)
        for stored in list(self.iter_sessions()):
            if stored.handle == handle and userid in (
                ANYBODY,
                stored.userid,
            ):
                self._unlocked(handle)
                self._end_stored(stored, 'end')
                return True
        return False

    def delete_for_user(self, userid, keep=None):
        return self._delete_of_user(userid, keep, 0, 'delete_for_user')

    def limit_for_user(self, userid, most, keep=None):
        _see_that_it_counts('most', most, 0)
        return self._delete_of_user(userid, keep, most, 'limit_for_user')

    def _delete_of_user(self, userid, keep, most, how):
        kept = None if keep is None else handle_of(keep)
        others = [x for x in self.for_user(userid) if x.handle != kept]
        for stored in others[most:]:
            self._end_stored(stored, how)
        return len(others[most:])

    def _end_stored(self, stored, how):
        (key,) = self._keys(stored.handle)
        del self.rows[key]
        self.endings.append(Ending(None, stored.handle, stored.userid, how))

    def _of_handle(self, handle):
        return [self.rows[key] for key in self._keys(handle)]

    def _keys(self, handle):
        least, greatest = handle_range(handle)
        return [key for key in self.rows if least <= key <= greatest]

    def _stored(self, key, row):
        record = self._record(row)
        ip, agent = row.device or (None, None)
        handle = key[:16].hex()

        def read():
            (row,) = self._of_handle(handle) or [None]
            return json.loads(row.payload) if self._alive(row) else None

        return StoredSession(
            handle,
            row.userid,
            row.created,
            record.expires,
            _size(row.payload),
            row.seen,
            ip and str(ipaddress.ip_address(ip)),
            agent,
            False,
            read,
        )

    def clear(self):
        self._open('clear')
        deleted = len(self.rows)
        self.rows.clear()
        return deleted

    def purge(
        self,
        stop=lambda: False,
        exclusive=False,
        progress=lambda rows: None,
    ):
        self._open('purge')
        deleted = 0
        rows = self._purge_batch
        while rows == self._purge_batch and not stop():
            dead = [
                key
                for key, row in self.rows.items()
                if row.expires < self.clock.now
            ][: self._purge_batch]
            for key in dead:
                del self.rows[key]
            rows = len(dead)
            deleted += rows
            progress(rows)
        return deleted

    def create_table(self):
        self._open('create_table')

    def check_table(self):
        self._open('check_table')
        return []

    def close(self):
        self.closed = True

    def _open(self, name):
        if self.closed:
            raise StoreUnavailable('The session store is closed', '')
        self.calls.append(name)

    def _measure(self, payload, userid):
        if userid is not None:
            userid = userid_text(userid)
        for text, limit in ((payload, self._max_payload_bytes), (userid, 255)):
            if text is not None and len(text) > limit:
                raise PayloadTooLarge('It', len(text), limit, '')

    def _unlocked(self, name):
        """See that nobody has locked a session, by its handle or an id."""
        keys = self._keys(handle_of(name))
        if not is_handle(name):
            keys.append(stored_key(name))
        if not self._locked.isdisjoint(keys):
            raise LockTimeout('Somebody else keeps the row locked', '')

    def _find(self, session_id):
        return self.rows.get(stored_key(session_id))

    def _ids(self, session_id):
        """Return the keys of the rows that a session has, at most one."""
        return self._keys(handle(session_id))

    def _alive_under_another_id(self, session_id):
        return any(
            self._alive(self.rows[key]) for key in self._ids(session_id)
        )

    def _end(self, session_id):
        keys = self._ids(session_id)
        for key in keys:
            del self.rows[key]
        return bool(keys)

    def _alive(self, row):
        return row is not None and self._record(row).expires >= self.clock.now

    def _record(self, row):
        if row is None:
            return None
        expires = row.expires
        if self._absolute_timeout is not None:
            expires = min(expires, row.created + self._absolute_timeout)
        return Record(
            row.payload, row.created, expires, row.revision, self.clock.now
        )

    def _note(self, row, device):
        """Return a row that was used now."""
        if not self._track_devices:
            return row
        row = row._replace(seen=self.clock.now)
        return row if device is None else row._replace(device=device)

    def _deadline(self, created, idle_timeout):
        deadlines = []
        if idle_timeout is not None:
            deadlines.append(self.clock.now + idle_timeout)
        if self._absolute_timeout is not None:
            deadlines.append(created + self._absolute_timeout)
        return min(deadlines)

    def _remove(self, session_id):
        return self.rows.pop(stored_key(session_id), None) is not None

    def _swap(
        self,
        session_id,
        payload,
        revision,
        idle_timeout,
        userid,
        new_session_id,
        written,
        device=None,
    ):
        self._measure(payload, userid)
        row = self._find(session_id)
        if not self._alive(row) or row.revision != revision:
            return False
        self._remove(session_id)
        row = row._replace(
            revision=written, expires=self._deadline(row.created, idle_timeout)
        )
        if payload is not None:
            text = None if userid is None else userid_text(userid)
            row = row._replace(payload=payload, userid=text)
        row = self._note(row, device)
        self.rows[stored_key(new_session_id or session_id)] = row
        return True
