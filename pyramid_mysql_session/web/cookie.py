"""Makes the session cookie, and reads it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

from webob.cookies import SignedSerializer, make_cookie
from webob.request import BaseRequest

from ..store.keys import SESSION_ID_LENGTH

_SALT = 'pyramid_mysql_session.'
_HASH = 'sha512'
# how many Cookie headers a process keeps in memory, and of what length
_REMEMBERED = 1024
_REMEMBERED_LENGTH = 4096
# more than any server lets through, to say nothing of browsers
_MOST_IDS = 2000
# SignedSerializer writes base64url without padding of signature and id
_COOKIE_LENGTH = -(
    -(hashlib.new(_HASH).digest_size + SESSION_ID_LENGTH) * 4 // 3
)

# in the place of a value; no name has it
_VALUE = '{}'
_PORT = re.compile(':[0-9]*$')


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

    #: Each that one of the secrets signed, in the order sent.
    session_ids: tuple[str, ...] = ()
    #: Those of them whose cookie should be issued anew.
    outdated: frozenset[str] = frozenset()
    #: Whether there is a cookie that nobody signed.
    forged: bool = False

    def __repr__(self) -> str:
        return f'<Presented {len(self.session_ids)} ids>'


_NOTHING = Presented()


class CookieReader:
    """
    Finds session ids in Cookie headers.

    A header may have several cookies of our name: another application of the
    host sets one for ``/``, or ours had another path once. Browsers send that
    of the longest path first (RFC 6265 section 5.4).

    :param name: of the cookie.
    """

    def __init__(self, name: str, signer: CookieSigner) -> None:
        self._name = name
        self._signer = signer
        # whatever other cookies hold, a semicolon ends them, and a comma
        # joins two headers; neither is possible in ours
        self._pattern = re.compile(
            rf'(?:^|[;,])[ \t]*{re.escape(name)}[ \t]*=[ \t]*([^;,]*)'
        )
        # a page's requests all bring the same header within a moment
        self._remembered = lru_cache(_REMEMBERED)(self._parse)

    def read(self, request: Any) -> Presented:
        """Return what the cookies of a request say, verified."""
        header = request.environ.get('HTTP_COOKIE')
        if header is None and not isinstance(request, BaseRequest):
            # requests of tests may have cookies without a header
            value = request.cookies.get(self._name)
            header = None if value is None else f'{self._name}={value}'
        if header is None:
            return _NOTHING
        if len(header) > _REMEMBERED_LENGTH:
            return self._parse(header)
        return self._remembered(header)

    def replace(self, header: str, value: str | None) -> str:
        """
        Return a header with another cookie in the place of all of ours.

        :param value: ``None`` for no cookie.
        """
        others = self._pattern.sub('', header).lstrip('; \t')
        ours = '' if value is None else f'{self._name}={value}'
        return '; '.join(filter(None, [ours, others]))

    def _parse(self, header: str) -> Presented:
        # whether the cookie is outdated, by id
        found: dict[str, bool] = {}
        values = self._pattern.findall(header)
        for value in values:
            with suppress(ValueError):
                session_id, old = self._signer.verify(value.strip('" \t'))
                found[session_id] = old and found.get(session_id, True)
                if len(found) == _MOST_IDS:
                    break
        return Presented(
            tuple(found),
            frozenset(each for each, old in found.items() if old),
            bool(values) and not found,
        )


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
    secure: bool | str  # 'auto' is as the request is
    httponly: bool
    samesite: str | None
    set_on_exception: bool
    #: What was said already of why browsers may drop the cookie.
    doubted: set[str]

    def __repr__(self) -> str:
        return f'<CookiePolicy of {self.name}>'

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
        look = {
            'path': self.path,
            'domain': self.domain,
            'secure': secure,
            'httponly': self.httponly,
            'samesite': self.samesite,
        }
        line: str
        if value is None or max_age is not None:
            # it tells a date
            line = make_cookie(self.name, value, max_age=max_age, **look)
        else:
            line = _line(self.name, **look).replace(_VALUE, value, 1)
        return line

    def doubt(self, scheme: str, request: Any) -> str | None:
        """
        Say why browsers may drop the cookie, if that was not said yet.

        :param scheme: of the request, as a proxy has passed it on.
        :param request: knows the host, likewise.
        """
        if self.secure is True and scheme != 'https':
            doubt = (
                'mysql_session.cookie_secure is true, and a request came over '
                'http, where browsers drop the cookie: set it to auto, or let '
                'the WSGI server trust the proxy that speaks https'
            )
        elif self.domain and not self._covers(getattr(request, 'host', '')):
            doubt = (
                f'mysql_session.cookie_domain = {_domain(self.domain)!r} is '
                'not the domain of a host that a request asked for, and '
                'browsers drop the cookie there: set it to that host or to '
                'what it ends with, or leave it out'
            )
        else:
            return None
        if doubt in self.doubted:
            return None
        self.doubted.add(doubt)
        return doubt

    def add(self, response: Any, line: str) -> None:
        """Let a response set the cookie by a line, and by no other."""
        headers, cached = [], False
        for header in response.headerlist:
            name = header[0].lower()
            cached = cached or name == 'cache-control'
            if name != 'set-cookie' or not self._is_ours(header[1]):
                headers.append(header)
        headers.append(('Set-Cookie', line))
        if not cached:
            headers.append(('Cache-Control', 'no-store'))
        response.headerlist = headers

    def remove(self, response: Any, value: str | None) -> None:
        """Take a cookie away from a response, if that sets it."""
        line = f'{self.name}={value or ""};'
        response.headerlist = [
            header
            for header in response.headerlist
            if header[0].lower() != 'set-cookie'
            or not header[1].startswith(line)
        ]

    def is_set_by(self, response: Any, value: str | None) -> bool:
        """
        Tell whether a response sets the cookie as one of us has.

        :param value: ``None`` deletes the cookie.
        """
        set_value = self._value_set_by(response)
        if set_value is None:
            return False
        return set_value == (value or '') or bool(self.id_set_by(response))

    def id_set_by(self, response: Any) -> str | None:
        """Return the session id of the cookie that a response sets."""
        try:
            return self.signer.verify(self._value_set_by(response) or '')[0]
        except ValueError:
            return None

    def _value_set_by(self, response: Any) -> str | None:
        lines = response.headers.getall('Set-Cookie')
        ours = [line for line in lines if self._is_ours(line)]
        # of several the last one counts
        return ours[-1].split(';')[0].partition('=')[2] if ours else None

    @property
    def scope(self) -> tuple[str, str, str]:
        """What tells the cookie from others, RFC 6265 section 5.3."""
        return self.name, self.path, _domain(self.domain)

    def _covers(self, host: str) -> bool:
        """Tell whether a host is in the domain of the cookie."""
        name = _PORT.sub('', host).lower()
        return f'.{name}'.endswith(f'.{_domain(self.domain)}')

    def _is_ours(self, line: str) -> bool:
        """Tell whether a Set-Cookie line is about this very cookie."""
        if not line.startswith(f'{self.name}='):
            return False
        # without a path it would be the one of the request
        path = domain = ''
        for attribute in line.split(';')[1:]:
            key, _, value = attribute.strip().partition('=')
            if key.lower() == 'path':
                path = value
            elif key.lower() == 'domain':
                domain = value
        return (self.name, path, _domain(domain)) == self.scope


@lru_cache
def _line(name: str, **look: Any) -> str:
    """Make a line to put the value in, which takes a moment."""
    line: str = make_cookie(name, _VALUE, **look)
    return line


def _domain(name: str | None) -> str:
    return (name or '').lower().lstrip('.')


def vary_on_cookie(response: Any) -> None:
    """Tell caches that the response depends on the cookie."""
    # RFC 9110 section 12.5.5
    headers = response.headerlist
    for index, (name, text) in enumerate(headers):
        if name.lower() == 'vary':
            names = {each.strip().lower() for each in text.split(',')}
            if names.isdisjoint(['*', 'cookie']):
                before = f'{text}, ' if text.strip() else ''
                headers[index] = name, f'{before}Cookie'
            return
    headers.append(('Vary', 'Cookie'))
