"""Opens the pool that the settings describe."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..errors import SettingsError
from .lending import Lender, see_that_it_is_one
from .owned import make_pooled
from .pool import ConnectionPool
from .trial import Limits

log = logging.getLogger(__name__)

_USUAL_PORT = 3306


def open_pool(
    settings: Any, on_retry: Callable[[int | None], None]
) -> ConnectionPool:
    """
    Open a pool; nothing is connected before it is used.

    :param settings: has an attribute for each setting.
    :param on_retry: see :class:`.ConnectionPool`.
    """
    passed_in = settings.pool is not None
    close_pool = settings.close_pool
    lender = Lender(
        see_that_it_is_one(settings.pool)
        if passed_in
        else make_pooled(
            _connect_options(settings),
            settings.lock_timeout,
            settings.session_variables,
        ),
        limit=None if passed_in else settings.connection_limit,
        wait=settings.connection_wait,
        max_idle=settings.connection_max_idle,
        max_age=settings.connection_max_age,
    )
    limits = Limits(
        wait=settings.connection_wait,
        lock=settings.lock_timeout,
        patience=min(settings.connect_timeout, settings.read_timeout),
    )
    return ConnectionPool(
        lender,
        limits,
        not passed_in if close_pool is None else close_pool,
        on_retry,
    )


def _connect_options(settings: Any) -> dict[str, Any]:
    """Return what mysqlclient's ``connect`` takes."""
    if settings.read_default_file is not None:
        _see_that_it_can_be_read(settings.read_default_file)
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
    if (
        settings.host == 'localhost'
        and settings.unix_socket is None
        and settings.port != _USUAL_PORT
    ):
        log.warning(
            'mysql_session.port = %d is not used: localhost stands for the '
            'socket of the server; set mysql_session.host = 127.0.0.1 to '
            'connect to that port',
            settings.port,
        )
    if settings.unix_socket is not None:
        # the client library passes over the socket if the settings or an
        # option file name another host
        options['host'] = 'localhost'
    # an option file says what the settings leave open
    return {name: value for name, value in options.items() if value}


def _see_that_it_can_be_read(path: str) -> None:
    # the client library takes a file that is not there for an empty one
    try:
        with open(path, 'rb'):
            pass
    except OSError as exc:
        raise SettingsError(
            [
                f'mysql_session.read_default_file = {path!r}: expected the '
                f'path of a file that can be read ({exc.strerror})'
            ]
        ) from None
