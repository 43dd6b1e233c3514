"""Opens the pool that the settings describe."""

from __future__ import annotations

from typing import Any

from .pool import ConnectionPool, make_pooled


def open_pool(settings: Any) -> ConnectionPool:
    """
    Open a pool; nothing is connected before it is used.

    :param settings: has an attribute for each setting.
    """
    passed_in = settings.pool is not None
    close_pool = settings.close_pool
    options = _connect_options(settings)

    return ConnectionPool(
        settings.pool
        if passed_in
        else make_pooled(
            options, settings.connection_limit, settings.lock_timeout
        ),
        limit=None if passed_in else settings.connection_limit,
        wait=settings.connection_wait,
        lock_timeout=settings.lock_timeout,
        # a server that does not answer in time will not do so the next time
        patience=min(settings.connect_timeout, settings.read_timeout),
        close_pool=not passed_in if close_pool is None else close_pool,
    )


def _connect_options(settings: Any) -> dict[str, Any]:
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
    options = {name: getattr(settings, name) for name in names}
    options['ssl'] = {
        name: value
        for name in ('ca', 'cert', 'key')
        if (value := getattr(settings, f'ssl_{name}')) is not None
    }
    # an option file says what the settings leave open
    return {name: value for name, value in options.items() if value}
