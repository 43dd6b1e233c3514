"""Keeps translation strings whole in flash queues, which hold plain data."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from pyramid.i18n import TranslationString

_KEY = '_translation_string_'

Change = Callable[[Any], Any]


def pack(message: Any) -> Any:
    """Return a message with plain data for each translation string in it."""
    return _try_to_rebuild(message, _plain)


def unpack(message: Any) -> Any:
    """Return the message of which :func:`pack` has made plain data."""
    return _try_to_rebuild(message, _translation_string)


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
        return {_KEY: [_rebuild(each, _plain) for each in parts]}
    if isinstance(part, dict) and _KEY in part:
        # it only looks like one of ours
        items = [[key, _rebuild(part[key], _plain)] for key in part]
        return {_KEY: {'not': items}}
    return part


def _translation_string(part: Any) -> Any:
    if type(part) is dict and part.keys() == {_KEY}:
        found = part[_KEY]
        if isinstance(found, dict):
            return {
                key: _rebuild(value, _translation_string)
                for key, value in found['not']
            }
        return TranslationString(
            *(_rebuild(each, _translation_string) for each in found)
        )
    return part


def _try_to_rebuild(message: Any, change: Change) -> Any:
    try:
        return _rebuild(message, change)
    except RecursionError:
        # it contains itself, or is too deep: that is refused when it is stored
        return message


def _rebuild(part: Any, change: Change) -> Any:
    """Return what a change makes of a message, itself if that is nothing."""
    changed = change(part)
    if changed is not part:
        return changed
    if isinstance(part, dict):
        values = [_rebuild(each, change) for each in part.values()]
        if any(map(operator.is_not, values, part.values())):
            return dict(zip(part, values, strict=True))
    elif isinstance(part, (list, tuple)):
        items = [_rebuild(each, change) for each in part]
        if any(map(operator.is_not, items, part)):
            return items if isinstance(part, list) else tuple(items)
    return part
