"""Passes on what the response of a subrequest says of the session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from weakref import ref

from pyramid.threadlocal import manager

from ..session.saving import Saving
from .cookie import CookiePolicy, vary_on_cookie
from .responses import (
    EXPECTED,
    go_first,
    is_failing,
    is_subrequest,
    is_thrown_away,
    response_of,
    run_others,
)

T = TypeVar('T')

_KEY = 'pyramid_mysql_session.forwarding'
_HEADER = 'pyramid_mysql_session.header'
_WATCHING = 'pyramid_mysql_session.watching'


class News(NamedTuple):
    """What a subrequest has done with the cookie."""

    saving: Saving
    policy: CookiePolicy
    value: str | None  # of the cookie, ``None`` if it is deleted
    add_cookie: Callable[[Any], None]  # to a response

    def __repr__(self) -> str:
        return f'<News of {self.policy.name}>'


class Shown(NamedTuple):
    """A cookie that a response is to set."""

    saving: ref[Saving]  # no request keeps it alive
    policy: CookiePolicy
    value: str | None  # ``None`` if it is deleted

    def __repr__(self) -> str:
        return f'<Shown of {self.policy.name}>'


class CookieHeader:
    """The Cookie header of a request, as its subrequests get to see it."""

    __slots__ = ('_cookies', '_environ', '_shown', '_watching')

    def __init__(self, request: Any) -> None:
        # not the request, which holds this
        self._environ = request.environ
        self._cookies = request.environ.get('HTTP_COOKIE')
        self._shown: list[Shown] = []
        # who is told when it changes
        self._watching = vars(request).setdefault(_WATCHING, [])

    @classmethod
    def of(cls, request: Any) -> CookieHeader:
        """Return the one of a request."""
        return _one_of(request, _HEADER, cls)

    def show(
        self, saving: Saving, policy: CookiePolicy, value: str | None
    ) -> None:
        """Let later subrequests find the session."""
        self._shown.append(Shown(ref(saving), policy, value))
        self._update()

    def shows(self, saving: Saving, policy: CookiePolicy) -> bool:
        """Tell whether nobody else has set the cookie since."""
        scope = policy.scope
        ours = [each for each in self._shown if each.policy.scope == scope]
        return not ours or ours[-1].saving() is saving

    def forget(self, saving: Saving) -> None:
        """Let them find the session that was there before."""
        self._shown = [
            each for each in self._shown if each.saving() is not saving
        ]
        self._update()

    def retract(self) -> None:
        """Let the browser's cookie name the session again."""
        # each knows the id that the one before has given it
        for each in reversed(self._shown):
            saving = each.saving()
            if saving is not None:
                saving.retract()
        self._shown.clear()
        self._update()

    def _update(self) -> None:
        header = self._cookies
        for _, policy, value in self._shown:
            header = policy.reader.replace(header or '', value)
        if header is None:
            self._environ.pop('HTTP_COOKIE', None)
        else:
            self._environ['HTTP_COOKIE'] = header
        for look_again in self._watching:
            look_again()


def watch_cookies(request: Any, look_again: Callable[[], None]) -> None:
    """See that somebody is told when subrequests change the cookies."""
    # each request with a session does this, and few have subrequests
    vars(request).setdefault(_WATCHING, []).append(look_again)


