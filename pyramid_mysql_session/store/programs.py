"""Recognizes the session tables of other programs."""

from __future__ import annotations

from collections.abc import Iterable

# by columns that none of the others has all of
_PROGRAMS = (
    ('Django', {'session_key', 'session_data', 'expire_date'}),
    ('Beaker', {'namespace', 'accessed', 'created', 'data'}),
    ('Laravel', {'id', 'user_agent', 'payload', 'last_activity'}),
    ('Symfony', {'sess_id', 'sess_data', 'sess_time'}),
    ('Flask-Session', {'id', 'session_id', 'data', 'expiry'}),
    ('connect-session-knex', {'sid', 'sess', 'expired'}),
    ('express-mysql-session', {'session_id', 'expires', 'data'}),
)


def owner(columns: Iterable[str]) -> str:
    """
    Name the program to which a table belongs that is not ours.

    :param columns: their names in lower case.
    """
    present = set(columns)
    for program, names in _PROGRAMS:
        if names <= present:
            return program
    return 'another program'
