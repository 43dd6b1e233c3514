"""Makes session ids, signs them for the cookie, computes the stored key."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from functools import lru_cache

from webob.cookies import SignedSerializer

#: 8 hex digits of the creation second and 43 characters of 32 random bytes.
SESSION_ID_LENGTH = 51

_SALT = 'pyramid_mysql_session.'
_HASH = 'sha512'
# how many verified cookies a process keeps in memory
_REMEMBERED = 1024
# SignedSerializer writes base64url without padding of signature and id
_COOKIE_LENGTH = -(
    -(hashlib.new(_HASH).digest_size + SESSION_ID_LENGTH) * 4 // 3
)


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


class CookieSigner:
    """
    Turns session ids into cookie values and back.

    ``verify(value)`` returns the session id of a cookie value, and whether
    an older secret than the first signed it, so that the cookie should be
    issued anew. It raises ``ValueError`` when none of the secrets did.

    :param signing_secrets: at least one; the first signs, all verify.
    """

    def __init__(self, signing_secrets: Sequence[str]) -> None:
        self._signers = [
            SignedSerializer(secret, _SALT, _HASH, serializer=_AsciiText())
            for secret in signing_secrets
        ]
        # a page's requests all bring the same cookie within a moment
        self.verify = lru_cache(_REMEMBERED)(self._verify)

    def sign(self, session_id: str) -> str:
        """Return the cookie value that carries the session id."""
        value: bytes = self._signers[0].dumps(session_id)
        return value.decode('ascii')

    def _verify(self, value: str) -> tuple[str, bool]:
        if len(value) == _COOKIE_LENGTH:
            for signer in self._signers:
                try:
                    session_id: str = signer.loads(value.encode('ascii'))
                except ValueError:
                    continue
                return session_id, signer is not self._signers[0]
        raise ValueError('no secret signed this cookie')


class _AsciiText:
    """The payload of the signature: the session id as it is."""

    def dumps(self, text: str) -> bytes:
        return text.encode('ascii')

    def loads(self, payload: bytes) -> str:
        return payload.decode('ascii')
