"""Makes the session cookie, and reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from webob.cookies import RequestCookies, SignedSerializer, make_cookie

from ..store.keys import SESSION_ID_LENGTH

_SALT = 'pyramid_mysql_session.'
_HASH = 'sha512'
# how many Cookie headers a process keeps in memory, and of what length
_REMEMBERED = 1024
_REMEMBERED_LENGTH = 4096
# SignedSerializer writes base64url without padding of signature and id
_COOKIE_LENGTH = -(
    -(hashlib.new(_HASH).digest_size + SESSION_ID_LENGTH) * 4 // 3
)


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

    def __repr__(self) -> str:
        return f'<Presented {"an id" if self.session_id else "no id"}>'


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


class CookiePolicy(NamedTuple):
    """How the cookie looks, and when it is written."""

    signer: CookieSigner
    reader: CookieReader
    name: str
    path: str
    domain: str | None
    max_age: int | None
    secure: bool | str  # 'auto' is as the request is
    httponly: bool
    samesite: str
    set_on_exception: bool

    def set_cookie(
        self, value: str | None, max_age: int | None, scheme: str
    ) -> str:
        """
        Return the Set-Cookie line of a response.

        :param value: ``None`` deletes the cookie.
        :param max_age: seconds; ``None`` is the end of the browser session.
        :param scheme: of the request.
        """
        secure = self.secure
        if secure == 'auto':
            secure = scheme == 'https'
        line: str = make_cookie(
            self.name,
            value,
            max_age=max_age,
            path=self.path,
            domain=self.domain,
            secure=secure,
            httponly=self.httponly,
            samesite=self.samesite,
        )
        return line


def has_cookie(response: Any, name: str) -> bool:
    """Tell whether a response sets a cookie of some name."""
    return any(
        text.startswith(f'{name}=')
        for text in response.headers.getall('Set-Cookie')
    )


def vary_on_cookie(response: Any) -> None:
    """Tell caches that the response depends on the cookie."""
    # RFC 9110 section 12.5.5
    headers = response.headerlist
    for index, (name, text) in enumerate(headers):
        if name.lower() == 'vary':
            names = {each.strip().lower() for each in text.split(',')}
            if names.isdisjoint(['*', 'cookie']):
                headers[index] = name, f'{text}, Cookie'
            return
    headers.append(('Vary', 'Cookie'))
