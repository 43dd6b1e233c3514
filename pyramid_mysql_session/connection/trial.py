"""Decides whether work is done again after an error, and when."""

from __future__ import annotations

import logging
import math
import random
import time
from typing import NamedTuple

from ..errors import PayloadTooLarge, SessionError, StoreUnavailable
from .errors import Again, Phase, Verdict

log = logging.getLogger(__name__)

#: How often work is tried that met a conflict, or lost its connection.
CONFLICT_ATTEMPTS = 8
BROKEN_ATTEMPTS = 3
# seconds after which an idle connection may have been dropped by a firewall
_LONG_IDLE = 1
# seconds in which a further outage is not worth a line in the log
_QUIET = 60
# after so many waits without a word an outage may be another one
_FORGET = 10


class Limits(NamedTuple):
    """How long work is tried, in seconds."""

    #: For a server that does it, or a connection that becomes free.
    wait: float
    #: For a lock.
    lock: float
    #: For an answer; who did not give it so long gives none the next time.
    patience: float


class Outage:
    """
    A time without a server that can be used.

    All that a process does in that time is tried until the same moment, and
    then only once each, so that no request waits for what others have waited
    for in vain.

    :param wait: seconds that are waited since it began.
    """

    def __init__(self, wait: float) -> None:
        self._wait = wait
        self._began: float | None = None
        self._last = 0.0
        self._told = -math.inf
        self._of_writes = False

    @property
    def lasts(self) -> bool:
        """Whether there is one, as far as is known."""
        return self._began is not None

    def noticed(self, verdict: Verdict, tried: float) -> bool:
        """
        Note an error; return whether to try again.

        :param tried: when the attempt began that met it.
        """
        now = time.monotonic()
        # another thread may note its end meanwhile
        began = self._began
        if began is None or tried - self._last > _FORGET * self._wait:
            self._began = began = now
            self._of_writes = True
            if now - self._told > _QUIET:
                self._told = now
                log.warning('%s, trying for %d s', verdict.error(), self._wait)
        self._last = now
        self._of_writes &= verdict.phase in (Phase.WRITING, Phase.COMMITTING)
        return now - began < self._wait

    def over(self, wrote: bool) -> None:
        """Note that something worked, and whether that was a write."""
        began = self._began
        if began is not None and (wrote or not self._of_writes):
            self._began = None
            if self._told == began:
                log.info(
                    'MySQL can be used again, after %.1f s',
                    time.monotonic() - began,
                )


class Trial:
    """
    The attempts at one piece of work.

    The first has failed when this is made.

    :param limits: how long it is tried.
    :param outage: what the whole process has seen.
    :param began: when the first began, in monotonic seconds.
    """

    def __init__(self, limits: Limits, outage: Outage, began: float) -> None:
        self._limits = limits
        self._outage = outage
        self._began = self._tried = began
        self._conflicts = self._locks = self._losses = self._waits = 0
        # on the attempt that may have worked though its connection broke
        self._doubt: Verdict | None = None

    @property
    def in_doubt(self) -> bool:
        """Whether an earlier attempt may have worked."""
        return self._doubt is not None

    def again(self, verdict: Verdict, idle_for: float, known: bool) -> bool:
        """
        Note how an attempt ended; return whether to make another.

        :param idle_for: seconds that its connection had been idle.
        :param known: whether a server is worth waiting for.
        """
        now, limits = time.monotonic(), self._limits
        if verdict.in_doubt:
            self._doubt = self._doubt or verdict
        again = verdict.meaning.again
        if again is Again.AFTER_CONFLICT:
            self._conflicts += 1
            return self._conflicts < CONFLICT_ATTEMPTS
        if again is Again.AFTER_LOCK:
            self._locks += 1
            return now - self._began < limits.lock
        if again is Again.ELSEWHERE:
            self._waits += 1
            return (
                known
                and self._outage.noticed(verdict, self._tried)
                and now - self._began < limits.wait
            )
        if again is Again.AT_ONCE:
            self._losses += 1
            if self._losses == 1 and idle_for > _LONG_IDLE:
                # it was the connection that did not answer
                return True
            return (
                self._losses < BROKEN_ATTEMPTS
                and now - self._tried < limits.patience
            )
        return False

    def pause(self) -> None:
        """Give others, or a fail-over, some time before the next attempt."""
        if self._waits > 1:
            time.sleep(random.uniform(0.5, 1) * min(0.05 * self._waits, 0.5))
        elif self._conflicts:
            time.sleep(random.uniform(0, 0.002 * 2**self._conflicts))
        elif self._locks:
            # the server has waited, unless it was told not to
            time.sleep(0.01)
        self._tried = time.monotonic()

    def succeeded(self) -> None:
        """Note that the work is done."""
        if self._losses:
            log.info('lost the connection to MySQL and made another')

    def error(self, error: SessionError) -> SessionError:
        """
        Return the error to raise for that of the last attempt.

        It never hides that an earlier attempt may have worked. Whoever says
        that a payload is too large has seen that none did.
        """
        if self._doubt is not None and not isinstance(error, PayloadTooLarge):
            for known in (error, self._doubt.error()):
                if isinstance(known, StoreUnavailable):
                    known.leave_in_doubt()
                    return known
        return error
