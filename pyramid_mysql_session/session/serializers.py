"""Turns session data into a payload and back."""

from __future__ import annotations

import json
from typing import Any

from ..errors import PayloadNotSerializable

Payload = str | bytes
Data = dict[str, Any]

# a longer path to a value helps nobody
_PATH_STEPS = 100


class JSONSerializer:
    """
    Session data as compact JSON in plain ASCII.

    ASCII makes the payload independent of every character set between here
    and the table: any ``str`` comes back as it was, emoji, NUL and lone
    surrogates included. NaN and the infinities are no JSON (RFC 8259 section
    6) and are refused. As everywhere in JSON a tuple comes back as a list
    and a key that is a number as text.
    """

    def __init__(self) -> None:
        self._encode = json.JSONEncoder(
            separators=(',', ':'), allow_nan=False
        ).encode
        self._decode = json.JSONDecoder().decode

    def dumps(self, data: Data) -> str:
        """Return the payload, or raise what :mod:`json` raises."""
        return self._encode(data)

    def loads(self, payload: Payload) -> Data:
        """Return the data; a malformed payload is a ``ValueError``."""
        if isinstance(payload, bytes):
            payload = payload.decode('utf-8')
        data: Data = self._decode(payload)
        return data


def dump(serializer: Any, data: Data) -> Payload:
    """
    Serialize session data.

    :raises pyramid_mysql_session.PayloadNotSerializable: names the path of
        the value that the serializer refuses.
    """
    try:
        payload: Payload = serializer.dumps(data)
    # a serializer may be anybody's: pickle alone raises five kinds of error
    except Exception as exc:
        path, value = _culprit(serializer, data)
        problem = f'has a value of type {type(value).__name__}'
        if isinstance(value, float):
            problem = 'is no finite number'
        elif isinstance(exc, RecursionError) or 'Circular' in str(exc):
            problem = 'contains itself or is nested too deeply'
        raise PayloadNotSerializable(path, problem) from exc
    return payload


def load(serializer: Any, payload: Payload) -> Data:
    """
    Deserialize a payload.

    :raises ValueError: the payload is malformed or holds no dict.
    """
    try:
        data = serializer.loads(payload)
    # as above: who cannot read a payload says so in many ways
    except Exception as exc:
        raise ValueError('the payload cannot be decoded') from exc
    if not isinstance(data, dict):
        raise ValueError('the payload holds no dict')
    return data


def _culprit(serializer: Any, data: Any) -> tuple[str, Any]:
    """Return the path to the innermost value that is refused, and it."""
    path, value = '', data
    seen: set[int] = set()
    while id(value) not in seen and len(seen) < _PATH_STEPS:
        seen.add(id(value))
        if isinstance(value, dict):
            children = [
                (f'{path}.{key}' if path else str(key), child)
                for key, child in value.items()
            ]
        elif isinstance(value, (list, tuple)):
            children = [
                (f'{path}[{index}]', child)
                for index, child in enumerate(value)
            ]
        else:
            break
        for child_path, child in children:
            if not _accepts(serializer, child):
                path, value = child_path, child
                break
    return path, value


def _accepts(serializer: Any, value: Any) -> bool:
    try:
        serializer.dumps({'value': value})
    except Exception:  # noqa: BLE001 (as in dump)
        return False
    return True
