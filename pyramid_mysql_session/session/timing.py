"""Says how long a session lives, and when that is to be prolonged."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from .draft import Data, Draft
from .kit import SessionKit


class Due(NamedTuple):
    """What a request that only reads has to do, by what is stored."""

    #: Whether the idle deadline is to be moved.
    touch: bool = False
    #: Whether the browser is to be told to keep the cookie for longer.
    cookie: bool = False
    #: Seconds of the idle time-out, ``None`` without one.
    idle: int | None = None
    #: Seconds that the browser keeps the cookie, ``None`` until it is closed.
    max_age: int | None = None
    #: Seconds that the session had left when it was loaded.
    left: int | None = None


def idle_timeout(kit: SessionKit, draft: Draft, data: Data) -> int | None:
    """
    Return the idle time-out of a session, ``None`` if it has none.

    :param data: of the draft, or what is to become it.
    """
    if draft.idle_timeout is not None:
        return draft.idle_timeout
    anonymous = kit.anonymous_idle_timeout
    if anonymous is not None and draft.userid_in(data) is None:
        return anonymous
    return kit.idle_timeout


def cookie_max_age(kit: SessionKit, draft: Draft) -> int | None:
    """
    Return the seconds that the browser keeps the cookie.

    :returns: ``None`` when it forgets it as soon as it is closed.
    """
    return draft.idle_timeout or kit.cookie_max_age


def due(kit: SessionKit, draft: Draft, data: Data, record: Any) -> Due:
    """
    Tell what is due when a record was loaded.

    Who comes back within the shortest of the time-outs, the life of the
    cookie and the touch interval shall find the session: after a request that
    does not touch it, it must live on for as long as that.
    """
    idle = idle_timeout(kit, draft, data)
    max_age = cookie_max_age(kit, draft)
    _, created, expires, _, now = record
    left = expires - now
    interval = _interval(kit.touch_interval, idle, max_age)
    if interval is None:
        return Due(False, False, idle, max_age, left)
    # seconds since it was moved, as far as that can be told
    age = interval if idle is None else idle - left
    absolute = kit.absolute_timeout
    # no deadline is later than that, and one there is
    latest = absolute is not None and expires >= created + absolute
    touch = age >= interval and age > 0 and not latest
    # the deadline does not tell when the browser was told, if it is as late
    # as may be, or the time-outs were longer once; a cookie that lives for
    # seconds only is set as often as it can be
    cookie = max_age is not None and (
        touch or latest or age < 0 or not interval
    )
    return Due(touch, cookie, idle, max_age, left)


@lru_cache
def _interval(
    touch_interval: int | str, idle: int | None, max_age: int | None
) -> int | None:
    """Return seconds after which a touch is due; ``None`` if it never is."""
    limits = [each for each in (idle, max_age) if each is not None]
    if not limits or touch_interval == 'never':
        return None
    shortest = min(limits)
    interval = shortest // 10
    if touch_interval != 'auto':
        interval = int(touch_interval)
    return min(interval, max(shortest - interval, 0))
