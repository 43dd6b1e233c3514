"""Ends sessions."""

from __future__ import annotations

import sys

from ..store.store import MySQLSessionStore
from .listing import number_of


def end_of_user(store: MySQLSessionStore, userid: str, sure: bool) -> int:
    """End all sessions of a user."""
    number = store.count(userid)
    if not (sure or _agrees(f'End the {number:,} sessions of this user?')):
        return 1
    return _tell(store.delete_for_user(userid))


def end_one(store: MySQLSessionStore, handle: str, sure: bool) -> int:
    """End the session of a handle; return 1 if there is none."""
    if not (sure or _agrees('End this session?')):
        return 1
    if store.end(handle):
        return _tell(1)
    # what was given may be a session id
    print('there is no live session of this handle', file=sys.stderr)
    return 1


def end_all(store: MySQLSessionStore, sure: bool) -> int:
    """End all sessions."""
    if not sure:
        live = number_of(store.stats(), 'live')
        if not _agrees(f'End all {live} sessions?'):
            return 1
    rows = store.clear()
    print(f'{rows:,} sessions deleted, expired ones included')
    return 0


def _tell(number: int) -> int:
    print(f'{number:,} {"session" if number == 1 else "sessions"} ended')
    return 0


def _agrees(question: str) -> bool:
    """Ask on the terminal."""
    print(f'{question} [y/N] ', end='', file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ('y', 'yes'):
        return True
    print('nothing was ended', file=sys.stderr)
    return False
