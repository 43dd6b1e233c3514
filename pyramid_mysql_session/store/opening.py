"""Opens the store that the settings describe."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from ..connection.opening import open_pool
from .layout import DEFAULT_COLUMNS, DEVICE_COLUMNS
from .results import Ending, Payload
from .schema import Table
from .store import MySQLSessionStore


def open_store(
    settings: Any,
    *,
    binary: bool,
    plain: bool,
    decode: Callable[[Payload], dict[str, Any]],
    on_purge: Callable[[int, float], None],
    on_end: Callable[[Ending], None],
    on_retry: Callable[[int | None], None],
) -> MySQLSessionStore:
    """
    Open a store; nothing is connected before it is used.

    :param settings: has an attribute for each setting.
    :param binary: whether payloads are ``bytes``.
    :param plain: whether payloads are plain ASCII.
    :param decode: makes data of a payload.
    :param on_purge: called with rows and seconds after each purge.
    :param on_end: called for each session that the store ended.
    :param on_retry: called with the number of an error, if it has one,
        before something is done again.
    """
    pool = open_pool(settings, on_retry)
    columns: tuple[str, ...] = DEFAULT_COLUMNS
    if settings.track_devices:
        columns += DEVICE_COLUMNS
    store = MySQLSessionStore(
        pool,
        Table(
            settings.table_name,
            {name: getattr(settings, f'column_{name}') for name in columns},
            binary=binary,
            plain=plain,
        ),
        shard_bytes=settings.shard_bytes,
        create_table=settings.create_table,
        absolute_timeout=settings.absolute_timeout,
        max_payload_bytes=settings.max_payload_bytes,
        purge_batch=settings.purge_batch,
        decode=decode,
        on_purge=on_purge,
        on_end=on_end,
    )
    # the interpreter's exit closes it, too; whoever keeps the store of a
    # dropped application may still use it
    weakref.finalize(store, pool.close)
    return store
