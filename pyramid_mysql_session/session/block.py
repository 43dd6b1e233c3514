"""Runs the blocks of ``locked()``: read, change, save or take back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, NamedTuple, TypeGuard

from ..errors import StoreUnavailable
from .draft import Draft
from .loop import SaveLoop
from .standing import Standing


class Unread(NamedTuple):
    """How a session is loaded that nobody has read."""

    #: Locks its record, and gives it.
    lock: Callable[[], AbstractContextManager[Any]]
    #: Loads the session from that record; tells whether it could.
    take_in: Callable[[Any], bool]
    #: Loads it as ever.
    load: Callable[[], None]


class Block:
    """
    The blocks of one session, of which one may stand in another.

    :ivar entered: whether a block is being run.
    """

    __slots__ = ('_draft', '_loop', 'entered')

    def __init__(self, loop: SaveLoop, draft: Draft) -> None:
        self._loop = loop
        self._draft = draft
        self.entered = False

    @contextmanager
    def run(
        self, check: Callable[[], None], unread: Unread | None = None
    ) -> Iterator[None]:
        """
        Run a block; an exception takes back all that it changed.

        :param check: raises what would prevent the response from storing
            what this block leaves to it.
        :param unread: loads the session, if that has still to be done.
        """
        loop = self._loop
        if self.entered or loop.busy:
            if unread is not None:
                # another thread has begun a block since that was asked
                unread.load()
            # the outer block, or the save, deals with the changes
            with self._undone_on_error():
                yield
            return
        if loop.at.stored:
            loop.settle()
        self.entered = True
        try:
            yield from self._under_lock(check, unread)
        finally:
            self.entered = False

    @contextmanager
    def _lock(self, unread: Unread | None) -> Iterator[Any]:
        """Lock the row, and bring the data up to date; ``None`` without."""
        loop = self._loop
        if unread is not None:
            taken = True
            try:
                with unread.lock() as row:
                    taken = unread.take_in(row.record)
                    if taken:
                        yield row
            except StoreUnavailable as exc:
                # who has not read or written anything misses no lock
                if taken or not exc.repeatable:
                    raise
            if taken:
                return
            # why there is no such session takes more than a lock to find out
            unread.load()
        if not loop.at.stored:
            yield None
            return
        with loop.lock_row() as row:
            loop.take(row.record)
            yield row

    def _under_lock(
        self, check: Callable[[], None], unread: Unread | None
    ) -> Iterator[None]:
        loop = self._loop
        row: Any = None
        before, change = None, None
        over = False
        try:
            with self._lock(unread) as row:
                before = self._mark()
                yield
                check()
                if row is not None and loop.at.stored:
                    change = loop.next_change(final=False)
                    if change is not None and not loop.write(row, change):
                        change = None
                        loop.lose()
                over = True
        except BaseException as exc:
            if over and before and change is None and _is_worth_another(exc):
                # the lock was lost; whoever has saved nothing sees by the
                # revision whether it was missed
                with suppress(StoreUnavailable):
                    if loop.is_as_known(before[0]):
                        return
            if change is not None and _is_worth_another(exc):
                # the revision tells whether the transaction was committed,
                # and whether anybody else has saved since the row was read;
                # if it cannot be asked now, the next save asks
                change = change._replace(alone=True)
                at = loop.at
                if exc.outcome_unknown:
                    change = change._replace(attempted=row.revision)
                    loop.at = at = at._replace(doubt=change)
                loop.before_block = before and before[1]
                try:
                    done, stored = loop.resolve(change, at)
                except StoreUnavailable as second:
                    # the first one says more of what went wrong
                    if second.outcome_unknown:
                        exc.leave_in_doubt()
                    if exc.outcome_unknown:
                        raise exc from exc.__cause__
                else:
                    if done:
                        return
                    if stored is None:
                        loop.lose()
                        return
                # merging would lose a change that the block did not see
            if before is not None:
                self._go_back(before)
            raise
        if change is not None:
            loop.note_saved(change, row.revision)

    @contextmanager
    def _undone_on_error(self) -> Iterator[None]:
        before = self._mark()
        try:
            yield
        except BaseException:
            self._go_back(before)
            raise

    def _mark(self) -> tuple[Standing, Any]:
        return self._loop.at, self._draft.mark()

    def _go_back(self, mark: tuple[Standing, Any]) -> None:
        self._loop.at = mark[0]
        self._draft.go_back(mark[1])


def _is_worth_another(exc: BaseException) -> TypeGuard[StoreUnavailable]:
    return isinstance(exc, StoreUnavailable) and (
        exc.outcome_unknown or exc.repeatable
    )