class Forwarding:
    """
    What the subrequests of a request have done, passed on by its response.

    The view may throw their responses away, but the browser must learn of a
    new id. If the request fails, it does not, and the id is changed back.

    :param request: the one whose view invokes subrequests.
    """

    def __init__(self, request: Any) -> None:
        # not the request, which holds this
        self._header = CookieHeader.of(request)
        self._news: list[News] = []
        # it may be there already, and its callbacks called
        response = response_of(request)
        self._response: Any = None
        # of the request that invoked this one, once it is told
        self._outer: Forwarding | None = None
        if response is not EXPECTED and not is_thrown_away(request):
            self._response = response
            vary_on_cookie(response)
            self._tell_outer(request)
        request.add_response_callback(self._respond)
        request.add_finished_callback(self._finish)
        self.lead(request)

    @classmethod
    def of(cls, request: Any) -> Forwarding:
        """Return the one of a request."""
        return _one_of(request, _KEY, cls)

    def lead(self, request: Any) -> None:
        """See that what the request itself has done is undone first."""
        go_first(request, self._finish)

    def add(self, news: News) -> None:
        """Pass it on, to later subrequests, too."""
        response = self._response
        if response is not None:
            set_id = news.policy.id_set_by(response)
            gone = [
                each.saving for each in self._news if each.saving.discarded
            ]
            if set_id is not None and not any(
                saving.replaces(set_id) for saving in (news.saving, *gone)
            ):
                # the browser will learn of that one only
                news.saving.retract()
                return
            news.add_cookie(response)
        for earlier in self._news:
            if earlier.policy.scope == news.policy.scope and not (
                earlier.saving.is_of(news.saving)
                or earlier.saving.session_id is None
                or news.value is None
            ):
                # the browser will learn of the later one only
                earlier.saving.retract()
        self._news.append(news)
        self._header.show(news.saving, news.policy, news.value)
        if self._outer is not None:
            self._outer.add(news)

    def drop(self, saving: Saving) -> None:
        """Forget what a subrequest has done that has failed since."""
        self._header.forget(saving)
        for news in [each for each in self._news if each.saving is saving]:
            self._news.remove(news)
            if self._response is not None:
                news.policy.remove(self._response, news.value)
        if self._outer is not None:
            self._outer.drop(saving)

    def complete(self, response: Any) -> None:
        """Add the cookies that a response does not set."""
        seen = set()
        for news in reversed(self._news):
            scope = news.policy.scope
            if news.saving.discarded or scope in seen:
                continue
            seen.add(scope)
            if not news.policy.is_set_by(response, news.value):
                news.add_cookie(response)

    def retract(self) -> None:
        """Let the browser's cookie name the session again."""
        self._header.retract()
        if self._outer is not None:
            for news in self._news:
                self._outer.drop(news.saving)

    def _respond(self, request: Any, response: Any) -> None:
        vary_on_cookie(response)
        if is_thrown_away(request):
            return
        if self._response is None:
            self._response = response
            for news in self._news:
                if not news.saving.discarded:
                    news.add_cookie(response)
            self._tell_outer(request)

    def _tell_outer(self, request: Any) -> None:
        """Pass on what is known, and from now on what comes later."""
        outer = invoking(request)
        if outer is not None:
            self._outer = Forwarding.of(outer)
            for news in self._news:
                self._outer.add(news)

    def _finish(self, request: Any) -> None:
        try:
            run_others(request)
        except BaseException:
            self.retract()
            raise
        response, self._response = self._response, None
        if response is None or is_failing(request):
            self.retract()
        else:
            self.complete(response)


def _one_of(request: Any, key: str, make: Callable[[Any], T]) -> T:
    """Return what a request has under a key, made when first needed."""
    found: T | None = vars(request).get(key)
    if found is None:
        found = vars(request)[key] = make(request)
    return found


def forwarded(request: Any, policy: CookiePolicy) -> list[Saving]:
    """Return what saved the sessions of subrequests, the latest first."""
    found = vars(request).get(_KEY)
    if found is None:
        return []
    return [
        each.saving
        for each in reversed(found._news)
        if each.policy.scope == policy.scope
    ]


def complete(request: Any, response: Any) -> None:
    """Add the cookies of subrequests that a response has lost."""
    found = vars(request).get(_KEY)
    if found is not None:
        found.complete(response)


def retract(request: Any) -> None:
    """Take back what a request and its subrequests have done with ids."""
    found = vars(request).get(_KEY)
    (CookieHeader.of(request) if found is None else found).retract()


def lead(request: Any) -> None:
    """Let what passes on be called before who has called this."""
    found = vars(request).get(_KEY)
    if found is not None:
        found.lead(request)


def drop(request: Any, saving: Saving) -> None:
    """Let a request forget what a subrequest of it has done."""
    found = vars(request).get(_KEY)
    if found is not None:
        found.drop(saving)


def invoking(request: Any) -> Any:
    """Return the request whose view invoked this one as a subrequest."""
    # nothing else tells it from a request that a view sends to its own
    # application
    if len(manager.stack) < 2 or not is_subrequest(request):
        return None
    requests = [each['request'] for each in manager.stack]
    place = requests.index(request)
    return requests[place - 1] if place else None
