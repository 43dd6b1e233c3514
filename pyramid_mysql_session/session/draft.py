"""The data of one request: what was loaded, and what became of it."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from ..errors import PayloadNotSerializable
from .containers import Containers
from .merge import FLASH_PREFIX, POPPED_KEY, merge, same
from .serializers import Payload, dump, freeze, load, thaw
from .snapshot import Snapshot

Data = dict[str, Any]

#: The session's own idle time-out is stored under this key of the payload.
IDLE_TIMEOUT_KEY = '_idle_timeout_'

_RESERVED = {
    IDLE_TIMEOUT_KEY: 'is a key that remember() uses',
    POPPED_KEY: 'is a key that pop_flash() uses',
}

# what cannot be changed without the session's noticing
_IMMUTABLE = frozenset({str, int, float, bool, bytes, type(None)})


class _Extras(NamedTuple):
    """What is stored besides the application's data."""

    idle_timeout: int | None = None
    #: How many messages were popped so far of each flash queue.
    popped: dict[str, int] | None = None


class _Mark(NamedTuple):
    """A draft as it was."""

    snapshot: Snapshot
    containers: Containers
    base: Payload | None
    extras: _Extras
    remembered: bool
    written: bool
    shared: bool
    emptied: frozenset[str]


class Draft:
    """
    The data of one request.

    It knows no store: it takes and gives payloads.

    :param serializer: turns data into payloads.
    :param userid_key: where the user id stands in the data.
    :param longest_timeout: seconds that an idle time-out has at most.

    :ivar data: what the application works with; ``None`` before its first
        use.
    :ivar base: the payload that is stored as far as we know, ``None``
        without a record.
    :ivar remembered: whether :meth:`remember` was called.
    """

    __slots__ = (
        '_containers',
        '_emptied',
        '_emptied_since',
        '_extras',
        '_longest_timeout',
        '_serializer',
        '_shared',
        '_userid_key',
        '_viewed',
        '_written',
        'base',
        'data',
        'remembered',
    )

    def __init__(
        self,
        serializer: Any,
        userid_key: str,
        longest_timeout: int | None = None,
    ) -> None:
        self._serializer = serializer
        self._userid_key = userid_key
        self._longest_timeout = longest_timeout
        self.data: Data | None = None
        self.base: Payload | None = None
        self.remembered = False
        # made when the first object that can be changed is handed out
        self._containers: Containers | None = None
        self._extras = _Extras()
        # the flash queues of the base that this request has emptied; those
        # that it has emptied since the last payload was made
        self._emptied: frozenset[str] = frozenset()
        self._emptied_since: frozenset[str] = frozenset()
        # a key was changed; somebody holds a mutable object of the data
        self._written = self._shared = False
        # somebody has a view of the data
        self._viewed = False

    @property
    def idle_timeout(self) -> int | None:
        """The session's own idle time-out in seconds, if it has one."""
        seconds = self._extras.idle_timeout
        # whoever has written it to the table
        if type(seconds) is not int or seconds < 1:
            return None
        return min(seconds, self._longest_timeout or seconds)

    @property
    def may_differ(self) -> bool:
        """Whether the data may have changed since it was stored."""
        return self._written or self._shared

    @property
    def userid(self) -> Any:
        """The user id, ``None`` without one."""
        return (self.data or {}).get(self._userid_key)

    def begin(self) -> None:
        """Begin with no data and no record."""
        self.data, self.base = {}, None
        self._containers = None
        self._extras = _Extras()
        self._emptied = self._emptied_since = frozenset()
        self._written = self._shared = self.remembered = False

    def decode(self, payload: Payload) -> Data:
        """
        Begin with what is stored; return what :attr:`data` is to become.

        :raises ValueError: the payload is malformed.
        """
        data = dict(load(self._serializer, payload))
        self._extras = _take_extras(data)
        self.base = payload
        return data

    def share(self, value: Any) -> Any:
        """Note that somebody may change this value behind our back."""
        if type(value) not in _IMMUTABLE and not self._shared:
            self._shared = True
            self._our_containers()
        return value

    def share_all(self) -> Data:
        """Note that somebody has the whole data, and return it."""
        data = self.data or {}
        for value in data.values():
            self.share(value)
        # who holds a view of it finds what is in it later
        self._viewed = True
        return data

    def write(self) -> None:
        """Note that the data was changed."""
        self._written = True

    def forget_queue(self, key: Any) -> None:
        """Note that a key is about to be removed."""
        if isinstance(key, str) and key.startswith(FLASH_PREFIX):
            self._emptied |= {key}
            self._emptied_since |= {key}

    def remember(self, seconds: int | None) -> None:
        """Give the session an idle time-out of its own."""
        self._extras = self._extras._replace(idle_timeout=seconds)
        self._written = self.remembered = True

    def payload(self) -> Payload:
        """
        Serialize what is to be stored.

        :raises pyramid_mysql_session.PayloadNotSerializable: it cannot be.
        """
        return self._dump(self._to_store())

    def changed_payload(self) -> Payload | None:
        """Return the payload to store, ``None`` if an equal one is there."""
        if not self.may_differ:
            return None
        mine = self._to_store()
        payload = self._dump(mine)
        if payload != self.base:
            stored = load(self._serializer, self.base or '')
            # a tuple is not the list that it becomes
            if not _equal(stored, mine) and not _equal(
                stored, load(self._serializer, payload)
            ):
                return payload
            # the order of keys may differ, and a JSON column gives its text
            # a form of its own
            self.base = payload
        self._written = False
        return None

    def saved(self, payload: Payload) -> None:
        """Note that a payload is stored, the last that was made of this."""
        self.base = payload
        if self._emptied:
            stored = load(self._serializer, payload)
            popped = _take_extras(stored).popped
            self._extras = self._extras._replace(popped=popped)
            self._emptied = self._emptied_since
        self._written = False

    def update(self, payload: Payload) -> bool:
        """
        Bring the data up to date with what somebody else has stored.

        :returns: whether there were changes of this request to be merged.
        """
        serializer = self._serializer
        base = load(serializer, self.base or dump(serializer, {}))
        mine = load(serializer, self.payload())
        try:
            theirs = load(serializer, payload)
        except ValueError:
            # what nobody can read cannot be merged: mine is the later save
            theirs = base
            payload = self.base or payload
        merged = merge(base, mine, theirs, self._userid_key)
        changed = not same(base, mine)
        self._become(mine, merged)
        self.base = payload
        self._emptied = self._emptied_since = frozenset()
        return changed

    def forget(self, after: Payload, mark: _Mark) -> None:
        """
        Take back what came between two moments, and keep what came later.

        :param after: the payload of the later moment.
        :param mark: of the earlier one.
        """
        serializer = self._serializer
        before = _with_extras(mark.snapshot.image(), mark.extras)
        now = load(serializer, self.payload())
        merged = merge(
            load(serializer, after),
            now,
            load(serializer, dump(serializer, before)),
        )
        self._become(now, merged)

    def _become(self, mine: Data, merged: Data) -> None:
        _take_extras(mine)
        self._extras = _take_extras(merged)
        self._our_containers().update(self.data, mine, merged)
        self._written = True

    def mark(self) -> _Mark:
        """Return what :meth:`go_back` takes to come back to this state."""
        return _Mark(
            Snapshot(self.data, partial(freeze, self._serializer)),
            # what is ours must be known before somebody else is asked
            self._our_containers(),
            self.base,
            self._extras,
            self.remembered,
            self._written,
            self._shared,
            self._emptied,
        )

    def go_back(self, mark: _Mark) -> None:
        """Take back what was changed since a mark."""
        self._containers = mark.containers
        self.data = mark.snapshot.restore(
            mark.containers, partial(thaw, self._serializer)
        )
        self.base, self._extras = mark.base, mark.extras
        self._written, self._emptied = mark.written, mark.emptied
        self.remembered = mark.remembered
        # the block may have handed out what it did not change
        self._shared |= mark.shared

    def is_unsaved(self) -> bool:
        """Tell whether the data differs from what is stored."""
        try:
            if self.base is None:
                return bool(self.data)
            return self.changed_payload() is not None
        except PayloadNotSerializable:
            return True

    def let_go(self) -> None:
        """Look at nested data no longer, if nobody holds any of it."""
        containers = self._containers
        if (
            not self._viewed
            and containers is not None
            and not (
                containers.held(self.data) or containers.has_others(self.data)
            )
        ):
            self._shared = False

    def is_held(self) -> bool:
        """Tell whether somebody holds data that the session made."""
        return self._containers is not None and self._containers.held(
            self.data
        )

    def _our_containers(self) -> Containers:
        containers = self._containers
        if containers is None:
            # nobody has seen a dict or list in it yet, but what was put in
            containers = self._containers = Containers()
            containers.note(self.data)
        return containers

    def _dump(self, data: Data) -> Payload:
        payload = dump(self._serializer, data)
        self._emptied_since = frozenset()
        return payload

    def _to_store(self) -> Data:
        """Return the data as it goes into the payload."""
        data = self.data or {}
        for key, problem in _RESERVED.items():
            if key in data:
                raise PayloadNotSerializable(key, problem)
        counts = self._count_popped() or None
        return _with_extras(data, self._extras._replace(popped=counts))

    def _count_popped(self) -> dict[str, int]:
        counts = dict(self._extras.popped or {})
        if self._emptied and self.base is not None:
            base = load(self._serializer, self.base)
            before = _take_extras(base).popped or {}
            for key in self._emptied:
                queue = base.get(key)
                if queue and isinstance(queue, list):
                    counts[key] = before.get(key, 0) + len(queue)
        return counts


def _equal(stored: Data, mine: Data) -> bool:
    # what "==" tells apart need not be looked at more closely
    return stored == mine and same(stored, mine)


def _with_extras(data: Data, extras: _Extras) -> Data:
    values = {
        IDLE_TIMEOUT_KEY: extras.idle_timeout,
        POPPED_KEY: extras.popped,
    }
    added = {key: each for key, each in values.items() if each is not None}
    return {**data, **added} if added else data


def _take_extras(data: Data) -> _Extras:
    return _Extras(
        data.pop(IDLE_TIMEOUT_KEY, None), data.pop(POPPED_KEY, None)
    )
