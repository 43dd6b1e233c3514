"""Merges session data, and tells when data are equal (pure functions)."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

#: Pyramid keeps the flash queue ``name`` under this prefix and the name.
FLASH_PREFIX = '_f_'

#: Under this key stands how many messages were popped so far of each flash
#: queue: one that is flashed again looks as if it had never been popped.
POPPED_KEY = '_popped_'

#: How many levels of dicts and lists a session may have, itself included:
#: as many as MySQL's JSON type. Below them nothing is merged.
MOST_LEVELS = 100

Data = dict[str, Any]
_MISSING: Any = object()
_TEXT = frozenset({str})


def merge(
    base: Data, mine: Data, theirs: Data, userid_key: str | None = None
) -> Data:
    """
    Merge what two requests made of the same session.

    A side that did not change yields to the side that did, key by key and
    at any depth of nested dicts. Lists that both sides only appended to keep
    both tails, theirs first. A flash queue is a queue: what one side popped
    is gone, what the other pushed stays. In any other double change the
    later save wins, which is ``mine``. If the sides logged in two users, or
    one in and one out, the later save wins as a whole.

    :param base: the data that this request loaded.
    :param mine: what this request made of it.
    :param theirs: what is stored now.
    :param userid_key: where the user id stands.
    :returns: new data that shares no mutable object with the arguments.
    """
    result: Data
    for side, other in ((mine, theirs), (theirs, mine)):
        if same(side, base):
            result = clone(other)
            return result
    if userid_key is not None:
        users = [
            side.get(userid_key, _MISSING) for side in (base, mine, theirs)
        ]
        # two log-ins of the same user do not contradict each other
        if not any(
            same(users[one], users[other])
            for one, other in ((0, 1), (0, 2), (1, 2))
        ):
            result = clone(mine)
            return result
    merged = _merge_dicts(base, mine, theirs, MOST_LEVELS)
    counts = [_counts(side) for side in (base, mine, theirs)]
    merged_counts = {}
    for key in dict.fromkeys([*base, *mine, *theirs, *counts[2], *counts[1]]):
        if isinstance(key, str) and key.startswith(FLASH_PREFIX):
            queues = [side.get(key, []) for side in (base, mine, theirs)]
            if not all(isinstance(queue, list) for queue in queues):
                continue
            queue, count = _merge_queues(
                *queues, *(side.get(key, 0) for side in counts)
            )
            if queue:
                merged[key] = queue
            elif merged.get(key):
                del merged[key]
            if count:
                merged_counts[key] = count
    merged.pop(POPPED_KEY, None)
    if merged_counts:
        merged[POPPED_KEY] = merged_counts
    result = clone(merged)
    return result


def popped(base: list[Any], queue: list[Any]) -> int:
    """Return how many messages seem to be missing at the head of a queue."""
    # who popped it all may have merged what others pushed meanwhile
    count = 0
    while not _extends(queue, base[count:]):
        count += 1
    return count


def combine(base: Any, mine: Any, theirs: Any) -> Any:
    """
    Merge what became of one object in two of the places where it stands.

    Unlike in a merge, what is the same in both is one change.
    """
    return _merge_values(base, mine, theirs, MOST_LEVELS, once=True)


def same(one: Any, other: Any) -> bool:
    """
    Tell whether both would be stored alike.

    Unlike ``==`` this keeps ``1``, ``1.0`` and ``True`` apart, and ``0.0``
    and ``-0.0``; a NaN equals itself. The order of keys is no difference.
    """
    pending = [(one, other)]
    while pending:
        one, other = pending.pop()
        if one is other:
            continue
        if type(one) is not type(other):
            return False
        if isinstance(one, dict):
            if len(one) != len(other) or not _keys_alike(one, other):
                return False
            pending += [
                (value, other.get(key, _MISSING)) for key, value in one.items()
            ]
        elif isinstance(one, (list, tuple)):
            if len(one) != len(other):
                return False
            pending += zip(one, other, strict=True)
        elif isinstance(one, float):
            if repr(one) != repr(other):
                return False
        elif one != other and not _frozen_alike(one, other):
            return False
    return True


def _keys_alike(one: Any, other: Any) -> bool:
    """Tell whether dicts with equal keys have them of the same types."""
    # most keys are text
    if _TEXT.issuperset(map(type, one)):
        return True
    return {(type(key), repr(key)) for key in one} == {
        (type(key), repr(key)) for key in other
    }


def clone(value: Any) -> Any:
    """Copy all dicts and lists in a value, however deep they are nested."""
    if not isinstance(value, (dict, list)):
        return value
    copied = copy.copy(value)
    pending = [copied]
    while pending:
        part = pending.pop()
        items = part.items() if isinstance(part, dict) else enumerate(part)
        for key, child in list(items):
            if isinstance(child, (dict, list)):
                part[key] = copy.copy(child)
                pending.append(part[key])
    return copied


def of_kind(example: Data, data: Data) -> Data:
    """Return a dict of the kind of another: a serializer may know several."""
    if type(example) is dict:
        return data
    other = copy.copy(example)
    other.clear()
    other.update(data)
    return other


def fingerprint(value: Any) -> str | bytes | None:
    """
    Return what is equal only if values are the same, in all likelihood.

    :returns: ``None`` if it cannot be told.
    """
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return _freeze(value)


def _frozen_alike(one: Any, other: Any) -> bool:
    """Compare objects that do not say themselves when they are equal."""
    frozen = _freeze(one)
    return frozen is not None and frozen == _freeze(other)


def _freeze(value: Any) -> bytes | None:
    try:
        return pickle.dumps(value)
    except Exception:  # noqa: BLE001 (objects are anybody's)
        return None


def _merge_dicts(
    base: Data, mine: Data, theirs: Data, levels: int, once: bool = False
) -> Data:
    merged = {}
    # keys keep the order in which they are stored, new ones come last
    for key in [*theirs, *(key for key in mine if key not in theirs)]:
        value = _merge_values(
            base.get(key, _MISSING),
            mine.get(key, _MISSING),
            theirs.get(key, _MISSING),
            levels - 1,
            once,
        )
        if value is not _MISSING:
            merged[key] = value
    return of_kind(mine, merged)


def _merge_values(
    base: Any, mine: Any, theirs: Any, levels: int, once: bool = False
) -> Any:
    if same(mine, base) or (once and same(mine, theirs)):
        return theirs
    if same(theirs, base):
        return mine
    if isinstance(mine, dict) and isinstance(theirs, dict) and levels > 0:
        # two new dicts under one new key have the empty one in common
        return _merge_dicts(
            base if isinstance(base, dict) else {}, mine, theirs, levels, once
        )
    if isinstance(mine, list) and isinstance(theirs, list):
        start = base if isinstance(base, list) else []
        if _extends(mine, start) and _extends(theirs, start):
            return theirs + mine[len(start) :]
    return mine


def _extends(value: list[Any], start: list[Any]) -> bool:
    return same(value[: len(start)], start)


def _counts(data: Data) -> dict[str, int]:
    counts = data.get(POPPED_KEY)
    return counts if isinstance(counts, dict) else {}


def _merge_queues(
    base: list[Any],
    mine: list[Any],
    theirs: list[Any],
    base_count: int,
    mine_count: int,
    theirs_count: int,
) -> tuple[list[Any], int]:
    """
    Return what nobody popped of a flash queue, and what both pushed.

    :returns: with it, how many messages were popped of the queue so far.
    """
    mine_popped = _taken(base, mine, mine_count - base_count)
    theirs_popped = _taken(base, theirs, theirs_count - base_count)
    gone = max(mine_popped, theirs_popped)
    queue = [
        *base[gone:],
        *theirs[len(base) - theirs_popped :],
        *mine[len(base) - mine_popped :],
    ]
    return queue, theirs_count + gone - theirs_popped


def _taken(base: list[Any], queue: list[Any], counted: int) -> int:
    # whoever changes the list by other means than popping does not count
    return min(len(base), max(counted, popped(base, queue)))
