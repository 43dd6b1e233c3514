"""Turns session data into a payload and back."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from ..errors import PayloadNotSerializable
from . import jsonkeys
from .merge import MOST_LEVELS

Payload = str | bytes
Data = dict[str, Any]

# a longer path to a value helps nobody
_PATH_STEPS = 100
# Python writes no number of more than 4,300 digits
_MOST_BITS = 4300 * 3

# how a serializer says that a payload is malformed; pickle has words of its
# own. Whatever else it raises is a bug, or the machine's trouble, and no
# reason to throw a session away
_MALFORMED = (ValueError, EOFError, pickle.UnpicklingError)


# as a column of type JSON gives it back
_is_spaced = re.compile(r'\{"(?:[^"\\]|\\.)*": ').match


class JSONSerializer:
    """
    Session data as compact JSON in plain ASCII.

    ASCII makes the payload independent of every character set between here
    and the table: any ``str`` comes back as it was, emoji, NUL and lone
    surrogates included. NaN and the infinities are no JSON (RFC 8259 section
    6) and are refused. As everywhere in JSON a tuple comes back as a list,
    and what is a kind of text or number as plain text or number. A key that
    is a number, a boolean or ``None`` comes back as it was.
    """

    def __init__(self) -> None:
        self._encode = json.JSONEncoder(
            separators=(',', ':'), allow_nan=False
        ).encode
        self._decode = json.JSONDecoder().decode
        self._decode_compact = json.JSONDecoder().raw_decode
        self._decode_keys = json.JSONDecoder(
            object_hook=jsonkeys.unescape
        ).decode

    def dumps(self, data: Data) -> str:
        """Return the payload, or raise what :mod:`json` raises."""
        payload = self._encode(data)
        if jsonkeys.may_need_escape(payload):
            payload = self._encode(jsonkeys.escape(data))
        return payload

    def loads(self, payload: Payload) -> Data:
        """Return the data; a malformed payload is a ``ValueError``."""
        if isinstance(payload, bytes):
            payload = payload.decode('utf-8')
        data: Data
        if jsonkeys.BEGIN in payload:
            data = self._decode_keys(payload)
            return data
        if payload.startswith('{'):
            data, end = self._decode_compact(payload)
            if end == len(payload):
                return data
        # with blanks around it, or malformed
        data = self._decode(payload)
        return data


def dump(serializer: Any, data: Data) -> Payload:
    """
    Serialize session data.

    :raises pyramid_mysql_session.PayloadNotSerializable: names the path of
        the value that the serializer refuses, or of one that contains itself
        or has more than :data:`~.merge.MOST_LEVELS` levels.
    """
    try:
        payload: Payload = serializer.dumps(data)
    except MemoryError:
        raise
    # a serializer may be anybody's: pickle alone raises five kinds of error
    except Exception as exc:
        # what contains itself has no innermost culprit
        _refuse_levels(data, exc)
        raise PayloadNotSerializable(*_culprit(serializer, data)) from exc
    # in our own JSON each level shows
    if not isinstance(serializer, JSONSerializer) or (
        payload.count('{') + payload.count('[') > MOST_LEVELS  # type: ignore
    ):
        _refuse_levels(data)
    return payload


def load(serializer: Any, payload: Payload) -> Data:
    """
    Deserialize a payload.

    :raises ValueError: the payload is malformed or holds no dict.
    """
    try:
        data = serializer.loads(payload)
    except _MALFORMED as exc:
        raise ValueError('the payload cannot be decoded') from exc
    if not isinstance(data, dict):
        raise ValueError('the payload holds no dict')
    return data


def shows_all(serializer: Any, payload: Payload | None) -> bool:
    """
    Tell whether equal data, keys in the same order, gives this payload again.

    If it does not, the text may still be that of equal data.
    """
    return (
        isinstance(serializer, JSONSerializer)
        and isinstance(payload, str)
        and not ('": ' in payload and _is_spaced(payload))
    )


def freeze(serializer: Any, value: Any) -> Payload | None:
    """Serialize one value; return ``None`` if that cannot be done."""
    try:
        payload: Payload = serializer.dumps({'value': value})
    except Exception:  # noqa: BLE001 (as in dump)
        return None
    return payload


def thaw(serializer: Any, payload: Payload) -> Any:
    """Return the value that was serialized by :func:`freeze`."""
    return load(serializer, payload)['value']


def _refuse_levels(data: Data, cause: Exception | None = None) -> None:
    for key, value in data.items():
        if _levels_exceed([value], MOST_LEVELS - 1):
            raise PayloadNotSerializable(
                str(key),
                f'has more than {MOST_LEVELS} levels of dicts and lists, or '
                'contains itself',
            ) from cause


def _levels_exceed(values: Iterable[Any], most: int) -> bool:
    level = _containers(values)
    for _ in range(most):
        if not level:
            return False
        level = _containers(
            child
            for part in level
            for child in (part.values() if isinstance(part, dict) else part)
        )
    return bool(level)


def _containers(values: Iterable[Any]) -> list[Any]:
    # each once: what contains itself twice would double with each level
    return list(
        {
            id(value): value
            for value in values
            if isinstance(value, (dict, list, tuple))
        }.values()
    )


def _culprit(serializer: Any, data: Any) -> tuple[str, str]:
    """Return the path to what is refused, innermost, and what it is."""
    path, value = '', data
    seen: set[int] = set()
    while id(value) not in seen and len(seen) < _PATH_STEPS:
        seen.add(id(value))
        for step, child in _steps(value, path):
            if freeze(serializer, child) is None:
                path, value = step, child
                break
    if isinstance(value, dict):
        for key in value:
            problem = _key_problem(serializer, key, value)
            if problem is not None:
                return _step(path, key), problem
    if isinstance(value, float):
        return path, 'is no finite number'
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return path, 'is a number of too many digits'
    return path, f'has a value of type {type(value).__name__}'


def _steps(value: Any, path: str) -> list[tuple[str, Any]]:
    """Return what is in a dict or list, each with its path."""
    if isinstance(value, dict):
        return [(_step(path, key), child) for key, child in value.items()]
    if isinstance(value, (list, tuple)):
        return [
            (f'{path}[{index}]', child) for index, child in enumerate(value)
        ]
    return []


def _shown(value: Any) -> str:
    """Return the ``repr`` of a number, which Python refuses of a long one."""
    try:
        return repr(value)
    except ValueError:
        return f'<{type(value).__name__}>'


def _step(path: str, key: Any) -> str:
    """Return the path that a key leads to."""
    if not isinstance(key, str):
        # what anybody's object says of itself may be anything
        plain = key is None or isinstance(key, (bool, int, float))
        key = _shown(key) if plain else f'<{type(key).__name__}>'
    return f'{path}.{key}' if path else key


def _key_problem(
    serializer: Any, key: Any, data: dict[Any, Any]
) -> str | None:
    """Say what is wrong with a key of a dict, ``None`` if nothing is."""
    if isinstance(key, str):
        return None
    if freeze(serializer, {key: None}) is None:
        return f'is a key of type {type(key).__name__}'
    with suppress(TypeError):
        name = jsonkeys.name(key)
        if name in data and freeze(serializer, {key: 0, name: 0}) is None:
            return f'is a key beside the text {name!r}, as which JSON has it'
    return None
