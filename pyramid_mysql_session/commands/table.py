"""Shows how the table is made, makes it, and checks it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..errors import SchemaError
from ..settings.table import PREFIX
from ..store.store import MySQLSessionStore
from .failing import deviations

# seconds by which two clocks may differ
_CLOCKS_DIFFER = 5


def show_setup(store: MySQLSessionStore, settings: Mapping[str, Any]) -> int:
    """Print the statements that make database, user and table."""
    given = {
        name: settings.get(f'{PREFIX}{name}') or f'<{name}>'
        for name in ('database', 'user')
    }
    is_local = (
        bool(settings.get(f'{PREFIX}unix_socket'))
        or (settings.get(f'{PREFIX}host') or 'localhost') == 'localhost'
    )
    print("-- Replace <password> with one that you choose, in quotes: '...'.")
    if not is_local:
        print("-- '%' is any host; name that of the application instead.")
    statements = store.setup_statements(
        **given, host='localhost' if is_local else '%'
    )
    for statement in statements:
        print(f'{statement};')
    return 0


def make(store: MySQLSessionStore) -> int:
    """Create the table if it is missing, and check it."""
    store.create_table()
    return check(store)


def check(store: MySQLSessionStore) -> int:
    """
    Print what is wrong with table and server, and what is poor.

    :returns: 1 if sessions cannot be kept there.
    """
    wrong = 0
    if not store.ping():
        wrong = 1
        print(
            'wrong: the server is read-only: sessions are read, but none can '
            'be saved'
        )
    try:
        warnings = store.check_table()
    except SchemaError as exc:
        wrong = 1
        for deviation in deviations(exc):
            print(f'wrong: {exc.table}: {deviation}')
        print(f'\nWhat mends the table:\n{exc.remedy}')
        warnings = []
    # a second is what the server tells
    ahead = store.now() - int(time.time())
    if abs(ahead) > _CLOCKS_DIFFER:
        warnings.append(
            f'the clock of the server is {abs(ahead)} seconds '
            f'{"ahead of" if ahead > 0 else "behind"} that of this host: '
            'ids are made by the one, and expire by the other. Let both '
            'follow the same time server.'
        )
    for warning in warnings:
        print(f'warning: {warning}')
    if not wrong:
        print('sessions can be kept')
    return wrong
