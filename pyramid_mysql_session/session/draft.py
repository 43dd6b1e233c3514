"""The data of one request: what was loaded, and what became of it."""

from __future__ import annotations

import marshal
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from ..errors import PayloadNotSerializable, UserIDError
from .containers import Containers
from .extras import (
    NO_EXTRAS,
    UNKNOWN,
    USERID_KEY,
    Extras,
    refuse_reserved,
    take_extras,
    with_extras,
)
from .merge import FLASH_PREFIX, merge, same
from .serializers import (
    JSONSerializer,
    Payload,
    dump,
    freeze,
    load,
    shows_all,
    thaw,
)
from .snapshot import Snapshot

Data = dict[str, Any]
#: What values were when they could last be told to be stored, by their keys.
Prints = dict[Any, bytes | None]

# what cannot be changed without the session's noticing
_IMMUTABLE = frozenset({str, int, float, bool, bytes, type(None)})


class _Mark(NamedTuple):
    """A draft as it was."""

    snapshot: Snapshot
    containers: Containers
    base: Payload | None
    extras: Extras
    answer: Any
    remembered: bool
    changes: int
    prints: Prints
    emptied: frozenset[str]


class Draft:
    """
    The data of one request.

    It knows no store: it takes and gives payloads.

    :param serializer: turns data into payloads.
    :param userid_key: where the user id stands in the data.
    :param longest_timeout: seconds that an idle time-out has at most.
    :param ask_userid: tells the user id instead, :data:`UNKNOWN` at last.

    :ivar data: what the application works with; ``None`` before its first
        use.
    :ivar base: the payload that is stored as far as we know, ``None``
        without a record.
    :ivar remembered: whether :meth:`remember` was called.
    """

    data: Data | None = None
    base: Payload | None = None
    remembered = False
    # what was told last of the user id, and whether somebody is being asked
    _answer: Any = UNKNOWN
    _asking = False
    # made when the first object that can be changed is handed out
    _containers: Containers | None = None
    _extras = NO_EXTRAS
    # the flash queues of the base that this request has emptied; those that
    # it has emptied since the last payload was made
    _emptied: frozenset[str] = frozenset()
    _emptied_since: frozenset[str] = frozenset()
    # how often a key was changed since it was stored, and how often before
    # the last payload was made
    _changes = 0
    _changes_of_payload = 0
    # whether a key may stand elsewhere than in the base
    _reordered = False
    # somebody has a view of the data
    _viewed = False

    def __init__(
        self,
        serializer: Any,
        userid_key: str,
        longest_timeout: int | None = None,
        ask_userid: Callable[[], Any] | None = None,
    ) -> None:
        self._serializer = serializer
        self._userid_key = userid_key
        self._longest_timeout = longest_timeout
        self._ask_userid = ask_userid
        # of the values that somebody may change behind our back; and as they
        # were when the last payload was made
        self._prints: Prints = {}
        self._prints_of_payload: Prints = {}

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
        if self._changes or not self._prints:
            return bool(self._changes)
        data = self.data or {}
        # another thread may use the session
        for key, known in list(self._prints.items()):
            if known is None or _print(data.get(key)) != known:
                return True
        return False

    @property
    def userid(self) -> Any:
        """The user id, ``None`` without one, as of the last payload."""
        return self.userid_in(self.data or {})

    @property
    def stored_userid(self) -> str | None:
        """The text of the user id that is stored as far as we know."""
        userid = None if self.base is None else self.userid_of(self.base)
        return None if userid is None else str(userid)

    def userid_of(self, payload: Payload) -> Any:
        """Return the user id in a payload."""
        data = load(self._serializer, payload)
        extras = take_extras(data)
        if self._ask_userid is not None:
            return extras.userid
        return data.get(self._userid_key)

    def userid_in(self, data: Data) -> Any:
        """Return the user id, with this data instead of ours."""
        if self._ask_userid is not None:
            return self._extras.userid
        return data.get(self._userid_key)

    @property
    def confirmed(self) -> int | None:
        """
        How old the session was, in seconds, when its user was confirmed.

        ``None`` if the user who is logged in now was not.
        """
        self.learn_userid()
        return self._extras.confirmed_at(self.userid)

    def learn_userid(self) -> None:
        """
        Ask for the user id, where it is not in the data.

        Not while a change is being made or merged, for who is asked may use
        the session.

        :raises pyramid_mysql_session.UserIDError: it can be none.
        """
        if self._ask_userid is None or self._asking:
            return
        self._asking = True
        try:
            userid = self._ask_userid()
        finally:
            self._asking = False
        if userid is UNKNOWN:
            return
        if userid is not None and (
            isinstance(userid, bool) or not isinstance(userid, (str, int))
        ):
            raise UserIDError(userid)
        if userid == self._answer:
            # if others have logged in since it was told, that is newer
            return
        self._answer = userid
        if userid != self._extras.userid:
            self._extras = self._extras._replace(userid=userid)
            self.write()

    def confirm(self, age: int) -> None:
        """Note that the user was confirmed when the session was so old."""
        self.learn_userid()
        self._extras = self._extras.with_confirmation(age, self.userid)
        self._changes += 1

    def begin(self) -> None:
        """Begin with no data and no record."""
        self.data, self.base = {}, None
        self._containers = None
        self._extras = NO_EXTRAS
        self._answer = UNKNOWN
        self._emptied = self._emptied_since = frozenset()
        self.remembered = self._reordered = False
        self._changes = self._changes_of_payload = 0
        self._prints = {}

    def decode(self, payload: Payload) -> Data:
        """
        Begin with what is stored; return what :attr:`data` is to become.

        :raises ValueError: the payload is malformed.
        """
        data = dict(load(self._serializer, payload))
        self._extras = take_extras(data)
        self.base = payload
        return data

    def hand_out(self, key: Any) -> Any:
        """
        Return a value that somebody may then change behind our back.

        :raises KeyError: there is none.
        """
        data: Data = self.data  # type: ignore[assignment]
        value = data[key]
        if type(value) not in _IMMUTABLE and key not in self._prints:
            containers = self._known_containers()
            if self._makes_trees:
                # nobody has seen a dict or list in it yet
                containers.note_tree(value)
            # another thread may have handed it out meanwhile
            self._prints.setdefault(key, _print(value))
        return value

    def put_in(self, key: Any, value: Any) -> None:
        """Set a value, which somebody has and may change."""
        data: Data = self.data  # type: ignore[assignment]
        if type(value) not in _IMMUTABLE:
            # before it is among what we have loaded
            self._known_containers()
            self._prints[key] = None
        else:
            self._prints.pop(key, None)
        data[key] = value
        self.write()

    def hand_out_all(self) -> Data:
        """Note that somebody has the whole data, and return it."""
        data: Data = self.data  # type: ignore[assignment]
        for key in data:
            self.hand_out(key)
        # who holds a view of it finds what is in it later
        self._viewed = True
        return data

    def write(self) -> None:
        """Note that the data was changed."""
        self._changes += 1
        if self._extras.confirmed is not None:
            # not even if the same user comes back within the request
            self._extras = self._extras.without_others(self.userid)

    def forget_queue(self, key: Any) -> None:
        """Note that a key is about to be removed."""
        self._reordered = True
        if isinstance(key, str) and key.startswith(FLASH_PREFIX):
            self._emptied |= {key}
            self._emptied_since |= {key}

    def remember(self, seconds: int | None) -> None:
        """Give the session an idle time-out of its own."""
        self._extras = self._extras._replace(idle_timeout=seconds)
        self._changes += 1
        self.remembered = True

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
            if not (self._prints or self._reordered) and shows_all(
                self._serializer, self.base
            ):
                return payload
            stored = load(self._serializer, self.base or '')
            # a tuple is not the list that it becomes
            if not _equal(stored, mine) and not _equal(
                stored, load(self._serializer, payload)
            ):
                return payload
            # the order of keys may differ, and a JSON column gives its text
            # a form of its own
            self.base = payload
        self._note_stored()
        return None

    def saved(self, payload: Payload) -> None:
        """Note that a payload is stored, the last that was made of this."""
        self.base = payload
        if self._emptied:
            stored = load(self._serializer, payload)
            popped = take_extras(stored).popped
            self._extras = self._extras._replace(popped=popped)
            self._emptied = self._emptied_since
        self._note_stored()

    def _note_stored(self) -> None:
        """Note that what the last payload was made of is stored."""
        if self._prints:
            data, before = self.data or {}, self._prints_of_payload
            self._prints = {
                key: before.get(key, known)
                for key, known in self._prints.items()
                if key in data
            }
        # those that came meanwhile are not
        self._changes -= self._changes_of_payload
        self._changes_of_payload = 0
        self._reordered = bool(self._changes)

    def update(self, payload: Payload | None) -> bool:
        """
        Bring the data up to date with what somebody else has stored.

        :param payload: ``None`` if nobody can read it.
        :returns: whether there were changes of this request to be merged.
        """
        serializer = self._serializer
        base = load(serializer, self.base or dump(serializer, {}))
        mine = load(serializer, self.payload())
        theirs = base
        if payload is not None:
            try:
                theirs = load(serializer, payload)
            except ValueError:
                payload = None
        userid_key = USERID_KEY if self._ask_userid else self._userid_key
        merged = merge(base, mine, theirs, userid_key)
        changed = not same(base, mine)
        self._become(mine, merged)
        # what nobody can read cannot be merged: mine is the later save
        if payload is not None:
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
        before = with_extras(mark.snapshot.image(), mark.extras)
        now = load(serializer, self.payload())
        merged = merge(
            load(serializer, after),
            now,
            load(serializer, dump(serializer, before)),
        )
        self._become(now, merged)

    def _become(self, mine: Data, merged: Data) -> None:
        take_extras(mine)
        self._extras = take_extras(merged)
        self._our_containers().update(self.data, mine, merged)
        self._changes += 1
        self._reordered = True
        if self._viewed:
            self.hand_out_all()

    def mark(self) -> _Mark:
        """Return what :meth:`go_back` takes to come back to this state."""
        return _Mark(
            Snapshot(self.data, partial(freeze, self._serializer)),
            # what is ours must be known before somebody else is asked
            self._our_containers(),
            self.base,
            self._extras,
            self._answer,
            self.remembered,
            self._changes,
            dict(self._prints),
            self._emptied,
        )

    def go_back(self, mark: _Mark) -> None:
        """Take back what was changed since a mark."""
        self._containers = mark.containers
        self.data = mark.snapshot.restore(
            mark.containers, partial(thaw, self._serializer)
        )
        self.base, self._extras = mark.base, mark.extras
        self._answer = mark.answer
        self._changes, self._emptied = mark.changes, mark.emptied
        self.remembered = mark.remembered
        self._reordered = True
        # the block may have handed out what was not handed out before
        data = self.data or {}
        self._prints = {
            key: mark.prints[key] if key in mark.prints else _print(data[key])
            for key in self._prints | mark.prints
            if key in data
        }

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
        if containers is None or self._viewed:
            return
        if not (
            containers.held(self.data, self._prints)
            # whoever puts something in has it stored, and JSON has nothing
            # else that can be changed
            or (
                (self._prints_of_payload or not self._makes_trees)
                and containers.has_others(self.data, self._prints)
            )
        ):
            self._prints, self._containers = {}, None

    def is_held(self) -> bool:
        """Tell whether somebody holds data that the session made."""
        containers = self._containers
        return containers is not None and containers.held(
            self.data, self._prints
        )

    def _known_containers(self) -> Containers:
        """Return what tells the session's own, of values handed out."""
        containers = self._containers
        if containers is None:
            containers = self._containers = Containers(self.data)
            if not self._makes_trees:
                # what is handed out with one key may be in another, too
                containers.note(self.data)
        return containers

    def _our_containers(self) -> Containers:
        """Return what tells the session's own, in all of the data."""
        containers = self._known_containers()
        if self._makes_trees:
            for key, value in (self.data or {}).items():
                # nobody has seen a dict or list in it
                if key not in self._prints:
                    containers.note_tree(value)
        return containers

    @property
    def _makes_trees(self) -> bool:
        """Whether nothing that was loaded stands in two places."""
        return isinstance(self._serializer, JSONSerializer)

    def _dump(self, data: Data) -> Payload:
        known = self.data or {}
        # before it: what is changed meanwhile is not in it
        self._changes_of_payload = self._changes
        self._prints_of_payload = {
            key: _print(known[key])
            for key in list(self._prints)
            if key in known
        }
        payload = dump(self._serializer, data)
        self._emptied_since = frozenset()
        return payload

    def _to_store(self) -> Data:
        """Return the data as it goes into the payload."""
        data = self.data or {}
        refuse_reserved(data)
        extras = self._extras
        if self._emptied:
            extras = extras._replace(popped=self._count_popped() or None)
        if extras.confirmed is not None:
            # merging may have brought another user
            extras = extras.without_others(self.userid)
        return with_extras(data, extras)

    def _count_popped(self) -> dict[str, int]:
        counts = dict(self._extras.popped or {})
        if self.base is not None:
            base = load(self._serializer, self.base)
            before = take_extras(base).popped or {}
            for key in self._emptied:
                queue = base.get(key)
                if queue and isinstance(queue, list):
                    counts[key] = before.get(key, 0) + len(queue)
        return counts


def _print(value: Any) -> bytes | None:
    """
    Return what only an equal value has; ``None`` if nothing can tell.

    An equal value may have another, if parts of it are held more often.
    """
    try:
        # from version 3 on what contains itself is no trouble
        return marshal.dumps(value, 4)
    except ValueError:
        return None


def _equal(stored: Data, mine: Data) -> bool:
    # what "==" tells apart need not be looked at more closely
    return stored == mine and same(stored, mine)
