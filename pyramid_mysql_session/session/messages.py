"""Keeps translation strings whole in flash queues, which hold plain data."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from pyramid.i18n import TranslationString

_KEY = '_translation_string_'


def pack(message: Any) -> Any:
    """Return a message with plain data for each translation string in it."""
    try:
        return _rebuild(message, _plain, {})
    except RecursionError:
        # it is refused when it is stored
        return message


def unpack(message: Any) -> Any:
    """Return the message of which :func:`pack` has made plain data."""
    return _rebuild(message, _translation_string, {})


def _plain(part: Any) -> Any:
    if isinstance(part, TranslationString):
        # what its constructor takes
        parts = (
            str.__str__(part),
            part.domain,
            part.default,
            part.mapping and dict(part.mapping),
            part.context,
        )
        return {_KEY: [*map(pack, parts)]}
    if isinstance(part, dict) and _KEY in part:
        # it only looks like one of ours
        return {_KEY: {'not': [[key, pack(part[key])] for key in part]}}
    return part


def _translation_string(part: Any) -> Any:
    if type(part) is dict and part.keys() == {_KEY}:
        found = part[_KEY]
        if isinstance(found, dict):
            return {key: unpack(value) for key, value in found['not']}
        return TranslationString(*map(unpack, found))
    return part


def _rebuild(
    part: Any, change: Callable[[Any], Any], known: dict[int, Any]
) -> Any:
    """
    Return what a change makes of a message, itself if that is nothing.

    :param known: what has become of its parts so far: one may stand in many
        places, or contain itself.
    """
    if not isinstance(part, (str, dict, list, tuple)):
        return part
    if id(part) not in known:
        known[id(part)] = part
        known[id(part)] = _rebuild_once(part, change, known)
    return known[id(part)]


def _rebuild_once(
    part: Any, change: Callable[[Any], Any], known: dict[int, Any]
) -> Any:
    changed = change(part)
    if changed is not part:
        return changed
    if isinstance(part, dict):
        values = [_rebuild(each, change, known) for each in part.values()]
        if any(map(operator.is_not, values, part.values())):
            return dict(zip(part, values, strict=True))
    elif isinstance(part, (list, tuple)):
        items = [_rebuild(each, change, known) for each in part]
        if any(map(operator.is_not, items, part)):
            return items if isinstance(part, list) else tuple(items)
    return part
