"""Makes session ids, signs them for the cookie, computes the stored key."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from webob.cookies import RequestCookies, SignedSerializer

#: 8 hex digits of the creation second and 43 characters of 32 random bytes.
SESSION_ID_LENGTH = 51

_SALT = 'pyramid_mysql_session.'
_HASH = 'sha512'
# how many Cookie headers a process keeps in memory, and of what length
_REMEMBERED = 1024
_REMEMBERED_LENGTH = 4096
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

    :param signing_secrets: at least one; the first signs, all verify.
    """

    def __init__(self, signing_secrets: Sequence[str]) -> None:
        self._signers = [
            SignedSerializer(secret, _SALT, _HASH, serializer=_AsciiText())
            for secret in signing_secrets
        ]

    def sign(self, session_id: str) -> str:
        """Return the cookie value that carries the session id."""
        value: bytes = self._signers[0].dumps(session_id)
        return value.decode('ascii')

    def verify(self, value: str) -> tuple[str, bool]:
        """
        Return the session id of a cookie value.

        :returns: with it, whether an older secret than the first signed it,
            so that the cookie should be issued anew.
        :raises ValueError: none of the secrets signed it.
        """
        if len(value) == _COOKIE_LENGTH:
            for signer in self._signers:
                try:
                    session_id: str = signer.loads(value.encode('ascii'))
                except ValueError:
                    continue
                return session_id, signer is not self._signers[0]
        raise ValueError('no secret signed this cookie')


class Presented(NamedTuple):
    """What the Cookie header of a request says."""

    #: ``None`` without a cookie that one of the secrets signed.
    session_id: str | None = None
    #: Whether the cookie should be issued anew.
    reissue: bool = False
    #: Whether there is a cookie that nobody signed.
    forged: bool = False


class CookieReader:
    """
    Finds the session id in Cookie headers.

    :param name: of the cookie.
    """

    def __init__(self, name: str, signer: CookieSigner) -> None:
        self._name = name
        self._signer = signer
        # a page's requests all bring the same header within a moment
        self._remembered = lru_cache(_REMEMBERED)(self._parse)

    def read(self, header: str) -> Presented:
        """Return what a Cookie header says, verified."""
        if len(header) > _REMEMBERED_LENGTH:
            return self._parse(header)
        return self._remembered(header)

    def _parse(self, header: str) -> Presented:
        try:
            value = RequestCookies({'HTTP_COOKIE': header}).get(self._name)
            if value is None:
                return Presented()
            return Presented(*self._signer.verify(value))
        # a UnicodeDecodeError is one, too
        except ValueError:
            return Presented(forged=True)


class _AsciiText:
    """The payload of the signature: the session id as it is."""

    def dumps(self, text: str) -> bytes:
        return text.encode('ascii')

    def loads(self, payload: bytes) -> str:
        return payload.decode('ascii')
