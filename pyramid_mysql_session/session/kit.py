"""What all sessions of a factory share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class SessionKit(NamedTuple):
    """What all sessions of a factory share, and are handed."""

    store: Any
    serializer: Any
    make_session_id: Callable[[], str]
    renew_session_id: Callable[[str], str]
    #: Names a session by one of its ids.
    handle: Callable[[str], str]
    idle_timeout: int
    absolute_timeout: int | None
    touch_interval: int | str
    userid_key: str
    #: Seconds after which a server that lags is not waited for any longer.
    lock_timeout: int
