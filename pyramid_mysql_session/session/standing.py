"""What is known of a session's record at one moment."""

from __future__ import annotations

import time
from enum import Enum, auto
from typing import Any, NamedTuple

from .serializers import Payload
from .timing import Due


class Status(Enum):
    """What became of the record."""

    #: Nothing was asked yet.
    UNREAD = auto()
    #: There is none.
    NEW = auto()
    #: It is stored.
    LIVE = auto()
    #: It is stored and gets a fresh id with the response.
    RENEWING = auto()
    #: This request deleted it.
    ENDED = auto()
    #: Somebody else deleted or renewed it, or it expired.
    LOST = auto()
    #: Whatever it is, this request saves nothing more, but ends what it was
    #: told to end.
    CLOSED = auto()
    #: Whatever it is, this request does nothing more.
    DISCARDED = auto()


class Change(NamedTuple):
    """What is sent to the store, and sent again if the answer was lost."""

    #: ``None`` leaves what is stored.
    payload: Payload | None = None
    userid: Any = None
    #: Under which id the record is from then on.
    new_id: str | None = None
    #: Whether the record is deleted.
    delete: bool = False
    #: The revision that an unanswered attempt may have written.
    attempted: int | None = None
    #: Whether it must not be merged with what others have saved since.
    alone: bool = False

    def __repr__(self) -> str:
        return f'<Change of {len(self.payload or "")} bytes>'


class Standing(NamedTuple):
    """All that is known, so that it can be taken back as a whole."""

    status: Status
    #: Under which the record is stored.
    session_id: str | None = None
    revision: int = 0
    #: Unix second of the creation.
    created: int | None = None
    #: What the server's unix time is ahead of our monotonic clock; ``None``
    #: before a record was read.
    clock: float | None = None
    #: Whether the payload is stored in another form than it would be now.
    outdated: bool = False
    #: Whether the request came without a live session.
    new: bool = True
    due: Due = Due()
    #: Whether the record was stored without data, to be deleted with the
    #: response.
    emptied: bool = False
    #: Sessions that end with the response, by an id of each.
    ending: tuple[str, ...] = ()
    #: The handle of a session whose user is known that ends, or is to end
    #: since it was emptied, and the user's id.
    leaving: tuple[str, str | None] | None = None
    #: What nobody told the outcome of.
    doubt: Change | None = None

    def __repr__(self) -> str:
        return f'<Standing {self.status.name}>'

    @property
    def age(self) -> int:
        """Seconds since the creation, by the server's clock."""
        if self.clock is None or self.created is None:
            return 0
        return max(int(self.clock + time.monotonic()) - self.created, 0)

    @property
    def closed(self) -> bool:
        """Whether this request saves no data any more."""
        return self.status in (Status.LOST, Status.CLOSED, Status.DISCARDED)

    @property
    def stored(self) -> bool:
        """Whether there is a record that this request may save to."""
        return self.status in (Status.LIVE, Status.RENEWING)
