"""Wires the parts together: the session factory."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from pyramid.interfaces import ISessionFactory
from zope.interface import implementer

from . import settings as settings_module
from .events import SessionsPurged
from .exchange import CookiePolicy, Exchange
from .identity import CookieReader, CookieSigner, make_session_id, stored_key
from .pool import ConnectionPool, make_pooled
from .reaper import Reaper
from .schema import DEFAULT_COLUMNS, Table
from .serializers import JSONSerializer
from .session import MySQLSession
from .state import SessionKit
from .store import MySQLSessionStore

log = logging.getLogger(__name__)

_SHORT_SECRET = 32


@implementer(ISessionFactory)
class MySQLSessionFactory:
    """
    Makes the session of each request; ``factory(request)``.

    :func:`session_factory_from_settings` builds it.

    :ivar store: the :class:`.IMySQLSessionStore` behind it.
    """

    def __init__(
        self,
        store: MySQLSessionStore,
        policy: CookiePolicy,
        kit: SessionKit,
        subscribers: Subscribers,
        reaper: Reaper | None,
    ) -> None:
        self.store = store
        self._policy = policy
        self._kit = kit
        self._subscribers = subscribers
        self._reaper = reaper
        if reaper is not None:
            # a dropped application stops purging, too
            weakref.finalize(self, reaper.stop)

    def __call__(self, request: Any) -> MySQLSession:
        return Exchange(self._policy, self._kit, request, self._on_use).session

    def close(self) -> None:
        """
        Stop purging and close the store.

        It may be called twice, from any thread and while requests are
        served; what uses a session afterwards gets a
        :exc:`~pyramid_mysql_session.StoreUnavailable`. A pool that was
        passed in stays open unless ``close_pool`` says otherwise.
        """
        if self._reaper is not None:
            self._reaper.close()
        self.store.close()

    def serve(self, registry: Any) -> None:
        """Let the subscribers of an application know of purges."""
        self._subscribers.registry = weakref.ref(registry)

    def _on_use(self, request: Any) -> None:
        self.serve(request.registry)
        if self._reaper is not None:
            self._reaper.start()


class Subscribers:
    """Notifies an application, without keeping it alive."""

    registry: Callable[[], Any] = staticmethod(lambda: None)

    def on_purge(self, rows: int, seconds: float) -> None:
        registry = self.registry()
        if registry is not None:
            registry.notify(SessionsPurged(rows, seconds))


def session_factory_from_settings(
    settings: Mapping[str, Any], pool: Any | None = None
) -> MySQLSessionFactory:
    """
    Build a session factory by hand, for ``config.set_session_factory``.

    Nothing is connected before the first session is used.

    :param settings: ini texts or ready values whose names begin with
        ``mysql_session.``; others are ignored.
    :param pool: a DBUtils ``PooledDB`` that makes mysqlclient connections;
        it is used as it is. Without one the settings say how to connect.
    :raises pyramid_mysql_session.SettingsError: lists every problem.
    """
    parsed = settings_module.parse(settings, pool)
    if any(len(secret) < _SHORT_SECRET for secret in parsed.secret):
        log.warning(
            'mysql_session.secret has fewer than %d characters', _SHORT_SECRET
        )
    serializer = parsed.serializer
    signer = CookieSigner(parsed.secret)
    connections = _connection_pool(parsed)
    subscribers = Subscribers()
    store = MySQLSessionStore(
        connections,
        Table(
            parsed.table_name,
            {
                name: getattr(parsed, f'column_{name}')
                for name in DEFAULT_COLUMNS
            },
            binary=isinstance(serializer.dumps({}), bytes),
            plain=isinstance(serializer, JSONSerializer),
        ),
        stored_key,
        create_table=parsed.create_table,
        absolute_timeout=parsed.absolute_timeout,
        max_payload_bytes=parsed.max_payload_bytes,
        purge_batch=parsed.purge_batch,
        on_purge=subscribers.on_purge,
    )
    # the interpreter's exit closes it, too; whoever keeps the store of a
    # dropped application may still use it
    weakref.finalize(store, connections.close)
    return MySQLSessionFactory(
        store,
        CookiePolicy(
            signer=signer,
            reader=CookieReader(parsed.cookie_name, signer),
            **{
                name: getattr(parsed, f'cookie_{name}')
                for name in (
                    'name',
                    'path',
                    'domain',
                    'max_age',
                    'secure',
                    'httponly',
                    'samesite',
                )
            },
            set_on_exception=parsed.set_on_exception,
        ),
        SessionKit(
            store,
            serializer,
            make_session_id,
            parsed.idle_timeout,
            parsed.absolute_timeout,
            parsed.touch_interval,
            parsed.userid_key,
        ),
        subscribers,
        Reaper(store, parsed.purge_interval) if parsed.purge_expired else None,
    )


def _connection_pool(parsed: settings_module.Settings) -> ConnectionPool:
    passed_in = parsed.pool is not None
    close_pool = parsed.close_pool
    options = _connect_options(parsed)

    return ConnectionPool(
        parsed.pool
        if passed_in
        else make_pooled(
            options, parsed.connection_limit, parsed.lock_timeout
        ),
        limit=None if passed_in else parsed.connection_limit,
        wait=parsed.connection_wait,
        lock_timeout=parsed.lock_timeout,
        # a server that does not answer in time will not do so the next time
        patience=min(parsed.connect_timeout, parsed.read_timeout),
        close_pool=not passed_in if close_pool is None else close_pool,
    )


def _connect_options(parsed: settings_module.Settings) -> dict[str, Any]:
    """Return what mysqlclient's ``connect`` takes."""
    names = (
        'host',
        'port',
        'unix_socket',
        'user',
        'password',
        'database',
        'read_default_file',
        'read_default_group',
        'ssl_mode',
        'connect_timeout',
        'read_timeout',
        'write_timeout',
        'charset',
    )
    options = {name: getattr(parsed, name) for name in names}
    options['ssl'] = {
        name: value
        for name in ('ca', 'cert', 'key')
        if (value := getattr(parsed, f'ssl_{name}')) is not None
    }
    # an option file says what the settings leave open
    return {name: value for name, value in options.items() if value}
