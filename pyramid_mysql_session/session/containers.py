"""Knows which dicts and lists a session made, and changes only those."""

from __future__ import annotations

import gc
import sys
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from . import jsonkeys
from .merge import clone, combine, fingerprint, of_kind, same

_MISSING: Any = object()
_CONTAINERS = frozenset({dict, list})
_SCALARS = frozenset({str, int, float, bool, bytes, type(None)})


class Containers:
    """
    The dicts and lists that the session made; others are the application's.

    :param root: a dict of the session's that holds all of them.

    What the application put into a session may be a default of a module or
    stand in the session of another visitor: it is never changed here.
    """

    __slots__ = ('_made', '_root')

    def __init__(self, root: Any = None) -> None:
        self._root = root
        # the objects are kept, so that no other gets one's id
        self._made: dict[int, Any] = {}

    def note(self, value: Any) -> None:
        """Take all dicts and lists in a value for the session's own."""
        self._made.update(
            {
                id(part): part
                for part in parts(value)
                if type(part) in _CONTAINERS
            }
        )

    def note_tree(self, value: Any) -> None:
        """Do the same with what is made of nothing but JSON, and quickly."""
        level = [value]
        while level := [each for each in level if type(each) in _CONTAINERS]:
            self._made.update(zip(map(id, level), level, strict=True))
            # no loop in Python over keys and values of each dict
            level = gc.get_referents(*level)

    def add(self, part: Any) -> None:
        """Take one dict or list for the session's own, not what is in it."""
        if type(part) in _CONTAINERS:
            self._made[id(part)] = part

    def made(self, value: Any) -> bool:
        """Tell whether the session made this object."""
        return id(value) in self._made or value is self._root

    def held(self, data: Any, keys: Iterable[Any]) -> bool:
        """
        Tell whether somebody else holds a part of the data.

        Only the session's own are looked at: what the application made it
        may hold for reasons of its own.

        :param keys: of the values of which anybody has seen a part.
        """
        made = self._made
        # most stand in one place
        if _most_references(made) <= _HELD_AT_ONCE + 1:
            return False
        often = [
            (key, count)
            for key, count in _references(made, data)
            if count > _HELD_BY_US + 1
        ]
        inside = Counter(
            id(child)
            for part in parts(_values(data, keys))
            for child in children(part)
        )
        return any(
            key in inside and count > inside[key] + _HELD_BY_US
            for key, count in often
        )

    def has_others(self, data: Any, keys: Iterable[Any]) -> bool:
        """Tell whether the application made a part of some values."""
        values = _values(data, keys)
        if not all(
            type(value) in _SCALARS or self.made(value) for value in values
        ):
            return True
        _, *others = parts(values)
        return not all(map(self.made, others))

    def update(self, data: Any, mine: Any, merged: Any) -> None:
        """
        Make the data equal to what a merge gave.

        Where the merge changed nothing, the object that stands there stays.
        Else a container of the session's is changed in place, once however
        often it stands in the data, and one of the application's is replaced.

        :param data: the data, as the application holds parts of it.
        :param mine: what would be stored of it.
        :param merged: what it becomes.
        """
        _Update(self, data, mine, merged).carry_out()


class _Wanted(NamedTuple):
    """What one container of the session's becomes."""

    container: Any
    mine: Any
    #: What it becomes in each of the places where it stands.
    places: list[Any]

    @property
    def merged(self) -> Any:
        """What it becomes: others may have changed it in several places."""
        result, *others = self.places
        for other in others:
            if not same(other, result):
                result = combine(self.mine, result, other)
        return result


