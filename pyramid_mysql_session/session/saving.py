"""Loads a session, saves it, and settles which id it has."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from ..errors import SessionError, StoreUnavailable
from .block import Block, Unread
from .draft import Data, Draft
from .ids import Ids
from .kit import SessionKit
from .loading import load, take_in
from .loop import SaveLoop
from .standing import Standing, Status
from .timing import cookie_max_age
from .watching import watch

log = logging.getLogger(__name__)

# how many sessions are loaded at most if a browser has several
_TRIES = 2
# seconds after which a server that has not answered is not asked again
_PATIENCE = 1

_LATE = (
    'The response is on its way: the browser cannot learn the id of a new '
    'session any more. Create or renew a session before the response is '
    'returned.'
)


class Saving:
    """
    Between the draft of one request and the store.

    Ids begin, change and end with the response, in :meth:`conclude`, for
    only then the browser can learn of it. Until then :meth:`save` and
    :meth:`locked` store data under the id that there is.

    :param kit: what the sessions share.
    :param listener: is told ``created()``, ``rejected(reason)``,
        ``merged()``, ``lost()``, ``ended(handle, userid, how)`` and
        ``failed(error)``, and tells the ``device()`` and the ``userid()``.
    :param session_ids: from verified cookies; the session is the first that
        lives.
    :param forged: whether there is a cookie that could not be verified.

    :ivar draft: the data.
    """

    # what a log-out ends besides
    _others: Sequence[str] = ()
    _concluded: Standing | None = None
    # whether nobody told what came of an attempt to conclude
    _doubtful = False

    def __init__(
        self,
        kit: SessionKit,
        listener: Any,
        session_ids: Sequence[str],
        forged: bool = False,
    ) -> None:
        self._kit = kit
        self._listener = listener
        self._session_ids = tuple(session_ids)
        self._forged = forged
        self.draft = Draft(
            kit.serializer,
            kit.userid_key,
            kit.longest_timeout,
            listener.userid if kit.asks_userid else None,
        )
        self._loop = SaveLoop(kit, self.draft, listener)
        self._block = Block(self._loop, self.draft)
        # threads of one request may use the session first at the same time
        # and who is told of a statement that is repeated, in the same thread
        self._loading = threading.RLock()

    def __del__(self) -> None:
        try:
            loop, draft = self._loop, self.draft
        except AttributeError:
            # debuggers and copy make objects whose __init__ did not run
            return
        if not loop.late or loop.at.closed:
            return
        if loop.at.ending:
            log.warning(
                'a session was to be ended after the response, and is not: '
                'call save() after invalidate()'
            )
        else:
            watch(draft)

    @property
    def presented(self) -> str | None:
        """The id that the browser has, ``None`` without one."""
        return self._session_ids[0] if self._session_ids else None

    @property
    def session_id(self) -> str | None:
        """The id under which the session is stored, ``None`` if it is not."""
        if len(self._session_ids) > 1:
            # which of them it is only the store knows
            self.load()
        at = self._loop.at
        return self.presented if at.status is Status.UNREAD else at.session_id

    @property
    def handle(self) -> str | None:
        """The name that renewal keeps, ``None`` without a record."""
        self.load()
        session_id = self._loop.at.session_id
        return None if session_id is None else self._kit.handle(session_id)

    @property
    def ended(self) -> bool:
        """Whether a record was deleted at the application's wish."""
        return self._loop.ended

    @property
    def late(self) -> bool:
        """Whether the response is on its way."""
        return self._loop.late

    @property
    def max_age(self) -> int | None:
        """Seconds that the browser keeps the cookie, as far as is stored."""
        if self.closed:
            return self._loop.at.due.max_age
        return cookie_max_age(self._kit, self.draft)

    @property
    def differs_from_cookie(self) -> bool:
        """Whether the browser has another id, or keeps it for too short."""
        loop = self._loop
        at, ids = loop.at, self._session_ids
        if at.session_id is None or not ids or at.session_id != ids[0]:
            return True
        if self.draft.remembered and not at.closed:
            return True
        return (loop.refreshed or at.due.cookie) and self.max_age is not None

    @property
    def used(self) -> bool:
        """Whether anybody has looked at the session."""
        return self.draft.data is not None

    @property
    def new(self) -> bool:
        """Whether the request came without a live session."""
        self.load()
        return self._loop.at.new

    @property
    def created(self) -> int:
        """Unix second of the creation."""
        self.load()
        if self._loop.at.created is None:
            self._loop.at = self._loop.at._replace(created=int(time.time()))
        return self._loop.at.created or 0

    def is_of(self, other: Saving) -> bool:
        """Tell whether another is of the same session, renewed or not."""
        one, two = self.session_id, other.session_id
        if one is None or two is None:
            return False
        return self._kit.handle(one) == self._kit.handle(two)

    def replaces(self, session_id: str) -> bool:
        """Tell whether an id is of the same session, or of one it ended."""
        ours = [self.session_id, self.presented if self.ended else None]
        handle = self._kit.handle
        return handle(session_id) in [handle(each) for each in ours if each]

    @property
    def discarded(self) -> bool:
        """Whether what was done with the id is taken back."""
        return self._loop.at.status is Status.DISCARDED

    @property
    def concluded(self) -> bool:
        """Whether nothing is left to be done since :meth:`conclude`."""
        at = self._loop.at
        # who was told of what it did may have ended or renewed the session
        return self._concluded is at and not (
            at.ending or at.status is Status.RENEWING or self.draft.may_differ
        )

    @property
    def closed(self) -> bool:
        """Whether nothing more of the session is saved."""
        return self._loop.at.closed

    @property
    def unread(self) -> bool:
        """Whether the session was not looked for yet."""
        return self._loop.at.status is Status.UNREAD

    def present(self, session_ids: Sequence[str], forged: bool) -> None:
        """Take other cookies for those of the browser."""
        self._session_ids, self._forged = tuple(session_ids), forged

    def load(self) -> Data:
        """Return the data, which the first call loads."""
        data = self.draft.data
        if data is None:
            reason = None
            try:
                with self._loading:
                    if self.draft.data is None:
                        reason = self._read()
                    data = self.draft.data
            except SessionError as exc:
                # who is told may use the session
                self._listener.failed(exc)
                raise
            if reason is not None:
                # subscribers may use the session already
                self._listener.rejected(reason)
        return data  # type: ignore[return-value]

    def invalidate(self) -> None:
        """Drop data and id, with the response."""
        if len(self._session_ids) > 1:
            # the browser would come with the next one
            self.load()
        at = self._loop.at
        # the one of a family that this request has given it comes last
        ids = [self.presented, *self._others, *at.ending, at.session_id]
        if at.doubt is not None:
            ids.append(at.doubt.new_id)
        # one id of a family ends them all
        families = {self._kit.handle(each): each for each in ids if each}
        leaving = at.leaving
        if at.stored and at.session_id is not None:
            handle = self._kit.handle(at.session_id)
            leaving = handle, self._loop.last_userid()
        status = Status.NEW
        if at.status in (Status.CLOSED, Status.DISCARDED):
            status = at.status
        self._loop.at = Standing(
            status, ending=tuple(families.values()), leaving=leaving
        )
        self.draft.begin()

    def remember(self, seconds: int | None) -> None:
        """
        Give the session an idle time-out of its own.

        :raises ValueError: it cannot have this one.
        """
        longest = self._kit.longest_timeout
        if seconds is not None and (
            isinstance(seconds, bool)
            or not isinstance(seconds, int)
            or not 1 <= seconds <= longest
        ):
            raise ValueError(
                f'seconds = {seconds!r}: expected whole seconds from 1 to '
                f'{longest}, or None'
            )
        self.load()
        self.draft.remember(seconds)

    def confirm(self) -> None:
        """Note that the user has proved who they are, by now."""
        self.load()
        self.draft.confirm(self._loop.at.age)

    def confirmed(self, seconds: int) -> bool:
        """
        Tell whether that was noted within some seconds.

        :raises ValueError: they are no whole number from 0 on.
        """
        if (
            isinstance(seconds, bool)
            or not isinstance(seconds, int)
            or seconds < 0
        ):
            raise ValueError(
                f'seconds = {seconds!r}: expected whole seconds from 0 on'
            )
        self.load()
        then = self.draft.confirmed
        return then is not None and self._loop.at.age - then <= seconds

    def renew(self) -> None:
        """Give the session a fresh id, with the response."""
        self.load()
        if self._loop.at.status is Status.LIVE:
            self._loop.at = self._loop.at._replace(status=Status.RENEWING)

    def abandon(self) -> None:
        """Save no data any more; a session that was to end still does."""
        at = self._loop.at
        self._loop.at = at._replace(status=Status.CLOSED, doubt=None)

    def discard(self) -> None:
        """Do nothing more: nobody will see the response."""
        self._loop.at = self._loop.at._replace(
            status=Status.DISCARDED, doubt=None, ending=()
        )

    def save(self) -> None:
        """Save the data now, under the id that there is."""
        if (
            self._block.entered
            or self._loop.busy
            or not self.used
            or self.closed
        ):
            return
        try:
            if self.late:
                self._ids.end()
            self._check()
            if self._loop.at.stored:
                self._loop.store(final=False)
        except SessionError as exc:
            self._listener.failed(exc)
            raise

    def conclude(self) -> None:
        """
        Save with the response, and settle which id the session has.

        :raises pyramid_mysql_session.SessionError: nothing was stored.
        """
        if not self._loop.quiet:
            try:
                self._conclude_in_time(time.monotonic())
            except SessionError as exc:
                if isinstance(exc, StoreUnavailable):
                    # what came of an earlier attempt is as unknown as before
                    if self._doubtful:
                        exc.leave_in_doubt()
                    self._doubtful = exc.outcome_unknown
                self._listener.failed(exc)
                raise
        self._concluded = self._loop.at

    def leave(self) -> bool:
        """
        Note that the response is on its way.

        :returns: whether the store was asked for the session, or has it now.
        """
        self._loop.late = True
        # what nobody holds now nobody can change unseen
        self.draft.let_go()
        return self.used and bool(
            self._session_ids or self._loop.at.session_id
        )

    def retract(self) -> None:
        """
        Let the browser's cookie name the session again.

        The response that should have told the new id was not sent.
        """
        at = self._loop.at
        self.discard()
        if at.status is Status.DISCARDED:
            return
        known = (self.presented, *self._others)
        # one that was to end afterwards may be ours, too
        for session_id in (at.session_id, *at.ending):
            if session_id is not None and session_id not in known:
                self._ids.take_back(session_id, self.presented)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the record for a read-modify-write, and save at the end."""
        unread = None
        if (
            self.unread
            and len(self._session_ids) == 1
            and not self._block.entered
        ):
            # one statement locks and loads
            lock = partial(self._kit.store.locked, self._session_ids[0])
            unread = Unread(lock, self._take_in, self._load_for_block)
        else:
            self.load()
        theirs: BaseException | None = None
        try:
            if unread is None:
                # before it is known what others have stored
                self._learn_userid()
            with self._block.run(self._check, unread):
                try:
                    yield
                except BaseException as exc:
                    theirs = exc
                    raise
            if self.late and not self._block.entered:
                self._ids.end()
        except SessionError as exc:
            # what the block itself raises may be about anything
            if exc is not theirs:
                self._listener.failed(exc)
            raise

    @property
    def _ids(self) -> Ids:
        return Ids(self._kit, self.draft, self._loop, self._listener)

    def _take_in(self, record: Any) -> bool:
        """Load the session from its record, unless it was loaded meanwhile."""
        # a thread that loads it now may wait for the connection that we hold
        if not self._loading.acquire(blocking=False):
            return False
        try:
            # another thread, or who was told of an error, may have used it
            if record is None or not self.unread:
                return False
            taken = take_in(
                self._kit, self.draft, self._session_ids[0], record
            )
            if taken is None:
                return False
            self._loop.at, self.draft.data = taken
        finally:
            self._loading.release()
        self._learn_userid()
        return True

    def _load_for_block(self) -> None:
        self.load()
        self._learn_userid()

    def _check(self) -> None:
        """Raise what would prevent the response from settling the id."""
        self._learn_userid()
        at, draft = self._loop.at, self.draft
        unborn = not at.stored and bool(draft.data) and not self.closed
        if self.late and (unborn or at.status is Status.RENEWING):
            raise SessionError(_LATE)
        if unborn:
            kit = self._kit
            payload = kit.seal.close(draft.payload(), kit.make_session_id())
            kit.store.measure(payload, draft.userid)

    def _learn_userid(self) -> None:
        """Ask for the user id if anything is stored with it."""
        at, draft = self._loop.at, self.draft
        if at.stored or (draft.data and not self.closed):
            draft.learn_userid()

    def _read(self) -> str | None:
        """Load the data; return why there is none, if it was expected."""
        at = self._loop.at
        status = None if at.status is Status.UNREAD else at.status
        if not self._session_ids:
            self._loop.at = Standing(status or Status.NEW)
            self.draft.begin()
            return 'signature' if self._forged else None
        if len(self._session_ids) > 1:
            live, renewed, young = self._find()
            self._others = [*live, *renewed, *young]
            # one may be malformed, or die meanwhile
            tried = dict.fromkeys([*live[:_TRIES], self._session_ids[0]])
            self._session_ids = tuple(tried)
        for session_id in self._session_ids:
            standing, data, reason = load(
                self._kit, self.draft, session_id, status
            )
            if data is not None:
                break
        self._session_ids = (session_id,)
        # another thread takes the data for a sign that all is known
        self._loop.at = standing
        if data is None:
            self.draft.begin()
        else:
            self.draft.data = data
        return reason

    def _find(self) -> tuple[list[str], list[str], list[str]]:
        """
        Tell which of several sessions live, and which under another id.

        The last of the lists has those of which a server that lags may not
        know yet.
        """
        for last in (False, True):
            live, renewed = self._kit.store.find_live(self._session_ids)
            young = [
                session_id
                for session_id in self._session_ids
                if session_id not in (*live, *renewed)
                and self._kit.is_young(session_id)
            ]
            if live or last or not young:
                break
            time.sleep(self._kit.second_look)
        return live, renewed, young

    def _conclude_in_time(self, began: float) -> None:
        try:
            self._conclude()
        except StoreUnavailable as exc:
            doubt = self._loop.at.doubt
            if (
                doubt is None
                or not (doubt.new_id or doubt.delete)
                or time.monotonic() - began > _PATIENCE
            ):
                raise
            # this response is the last that can tell the browser of an id
            try:
                self._conclude()
            except SessionError:
                # the first error says that the outcome is not known
                raise exc from exc.__cause__

    def _conclude(self) -> None:
        if not self.used or self._loop.at.status in (
            Status.LOST,
            Status.DISCARDED,
        ):
            return
        self._learn_userid()
        if self._loop.at.stored:
            self._loop.store(final=True)
        elif self._loop.at.status is Status.CLOSED or not (
            self.draft.data or self._loop.at.doubt
        ):
            self._ids.end()
            # it was used, though nothing of it is saved
            self._loop.touch()
        else:
            self._ids.create()
