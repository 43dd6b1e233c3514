"""Does work with pooled connections, again where that can help."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ..errors import SessionError, StoreUnavailable
from .driver import Connection, DriverError, ReadOnlyAnswer, verdict_on
from .errors import Phase
from .lending import Lease, Lender
from .trial import Limits, Outage, Trial

T = TypeVar('T')
#: Does work with a connection, and returns its result.
Run = Callable[[Callable[[Connection], Any]], Any]
log = logging.getLogger(__name__)

# seconds that who cannot wait waits for a connection that others use
_AT_ONCE = 1


class ConnectionPool:
    """
    Does work with the connections of a DBUtils pool; each wait is bounded.

    A child that was forked never uses, closes or collects a connection of
    its parent, and the parent's stay alive.

    :param lender: lends the connections.
    :param limits: how long work is tried.
    :param close_pool: whether :meth:`close` closes the connections.
    :param on_retry: called with the number of an error, ``None`` without
        one, before something is done again.
    """

    def __init__(
        self,
        lender: Lender,
        limits: Limits,
        close_pool: bool,
        on_retry: Callable[[int | None], None],
    ) -> None:
        self._lender = lender
        self._limits = limits
        self._outage = Outage(limits.wait)
        self._close_pool = close_pool
        self._on_retry = on_retry
        self._closed = False

    def run(self, work: Callable[[Connection], T]) -> T:
        """
        Let some work be done with a connection, and return its result.

        The work is done again, from its beginning, when it met a conflict,
        lost its connection or came to the wrong server, a bounded number of
        times: it must be such that doing it twice does no harm.

        :raises pyramid_mysql_session.StoreUnavailable: and its relatives,
            for every error of the driver.
        """
        lease = self._lend()
        try:
            return self._attempt(lease, work)[1]
        finally:
            self._take_back(lease)

    def run_now(self, work: Callable[[Connection], T]) -> T:
        """
        Do what :meth:`run` does, or raise at once if there is no server.

        Nothing is waited for but answers, and a free connection for a second.
        """
        lease = self._lend(_AT_ONCE)
        try:
            return self._attempt(lease, work, patient=False)[1]
        finally:
            self._take_back(lease)

    @contextmanager
    def transaction(
        self, work: Callable[[Connection], T]
    ) -> Iterator[tuple[Run, T]]:
        """
        Begin a transaction with some work and commit it at the end.

        The work may be done again as in :meth:`run`. Gives its result and
        what does further work, which is not done again. An exception rolls
        back.
        """
        lease = self._lend()
        try:
            connection, result = self._attempt(lease, work, True)

            def run(work: Callable[[Connection], Any]) -> Any:
                try:
                    return work(connection)
                except DriverError as exc:
                    verdict = verdict_on(exc, connection.phase)
                    lease.recover(verdict)
                    raise verdict.error() from exc

            try:
                # an error of the driver in here is somebody else's
                yield run, result
            except BaseException:
                lease.recover()
                raise
            run(Connection.commit)
            lease.done(connection)
            if self._outage.lasts:
                self._outage.over(True)
        finally:
            self._take_back(lease)

    def close(self) -> None:
        """Refuse further use; close the connections of a pool of ours."""
        self._closed = True
        if self._close_pool:
            self._lender.close()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def _lend(self, most: float | None = None) -> Lease:
        if self._closed:
            raise _closed()
        return self._lender.lend(most)

    def _take_back(self, lease: Lease) -> None:
        lease.give_back()
        if self._closed and self._close_pool:
            self._lender.close()

    def _attempt(
        self,
        lease: Lease,
        work: Callable[[Connection], T],
        in_transaction: bool = False,
        patient: bool = True,
    ) -> tuple[Connection, T]:
        trial = None
        began = time.monotonic()
        while True:
            connection = None
            try:
                # the store may have been closed during a wait
                if self._closed:
                    raise _closed()
                connection = lease.open()
                if trial is not None:
                    connection.repeated = True
                    connection.in_doubt = trial.in_doubt
                if not connection.ours:
                    connection.start()
                if in_transaction:
                    connection.begin()
                result = work(connection)
                if not in_transaction:
                    if not connection.ours:
                        connection.finish()
                    lease.done(connection)
            except ReadOnlyAnswer:
                # the next connection is a new one, whose answer counts
                self._lender.distrust_all()
                lease.drop()
                continue
            except DriverError as exc:
                verdict = verdict_on(
                    exc, connection.phase if connection else Phase.CONNECTING
                )
                lease.recover(verdict)
                if trial is None:
                    trial = Trial(self._limits, self._outage, began)
                known = patient and self._lender.connected
                if not trial.again(verdict, lease.idle_for, known):
                    raise trial.error(verdict.error()) from exc
                log.debug('trying again after MySQL error %s', verdict.code)
                self._on_retry(verdict.code)
            except SessionError as exc:
                lease.recover()
                error = exc if trial is None else trial.error(exc)
                if error is exc:
                    raise
                raise error from exc
            except BaseException:
                # nobody knows what it interrupted
                lease.drop()
                raise
            else:
                if trial is not None:
                    trial.succeeded()
                if self._outage.lasts:
                    self._outage.over(connection.phase is Phase.COMMITTING)
                return connection, result
            trial.pause()


def _closed() -> StoreUnavailable:
    return StoreUnavailable(
        'The session store is closed',
        'It was closed with close(); build a new session factory.',
    )
