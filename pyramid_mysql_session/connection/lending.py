"""Lends the connections of a DBUtils pool, if they can still be trusted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dbutils.pooled_db import PooledDB, TooManyConnectionsError

from ..errors import SettingsError, StoreUnavailable
from .driver import (
    ASK_EVERY,
    Connection,
    DriverError,
    Known,
    is_of_driver,
)
from .errors import Phase, Verdict
from .forks import Belongings
from .gate import Gate, Ticket
from .owned import Deferred, OwnPool

# seconds in which all connections are not distrusted again
_PATIENCE = 0.5


class Lender:
    """
    Lends connections, each to one piece of work at a time.

    :param pooled: the ``PooledDB``.
    :param limit: number of connections of a pool that is ours; ``None`` for
        a passed-in one, which has limits and connections of its own.
    :param wait: seconds to wait for a free connection.
    :param max_idle: seconds after which an idle connection is replaced: what
        stands between may have dropped it without a word.
    :param max_age: seconds after which any connection is replaced.
    """

    def __init__(
        self,
        pooled: PooledDB,
        *,
        limit: int | None,
        wait: float,
        max_idle: float,
        max_age: float,
    ) -> None:
        self.pooled = pooled
        #: Take a connection from the pool, and put it back.
        self.borrow = pooled.dedicated_connection
        self.put_back: Callable[[Any], None] = _close
        if isinstance(pooled, OwnPool):
            self.borrow, self.put_back = pooled.take, pooled.cache
        self.limit = limit
        self.belongings = Belongings(pooled, limit or 1)
        #: Whether there was ever a connection.
        self.connected = False
        #: When a new connection turned out to be one to a read-only server.
        self.read_only_at = -math.inf
        self._wait = wait
        self._max_idle = max_idle
        self._max_age = max_age
        # only those that were made, or used, since then are trusted
        self._made_since = self._used_since = -math.inf

    def lend(self, most: float | None = None) -> Lease:
        """
        Return a lease as soon as one is free.

        :param most: seconds to wait, if that is less than usual.
        :raises pyramid_mysql_session.StoreUnavailable: none was.
        """
        self.belongings.notice_fork()
        if self.limit is None:
            return Lease(self, None, None)
        gate = self.belongings.gate
        wait = self._wait if most is None else min(self._wait, most)
        ticket = gate.enter(wait)
        if ticket is None:
            raise StoreUnavailable(
                f'No connection became free within {wait} seconds',
                'Raise mysql_session.connection_limit, which is '
                f'{self.limit}, or mysql_session.connection_wait.',
            )
        return Lease(self, gate, ticket)

    def trusts(self, known: Known, now: float) -> bool:
        """Tell whether a connection may be used again at a moment."""
        return (
            known.clean
            and known.made >= self._made_since
            and known.used >= self._used_since
            and now - known.made <= self._max_age
            and now - known.used <= self._max_idle
        )

    def distrust_idle(self, since: float) -> None:
        """Trust no connection that was idle at a moment."""
        self._used_since = max(self._used_since, since)

    def distrust_all(self) -> None:
        """Trust no connection that is open now."""
        now = time.monotonic()
        if now - self._made_since < _PATIENCE:
            # they are new already; where all servers are read-only it does
            # not help to replace them again and again
            return
        self._made_since = now
        if self.limit is not None:
            # those that nobody uses need not wait for it; of a pool that is
            # not ours this may close connections that are in use
            self.pooled.close()

    def close(self) -> None:
        """Close all connections that are idle."""
        self.belongings.notice_fork()
        self.pooled.close()


class Lease:
    """
    The right to use a connection, and the one that is used.

    :param gate: through which the ticket has let us; ``None`` where there is
        none.
    """

    _pooled: Any = None
    _known: Known | None = None
    # whether the connection was made for this, and when it was there
    _fresh = False
    _opened = 0.0
    #: For how many seconds it had been idle by then.
    idle_for = 0.0

    def __init__(
        self,
        lender: Lender,
        gate: Gate | None,
        ticket: Ticket | None,
    ) -> None:
        self._lender = lender
        self._gate = gate
        self._ticket = ticket

    def open(self) -> Connection:
        """
        Return a connection that is ready, made or taken from the pool.

        A driver's error means that there was none: nothing was sent.

        :raises pyramid_mysql_session.SettingsError: those of the passed-in
            pool are of no use.
        """
        lender, pooled = self._lender, self._pooled
        if pooled is None:
            try:
                pooled = self._pooled = lender.borrow()
            except TooManyConnectionsError as exc:
                raise StoreUnavailable(
                    'The passed-in pool has no free connection',
                    'Raise its maxconnections, or build it with '
                    'blocking=True.',
                ) from exc
        now = time.monotonic()
        if isinstance(pooled, Deferred):
            known = pooled.known
            fresh = known is None or not lender.trusts(known, now)
            if fresh:
                # it may be there if a signal came before it was known
                pooled.close()
                known = lender.belongings.know(pooled.driver())
                pooled.known = known
            driver = pooled.driver()
        else:
            driver, known, fresh = self._trusted(now)
        self._known, self._fresh = known, fresh
        known.clean = False
        lender.connected = True
        if fresh:
            self._opened = time.monotonic()
            self.idle_for = 0.0
            sceptical = False
        else:
            self._opened = now
            self.idle_for = now - known.used
            sceptical = now - lender.read_only_at > ASK_EVERY
        return Connection(driver, known, lender.limit is not None, sceptical)

    def done(self, connection: Connection) -> None:
        """Note that the work is done, and nothing of it left."""
        if connection.read_only and self._fresh:
            self._lender.read_only_at = time.monotonic()
        self._clean()

    def recover(self, verdict: Verdict | None = None) -> None:
        """
        Leave no transaction, half an answer or lock behind.

        :param verdict: on the error that came; without one it is not known
            what was left.
        """
        if self._pooled is None:
            return
        if verdict is not None:
            if verdict.meaning.spreads:
                self._lender.distrust_all()
            if verdict.meaning.breaks and self.idle_for:
                # what has befallen this one may have befallen others
                self._lender.distrust_idle(self._opened)
            if verdict.meaning.breaks or verdict.phase is Phase.CONNECTING:
                self.drop()
                return
        try:
            self._pooled.dbapi_connection.rollback()
        except DriverError:
            self.drop()
        else:
            self._clean()

    def drop(self) -> None:
        """Close the connection, and take another the next time."""
        self._known = None
        if self._pooled is None:
            return
        with suppress(DriverError):
            self._pooled.dbapi_connection.close()
        # DBUtils replaces those of a passed-in pool, see below
        if self._lender.limit is not None:
            pooled, self._pooled = self._pooled, None
            self._lender.put_back(pooled)

    def give_back(self) -> None:
        """Let others have the connection, unless something is left in it."""
        known, self._known = self._known, None
        if known is not None and not known.clean:
            self.drop()
        pooled, self._pooled = self._pooled, None
        if pooled is not None:
            self._lender.put_back(pooled)
        ticket, self._ticket = self._ticket, None
        if self._gate is not None and ticket is not None:
            self._gate.leave(ticket)

    def _clean(self) -> None:
        if self._known is not None:
            self._known.used = time.monotonic()
            self._known.clean = True

    def _trusted(self, now: float) -> tuple[Any, Known, bool]:
        """
        Return the driver connection of somebody else's pool.

        :returns: with it, whether it had to be replaced.
        """
        lender, pooled = self._lender, self._pooled
        driver = pooled.dbapi_connection
        if not is_of_driver(driver):
            raise SettingsError(
                [
                    'mysql_session.pool: expected connections of mysqlclient, '
                    f'PooledDB(MySQLdb, …), not {_type(driver)}'
                ]
            )
        # nobody knows how old one is that somebody else has made
        known = lender.belongings.know(driver)
        fresh = not (driver.open and lender.trusts(known, now))
        if fresh:
            with suppress(DriverError):
                driver.close()
            self._replace()
            driver = pooled.dbapi_connection
            known = lender.belongings.know(driver)
        return driver, known, fresh

    def _replace(self) -> None:
        """Have DBUtils make a connection in the place of a closed one."""
        with suppress(DriverError):
            self._pooled.rollback()
        if not self._pooled.dbapi_connection.open:
            # it does not tell why it could not
            raise DriverError(2006, 'DBUtils could not make a connection')


def see_that_it_is_one(pool: Any) -> PooledDB:
    """
    Return a passed-in pool.

    :raises pyramid_mysql_session.SettingsError: it is something else, such as
        a ``PersistentDB``, which gives the same connection twice.
    """
    if not isinstance(pool, PooledDB):
        raise SettingsError(
            [
                'mysql_session.pool: expected a PooledDB of DBUtils, not '
                f'something of type {_type(pool)}'
            ]
        )
    return pool


def _close(pooled: Any) -> None:
    """Give a connection back to a pool of DBUtils."""
    pooled.close()


def _type(value: Any) -> str:
    """Return the full name of a type."""
    return f'{type(value).__module__}.{type(value).__qualname__}'