class _Update:
    """Finds for each container what it becomes, then changes each once."""

    def __init__(
        self, containers: Containers, data: Any, mine: Any, merged: Any
    ) -> None:
        self._containers = containers
        self._wanted: dict[int, _Wanted] = {}
        pending = [(data, mine, merged)]
        while pending:
            live, mine, merged = pending.pop()
            if not _alike(live, mine, merged) or same(mine, merged):
                continue
            if containers.made(live):
                wanted = _Wanted(live, mine, [])
                self._wanted.setdefault(id(live), wanted).places.append(merged)
            pending += [
                match
                for match in _matches(live, mine, merged)
                if match[0] is not _MISSING
            ]

    def carry_out(self) -> None:
        # what is there is read before anything is changed
        contents = [
            (
                wanted.container,
                self._content(wanted.container, wanted.mine, wanted.merged),
            )
            for wanted in self._wanted.values()
        ]
        for container, content in contents:
            container.clear()
            if isinstance(container, dict):
                container.update(content)
            else:
                container.extend(content)

    def _content(self, live: Any, mine: Any, merged: Any) -> Any:
        values = [
            self._value(*match) for match in _matches(live, mine, merged)
        ]
        if isinstance(merged, list):
            return values
        # a number that JSON turns into text stays the number that it is
        names = _names(live, mine)
        content = {
            names.get(key, key): value
            for key, value in zip(merged, values, strict=True)
        }
        return of_kind(merged, content)

    def _value(self, live: Any, mine: Any, merged: Any) -> Any:
        if mine is not _MISSING and same(mine, merged):
            return live
        if _alike(live, mine, merged):
            if id(live) in self._wanted:
                return live
            # it holds what stays of the application's
            value = self._content(live, mine, merged)
            self._containers.add(value)
        else:
            value = clone(merged)
            self._containers.note(value)
        return value


def _references(made: dict[int, Any], root: Any) -> Iterator[tuple[int, int]]:
    for key, part in made.items():
        if part is not root:
            yield key, sys.getrefcount(part)


def _most_references(made: dict[int, Any]) -> int:
    return max(map(sys.getrefcount, made.values()), default=0)


# how many references our own registry and the looking itself make
((_, _HELD_BY_US),) = _references({0: []}, None)
_HELD_AT_ONCE = _most_references({0: []})


def _values(data: Any, keys: Iterable[Any]) -> list[Any]:
    return [data[key] for key in keys if key in data]


def parts(value: Any) -> list[Any]:
    """Return a value and all in it, but scalars; each object once."""
    if type(value) in _SCALARS:
        return []
    found = [value]
    seen = {id(value)}
    # it grows meanwhile
    for part in found:
        below = children(part)
        # most hold nothing but scalars, which is seen without a loop here
        if _SCALARS.issuperset(map(type, below)):
            continue
        for child in below:
            if type(child) not in _SCALARS and id(child) not in seen:
                seen.add(id(child))
                found.append(child)
    return found


def children(part: Any) -> Collection[Any]:
    """Return what is in a dict, list or tuple; nothing else has any."""
    if isinstance(part, dict):
        return part.values()
    return part if isinstance(part, (list, tuple)) else ()


def _alike(live: Any, mine: Any, merged: Any) -> bool:
    """Tell whether all are dicts, or all lists, of which the first are one."""
    if isinstance(live, dict):
        return isinstance(mine, dict) and isinstance(merged, dict)
    return (
        isinstance(live, (list, tuple))
        and isinstance(mine, list)
        and isinstance(merged, list)
        and len(live) == len(mine)
    )


def _names(live: Any, mine: Any) -> dict[Any, Any]:
    """Return the key in the data for each key of what is stored of it."""
    names = {}
    for key in live:
        name = key
        if key not in mine:
            # the later of two with one name counts there
            with suppress(TypeError):
                name = jsonkeys.name(key)
        names[name] = key
    return names


def _matches(
    live: Any, mine: Any, merged: Any
) -> Iterator[tuple[Any, Any, Any]]:
    """Iterate over the items of a merge, and what stands for each so far."""
    if isinstance(merged, dict):
        names = _names(live, mine)
        for key, value in merged.items():
            if key in names and key in mine:
                yield live[names[key]], mine[key], value
            else:
                yield _MISSING, _MISSING, value
        return
    # an item of a list is what it is by its content, not by its place: the
    # other request may have put one of its own in front
    free: dict[Any, deque[tuple[Any, Any]]] = {}
    for pair in zip(live, mine, strict=True):
        free.setdefault(fingerprint(pair[1]), deque()).append(pair)
    free.pop(None, None)
    for value in merged:
        found = free.get(fingerprint(value))
        yield *(found.popleft() if found else (_MISSING, _MISSING)), value
