"""Lets so many in at once, and loses no place whatever interrupts it."""

from __future__ import annotations

import queue
import threading
import weakref
from contextlib import suppress


class Ticket:
    """Whoever holds it is in; if nobody does any more, its place is free."""

    __slots__ = ('__weakref__',)


class Gate:
    """
    Lets so many in at once.

    A signal whose handler raises may strike between any two steps of Python,
    so that a ticket is dropped and not given back. Such a one is dead, which
    its weak reference tells, and is made anew when somebody looks for it.

    :param limit: how many tickets there are.
    """

    def __init__(self, limit: int) -> None:
        # written in C, unlike a semaphore: a ticket is in it or it is not
        self._free: queue.SimpleQueue[Ticket] = queue.SimpleQueue()
        self._lock = threading.Lock()
        tickets = [Ticket() for _ in range(limit)]
        self._all = [weakref.ref(ticket) for ticket in tickets]
        for ticket in tickets:
            self._free.put(ticket)

    def enter(self, wait: float) -> Ticket | None:
        """
        Return a ticket as soon as one is free.

        :param wait: seconds after which there is ``None``.
        """
        try:
            return self._free.get_nowait()
        except queue.Empty:
            self._replace_dropped()
        for seconds in (wait, 0):
            with suppress(queue.Empty):
                return self._free.get(timeout=seconds)
            self._replace_dropped()
        return None

    def leave(self, ticket: Ticket) -> None:
        """Give a ticket back."""
        self._free.put(ticket)

    def _replace_dropped(self) -> None:
        # no signal comes between the taking of such a lock and its with block
        with self._lock:
            for place, reference in enumerate(self._all):
                if reference() is None:
                    ticket = Ticket()
                    # in this order: if only this is done it is dead again
                    self._all[place] = weakref.ref(ticket)
                    self._free.put(ticket)
