"""What subscribers receive through the registry.

No event holds a session id; ``request.session`` leads to the data. The
request is ``None`` when its response was on its way already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


class SessionEnded(NamedTuple):
    """
    A session was ended before its time.

    ``request`` is that which has ended it, ``None`` for one whose response
    was on its way and for a store that was asked of a registry. ``handle``
    names the session, ``userid`` is the text of its user id as far as is
    known: a session that is invalidated without being read has not told.
    ``how`` is ``invalidate``, ``empty`` (all data was removed), ``end``,
    ``delete_for_user`` or ``limit_for_user``.
    """

    request: Any
    handle: str
    userid: str | None
    how: str


class SessionFailed(NamedTuple):
    """
    A session could not be read or saved; ``error`` is being raised.

    It is a :exc:`pyramid_mysql_session.SessionError`.
    """

    request: Any
    error: Any


class StoreRetried(NamedTuple):
    """
    Something is done again, since it met a conflict or lost its connection.

    ``code`` is the number of the error, ``None`` without one.
    """

    code: int | None


class SessionsPurged(NamedTuple):
    """The reaper deleted ``rows`` expired sessions in ``seconds``."""

    rows: int
    seconds: float


def tell_each(tell: Callable[[Any], None], what: Iterable[Any]) -> None:
    """
    Tell of one thing after the other, though a subscriber fails.

    The first error is raised when all was told.
    """
    error = None
    for each in what:
        try:
            tell(each)
        except BaseException as exc:  # noqa: BLE001 (raised below)
            error = error or exc
    if error is not None:
        raise error
