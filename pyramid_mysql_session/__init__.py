"""
A Pyramid session factory that keeps sessions in MySQL or MariaDB.

What this module does not export is private.
"""

from __future__ import annotations

from typing import Any

from pyramid.interfaces import ISessionFactory

from .errors import (
    LockTimeout,
    PayloadNotSerializable,
    PayloadTooLarge,
    SchemaError,
    SessionError,
    SettingsError,
    StoreUnavailable,
)
from .events import (
    SessionCreated,
    SessionLost,
    SessionMerged,
    SessionRejected,
    SessionsPurged,
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
    'SessionError',
    'SessionLost',
    'SessionMerged',
    'SessionRejected',
    'SessionsPurged',
    'SettingsError',
    'StoreUnavailable',
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

    :raises pyramid.exceptions.ConfigurationExecutionError: at the commit;
        its ``evalue`` is the :exc:`~pyramid_mysql_session.SettingsError`
        that lists every problem.
    """
    introspectable = config.introspectable(
        'session factory',
        None,
        config.object_description(MySQLSessionFactory),
        'session factory',
    )

    def register() -> None:
        registry = config.registry
        factory = session_factory_from_settings(
            registry.settings, registry.get(POOL_KEY)
        )
        factory.serve(registry)
        introspectable['factory'] = factory
        registry.registerUtility(factory, ISessionFactory)

    # the discriminator of config.set_session_factory: the two conflict
    config.action(ISessionFactory, register, introspectables=(introspectable,))


def get_store(request_or_registry: Any) -> MySQLSessionStore:
    """
    Return the store behind an application's sessions.

    :raises LookupError: its session factory is not one of this package.
    """
    registry = getattr(request_or_registry, 'registry', request_or_registry)
    factory = registry.queryUtility(ISessionFactory)
    if not isinstance(factory, MySQLSessionFactory):
        raise LookupError(
            f'the session factory is {factory!r}, not one of '
            'pyramid_mysql_session: include it in the configuration'
        )
    return factory.store
