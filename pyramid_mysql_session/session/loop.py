"""Stores what changed so that no change is lost or applied twice."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import StoreUnavailable
from .draft import Draft
from .kit import SessionKit
from .serializers import Payload
from .standing import Change, Standing, Status
from .timing import Due, cookie_max_age, idle_timeout

log = logging.getLogger(__name__)

#: How often a save merges before it locks the row.
MERGE_ATTEMPTS = 5
_UNREAD = Standing(Status.UNREAD)


class SaveLoop:
    """
    Compares and swaps, merges, and tries again.

    :param listener: is told ``merged()``, ``lost()`` and ``ended(handle,
        userid, how)``, and tells the ``device()``.

    :ivar at: what is known of the record.
    :ivar before_block: a mark of the draft before a block of which nobody
        told whether it is stored.
    :ivar busy: whether a save is under way, which tells its listener.
    :ivar late: whether the response is on its way.
    :ivar refreshed: whether the record lives longer than when it was loaded.
    :ivar ended: whether a record was deleted at the application's wish.
    """

    at = _UNREAD
    before_block: Any = None
    busy = False
    late = False
    refreshed = False
    ended = False
    # seconds, for a server that lags
    _waited = 0.0
    # whether a record that seemed to be gone was looked for again
    _looked_twice = False

    def __init__(self, kit: SessionKit, draft: Draft, listener: Any) -> None:
        self._kit = kit
        self._draft = draft
        self._listener = listener

    @property
    def quiet(self) -> bool:
        """Whether the record is there, and nothing has to be done to it."""
        at = self.at
        return (
            at.status is Status.LIVE
            and at.doubt is None
            and not (
                at.due.touch
                or at.outdated
                or at.emptied
                or self._kit.asks_userid
                or self._draft.may_differ
            )
        )

    def timeout(self) -> int | None:
        """Return the idle time-out that holds for this session."""
        kit, draft, left = self._kit, self._draft, self.at.due.left
        idle = idle_timeout(kit, draft, draft.data or {})
        if self.late and left is not None and cookie_max_age(kit, draft):
            # the deadline tells when the browser has got its cookie, and
            # it gets none now
            return left if idle is None else min(idle, left)
        return idle

    def store(self, final: bool) -> None:
        """Save what changed; without changes touch if that is due."""
        self.settle()
        if not self.at.stored:
            return
        change = self.next_change(final)
        if change is not None:
            self.update(change, final)
        else:
            self.touch()

    def settle(self) -> None:
        """Find out what became of an earlier save, or do it now."""
        doubt = self.at.doubt
        if doubt is None:
            return
        try:
            if doubt.alone:
                self._settle_block(doubt)
            else:
                final = doubt.delete or doubt.new_id is not None
                self.update(doubt, final)
        except StoreUnavailable as exc:
            if self.at.doubt is not None:
                # nobody could be asked: it may be stored nevertheless
                exc.leave_in_doubt()
            raise
        self._draft.write()

    def _settle_block(self, change: Change) -> None:
        """Find out whether a block was stored that has failed."""
        record = self._load()
        if record is None or not record.alive:
            self.lose()
            return
        written = record.includes(change.attempted or 0)
        if written is None:
            self.at = self.at._replace(status=Status.CLOSED, doubt=None)
            raise StoreUnavailable(
                'So many others have saved the session since the answer to a '
                'locked block was lost that nobody can tell whether it was '
                'stored',
                'Look for what keeps breaking the connections to the server.',
                outcome_unknown=True,
            )
        if written:
            self.note_saved(change, change.attempted or 0)
        elif change.payload is not None:
            # whoever ran it was told of the error: it is not done any more
            self._draft.forget(change.payload, self.before_block)
        self.at = self.at._replace(doubt=None)

    def next_change(self, final: bool) -> Change | None:
        """Return what is to be sent, ``None`` if that is nothing."""
        at, draft = self.at, self._draft
        payload = draft.changed_payload()
        if final and not draft.data and (payload is not None or at.emptied):
            return Change(payload, delete=True)
        renewing = final and at.status is Status.RENEWING
        if payload is None and (
            at.outdated or (renewing and self._kit.seal.binds)
        ):
            payload = draft.base
        if payload is None and not renewing:
            return None
        new_id = None
        if renewing:
            new_id = self._kit.renew_session_id(at.session_id or '')
        return Change(payload, draft.userid, new_id)

    def update(self, change: Change, final: bool) -> None:
        """Save a change, and what merging makes of it."""
        self.busy = True
        try:
            for attempt in range(MERGE_ATTEMPTS):
                done, stored = self.swap(change)
                if done:
                    return
                if stored is None and self._looks_again():
                    continue
                if stored is not None and not stored.follows(self.at.revision):
                    self._pause()
                    self._load()
                    continue
                if attempt and stored is not None:
                    # several at once are after this record
                    time.sleep(random.uniform(0, 0.001 * 2**attempt))
                    stored = self._load()
                self.take(stored)
                following = self.at.stored and self.next_change(final)
                if not following:
                    return
                change = following
            if self.at.doubt is not None:
                raise self._lagging()
            log.warning(
                'others saved a session each of %d times that this request '
                'tried to; now its row is locked',
                MERGE_ATTEMPTS,
            )
            self._update_locked(final)
        finally:
            self.busy = False

    def _update_locked(self, final: bool) -> None:
        change = None
        try:
            with self.lock_row() as row:
                self.take(row.record)
                if self.at.stored:
                    change = self.next_change(final)
                    if change is not None and not self.write(row, change):
                        change = None
                        self.lose()
        except StoreUnavailable as exc:
            if change is not None and exc.outcome_unknown:
                self.at = self.at._replace(
                    doubt=change._replace(attempted=row.revision)
                )
            raise
        if change is not None:
            self.note_saved(change, row.revision)

    def swap(
        self, change: Change, at: Standing | None = None
    ) -> tuple[bool, Any]:
        """Save or delete; return whether it is done, and who prevented it."""
        store, at = self._kit.store, at or self.at
        try:
            if change.delete:
                deletion = store.delete(at.session_id, at.revision)
                # an earlier attempt whose answer was lost may have done it
                done = deletion.done or (
                    change.attempted is not None and deletion.stored is None
                )
                if done:
                    self.note_saved(change, 0)
                return done, deletion.stored
            outcome = store.save(
                at.session_id,
                self._sealed(change, at),
                at.revision,
                self.timeout(),
                change.userid,
                change.new_id,
                change.attempted,
                **self.noted(),
            )
        except StoreUnavailable as exc:
            if exc.outcome_unknown:
                attempted = 0 if change.delete else exc.attempted
                self.at = self.at._replace(
                    doubt=change._replace(attempted=attempted)
                )
            raise
        if outcome.revision is None:
            return False, outcome.stored
        self.at = at
        self.note_saved(change, outcome.revision)
        return True, None

    def resolve(self, change: Change, at: Standing) -> tuple[bool, Any]:
        """
        Find out whether a change was saved whose answer was lost.

        :param at: what was known when it was sent.
        :returns: as :meth:`swap`, which does it if it was not.
        """
        while True:
            done, stored = self.swap(change, at)
            if not done and stored is None and self._looks_again():
                continue
            if done or stored is None or stored.follows(at.revision):
                return done, stored
            self._pause()
            self._load()

    def is_as_known(self, at: Standing) -> bool:
        """Tell whether nobody has saved the record since it was read."""
        if not at.stored:
            # it was gone, and no id comes back
            return True
        record = self._kit.store.load(at.session_id)
        return (
            record is not None
            and record.alive
            and record.revision == at.revision
        )

    def write(self, row: Any, change: Change) -> bool:
        """Save or delete a row that is locked; ``False`` if it is gone."""
        if change.delete:
            return bool(row.delete())
        return bool(
            row.save(
                self._sealed(change, self.at),
                self.timeout(),
                change.userid,
                change.new_id,
                **self.noted(),
            )
        )

    def _sealed(self, change: Change, at: Standing) -> Payload | None:
        """Return what is stored of the payload of a change."""
        if change.payload is None:
            return None
        session_id = change.new_id or at.session_id or ''
        return self._kit.seal.close(change.payload, session_id)

    def touch(self) -> None:
        """Move the idle deadline if that is due, by what is stored."""
        at = self.at
        if not at.due.touch:
            return
        arguments = (at.session_id, at.due.idle, at.revision)
        touched = self._kit.store.touch(*arguments, **self.noted())
        if touched is False and self._looks_again():
            touched = self._kit.store.touch(*arguments, **self.noted())
        if touched is False:
            self.lose()
            return
        # who has saved it meanwhile has moved the deadline, perhaps by
        # another time-out, and told the browser
        self.at = at._replace(due=at.due._replace(touch=False, cookie=False))
        self.refreshed |= bool(touched)

    def noted(self) -> dict[str, Any]:
        """Return what the store is to note besides."""
        device = self._listener.device()
        return {} if device is None else {'device': device}

    @contextmanager
    def lock_row(self) -> Iterator[Any]:
        """Lock the row as soon as the server does not lag."""
        while True:
            settled = True
            try:
                with self._kit.store.locked(self.at.session_id) as row:
                    record = row.record
                    if record is None:
                        settled = self._looked_twice
                    else:
                        settled = not record.precedes(self.at.revision)
                    if settled:
                        yield row
                        return
            except StoreUnavailable as exc:
                # who looks again misses no lock
                if settled or not exc.repeatable:
                    raise
            # without the lock
            if record is None:
                self._looks_again()
            else:
                self._pause()

    def _load(self) -> Any:
        """Load the record, as soon as the server does not lag."""
        while True:
            record = self._kit.store.load(self.at.session_id)
            if record is None:
                if not self._looks_again():
                    return None
            elif record.precedes(self.at.revision):
                self._pause()
            else:
                return record

    def _looks_again(self) -> bool:
        """
        Pause before the record is looked for again, unless that was done.

        This request has seen it; a server that lags may not have it yet.
        """
        again, self._looked_twice = not self._looked_twice, True
        if again:
            time.sleep(self._kit.second_look)
        return again

    def _pause(self) -> None:
        """Pause for a moment, or raise if the server has lagged for long."""
        if self._waited >= self._kit.lock_timeout:
            raise self._lagging()
        pause = min(0.01 + self._waited, 0.25) * random.uniform(0.5, 1.5)
        self._waited += pause
        time.sleep(pause)

    def _lagging(self) -> StoreUnavailable:
        return StoreUnavailable(
            'The server shows an older state of the session than it had '
            f'shown before, and for {self._kit.lock_timeout} seconds',
            'It lags behind another one: see that the application uses one '
            'server only, or that reads wait for what was written.',
            outcome_unknown=self.at.doubt is not None,
        )

    def take(self, record: Any) -> None:
        """Merge what is stored now into the data."""
        if record is None or not record.alive:
            self.lose()
        elif record.revision != self.at.revision:
            payload, current = None, True
            with suppress(ValueError):
                payload, current = self._kit.seal.open(
                    record.payload, self.at.session_id or ''
                )
            changed = self._draft.update(payload)
            self.at = self.at._replace(
                revision=record.revision, doubt=None, outdated=not current
            )
            if changed:
                self._listener.merged()

    def lose(self) -> None:
        """Note that the record is gone."""
        self.at = self.at._replace(
            status=Status.LOST, session_id=None, doubt=None
        )
        self._listener.lost()

    def last_userid(self) -> str | None:
        """Return the user of what is stored, or was before it was emptied."""
        at, userid = self.at, self._draft.stored_userid
        if userid is None and at.emptied and at.leaving is not None:
            return at.leaving[1]
        return userid

    def note_saved(self, change: Change, revision: int) -> None:
        """Note that a change is stored, under a revision."""
        at = self.at
        self._waited = 0.0
        if change.delete:
            userid = self.last_userid()
            self.at = Standing(Status.ENDED, new=at.new)
            if change.payload is not None:
                self._draft.saved(change.payload)
            self._draft.base = None
            self.ended = True
            handle = self._kit.handle(at.session_id or '')
            self._listener.ended(handle, userid, 'empty')
            return
        if change.payload is not None:
            emptied = not self._draft.data
            if emptied:
                handle = self._kit.handle(at.session_id or '')
                at = at._replace(leaving=(handle, self.last_userid()))
            self._draft.saved(change.payload)
        else:
            emptied = at.emptied
        max_age = cookie_max_age(self._kit, self._draft)
        self.at = Standing(
            Status.LIVE if change.new_id else at.status,
            change.new_id or at.session_id,
            revision,
            at.created,
            at.clock,
            at.outdated and change.payload is None,
            at.new,
            Due(max_age=max_age, left=at.due.left if self.late else None),
            emptied,
            at.ending,
            at.leaving,
        )
        self.refreshed = True
