"""
A Pyramid session factory that keeps sessions in MySQL or MariaDB.

What this module does not export is private.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any

from pyramid.config.actions import ActionInfo
from pyramid.interfaces import ISessionFactory

from .errors import (
    LockTimeout,
    PayloadNotSerializable,
    PayloadTooLarge,
    SchemaError,
    SessionError,
    SettingsError,
    StoreUnavailable,
    UserIDError,
)
from .events import (
    SessionCreated,
    SessionEnded,
    SessionFailed,
    SessionLost,
    SessionMerged,
    SessionRejected,
    SessionsPurged,
    StoreRetried,
)
from .interfaces import IMySQLSessionStore, ISerializer
from .store.store import MySQLSessionStore
from .web.factory import MySQLSessionFactory, session_factory_from_settings

__all__ = [
    'IMySQLSessionStore',
    'ISerializer',
    'LockTimeout',
    'MySQLSessionFactory',
    'PayloadNotSerializable',
    'PayloadTooLarge',
    'SchemaError',
    'SessionCreated',
    'SessionEnded',
    'SessionError',
    'SessionFailed',
    'SessionLost',
    'SessionMerged',
    'SessionRejected',
    'SessionsPurged',
    'SettingsError',
    'StoreRetried',
    'StoreUnavailable',
    'UserIDError',
    'get_store',
    'includeme',
    'session_factory_from_settings',
]

#: The registry key under which an application may pass a pre-built pool.
POOL_KEY = 'mysql_session.pool'


def includeme(config: Any) -> None:
    """
    Set up the session factory: ``config.include('pyramid_mysql_session')``.

    The settings, and the pool under ``config.registry[POOL_KEY]``, are read
    when the configuration is committed: those that are added after the
    include count, too.

    :raises pyramid.exceptions.ConfigurationError: at the commit; its
        ``evalue`` is the :exc:`~pyramid_mysql_session.SettingsError` that
        lists every problem.
    """
    introspectable = config.introspectable(
        'session factory',
        None,
        config.object_description(MySQLSessionFactory),
        'session factory',
    )

    def register() -> None:
        try:
            factory = session_factory_from_settings(
                registry.settings, registry.get(POOL_KEY)
            )
        except SettingsError as exc:
            # where we have found it helps nobody
            raise exc.with_traceback(None) from None
        factory.serve(registry)
        introspectable['factory'] = pending.factory = factory
        registry.registerUtility(factory, ISessionFactory)

    registry = config.registry
    pending = _NotYet()
    if registry.queryUtility(ISessionFactory) is None:
        # some that are included later look for one, and else set their own
        registry.registerUtility(pending, ISessionFactory)
    before, config.info = config.info, _including()
    try:
        # the discriminator of config.set_session_factory: the two conflict
        config.action(
            ISessionFactory, register, introspectables=(introspectable,)
        )
    finally:
        config.info = before


class _NotYet:
    """Stands for the session factory until the configuration is committed."""

    factory: MySQLSessionFactory | None = None

    def __call__(self, request: Any) -> Any:
        return self.get()(request)

    def get(self) -> MySQLSessionFactory:
        if self.factory is None:
            raise LookupError(
                'the session factory of pyramid_mysql_session is made when '
                'the configuration is committed: call config.commit() first'
            )
        return self.factory


def _including() -> ActionInfo:
    """Say who includes us, for Pyramid's report of a conflict."""
    frame = sys._getframe(1)
    inside = 'pyramid', __name__
    while frame.f_back is not None and (
        frame.f_globals.get('__name__', '').partition('.')[0] in inside
    ):
        frame = frame.f_back
    (caller,) = traceback.extract_stack(frame, limit=1)
    line = includeme.__code__.co_firstlineno
    return ActionInfo(
        caller.filename,
        caller.lineno,
        caller.name,
        f'{caller.line}\n(which includes line {line} of {__file__})',
    )


def get_store(request_or_registry: Any) -> MySQLSessionStore:
    """
    Return the store behind an application's sessions.

    Of a request it is that of the registry, but it knows which session is
    the request's own, and tells the subscribers of
    :class:`.SessionEnded` who has ended one.

    :raises LookupError: its session factory is not one of this package.
    """
    registry = getattr(request_or_registry, 'registry', request_or_registry)
    factory = registry.queryUtility(ISessionFactory)
    if isinstance(factory, _NotYet):
        factory = factory.get()
    if not isinstance(factory, MySQLSessionFactory):
        raise LookupError(
            f'the session factory is {factory!r}, not one of '
            'pyramid_mysql_session: include it in the configuration'
        )
    if registry is request_or_registry:
        return factory.store
    request = request_or_registry
    return factory.store.for_request(request, lambda: request.session.handle)
