"""Begins, ends and takes back the id of a session."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from ..errors import SessionError, StoreUnavailable
from ..events import tell_each
from .draft import Draft
from .kit import SessionKit
from .loop import MERGE_ATTEMPTS, SaveLoop
from .standing import Change, Standing, Status

log = logging.getLogger(__name__)


class Ids:
    """
    What happens to the id of a session besides its renewal by a save.

    :param listener: is told ``created()`` and ``ended(handle, userid, how)``.
    """

    __slots__ = ('_draft', '_kit', '_listener', '_loop')

    def __init__(
        self,
        kit: SessionKit,
        draft: Draft,
        loop: SaveLoop,
        listener: Any,
    ) -> None:
        self._kit = kit
        self._draft = draft
        self._loop = loop
        self._listener = listener

    def end(self) -> None:
        """Delete what was invalidated."""
        ended = []
        try:
            for session_id in self._loop.at.ending:
                deletion = self._kit.store.delete(session_id)
                self._loop.at = self._loop.at._replace(
                    ending=self._loop.at.ending[1:]
                )
                self._loop.ended = True
                if deletion.done:
                    ended.append(session_id)
        finally:
            self._tell_ends(ended, self._loop.at)

    def create(self) -> None:
        """Store a new session, in the place of those that end."""
        kit, draft, at = self._kit, self._draft, self._loop.at
        change = at.doubt or Change(
            draft.payload(), draft.userid, kit.make_session_id()
        )
        ended: list[str] = []
        try:
            revision = kit.store.create(
                change.new_id,
                kit.seal.close(change.payload or '', change.new_id or ''),
                self._loop.timeout(),
                change.userid,
                at.ending,
                **({'ended': ended} if at.ending else {}),
                **self._loop.noted(),
            )
        except StoreUnavailable as exc:
            if exc.outcome_unknown:
                self._loop.at = at._replace(doubt=change)
            raise
        self._loop.at = Standing(
            Status.LIVE, change.new_id, revision, self._loop.at.created
        )
        draft.saved(change.payload)  # type: ignore[arg-type]
        self._loop.refreshed = True
        if at.ending:
            self._loop.ended = True
            self._tell_ends(ended, at)
        self._listener.created()
        if at.doubt is not None:
            # the session may have changed since the first attempt
            draft.write()
            self._loop.store(final=True)

    def take_back(self, session_id: str, old: str | None) -> None:
        """
        Give a session the id back that the browser's cookie has.

        :param session_id: of the record; a new one is deleted.
        :param old: the id of the browser.
        """
        handle, store = self._kit.handle, self._kit.store
        try:
            if old and handle(old) == handle(session_id):
                self._rename(session_id, old)
            else:
                store.delete(session_id)
        # what was stored meanwhile may be nothing that we have sealed
        except (SessionError, ValueError) as exc:
            log.warning(
                'a session got a new id, and no response told the browser: %s',
                exc,
            )

    def _rename(self, session_id: str, old: str) -> None:
        store = self._kit.store
        for _ in range(MERGE_ATTEMPTS):
            record = store.load(session_id)
            if record is None:
                return
            payload = userid = None
            if self._kit.seal.binds:
                # others may have saved it since, under its new id
                opened, _ = self._kit.seal.open(record.payload, session_id)
                payload = self._kit.seal.close(opened, old)
                userid = self._draft.userid_of(opened)
            if store.save(
                session_id,
                payload,
                record.revision,
                self._loop.timeout(),
                userid,
                new_session_id=old,
            ).revision:
                return

    def _tell_ends(self, session_ids: Sequence[str], at: Standing) -> None:
        """Tell of each session that has ended."""
        tell_each(partial(self._tell_end, at), session_ids)

    def _tell_end(self, at: Standing, session_id: str) -> None:
        """Tell that a session has ended which was invalidated."""
        handle, userid = self._kit.handle(session_id), None
        if at.leaving is not None and at.leaving[0] == handle:
            userid = at.leaving[1]
        self._listener.ended(handle, userid, 'invalidate')
