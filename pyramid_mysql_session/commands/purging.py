"""Purges, and shows how far it has got."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ..store.store import MySQLSessionStore
from .listing import number_of

try:
    from tqdm import tqdm
except ImportError:  # the extra "cli"
    tqdm = None  # type: ignore[assignment, misc]

# seconds between two lines
_EVERY = 5


def purge(store: MySQLSessionStore, max_seconds: float | None) -> int:
    """
    Purge until nothing is left, a signal comes, or the time is over.

    :returns: 1 if it was a signal.
    """
    deadline = math.inf
    if max_seconds is not None:
        # Python makes a float of no number of hundreds of digits
        deadline = time.monotonic() + min(max_seconds, sys.maxsize)
    dead = store.stats().dead
    with _signals() as came, _progress(dead) as progress:
        purged = store.purge(
            lambda: bool(came) or time.monotonic() >= deadline,
            progress=progress,
        )
    if not came and time.monotonic() < deadline:
        print(f'{purged:,} expired sessions purged')
        return 0
    left = number_of(store.stats(), 'dead')
    print(f'{purged:,} expired sessions purged, {left} are left')
    return 1 if came else 0


def count_dead(store: MySQLSessionStore) -> int:
    """Print how many sessions a purge would delete."""
    dead = number_of(store.stats(), 'dead')
    print(f'{dead} expired sessions are not purged yet')
    return 0


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Give a list of the signals that came; a second one does what it did."""
    came: list[int] = []
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        restore()

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    for each in (signal.SIGINT, signal.SIGTERM):
        # a script that has us run in the background had SIGINT ignored
        if signal.getsignal(each) is not signal.SIG_IGN:
            before[each] = signal.signal(each, note)
    try:
        yield came
    finally:
        restore()


@contextmanager
def _progress(dead: int) -> Iterator[Callable[[int], Any]]:
    """Give what is told the number of sessions that each batch purged."""
    if tqdm is not None and sys.stderr.isatty():
        with tqdm(
            total=dead, unit=' sessions', unit_scale=True, dynamic_ncols=True
        ) as bar:
            yield bar.update
    else:
        yield _Lines(dead).update


class _Lines:
    """Says how far a purge has got, a line every few seconds."""

    def __init__(self, dead: int) -> None:
        self._dead = dead
        self._purged = 0
        self._told = time.monotonic()

    def update(self, rows: int) -> None:
        self._purged += rows
        now = time.monotonic()
        if now - self._told >= _EVERY:
            self._told = now
            print(
                f'purged {self._purged:,} of about {self._dead:,}',
                file=sys.stderr,
                flush=True,
            )
