"""What the store answers: a record, and what became of a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from . import revisions

Payload = str | bytes
UserID = str | int


class Record(NamedTuple):
    """One session in transit; all moments are the server's."""

    payload: Payload
    created: int  # unix second
    expires: int  # the last unix second of its life
    revision: int
    now: int  # unix second at which the record was read

    @property
    def alive(self) -> bool:
        """Whether it had not expired when it was read."""
        return self.expires >= self.now

    def precedes(self, revision: int) -> bool:
        """
        Tell whether this is an older state than that of a revision.

        A server that lags behind shows such records, and an answer that
        comes late does.
        """
        return revisions.precedes(self.revision, revision)

    def includes(self, revision: int) -> bool | None:
        """
        Tell whether a save that would have written a revision was done.

        :returns: ``None`` when so many others saved since that it cannot be
            told.
        """
        return revisions.was_written(revision, self.revision)

    def follows(self, revision: int) -> bool:
        """
        Tell whether this is a newer state than that of a revision.

        What prevented a save is newer, or the server lags behind.
        """
        return self.revision != revision and not self.precedes(revision)

    def __repr__(self) -> str:
        size = len(self.payload)
        return f'<Record of {size} bytes, expires {self.expires}>'


class Living(NamedTuple):
    """Which of some session ids lead to a live record, in their order."""

    #: Those that its record has now.
    live: list[str]
    #: Those whose session has got another id since.
    renewed: list[str]


class Outcome(NamedTuple):
    """What became of a save."""

    #: The revision that was written, ``None`` when none was.
    revision: int | None
    #: The live record that stood in the way, ``None`` when it is gone.
    stored: Record | None = None


class Deletion(NamedTuple):
    """What became of a deletion."""

    #: Whether the record was there and is deleted.
    done: bool
    #: The live record that has another revision, ``None`` when it is gone.
    stored: Record | None = None


class Device(NamedTuple):
    """What a request tells of the device that it came from."""

    #: The 4 or 16 bytes of its network address.
    ip: bytes | None = None
    #: What its browser calls itself, 255 characters at most.
    agent: str | None = None

    def __repr__(self) -> str:
        return '<Device>'


class Ending(NamedTuple):
    """A session that was ended, and how."""

    #: What ended it, as far as that was told.
    request: Any
    handle: str
    userid: str | None
    how: str


class LockedRecord:
    """
    A record whose row stays locked until the transaction ends.

    :param write: executes the UPDATE; takes what :meth:`save` does, with the
        revision that is replaced and, before the device, that written.
    :param delete: deletes the row if it has a revision.

    :ivar record: ``None`` when there is no live one.
    :ivar revision: the one that :meth:`save` writes.
    """

    def __init__(
        self,
        record: Record | None,
        write: Callable[..., int],
        delete: Callable[[int], int],
    ) -> None:
        self.record = record
        self.revision = record and revisions.following(record.revision)
        self._write = write
        self._delete = delete

    def save(
        self,
        payload: Payload | None,
        idle_timeout: int | None,
        userid: UserID | None = None,
        new_session_id: str | None = None,
        device: Device | None = None,
    ) -> bool:
        """Save as the store does; ``False`` when it expired meanwhile."""
        return self.record is not None and bool(
            self._write(
                payload,
                self.record.revision,
                idle_timeout,
                userid,
                new_session_id,
                self.revision,
                device,
            )
        )

    def delete(self) -> bool:
        """Delete the record; ``False`` when there is none."""
        record = self.record
        return record is not None and bool(self._delete(record.revision))
