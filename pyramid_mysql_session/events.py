"""What subscribers receive through the registry.

No event holds a session id; ``request.session`` leads to the data. The
request is ``None`` when its response was on its way already.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class SessionCreated(NamedTuple):
    """A new session was stored for the first time."""

    request: Any


class SessionRejected(NamedTuple):
    """
    A request came with a session cookie that leads to no session.

    ``reason`` is ``signature`` (not signed by us), ``unknown`` (no such
    session, for instance after a log-out), ``renewed`` (the session lives
    under a newer id), ``expired`` or ``undecodable`` (the serializer cannot
    read the payload). The request goes on with a new, empty session.
    """

    request: Any
    reason: str


class SessionMerged(NamedTuple):
    """Somebody else saved meanwhile; both changes were merged."""

    request: Any


class SessionLost(NamedTuple):
    """
    The session was deleted, renewed or expired while the request used it.

    The changes of this request were dropped; nothing was written.
    """

    request: Any


class SessionsPurged(NamedTuple):
    """The reaper deleted ``rows`` expired sessions in ``seconds``."""

    rows: int
    seconds: float
