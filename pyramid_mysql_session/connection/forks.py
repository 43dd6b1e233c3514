"""Keeps a forked child away from what its parent's pool holds."""

from __future__ import annotations

import os
import queue
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .driver import socket_of

# what a PooledDB keeps to itself, and how it is at the beginning; there is no
# public way to list its connections, or to drop them
_POOLED: dict[str, Callable[[], Any]] = {
    '_connections': int,
    '_idle_cache': list,
    '_lock': threading.Condition,
    '_shared_cache': list,
}

_all: weakref.WeakSet[Belongings] = weakref.WeakSet()
_hooks: list[bool] = []


class Belongings:
    """
    What belongs to one process: a forked child starts without it.

    :param pooled: a ``PooledDB``.
    :param limit: how many may pass the gate at once.
    :ivar gate: has a ticket for each who may use a connection now.
    """

    def __init__(self, pooled: Any, limit: int) -> None:
        self._pooled = pooled
        self._limit = limit
        # the socket of each connection that we saw: file descriptor, inode
        self._sockets: weakref.WeakKeyDictionary[Any, tuple[int, int]] = (
            weakref.WeakKeyDictionary()
        )
        self._begin()
        _all.add(self)
        if not _hooks:
            _hooks.append(True)
            os.register_at_fork(after_in_child=_forget_all)

    def _begin(self) -> None:
        self._pid = os.getpid()
        # written in C, unlike a semaphore
        self.gate: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(self._limit):
            self.gate.put(None)

    def note(self, driver: Any) -> bool:
        """
        Remember the socket of a connection that is about to be used.

        :returns: whether the connection was never seen before.
        """
        if driver in self._sockets:
            return False
        self._sockets[driver] = socket_of(driver)
        return True

    def notice_fork(self) -> None:
        """Forget the parent's, if this is a child that did not do so yet."""
        # nobody calls the hook where a program other than Python forks, which
        # is what uWSGI may do; then there is one thread only
        if self._pid != os.getpid():
            self.forget()

    def forget(self) -> None:
        """Let go of all that a forked child has from its parent."""
        state = vars(self._pooled)
        steady = [
            *state.get('_idle_cache', ()),
            *(shared.con for shared in state.get('_shared_cache', ())),
        ]
        for driver in [connection.dbapi_connection for connection in steady]:
            # the application may have made some that we never saw
            if hasattr(driver, 'fileno'):
                self.note(driver)
        with open(os.devnull, 'r+b', buffering=0) as nowhere:
            for descriptor, inode in list(self._sockets.values()):
                # closing an inherited connection would tell the server to
                # end the parent's: what the child says goes nowhere instead
                with suppress(OSError):
                    if os.fstat(descriptor).st_ino == inode:
                        os.dup2(nowhere.fileno(), descriptor)
        self._sockets.clear()
        # another thread may have been in the middle of changing them
        for name in _POOLED.keys() & state:
            state[name] = _POOLED[name]()
        self._begin()


def _forget_all() -> None:
    for belongings in list(_all):
        belongings.forget()
