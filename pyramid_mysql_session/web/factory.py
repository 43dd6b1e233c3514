"""Wires the parts together: the session factory."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pyramid.interfaces import ISessionFactory
from zope.interface import implementer

from ..errors import SessionError
from ..events import SessionEnded, SessionsPurged, StoreRetried
from ..session.extras import plain_data
from ..session.kit import SessionKit
from ..session.sealing import (
    NoSeal,
    Seal,
    SessionSeal,
    as_made,
    see_that_it_is_open,
)
from ..session.serializers import JSONSerializer, Payload
from ..session.session import MySQLSession
from ..settings import table as settings_module
from ..settings.converters import MAKES_ONE
from ..store.keys import (
    handle,
    is_young,
    make_session_id,
    renew_session_id,
    stored_key,
)
from ..store.opening import open_store
from ..store.reaper import Reaper
from ..store.results import Ending
from ..store.store import MySQLSessionStore
from .cookie import CookiePolicy, CookieReader, CookieSigner
from .exchange import Exchange
from .visitors import Visitors

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
        visitors: Visitors,
        subscribers: Subscribers,
        reaper: Reaper | None,
    ) -> None:
        self.store = store
        self._policy = policy
        self._kit = kit
        self._visitors = visitors
        self._subscribers = subscribers
        self._reaper = reaper
        if reaper is not None:
            # a dropped application stops purging, too
            weakref.finalize(self, reaper.stop)

    def __call__(self, request: Any) -> MySQLSession:
        return Exchange(
            self._policy, self._kit, self._visitors, request, self._on_use
        ).session

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
        """Tell an application of purges."""
        self._subscribers.registry = weakref.ref(registry)

    def _on_use(self, request: Any) -> None:
        self.serve(request.registry)
        if self._reaper is not None:
            self._reaper.start()


class Subscribers:
    """Notifies an application, without keeping it alive."""

    registry: Callable[[], Any] = staticmethod(lambda: None)

    def on_purge(self, rows: int, seconds: float) -> None:
        self._notify(SessionsPurged(rows, seconds))

    def on_end(self, ending: Ending) -> None:
        event = SessionEnded(*ending)
        if ending.request is None:
            self._notify(event)
        else:
            # it may be the first of all
            ending.request.registry.notify(event)

    def on_retry(self, code: int | None) -> None:
        # what is done again must be done whatever they do
        try:
            self._notify(StoreRetried(code))
        except Exception:
            log.exception('a subscriber of StoreRetried failed')

    def _notify(self, event: Any) -> None:
        registry = self.registry()
        if registry is not None:
            registry.notify(event)


def session_factory_from_settings(
    settings: Mapping[str, Any], pool: Any | None = None
) -> MySQLSessionFactory:
    """
    Build a session factory by hand, for ``config.set_session_factory``.

    Nothing is connected before the first session is used, unless
    ``check_at_start`` says so.

    :param settings: ini texts or ready values whose names begin with
        ``mysql_session.``; others are ignored.
    :param pool: a DBUtils ``PooledDB`` that makes mysqlclient connections;
        it is used as it is. Without one the settings say how to connect.
    :raises pyramid_mysql_session.SettingsError: lists every problem.
    :raises pyramid_mysql_session.StoreUnavailable: and
        :exc:`~pyramid_mysql_session.SchemaError` with ``check_at_start``.
    """
    parsed = settings_module.parse(settings, pool)
    if any(len(secret) < _SHORT_SECRET for secret in parsed.secret):
        log.warning(
            'mysql_session.secret has fewer than %d characters: take '
            'a longer one, %s',
            _SHORT_SECRET,
            MAKES_ONE,
        )
    serializer = parsed.serializer
    signer = CookieSigner(parsed.secret)
    subscribers = Subscribers()
    text = isinstance(serializer.dumps({}), str)
    seal: Seal = NoSeal(text)
    if parsed.encrypt:
        seal = SessionSeal(
            partial(stored_key, shard_bytes=parsed.shard_bytes),
            parsed.secret,
            text=text,
            seals=parsed.encrypt != 'ending',
            reads_plain=parsed.encrypt is not True,
        )
    store = open_store(
        parsed,
        binary=seal.binds or not text,
        plain=isinstance(serializer, JSONSerializer),
        decode=partial(_decode, serializer, text),
        on_purge=subscribers.on_purge,
        on_end=subscribers.on_end,
        on_retry=subscribers.on_retry,
    )
    if parsed.check_at_start:
        try:
            store.check_table()
        except BaseException:
            store.close()
            raise
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
            doubted=set(),
        ),
        SessionKit(
            store,
            serializer,
            make_session_id,
            renew_session_id,
            seal,
            partial(handle, shard_bytes=parsed.shard_bytes),
            is_young,
            parsed.idle_timeout,
            parsed.anonymous_idle_timeout,
            parsed.absolute_timeout,
            parsed.touch_interval,
            parsed.cookie_max_age,
            settings_module.LONGEST_TIMEOUT,
            parsed.userid_key,
            parsed.userid is not None,
            parsed.lock_timeout,
        ),
        Visitors(parsed.track_devices, parsed.userid),
        subscribers,
        Reaper(store, parsed.purge_interval) if parsed.purge_expired else None,
    )


def _decode(serializer: Any, text: bool, payload: Payload) -> dict[str, Any]:
    payload = see_that_it_is_open(payload)
    try:
        return plain_data(serializer, as_made(payload, text))
    except ValueError as exc:
        raise SessionError(
            'The data of the session cannot be read: it was stored by '
            'another serializer. See mysql_session.serializer.'
        ) from exc
