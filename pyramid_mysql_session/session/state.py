"""Loads the data of one session and knows what changed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ..errors import PayloadNotSerializable
from .merge import merge, same
from .serializers import Payload, dump, load

log = logging.getLogger(__name__)

Data = dict[str, Any]

#: The session's own idle time-out is stored under this key of the payload.
IDLE_TIMEOUT_KEY = '_idle_timeout_'


class SessionKit(NamedTuple):
    """What all sessions of a factory share."""

    store: Any
    serializer: Any
    make_session_id: Callable[[], str]
    idle_timeout: int
    absolute_timeout: int | None
    touch_interval: int | str
    userid_key: str


class SessionState:
    """
    What a session knows besides its data.

    :param kit: what it shares with the other sessions.
    :param listener: is told ``created()``, ``rejected(reason)``,
        ``merged()`` and ``lost()``.
    :param session_id: from the verified cookie; ``None`` for a new session.
    :param forged: whether there is a cookie that could not be verified.

    :ivar ended: whether the record was deleted at the application's wish.
    :ivar refreshed: whether the record lives longer than when it was loaded.
    :ivar remembered: whether :meth:`remember` was called.
    """

    __slots__ = (
        '__weakref__',
        '_base',
        '_created',
        '_data',
        '_doubt',
        '_finished',
        '_forged',
        '_idle_timeout',
        '_kit',
        '_listener',
        '_locked',
        '_lost',
        '_new',
        '_renewing',
        '_replaced',
        '_revision',
        '_session_id',
        '_shared',
        '_touch_due',
        '_written',
        'ended',
        'refreshed',
        'remembered',
    )

    def __init__(
        self,
        kit: SessionKit,
        listener: Any,
        session_id: str | None,
        forged: bool = False,
    ) -> None:
        self._kit = kit
        self._listener = listener
        self._session_id = session_id
        self._forged = forged
        # whose record the next save deletes
        self._replaced: str | None = None
        self._data: Data | None = None
        # the payload that is stored as far as we know, None without a record
        self._base: Payload | None = None
        self._revision = 0
        # payload, revision and new id of a save that nobody told about
        self._doubt: tuple[Payload | None, int, str | None] | None = None
        self._created: int | None = None
        self._new = True
        self._idle_timeout: int | None = None
        # the data was changed; somebody holds a mutable object of it
        self._written = self._shared = False
        self._touch_due = self._renewing = False
        self._locked = self._lost = self._finished = False
        self.ended = self.refreshed = self.remembered = False

    def __del__(self) -> None:
        if self._finished and not self._lost and self._is_unsaved():
            log.warning(
                'a session was changed after it had been saved, and the '
                'change is lost: call save() after it'
            )

    @property
    def session_id(self) -> str | None:
        """The id under which the session is stored, ``None`` if it is not."""
        return self._session_id

    @property
    def used(self) -> bool:
        """Whether anybody has looked at the session."""
        return self._data is not None

    @property
    def own_idle_timeout(self) -> int | None:
        """What :meth:`remember` was told, in this request or earlier."""
        return self._idle_timeout

    @property
    def created(self) -> int:
        """Unix second of the creation, kept when the id is renewed."""
        self._load()
        if self._created is None:
            self._created = int(time.time())
        return self._created

    @property
    def new(self) -> bool:
        """Whether the request came without a live session."""
        self._load()
        return self._new

    def changed(self) -> None:
        """
        Have the session compared with what is stored.

        It need not be called: changes are noticed anyway.
        """
        self._load()
        self._written = True

    def invalidate(self) -> None:
        """
        Drop data and id; what follows goes into a new, empty session.

        The record is deleted when the response is ready, in the same
        transaction that creates the new one. OWASP's session management
        cheat sheet asks for this at log-out.
        """
        if self._session_id is not None:
            self._replaced = self._session_id
        self._session_id = self._base = self._created = self._doubt = None
        self._idle_timeout = None
        self._data = {}
        self._new = True
        self._written = self._shared = False
        self._touch_due = self._renewing = self._lost = False

    def renew_id(self) -> None:
        """
        Keep the data under a fresh id; the old one is dead from then on.

        Call it whenever privileges change, at log-in above all (OWASP's
        session management cheat sheet, "Renew the Session ID After Any
        Privilege Level Change").
        """
        self._load()
        self._renewing = self._session_id is not None

    def remember(self, seconds: int | None) -> None:
        """
        Give this session an idle time-out of its own.

        The cookie becomes persistent: the browser keeps it as long.

        :param seconds: at least 1; ``None`` returns to the settings.
        :raises ValueError: it is something else.
        """
        if seconds is not None and (
            isinstance(seconds, bool)
            or not isinstance(seconds, int)
            or seconds < 1
        ):
            raise ValueError(
                f'seconds = {seconds!r}: expected whole seconds above 0, '
                'or None'
            )
        self._load()
        self._idle_timeout = seconds
        self._written = self.remembered = True

    def abandon(self) -> None:
        """Save nothing of this session any more."""
        self._lost = True

    def let_go(self) -> None:
        """Take it that nobody holds mutable parts of the data any more."""
        self._shared = False

    def finish(self) -> None:
        """Say that nobody will save from now on but the application."""
        self._finished = True

    def _load(self) -> Data:
        data = self._data
        if data is None:
            data = {}
            reason = self._read(data)
            # subscribers may use the session already
            self._data = data
            if reason is not None:
                # an id that was not found is never used again
                self._session_id = None
                self._listener.rejected(reason)
        return data

    def _read(self, data: Data) -> str | None:
        """Fill in the data; return why there is none, if it was expected."""
        if self._session_id is None:
            return 'signature' if self._forged else None
        record = self._kit.store.load(self._session_id)
        if record is None:
            reason = 'unknown'
        elif record.expires < record.now:
            reason = 'expired'
        else:
            try:
                data.update(self._decode(record.payload))
            except ValueError:
                reason = 'undecodable'
            else:
                self._base = record.payload
                self._revision = record.revision
                self._created = record.created
                self._new = False
                self._touch_due = self._is_touch_due(record)
                return None
        return reason

    def _decode(self, payload: Payload) -> Data:
        data = load(self._kit.serializer, payload)
        self._idle_timeout = data.pop(IDLE_TIMEOUT_KEY, None)
        return data

    def _encode(self) -> Payload:
        return dump(self._kit.serializer, self._stored_data())

    def _stored_data(self) -> Data:
        """Return the data as it goes into the payload."""
        data = self._load()
        if IDLE_TIMEOUT_KEY in data:
            raise PayloadNotSerializable(
                IDLE_TIMEOUT_KEY, 'is a key that remember() uses'
            )
        if self._idle_timeout is None:
            return data
        return {**data, IDLE_TIMEOUT_KEY: self._idle_timeout}

    def _timeout(self) -> int:
        return self._idle_timeout or self._kit.idle_timeout

    def _userid(self) -> str | None:
        userid = self._load().get(self._kit.userid_key)
        if userid is None or isinstance(userid, (bool, list, dict)):
            return None
        return str(userid)

    def _is_touch_due(self, record: Any) -> bool:
        kit = self._kit
        interval, idle = kit.touch_interval, self._timeout()
        if interval == 'never':
            return False
        if interval == 'auto':
            interval = idle // 10
        deadline = record.now + idle
        if kit.absolute_timeout is not None:
            deadline = min(deadline, record.created + kit.absolute_timeout)
        return bool(deadline - record.expires >= max(int(interval), 1))

    def _changed_payload(self) -> Payload | None:
        """Return the payload to store, ``None`` if an equal one is there."""
        if not (self._written or self._shared):
            return None
        payload = self._encode()
        if payload != self._base:
            stored = load(self._kit.serializer, self._base or '')
            mine = self._stored_data()
            # what "==" tells apart need not be looked at more closely
            if stored != mine or not same(stored, mine):
                return payload
            # the order of keys may differ, and a JSON column gives its text
            # a form of its own
            self._base = payload
        self._written = False
        return None

    def _is_unsaved(self) -> bool:
        try:
            if self._base is None:
                return bool(self._data)
            return self._changed_payload() is not None
        except PayloadNotSerializable:
            return True

    def _take(self, record: Any) -> None:
        """Merge what is stored now into the data, in place."""
        if record is None or record.expires < record.now:
            self._lose()
            return
        if record.revision == self._revision:
            return
        serializer = self._kit.serializer
        base = load(serializer, self._base or '')
        mine = load(serializer, self._encode())
        try:
            theirs = load(serializer, record.payload)
        except ValueError:
            # what nobody can read cannot be merged: mine is the later save
            theirs = base
        else:
            self._base = record.payload
        merged = merge(base, mine, theirs)
        if not same(base, mine):
            self._listener.merged()
        self._idle_timeout = merged.pop(IDLE_TIMEOUT_KEY, None)
        adopt(self._load(), merged)
        self._revision = record.revision
        self._written = True

    def _lose(self) -> None:
        self._lost = True
        self._session_id = None
        self._listener.lost()


def adopt(mine: Any, source: Any) -> Any:
    """
    Make an object equal to another, in place as far as possible.

    The application may hold parts of the session's data.
    """
    if isinstance(mine, dict) and isinstance(source, dict):
        for key in [key for key in mine if key not in source]:
            del mine[key]
        for key, value in source.items():
            mine[key] = adopt(mine.get(key), value)
        return mine
    if isinstance(mine, list) and isinstance(source, list):
        kept = list(map(adopt, mine, source))
        mine[:] = kept + source[len(kept) :]
        return mine
    return source
