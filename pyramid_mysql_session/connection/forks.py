"""Keeps a forked child away from what its parent's pool holds."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from typing import Any

from .driver import Known
from .gate import Gate

# what a PooledDB keeps to itself, and begins with an empty one of; there is
# no public way to list its connections, or to drop them
_POOLED = ('_connections', '_idle_cache', '_lock', '_shared_cache')

_all: weakref.WeakSet[Belongings] = weakref.WeakSet()
_hooks: list[bool] = []


class Belongings:
    """
    What belongs to one process: a forked child starts without it.

    :param pooled: a ``PooledDB``.
    :param limit: how many may pass the gate at once.
    :ivar gate: lets in who may use a connection now.
    """

    def __init__(self, pooled: Any, limit: int) -> None:
        self._pooled = pooled
        self._limit = limit
        self._known: weakref.WeakKeyDictionary[Any, Known] = (
            weakref.WeakKeyDictionary()
        )
        self._begin()
        _all.add(self)
        if not _hooks:
            _hooks.append(True)
            os.register_at_fork(after_in_child=_forget_all)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self.gate = Gate(self._limit)

    def know(self, driver: Any) -> Known:
        """Return what is known of a connection that is about to be used."""
        known = self._known.get(driver)
        if known is None:
            self._known[driver] = known = Known(driver)
        return known

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
                self.know(driver)
        with open(os.devnull, 'r+b', buffering=0) as nowhere:
            for known in list(self._known.values()):
                descriptor, inode = known.socket
                # closing an inherited connection would tell the server to
                # end the parent's: what the child says goes nowhere instead
                with suppress(OSError):
                    if os.fstat(descriptor).st_ino == inode:
                        os.dup2(nowhere.fileno(), descriptor)
        self._known.clear()
        # another thread may have been in the middle of changing them
        for name in state.keys() & {*_POOLED}:
            state[name] = type(state[name])()
        self._begin()


def _forget_all() -> None:
    for belongings in list(_all):
        belongings.forget()
