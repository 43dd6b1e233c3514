"""Notes how data is, to go back to it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from .containers import Containers, children, parts


class Snapshot:
    """
    Data as it was, to go back to.

    :param freeze: returns what stands for an object that is neither scalar
        nor container, or ``None`` if nothing can.
    """

    __slots__ = ('_contents', '_freeze', '_frozen', '_root')

    def __init__(self, data: Any, freeze: Callable[[Any], Any]) -> None:
        self._root = data
        self._freeze = freeze
        # of each container the object and what was in it; tuples are their
        # own contents
        self._contents: dict[int, tuple[Any, Any]] = {}
        self._frozen: dict[int, tuple[Any, Any]] = {}
        for part in parts(data):
            if isinstance(part, dict):
                self._contents[id(part)] = part, dict(part)
            elif isinstance(part, list):
                self._contents[id(part)] = part, list(part)
            elif isinstance(part, tuple):
                self._contents[id(part)] = part, part
            else:
                self._frozen[id(part)] = part, freeze(part)

    def image(self) -> Any:
        """Return a copy of the data as it was."""
        copies: dict[int, Any] = {}

        def was(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(was, value))
            return copies.get(id(value), value)

        for key, (_, content) in self._contents.items():
            if not isinstance(content, tuple):
                copies[key] = copy.copy(content)
        for content in copies.values():
            if isinstance(content, dict):
                content.update({k: was(v) for k, v in content.items()})
            else:
                content[:] = map(was, content)
        return was(self._root)

    def restore(
        self, containers: Containers, thaw: Callable[[Any], Any]
    ) -> Any:
        """
        Return the data as it was.

        The session's own containers are changed back in place; those of the
        application that were changed are replaced.

        :param thaw: makes an object of what ``freeze`` returned.
        """
        stale = {
            key
            for key, (part, content) in self._contents.items()
            if _differs(part, content)
        }
        instead: dict[int, Any] = {}
        for key, (part, frozen) in self._frozen.items():
            if frozen is not None and self._freeze(part) != frozen:
                instead[key] = thaw(frozen)
        # what the application made cannot be changed: what holds something
        # that is replaced is replaced, too
        before = -1
        while before != len(stale):
            before = len(stale)
            replaced = {*stale, *instead}
            stale |= {
                key
                for key, (part, content) in self._contents.items()
                if key not in stale
                for child in children(content)
                if id(child) in replaced
                and (id(child) in instead or not containers.made(child))
            }
        for key in stale:
            part, content = self._contents[key]
            if not containers.made(part) and not isinstance(content, tuple):
                # of its own kind: a serializer may know more than dict
                instead[key] = copy.copy(part)
                containers.add(instead[key])

        def was(value: Any) -> Any:
            key = id(value)
            if isinstance(value, tuple) and key in stale:
                make = getattr(value, '_make', tuple)
                return make(map(was, value))
            return instead.get(key, value)

        for key in stale:
            part, content = self._contents[key]
            target = instead.get(key, part)
            if isinstance(content, dict):
                target.clear()
                target.update({k: was(v) for k, v in content.items()})
            elif isinstance(content, list):
                target[:] = map(was, content)
        return was(self._root)


def _differs(part: Any, content: Any) -> bool:
    if len(part) != len(content):
        return True
    if isinstance(part, dict):
        return any(
            value is not was
            # 1 and True are one key, but not one name in JSON
            or (
                key is not name
                and (type(key) is not type(name) or key != name)
            )
            for (key, value), (name, was) in zip(
                part.items(), content.items(), strict=True
            )
        )
    return any(
        one is not other for one, other in zip(part, content, strict=True)
    )
