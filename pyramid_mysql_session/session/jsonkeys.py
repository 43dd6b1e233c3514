"""Lets keys that are no text pass through JSON, whose keys all are."""

from __future__ import annotations

import json
import re
from typing import Any

from .merge import MOST_LEVELS

# such a key is stored as this and its JSON, and so is a text that begins so
_MARK = '~'

#: Where this is not in some JSON, no key of it was escaped.
BEGIN = f'"{_MARK}'

_DIGITS = bytes.maketrans(b'123456789', b'000000000')
_is_suspicious = re.compile(r'"(?:-?[0-9][0-9.e+-]*|true|false|null)":').search


def may_need_escape(payload: str) -> bool:
    """Tell whether data that became this JSON may have such keys."""
    if BEGIN in payload:
        return True
    # a tenth of what the expression costs, where no key ends with a digit
    ends_with_digit = b'0":' in payload.encode().translate(_DIGITS)
    return (
        ends_with_digit
        or '"true":' in payload
        or '"false":' in payload
        or '"null":' in payload
    ) and _is_suspicious(payload) is not None


def escape(value: Any, levels: int = MOST_LEVELS + 1) -> Any:
    """
    Return an equal value whose keys all are text.

    :param levels: how deep to look; what is deeper is refused elsewhere.
    :raises TypeError: a key is neither text, a number, a boolean nor None, or
        stands beside the text that JSON makes of it.
    """
    if not levels:
        return value
    if isinstance(value, dict):
        return {
            _escape_key(key, value): escape(each, levels - 1)
            for key, each in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [escape(each, levels - 1) for each in value]
    return value


def unescape(data: dict[str, Any]) -> dict[Any, Any]:
    """Return one dict, not those in it, with its keys as they were."""
    if any(key.startswith(_MARK) for key in data):
        return {_unescape_key(key): each for key, each in data.items()}
    return data


def name(key: Any) -> str:
    """
    Return what JSON makes of a key.

    :raises TypeError: JSON has no such keys.
    """
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (int, float)):
        return json.dumps(key)
    raise TypeError(f'a key of type {type(key).__name__}')


def _escape_key(key: Any, siblings: dict[Any, Any]) -> str:
    if isinstance(key, str):
        return f'{_MARK}{json.dumps(key)}' if key.startswith(_MARK) else key
    text = name(key)
    if text in siblings:
        raise TypeError('a key beside the text that JSON makes of it')
    return f'{_MARK}{text}'


def _unescape_key(text: str) -> Any:
    if text.startswith(_MARK):
        try:
            key = json.loads(text[len(_MARK) :])
        except ValueError:
            return text
        if key is None or isinstance(key, (str, int, float)):
            return key
    return text
