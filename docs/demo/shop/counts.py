"""Counts the events of this process, for the operator's page."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator

from pyramid_mysql_session import (
    SessionCreated,
    SessionEnded,
    SessionFailed,
    SessionLost,
    SessionMerged,
    SessionRejected,
    SessionsPurged,
    StoreRetried,
)

# what the page calls them, and what is told apart or added up
EVENTS: dict[type, tuple[str, Callable[[Any], str]]] = {
    SessionCreated: ('Created', lambda event: ''),
    SessionMerged: ('Merged', lambda event: ''),
    SessionLost: ('Lost', lambda event: ''),
    SessionRejected: ('Rejected', lambda event: event.reason),
    SessionEnded: ('Ended', lambda event: event.how),
    SessionFailed: ('Failed', lambda event: type(event.error).__name__),
    StoreRetried: ('Retried', lambda event: str(event.code)),
    SessionsPurged: ('Purged', lambda event: ''),
}


class Counts:
    """What has happened in the last minute, and since the process began."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self.minute: Counter[str] = Counter()
        self._recent: deque[tuple[float, str, int]] = deque()
        self._lock = threading.Lock()

    def note(self, event: Any) -> None:
        name, detail = EVENTS[type(event)]
        number = getattr(event, 'rows', 1)
        names = {name, f'{name}: {detail(event)}' if detail(event) else name}
        with self._lock:
            for each in names:
                self._recent.append((time.monotonic(), each, number))
                self.total[each] += number
                self.minute[each] += number
            self._forget()

    def lines(self) -> list[tuple[str, int, int]]:
        """Return what happened, how often in a minute, and how often."""
        with self._lock:
            self._forget()
            names = {name for name, _ in EVENTS.values()} | set(self.total)
            return [
                (name, self.minute[name], self.total[name])
                for name in sorted(names)
            ]

    def _forget(self) -> None:
        while self._recent and self._recent[0][0] < time.monotonic() - 60:
            _, name, number = self._recent.popleft()
            self.minute[name] -= number


def includeme(config: Configurator) -> None:
    counts = Counts()
    config.registry['shop.counts'] = counts
    for kind in EVENTS:
        config.add_subscriber(counts.note, kind)
