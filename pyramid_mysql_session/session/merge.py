"""Three-way merge of session data; a pure function."""

from __future__ import annotations

import copy
from typing import Any

#: Pyramid keeps the flash queue ``name`` under this prefix and the name.
FLASH_PREFIX = '_f_'

Data = dict[str, Any]
_MISSING = object()


def merge(base: Data, mine: Data, theirs: Data) -> Data:
    """
    Merge what two requests made of the same session.

    A side that did not change yields to the side that did, key by key and
    at any depth of nested dicts. Lists that both sides only appended to keep
    both tails, theirs first. A flash queue is a queue: what one side popped
    is gone, what the other pushed stays. In any other double change the
    later save wins, which is ``mine``.

    :param base: the data that this request loaded.
    :param mine: what this request made of it.
    :param theirs: what is stored now.
    :returns: new data that shares no mutable object with the arguments.
    """
    merged = _merge_dicts(base, mine, theirs)
    for key, start in base.items():
        if isinstance(key, str) and key.startswith(FLASH_PREFIX):
            queues = start, mine.get(key, []), theirs.get(key, [])
            if all(isinstance(queue, list) for queue in queues):
                queue = _merge_queues(*queues)
                if queue:
                    merged[key] = queue
                elif merged.get(key):
                    del merged[key]
    return copy.deepcopy(merged)


def same(one: Any, other: Any) -> bool:
    """
    Tell whether both would be stored alike.

    Unlike ``==`` this keeps ``1``, ``1.0`` and ``True`` apart, and ``0.0``
    and ``-0.0``; a NaN equals itself.
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(value, other.get(key, _MISSING)) for key, value in one.items()
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)
    return one is other or bool(one == other)


def _merge_dicts(base: Data, mine: Data, theirs: Data) -> Data:
    merged = {}
    # keys keep the order in which they are stored, new ones come last
    for key in [*theirs, *(key for key in mine if key not in theirs)]:
        value = _merge_values(
            base.get(key, _MISSING),
            mine.get(key, _MISSING),
            theirs.get(key, _MISSING),
        )
        if value is not _MISSING:
            merged[key] = value
    return merged


def _merge_values(base: Any, mine: Any, theirs: Any) -> Any:
    if same(mine, base):
        return theirs
    if same(theirs, base):
        return mine
    if isinstance(mine, dict) and isinstance(theirs, dict):
        # two new dicts under one new key have the empty one in common
        return _merge_dicts(
            base if isinstance(base, dict) else {}, mine, theirs
        )
    if isinstance(mine, list) and isinstance(theirs, list):
        start = base if isinstance(base, list) else []
        if _extends(mine, start) and _extends(theirs, start):
            return theirs + mine[len(start) :]
    return mine


def _extends(value: list[Any], start: list[Any]) -> bool:
    return same(value[: len(start)], start)


def _merge_queues(
    base: list[Any], mine: list[Any], theirs: list[Any]
) -> list[Any]:
    """Return what nobody popped of a flash queue, and what both pushed."""
    mine_popped, theirs_popped = _popped(base, mine), _popped(base, theirs)
    return [
        *base[max(mine_popped, theirs_popped) :],
        *theirs[len(base) - theirs_popped :],
        *mine[len(base) - mine_popped :],
    ]


def _popped(base: list[Any], queue: list[Any]) -> int:
    """Return how many messages are missing at the head of a queue."""
    # who popped it all may have merged what others pushed meanwhile
    count = 0
    while not _extends(queue, base[count:]):
        count += 1
    return count
