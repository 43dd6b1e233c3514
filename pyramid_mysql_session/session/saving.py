"""Saves a session so that no change is lost or applied twice."""

from __future__ import annotations

import copy
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import SessionError, StoreUnavailable
from .serializers import Payload
from .state import SessionState, adopt

log = logging.getLogger(__name__)

#: How often a save merges before it locks the row.
MERGE_ATTEMPTS = 5

# what an exception in a locked block takes back besides the data
_UNDONE = (
    '_session_id',
    '_replaced',
    '_base',
    '_created',
    '_new',
    '_idle_timeout',
    '_renewing',
)


class SavedState(SessionState):
    """The state of a session that can be saved."""

    __slots__ = ()

    def save(self) -> None:
        """
        Save now what changed; without changes move the idle deadline if due.

        It is called for you when the response is ready. Call it yourself
        after a change that comes later than that, in a streamed body or
        another thread. In a :meth:`locked` block the end of the block saves.

        :raises pyramid_mysql_session.SessionError: nothing was stored.
        """
        if self._data is None or self._locked or self._lost:
            return
        if self._finished and (
            self._renewing or (self._base is None and self._data)
        ):
            raise SessionError(
                'The response is on its way: the browser cannot learn the id '
                'of a new session any more. Create or renew a session before '
                'the response is returned.'
            )
        if self._base is None:
            self._create()
            return
        self._settle()
        if self._lost:
            return
        payload = self._changed_payload()
        if payload is not None or self._renewing:
            self._update(payload)
        elif self._touch_due:
            self._touch()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """
        Lock the session's record for a read-modify-write.

        Before the block the data is brought up to date, after it the changes
        are saved; whoever else locks or saves the session waits meanwhile.
        An exception in the block takes back what the block changed. A
        session without a record needs no lock, since nobody else knows it,
        and in an inner ``locked`` the outer lock holds.

        :raises pyramid_mysql_session.LockTimeout: somebody else held the
            lock for more than ``lock_timeout`` seconds.
        :raises pyramid_mysql_session.StoreUnavailable: the connection broke,
            and with it the lock, and somebody else saved the session before
            the block was over.
        """
        self._load()
        self._settle()
        with self._undone_on_error() as begin:
            if self._locked or self._lost or self._session_id is None:
                begin()
                yield
            else:
                yield from self._transaction(begin)
        self.save()

    def _transaction(self, begin: Callable[[], None]) -> Iterator[None]:
        session_id, attempt = self._session_id, None
        try:
            with self._kit.store.locked(session_id) as row:
                self._locked = True
                try:
                    self._take(row.record)
                    begin()
                    yield
                    if self._session_id == session_id:
                        payload = self._changed_payload()
                        new_id = self._new_session_id()
                        attempt = payload, row.revision, new_id
                        if not self._save_locked(row, payload, new_id):
                            attempt = None
                            self._lose()
                finally:
                    self._locked = False
        except StoreUnavailable as exc:
            if attempt is None or not exc.outcome_unknown:
                raise
            # the revision tells whether the transaction was committed; until
            # it has, the block may neither be saved nor be taken back
            self._lost = True
            done, stored = self._swap(*attempt)
            self._lost = False
            if stored is not None:
                # merging would lose the change that the block did not see
                raise
            if not done:
                self._lose()
        else:
            if attempt is not None:
                self._note_saved(*attempt)

    def _settle(self) -> None:
        """Find out what became of an earlier save, or do it now."""
        if self._doubt is not None:
            doubt, self._doubt = self._doubt, None
            if self._data:
                self._update(*doubt)
            else:
                # emptied since: that is merged with whatever is stored
                self._base, self._revision = doubt[0] or self._base, doubt[1]
            self._written = True

    def _create(self) -> None:
        kit, replaced = self._kit, self._replaced
        if self._load():
            payload = self._encode()
            session_id = kit.make_session_id()
            revision = kit.store.create(
                session_id, payload, self._timeout(), self._userid(), replaced
            )
            self._note_saved(payload, revision, session_id)
            self._listener.created()
        elif replaced is not None:
            kit.store.delete(replaced)
            self.ended = True
        self._replaced = None

    def _update(
        self,
        payload: Payload | None,
        attempted: int | None = None,
        new_id: str | None = None,
    ) -> None:
        for attempt in range(MERGE_ATTEMPTS):
            new_id = new_id or self._new_session_id()
            done, stored = self._swap(payload, attempted, new_id)
            if done:
                return
            if attempt and stored is not None:
                # several at once are after this record
                time.sleep(random.uniform(0, 0.001 * 2**attempt))
                stored = self._kit.store.load(self._session_id)
            self._take(stored)
            if self._lost:
                return
            payload = self._changed_payload()
            if payload is None and not self._renewing:
                return
            attempted = new_id = None
        log.warning(
            'others saved a session each of %d times that this request tried '
            'to; now its row is locked',
            MERGE_ATTEMPTS,
        )
        with self.locked():
            pass

    def _swap(
        self,
        payload: Payload | None,
        attempted: int | None,
        new_id: str | None,
    ) -> tuple[bool, Any]:
        """Save or delete; return whether it is done, and who prevented it."""
        store, session_id = self._kit.store, self._session_id
        if payload is not None and not self._data:
            deletion = store.delete(session_id, self._revision)
            # an earlier attempt whose answer was lost may have done it
            done = deletion.done or (
                attempted is not None and deletion.stored is None
            )
            if done:
                self._note_deleted()
            return done, deletion.stored
        try:
            outcome = store.save(
                session_id,
                payload,
                self._revision,
                self._timeout(),
                self._userid(),
                new_id,
                attempted,
            )
        except StoreUnavailable as exc:
            if exc.attempted is not None:
                self._doubt = payload, exc.attempted, new_id
            raise
        if outcome.revision is not None:
            self._note_saved(payload, outcome.revision, new_id)
            return True, None
        return False, outcome.stored

    def _save_locked(
        self, row: Any, payload: Payload | None, new_id: str | None
    ) -> bool:
        if payload is not None and not self._data:
            return bool(row.delete())
        if payload is None and new_id is None:
            return True
        timeout, userid = self._timeout(), self._userid()
        return bool(row.save(payload, timeout, userid, new_id))

    def _touch(self) -> None:
        if self._kit.store.touch(self._session_id, self._timeout()):
            self._touch_due = False
            self.refreshed = True
        else:
            self._lose()

    def _new_session_id(self) -> str | None:
        return self._kit.make_session_id() if self._renewing else None

    def _note_saved(
        self, payload: Payload | None, revision: int, new_id: str | None
    ) -> None:
        if payload is not None and not self._data:
            self._note_deleted()
            return
        if payload is not None:
            self._base = payload
        if payload is not None or new_id is not None:
            self._revision = revision
            self.refreshed = True
            self._touch_due = False
        if new_id is not None:
            self._session_id = new_id
            self._renewing = False
        self._written = False

    def _note_deleted(self) -> None:
        self._session_id = self._base = None
        self._written = self._renewing = self._touch_due = False
        self.ended = True

    @contextmanager
    def _undone_on_error(self) -> Iterator[Callable[[], None]]:
        """Give what is to be called where the changes begin."""
        before: dict[str, Any] = {}

        def begin() -> None:
            before.update({name: getattr(self, name) for name in _UNDONE})
            before['_data'] = copy.deepcopy(self._load())

        try:
            yield begin
        except BaseException:
            if before:
                adopt(self._load(), before.pop('_data'))
            for name, value in before.items():
                setattr(self, name, value)
            raise
