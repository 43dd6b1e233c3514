"""Makes session ids and computes the stored key."""

from __future__ import annotations

import hashlib
import secrets
import time

#: 8 hex digits of the creation second and 43 characters of 32 random bytes.
SESSION_ID_LENGTH = 51


def make_session_id() -> str:
    """
    Make a fresh session id with 256 bits from the system's random source.

    The leading creation second keeps ids that are made one after the other
    close together in the table; nothing depends on it being right. OWASP's
    session management cheat sheet asks for 64 random bits at least.

    :returns: :data:`SESSION_ID_LENGTH` characters of ``[0-9A-Za-z_-]``.
    """
    second = int(time.time()) & 0xFFFFFFFF
    return f'{second:08x}{secrets.token_urlsafe(32)}'


def stored_key(session_id: str) -> bytes:
    """
    Compute the primary key under which a session is stored.

    It cannot be turned back into the session id: who reads the table cannot
    take over a session.

    :param session_id: as :func:`make_session_id` made it.
    :returns: 32 bytes: the creation second, big-endian, and a SHA-224.
    :raises ValueError: the text is no session id; it is not repeated.
    """
    if len(session_id) != SESSION_ID_LENGTH:
        raise ValueError(
            f'a session id has {SESSION_ID_LENGTH} characters, '
            f'this text has {len(session_id)}'
        )
    second = bytes.fromhex(session_id[:8])
    return second + hashlib.sha224(session_id.encode('ascii')).digest()


def label(session_id: str) -> str:
    """
    Name a session in logs so that nobody can use or find it by the name.

    :returns: the first 8 hex digits of the stored key's hashed part.
    """
    return stored_key(session_id)[4:8].hex()
