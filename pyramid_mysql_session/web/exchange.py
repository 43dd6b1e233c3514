"""Reads and writes the session cookie of one request."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from webob.cookies import make_cookie
from webob.response import iter_close

from .. import events
from ..errors import SessionError
from ..session.session import MySQLSession
from ..session.state import SessionKit
from ..store.keys import label
from .cookie import CookieReader, CookieSigner

try:
    from pyramid_retry import is_error_retryable
except ImportError:  # pyramid_retry is the application's choice

    def is_error_retryable(request: Any, exc: Any) -> bool:
        return False


log = logging.getLogger(__name__)


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


class Exchange:
    """
    One request and its response, as far as the session goes.

    :param on_use: called at the end of a request whose session was loaded or
        saved.
    """

    __slots__ = (
        '_cookie_id',
        '_deferred',
        '_label',
        '_on_use',
        '_policy',
        '_registry',
        '_reissue',
        '_request',
        '_response',
        '_session',
    )

    def __init__(
        self,
        policy: CookiePolicy,
        kit: SessionKit,
        request: Any,
        on_use: Callable[[Any], None],
    ) -> None:
        self._policy = policy
        self._request = request
        self._registry = request.registry
        self._response: Any = None
        self._deferred = False
        self._on_use = on_use
        self._cookie_id, self._reissue, forged = policy.reader.read(
            request.environ.get('HTTP_COOKIE', '')
        )
        self._session: Any = MySQLSession(kit, self, self._cookie_id, forged)
        request.add_response_callback(self._respond)
        request.add_finished_callback(self._finish)

    @property
    def session(self) -> MySQLSession:
        session: MySQLSession = self._session
        return session

    # what the session tells

    def created(self) -> None:
        self._notify(events.SessionCreated(self._request))

    def rejected(self, reason: str) -> None:
        log.debug('session cookie rejected: %s', reason)
        self._notify(events.SessionRejected(self._request, reason))

    def merged(self) -> None:
        self._notify(events.SessionMerged(self._request))

    def lost(self) -> None:
        log.warning(
            'session %s was deleted, renewed or expired while a request used '
            'it; the changes of that request are dropped',
            self._cookie_id and label(self._cookie_id),
        )
        self._notify(events.SessionLost(self._request))

    def _notify(self, event: Any) -> None:
        self._registry.notify(event)

    # what the request and the router tell

    def _respond(self, request: Any, response: Any) -> None:
        if request.response_callbacks and not self._deferred:
            # let the other callbacks change the session first
            self._deferred = True
            request.add_response_callback(self._respond)
            return
        self._response = response
        exception = getattr(request, 'exception', None)
        if exception is not None and (
            not self._policy.set_on_exception
            # pyramid_retry throws this response away
            or is_error_retryable(request, exception)
        ):
            self._session.abandon()
        self._save()

    def _finish(self, request: Any) -> None:
        session = self._session
        if self._response is not None:
            # a later callback or a subscriber may have changed the session
            if self._deferred or self._registry.has_listeners:
                self._save()
            if isinstance(self._response.app_iter, (list, tuple)):
                # no streamed body will come back to the session
                session.let_go()
        elif sys.exc_info()[0] is not None:
            # nobody handled the exception, there is no response
            session.abandon()
        session.finish()
        # the store was asked for it, or has it now
        if session.used and (self._cookie_id or session.session_id):
            self._on_use(request)
        # request, session and this hold one another: let no cycle stay
        self._request = self._response = self._session = None

    def _save(self) -> None:
        try:
            self._session.save()
        except SessionError:
            self._session.abandon()
            self._show_error()
        else:
            self._write(self._response)

    def _show_error(self) -> None:
        """
        Let an exception view answer, or raise the exception again.

        Pyramid's router no longer does that for an error in a callback.
        """
        response = self._response
        rendered = self._request.invoke_exception_view(reraise=True)
        iter_close(response.app_iter)
        response.status = rendered.status
        response.headerlist = rendered.headerlist
        response.app_iter = rendered.app_iter

    def _write(self, response: Any) -> None:
        session, policy = self._session, self._policy
        if not session.used:
            return
        session_id = session.session_id
        max_age = session.own_idle_timeout or policy.max_age
        if session_id is None:
            if session.ended and self._cookie_id is not None:
                self._set_cookie(response, None, None)
        elif (
            session_id != self._cookie_id
            or self._reissue
            or session.remembered
            or (max_age and session.refreshed)
        ):
            value = policy.signer.sign(session_id)
            self._set_cookie(response, value, max_age)
        _vary_on_cookie(response)

    def _set_cookie(
        self, response: Any, value: str | None, max_age: int | None
    ) -> None:
        policy = self._policy
        secure = policy.secure
        if secure == 'auto':
            secure = self._request.scheme == 'https'
        cookie = make_cookie(
            policy.name,
            value,
            max_age=max_age,
            path=policy.path,
            domain=policy.domain,
            secure=secure,
            httponly=policy.httponly,
            samesite=policy.samesite,
        )
        prefix = f'{policy.name}='
        response.headerlist = [
            (name, text)
            for name, text in response.headerlist
            if name.lower() != 'set-cookie' or not text.startswith(prefix)
        ] + [('Set-Cookie', cookie)]
        if 'Cache-Control' not in response.headers:
            response.headers['Cache-Control'] = 'no-store'


def _vary_on_cookie(response: Any) -> None:
    # RFC 9110 section 12.5.5
    headers = response.headerlist
    for index, (name, text) in enumerate(headers):
        if name.lower() == 'vary':
            if '*' not in text and 'cookie' not in text.lower():
                headers[index] = name, f'{text}, Cookie'
            return
    headers.append(('Vary', 'Cookie'))
