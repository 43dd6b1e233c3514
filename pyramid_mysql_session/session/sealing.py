"""Seals payloads so that only who has the cookie can read or make them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeGuard

from ..errors import SessionError
from .serializers import Payload

# no text in UTF-8 begins so, nor does a pickle
_MAGIC = b'\x00\xffS1'
# NIST SP 800-38D section 8.2: 96 random bits, for less than 2**32 payloads of
# one key; a session is not saved so often under one id
_NONCE_BYTES = 12
# of how many sessions a process keeps the keys in memory; it has the secret
# and the ids there, too
_REMEMBERED = 1024
_INFO = b'pyramid_mysql_session payload 1'


class Opened(NamedTuple):
    """A payload that was read."""

    payload: Payload
    #: Whether it was stored in the form in which it would be stored now.
    current: bool

    def __repr__(self) -> str:
        return f'<Opened of {len(self.payload)} bytes>'


class Seal(Protocol):
    """What is done to payloads on their way to the table and back."""

    #: Whether what is stored under one id cannot be read under another.
    binds: bool

    def close(self, payload: Payload, session_id: str) -> Payload:
        """Return what is stored of a payload under an id."""

    def open(self, payload: Payload, session_id: str) -> Opened:
        """
        Return the payload that is stored under an id.

        :raises ValueError: it was not stored under this id, or not so.
        """


class NoSeal:
    """
    Stores payloads as they are.

    :param text: whether the serializer makes ``str``.
    """

    binds = False

    def __init__(self, text: bool = False) -> None:
        self._text = text

    def close(self, payload: Payload, session_id: str) -> Payload:
        return payload

    def open(self, payload: Payload, session_id: str) -> Opened:
        return Opened(as_made(payload, self._text), True)


class SessionSeal:
    """
    Encrypts and authenticates payloads with a key that the table lacks.

    AES-256-GCM (NIST SP 800-38D). The key is made by HKDF-SHA256 (RFC 5869)
    of the session id, which only the cookie holds, salted with the signing
    secret: else a visitor, who has an id, could make payloads for it. The
    stored key, a hash of the id, is authenticated with the payload.

    :param stored_key: computes it of a session id.
    :param secrets: the first seals, all open.
    :param text: whether the serializer makes ``str``.
    :param seals: whether payloads are sealed that are stored from now on.
    :param reads_plain: whether payloads are read, too, that are not sealed.
    """

    def __init__(
        self,
        stored_key: Callable[[str], bytes],
        secrets: Sequence[str],
        *,
        text: bool,
        seals: bool = True,
        reads_plain: bool = False,
    ) -> None:
        # an optional dependency
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        # a page's requests all need the same
        @lru_cache(_REMEMBERED)
        def cipher(secret: bytes, session_id: str) -> AESGCM:
            derivation = HKDF(SHA256(), length=32, salt=secret, info=_INFO)
            return AESGCM(derivation.derive(session_id.encode('ascii')))

        self._cipher = cipher
        self._secrets = [secret.encode() for secret in secrets]
        self._invalid = InvalidTag
        self._stored_key = stored_key
        self._text = text
        self._reads_plain = reads_plain
        self.binds = seals

    def close(self, payload: Payload, session_id: str) -> Payload:
        if not self.binds:
            return payload
        nonce = os.urandom(_NONCE_BYTES)
        plain = payload.encode() if isinstance(payload, str) else payload
        cipher = self._cipher(self._secrets[0], session_id)
        sealed = cipher.encrypt(nonce, plain, self._stored_key(session_id))
        return _MAGIC + nonce + sealed

    def open(self, payload: Payload, session_id: str) -> Opened:
        if not is_sealed(payload):
            if self._reads_plain:
                return Opened(as_made(payload, self._text), not self.binds)
            raise ValueError('the payload is not sealed')
        begin = len(_MAGIC) + _NONCE_BYTES
        nonce, sealed = payload[len(_MAGIC) : begin], payload[begin:]
        key = self._stored_key(session_id)
        current = self.binds
        for secret in self._secrets:
            # what is too short is no nonce
            with suppress(self._invalid, ValueError):
                cipher = self._cipher(secret, session_id)
                plain = cipher.decrypt(nonce, sealed, key)
                return Opened(as_made(plain, self._text), current)
            current = False
        raise ValueError('the payload was not sealed by us')


def as_made(payload: Payload, text: bool) -> Payload:
    """
    Return a payload as its serializer has made it.

    :param text: whether that makes ``str``, of which a binary column makes
        bytes.
    :raises ValueError: it has not made this one.
    """
    if text and isinstance(payload, bytes):
        return payload.decode('utf-8')
    return payload


def is_sealed(payload: Payload) -> TypeGuard[bytes]:
    """Tell whether a payload looks like a sealed one."""
    return isinstance(payload, bytes) and payload.startswith(_MAGIC)


def see_that_it_is_open(payload: Payload) -> Payload:
    """
    Return a payload that is not sealed.

    :raises pyramid_mysql_session.SessionError: it is.
    """
    if is_sealed(payload):
        raise SessionError(
            'The session is sealed: only its own cookie opens it. Read its '
            'data in a request of its visitor.'
        )
    return payload
