"""Wires the parts together: the session factory."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pyramid.interfaces import ISessionFactory
from zope.interface import implementer

from ..events import SessionsPurged
from ..session.kit import SessionKit
from ..session.serializers import JSONSerializer
from ..session.session import MySQLSession
from ..settings import table as settings_module
from ..store.keys import (
    handle,
    is_young,
    make_session_id,
    renew_session_id,
)
from ..store.opening import open_store
from ..store.reaper import Reaper
from ..store.store import MySQLSessionStore
from .cookie import CookiePolicy, CookieReader, CookieSigner
from .exchange import Exchange
from .responses import follow

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

    def __repr__(self) -> str:
        return f'<MySQLSessionFactory of the cookie {self._cookie_name!r}>'

    @property
    def _cookie_name(self) -> str:
        # where pyramid_session_multi looks for it
        return self._policy.name

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
        """Follow an application's responses, and tell it of purges."""
        follow(registry)
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
    subscribers = Subscribers()
    store = open_store(
        parsed,
        binary=isinstance(serializer.dumps({}), bytes),
        plain=isinstance(serializer, JSONSerializer),
        on_purge=subscribers.on_purge,
    )
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
            renew_session_id,
            partial(handle, shard_bytes=parsed.shard_bytes),
            is_young,
            parsed.idle_timeout,
            parsed.anonymous_idle_timeout,
            parsed.absolute_timeout,
            parsed.touch_interval,
            parsed.cookie_max_age,
            settings_module.LONGEST_TIMEOUT,
            parsed.userid_key,
            parsed.lock_timeout,
        ),
        subscribers,
        Reaper(store, parsed.purge_interval) if parsed.purge_expired else None,
    )
