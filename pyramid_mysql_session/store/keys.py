"""Makes session ids and what is computed from them (pure functions)."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from typing import Any

#: 8 hex digits of the creation second and twice 22 characters of 16 random
#: bytes: the family, and the secret part that renewal draws anew.
SESSION_ID_LENGTH = 52

#: How many bytes of the stored key the ids of one family have in common.
FAMILY_BYTES = 16

#: For so many seconds a server may lag, or the clocks of hosts differ.
YOUNG = 5

_HANDLE = re.compile(r'[0-9a-f]{32}')
_SESSION_ID = re.compile(r'[0-9A-Fa-f]{8}[0-9A-Za-z_-]{44}')
_SECOND = 8
_FAMILY = 30
_RANDOM_BYTES = 16


def make_session_id() -> str:
    """
    Make a fresh session id with 256 bits from the system's random source.

    The leading creation second keeps ids that are made one after the other
    close together in the table; nothing depends on it being right. OWASP's
    session management cheat sheet asks for 64 random bits at least; the
    secret part alone has 128.

    :returns: :data:`SESSION_ID_LENGTH` characters of ``[0-9A-Za-z_-]``.
    """
    second = int(time.time()) & 0xFFFFFFFF
    return f'{second:08x}{_random()}{_random()}'


def renew_session_id(session_id: str) -> str:
    """Make a fresh session id of the same family, with a new secret part."""
    return session_id[:_FAMILY] + _random()


def stored_key(session_id: str, shard_bytes: int = 0) -> bytes:
    """
    Compute the primary key under which a session is stored.

    It cannot be turned back into the session id: who reads the table cannot
    take over a session.

    :param session_id: as :func:`make_session_id` made it.
    :param shard_bytes: how many hashed bytes stand in front of the second.
    :returns: 32 bytes: the :func:`handle`, then 16 of SHA-256 of the id.
    :raises ValueError: the text is no session id; it is not repeated.
    """
    handle = _handle(session_id, shard_bytes)
    return handle + hashlib.sha256(session_id.encode('ascii')).digest()[:16]


def family_range(session_id: str, shard_bytes: int = 0) -> tuple[bytes, bytes]:
    """
    Return the least and the greatest key that an id of the family can have.

    At most one row lives between them, whichever id it has by now.

    :raises ValueError: the text is no session id; it is not repeated.
    """
    return handle_range(handle(session_id, shard_bytes))


def is_handle(text: Any) -> bool:
    """Tell whether some text has the form of a :func:`handle`."""
    return isinstance(text, str) and _HANDLE.fullmatch(text) is not None


def is_session_id(text: Any) -> bool:
    """Tell whether some text has the form of a session id."""
    return isinstance(text, str) and _SESSION_ID.fullmatch(text) is not None


def handle_range(handle: str) -> tuple[bytes, bytes]:
    """
    Return the least and the greatest key of the session of a handle.

    :raises ValueError: the text is no handle.
    """
    if not is_handle(handle):
        raise ValueError('a handle is 32 hexadecimal digits in lower case')
    family = bytes.fromhex(handle)
    return family + bytes(16), family + b'\xff' * 16


def is_young_handle(handle: str, shard_bytes: int = 0) -> bool:
    """Tell of a handle what :func:`is_young` tells of a session id."""
    return _is_lately(handle_second(handle, shard_bytes))


def handle_second(handle: str, shard_bytes: int = 0) -> int:
    """Return the second in which the first id of a session was made."""
    return int(handle[2 * shard_bytes :][:_SECOND], 16)


def handle(session_id: str, shard_bytes: int = 0) -> str:
    """
    Name a session so that the name stays when the id is renewed.

    It opens nothing: neither a cookie nor an id can be made of it.

    :returns: 32 hexadecimal digits, the first 16 bytes of the stored key:
        the creation second, big-endian, and 12 of SHA-256 of the family.
    :raises ValueError: the text is no session id; it is not repeated.
    """
    return _handle(session_id, shard_bytes).hex()


def label(session_id: str) -> str:
    """
    Name a session in logs.

    :returns: the last 8 hexadecimal digits of its handle.
    """
    return handle(session_id)[-8:]


def is_young(session_id: str) -> bool:
    """
    Tell whether a session was created so lately that a server may lag.

    Clocks of the hosts that make session ids may differ by as much.
    """
    return _is_lately(int(session_id[:_SECOND], 16))


def _is_lately(second: int) -> bool:
    # four bytes hold it until 2106, and then begin anew
    apart = (int(time.time()) - second) & 0xFFFFFFFF
    return apart <= YOUNG or apart >= 2**32 - YOUNG


def _handle(session_id: str, shard_bytes: int) -> bytes:
    if len(session_id) != SESSION_ID_LENGTH:
        raise ValueError(
            f'a session id has {SESSION_ID_LENGTH} characters, '
            f'this text has {len(session_id)}'
        )
    second = bytes.fromhex(session_id[:_SECOND])
    family = hashlib.sha256(session_id[:_FAMILY].encode('ascii')).digest()
    return family[:shard_bytes] + second + family[shard_bytes:12]


def _random() -> str:
    return secrets.token_urlsafe(_RANDOM_BYTES)
