"""Runs the blocks of ``locked()``: read, change, save or take back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import StoreUnavailable
from .draft import Draft
from .loop import SaveLoop
from .standing import Standing


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
    def run(self, check: Callable[[], None]) -> Iterator[None]:
        """
        Run a block; an exception takes back all that it changed.

        :param check: raises what would prevent the response from storing
            what this block leaves to it.
        """
        loop = self._loop
        if self.entered or loop.busy:
            # the outer block, or the save, deals with the changes
            with self._undone_on_error():
                yield
            return
        if loop.at.stored:
            loop.settle()
        self.entered = True
        try:
            if loop.at.stored:
                yield from self._under_lock(check)
            else:
                with self._undone_on_error():
                    yield
                    check()
        finally:
            self.entered = False

    def _under_lock(self, check: Callable[[], None]) -> Iterator[None]:
        loop = self._loop
        row: Any = None
        before, change = None, None
        try:
            with loop.lock_row() as row:
                loop.take(row.record)
                before = self._mark()
                yield
                check()
                if loop.at.stored:
                    change = loop.next_change(final=False)
                    if change is not None and not loop.write(row, change):
                        change = None
                        loop.lose()
        except BaseException as exc:
            if change is not None and _in_doubt(exc):
                # the revision tells whether the transaction was committed;
                # if it cannot be asked now, the next save asks
                change = change._replace(attempted=row.revision, alone=True)
                loop.at = at = loop.at._replace(doubt=change)
                loop.before_block = before and before[1]
                try:
                    done, stored = loop.resolve(change, at)
                except StoreUnavailable:
                    # the first error says that the outcome is not known
                    raise exc from exc.__cause__
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


def _in_doubt(exc: BaseException) -> bool:
    return isinstance(exc, StoreUnavailable) and exc.outcome_unknown
