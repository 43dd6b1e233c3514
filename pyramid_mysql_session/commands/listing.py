"""Lists sessions, and counts them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from ..store.census import Stats
from ..store.store import MySQLSessionStore

_ALWAYS = ('handle', 'userid', 'created', 'expires', 'size')
# in the order of a list
_COLUMNS = (
    *('handle', 'userid', 'created', 'seen', 'expires', 'size'),
    *('ip', 'agent'),
)
_MOMENTS = frozenset({'created', 'seen', 'expires', 'oldest'})
_AGES = {
    'hour': 'up to an hour old',
    'day': 'up to a day old',
    'week': 'up to a week old',
    'month': 'up to 30 days old',
    'older': 'older',
}


def list_sessions(
    store: MySQLSessionStore, userid: str | None, limit: int, as_json: bool
) -> int:
    """Print the newest live sessions, of all or of a user."""
    found = (
        store.newest(limit)
        if userid is None
        else store.for_user(userid, limit)
    )
    if as_json:
        _print_json(
            [
                {name: getattr(session, name) for name in _COLUMNS}
                for session in found
            ]
        )
    else:
        columns = [
            name
            for name in _COLUMNS
            if name in _ALWAYS
            or any(getattr(session, name) is not None for session in found)
        ]
        rows = [
            [_shown(name, getattr(session, name)) for name in columns]
            for session in found
        ]
        _print_table([columns, *rows])
    if len(found) == limit:
        print(
            f'The newest {limit:,} are shown, --limit shows more.',
            file=sys.stderr,
        )
    return 0


def show_stats(store: MySQLSessionStore, as_json: bool) -> int:
    """Print what the table holds."""
    stats = store.stats()._asdict()
    if as_json:
        _print_json(stats)
        return 0
    ages, exact = stats.pop('ages') or {}, stats.pop('exact')
    _print_table(
        [
            *((name, _shown(name, value)) for name, value in stats.items()),
            *((_AGES[name], f'{number:,}') for name, number in ages.items()),
            ('numbers are', 'exact' if exact else 'estimates where large'),
        ]
    )
    return 0


def number_of(stats: Stats, name: str) -> str:
    """Write one of the numbers of what the table holds."""
    about = '' if stats.exact else 'about '
    return f'{about}{getattr(stats, name):,}'


def _print_json(value: Any) -> None:
    # escapes all that is not ASCII
    print(json.dumps(value, indent=2))


def _print_table(rows: Iterable[Sequence[str]]) -> None:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        )
        print('  '.join(cells).rstrip())


def _shown(name: str, value: Any) -> str:
    if value is None:
        return '-'
    if name in _MOMENTS:
        return _moment(value)
    if isinstance(value, int):
        return f'{value:,}'
    # what a browser calls itself may hold escape sequences for a terminal
    return ''.join(
        character if character.isprintable() else f'\\u{ord(character):04x}'
        for character in value
    )


def _moment(second: int) -> str:
    """Return local time, if that second has one."""
    try:
        return str(datetime.fromtimestamp(second))
    except (OSError, OverflowError, ValueError):
        return str(second)
