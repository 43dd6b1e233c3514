"""Reads and writes the session cookie of one request."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import proxy

from webob.response import iter_close

from .. import events
from ..errors import SessionError, StoreUnavailable
from ..session.extras import UNKNOWN
from ..session.kit import SessionKit
from ..session.saving import Saving
from ..session.session import MySQLSession
from ..store.keys import label
from ..store.results import Device
from .cookie import CookiePolicy, vary_on_cookie
from .responses import (
    EXPECTED,
    go_first,
    has_committed,
    is_answered,
    is_failing,
    is_thrown_away,
    response_of,
    run_others,
)
from .subrequests import (
    CookieHeader,
    Forwarding,
    News,
    complete,
    drop,
    forwarded,
    invoking,
    lead,
    retract,
    watch_cookies,
)
from .visitors import Visitors

log = logging.getLogger(__name__)


class Exchange:
    """
    One request and its response, as far as the session goes.

    :param visitors: tells who has sent a request.
    :param on_use: called at the end of a request whose session was loaded or
        saved.
    """

    # of what the subscribers know
    _told: SessionError | None = None
    _telling = False
    _deferred = False
    # whether nobody was called since the session was saved
    _settled = False
    _userid: Any = UNKNOWN
    # the Set-Cookie line of the response, and the value in it
    _cookie: str | None = None
    _value: str | None = None
    _response: Any = EXPECTED

    def __init__(
        self,
        policy: CookiePolicy,
        kit: SessionKit,
        visitors: Visitors,
        request: Any,
        on_use: Callable[[Any], None],
    ) -> None:
        self._policy = policy
        self._visitors = visitors
        self._request = request
        self._registry = request.registry
        self._on_use = on_use
        self._presented = presented = policy.reader.read(request)
        self._saving = saving = Saving(
            kit, self, presented.session_ids, presented.forged
        )
        self._session: Any = MySQLSession(saving)
        if is_answered(request):
            # nobody calls us any more
            self._response = None
            saving.leave()
            return
        request.add_response_callback(self._respond)
        request.add_finished_callback(self._finish)
        watch_cookies(request, self._look_again)

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

    def ended(self, handle: str, userid: str | None, how: str) -> None:
        self._notify(events.SessionEnded(self._request, handle, userid, how))

    def failed(self, error: SessionError) -> None:
        """See that pyramid_retry does nothing a second time."""
        request = self._request
        if isinstance(error, StoreUnavailable) and (
            request is None or has_committed(request)
        ):
            error.forbid_retry()
        if error is self._told or self._telling:
            # it comes again, or comes of what a subscriber does
            return
        self._told, self._telling = error, True
        try:
            self._notify(events.SessionFailed(request, error))
        finally:
            self._telling = False

    def lost(self) -> None:
        session_id = self._saving.presented
        log.warning(
            'session %s was deleted, renewed or expired while a request used '
            'it; the changes of that request are dropped',
            session_id and label(session_id),
        )
        self._notify(events.SessionLost(self._request))

    def _notify(self, event: Any) -> None:
        self._registry.notify(event)

    # what the session asks

    def device(self) -> Device | None:
        request = self._request
        return None if request is None else self._visitors.device(request)

    def userid(self) -> Any:
        request = self._request
        if request is not None and self._visitors.userid is not None:
            self._userid = self._visitors.userid(request)
        return self._userid

    # what the request and the router tell

    def _look_again(self) -> None:
        """Note that a subrequest has changed the cookies."""
        request, saving = self._request, self._saving
        if request is not None and saving.unread:
            self._presented = presented = self._policy.reader.read(request)
            saving.present(presented.session_ids, presented.forged)

    def _respond(self, request: Any, response: Any) -> None:
        if request.response_callbacks and not self._deferred:
            # let the other callbacks change the session first
            self._deferred = True
            request.add_response_callback(self._respond)
            return
        self._response = response
        go_first(request, self._finish)
        lead(request)
        self._judge(request)
        self._conclude()
        self._settled = not self._is_followed()

    def _is_followed(self) -> bool:
        """Tell whether anybody else may be called before the response."""
        request = self._request
        return bool(
            request.response_callbacks
            or self._registry.has_listeners
            # ours is one of them, unless it is being called
            or len(request.finished_callbacks) > 1
        )

    def _judge(self, request: Any) -> None:
        """Let what the request came to decide what is saved."""
        if getattr(request, 'exception', None) is None:
            return
        if is_thrown_away(request):
            self._saving.discard()
        elif not self._policy.set_on_exception:
            self._saving.abandon()

    def _finish(self, request: Any) -> None:
        if (
            self._settled
            and not request.finished_callbacks
            and sys.exc_info()[1] is None
        ):
            # as most requests end
            self._leave(request)
            return
        try:
            # they may change the session, too, or fail
            run_others(request)
            if self._response is EXPECTED:
                # the session was first used after the response callbacks
                self._response = response_of(request)
                self._judge(request)
            if is_failing(request):
                # nobody handled the exception, no response is sent
                self._undo()
                outer = invoking(request)
                if outer is not None and self._saving.used:
                    # but its response may tell what was read
                    Forwarding.of(outer)
            elif self._response is not EXPECTED:
                if not self._saving.concluded:
                    self._conclude()
                self._complete()
        except BaseException:
            self._undo()
            raise
        finally:
            self._leave(request)

    def _undo(self) -> None:
        """Take it that no response is sent."""
        retract(self._request)
        self._saving.retract()
        outer = invoking(self._request)
        if outer is not None:
            drop(outer, self._saving)

    def _complete(self) -> None:
        """Add the cookie that somebody has removed from the response."""
        response, policy = self._response, self._policy
        if (
            self._cookie is not None
            # otherwise a late subrequest has the last word
            and CookieHeader.of(self._request).shows(self._saving, policy)
            and not policy.is_set_by(response, self._value)
        ):
            self._add_cookie(response)

    def _leave(self, request: Any) -> None:
        """Let go of the request, which is answered."""
        saving = self._saving
        if saving.leave():
            self._on_use(request)
        # request, session and this hold one another: let no cycle stay
        self._saving = proxy(saving)
        response, self._response = self._response, None
        self._request = self._session = None
        if response is EXPECTED:
            # there is no response that could tell of a new id
            saving.save()

    def _conclude(self) -> None:
        try:
            self._saving.conclude()
        except SessionError as exc:
            self._saving.abandon()
            self._show_error(exc)
            if not isinstance(exc, StoreUnavailable):
                # a log-out counts though what followed it cannot be stored
                with suppress(SessionError):
                    self._saving.conclude()
        self._write(self._response)

    def _show_error(self, exc: SessionError) -> None:
        """
        Let an exception view answer, or raise the exception again.

        Pyramid's router no longer does that for an error in a callback.
        """
        response = self._response
        try:
            rendered = self._request.invoke_exception_view(reraise=True)
        except SessionError:
            if self._cookie is None:
                raise
            # without this response the browser would not learn the new id
            log.error(
                'a change that came after the session had been saved is '
                'lost: %s',
                exc,
            )
            return
        iter_close(response.app_iter)
        response.status = rendered.status
        response.headerlist = rendered.headerlist
        response.app_iter = rendered.app_iter
        self._complete()
        complete(self._request, response)

    def _write(self, response: Any) -> None:
        saving = self._saving
        if not saving.used:
            return
        outdated = self._presented.outdated
        # another one may have taken its place
        if not saving.discarded and (
            saving.differs_from_cookie
            or (outdated and saving.session_id in outdated)
        ):
            self._write_cookie(response, saving.session_id)
        vary_on_cookie(response)
        outer = invoking(self._request)
        if outer is not None:
            # its response varies, too
            Forwarding.of(outer)

    def _write_cookie(self, response: Any, session_id: str | None) -> None:
        saving, policy = self._saving, self._policy
        # subrequests may have set others meanwhile
        others = forwarded(self._request, policy)
        if session_id is None:
            if saving.ended and (saving.presented or self._cookie):
                for other in others:
                    if other.session_id is not None:
                        # the browser will not learn of it
                        other.retract()
                self._set_cookie(response, None, None)
        else:
            stale = bool(others) and others[0].session_id != session_id
            if session_id != saving.presented or not stale:
                for other in others:
                    if not other.is_of(saving):
                        # the browser will not learn of it
                        other.retract()
                value = policy.signer.sign(session_id)
                self._set_cookie(response, value, saving.max_age)

    def _set_cookie(
        self, response: Any, value: str | None, max_age: int | None
    ) -> None:
        # requests of tests have no scheme
        scheme = getattr(self._request, 'scheme', 'http')
        self._value = value
        self._cookie = self._policy.set_cookie(value, max_age, scheme)
        self._add_cookie(response)
        if self._is_followed():
            header = CookieHeader.of(self._request)
            header.show(self._saving, self._policy, value)
        outer = invoking(self._request)
        if outer is not None:
            Forwarding.of(outer).add(
                News(self._saving, self._policy, value, self._add_cookie)
            )
        doubt = self._policy.doubt(scheme, self._request)
        if doubt is not None:
            # a proxy may hide that all is well
            log.info(doubt)

    def _add_cookie(self, response: Any) -> None:
        self._policy.add(response, self._cookie or '')
