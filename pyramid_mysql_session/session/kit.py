"""What all sessions of a factory share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .sealing import Seal


class SessionKit(NamedTuple):
    """What all sessions of a factory share, and are handed."""

    store: Any
    serializer: Any
    make_session_id: Callable[[], str]
    renew_session_id: Callable[[str], str]
    #: What is done to payloads on their way to the store and back.
    seal: Seal
    #: Names a session by one of its ids.
    handle: Callable[[str], str]
    #: Tells whether an id was made moments ago.
    is_young: Callable[[str], bool]
    #: ``None`` with an absolute time-out only.
    idle_timeout: int | None
    #: Of sessions without a user; ``None`` for the same.
    anonymous_idle_timeout: int | None
    absolute_timeout: int | None
    touch_interval: int | str
    #: Seconds that a browser keeps the cookie; ``None`` until it is closed.
    cookie_max_age: int | None
    #: Seconds of the longest idle time-out that a session may have.
    longest_timeout: int
    userid_key: str
    #: Whether the user id is told by the listener, not by the data.
    asks_userid: bool
    #: Seconds after which a server that lags is not waited for any longer.
    lock_timeout: int
    #: Seconds after which what is not there is looked for once more.
    second_look: float = 0.1
