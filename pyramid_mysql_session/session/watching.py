"""Warns of changes that come when nobody saves any more."""

from __future__ import annotations

import gc
import logging
import threading
from typing import Any

from .draft import Draft

log = logging.getLogger(__name__)

# how many drafts are looked at; more are those of an application that keeps
# what it reads, and changes none
_MOST = 1000

_watched: list[Draft] = []
_lock = threading.Lock()


def watch(draft: Draft) -> None:
    """
    Warn if a draft is not stored as it is, or changes from now on.

    Its session is gone, but a thread may hold a dict or list of its data. It
    is looked at again whenever the interpreter collects garbage, for as long
    as anybody holds such an object.
    """
    held = draft.is_held()
    if (held or draft.may_differ) and not _warn(draft) and held:
        with _lock:
            if len(_watched) < _MOST:
                _watched.append(draft)
            if _look not in gc.callbacks:
                gc.callbacks.append(_look)


def _look(phase: str, info: dict[str, Any]) -> None:
    if phase != 'stop' or not _watched or not _lock.acquire(blocking=False):
        return
    try:
        drafts = _watched[:]
        _watched.clear()
    finally:
        _lock.release()
    # a warning may let go of another session, which is to be watched
    for draft in drafts:
        watch(draft)


def _warn(draft: Draft) -> bool:
    unsaved = draft.is_unsaved()
    if unsaved:
        log.warning(
            'a session was changed after it had been saved, and the change '
            'is lost: call save() after it'
        )
    return unsaved
