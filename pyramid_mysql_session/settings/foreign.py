"""Knows what other packages call the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Foreign(NamedTuple):
    """A line of a table: names of another package, and what to use here."""

    there: tuple[str, ...]
    here: tuple[str, ...] = ()
    #: What is there, such as a unit or a default.
    there_note: str = ''
    #: What is here; alone where no setting is.
    here_note: str = ''


class Package(NamedTuple):
    """Another package that keeps sessions, and its settings."""

    name: str
    #: What its settings begin with in an ini file.
    prefixes: tuple[str, ...]
    rows: tuple[Foreign, ...]


def _same(*names: str) -> Foreign:
    return Foreign(names, names)


def _cookie(*names: str) -> tuple[Foreign, ...]:
    return tuple(Foreign((name,), (f'cookie_{name}',)) for name in names)


EXPRESS = Package(
    'express-mysql-session',
    (),
    (
        _same('host', 'port', 'user', 'password', 'database'),
        Foreign(('clearExpired',), ('purge_expired',)),
        Foreign(
            ('checkExpirationInterval',),
            ('purge_interval',),
            'milliseconds',
            'seconds',
        ),
        Foreign(('expiration',), ('idle_timeout',), 'milliseconds', 'seconds'),
        Foreign(('createDatabaseTable',), ('create_table',)),
        Foreign(('connectionLimit',), ('connection_limit',)),
        Foreign(
            ('waitForConnections', 'queueLimit'),
            ('connection_wait',),
            '',
            'seconds',
        ),
        Foreign(('endConnectionOnClose',), ('close_pool',)),
        Foreign(('disableTouch',), ('touch_interval',), '', 'never'),
        Foreign(('schema.tableName',), ('table_name',)),
        *(
            Foreign((f'schema.columnNames.{name}',), (f'column_{name}',))
            for name in ('session_id', 'expires', 'data')
        ),
    ),
)

SIGNED_COOKIE = Package(
    'SignedCookieSessionFactory',
    (),
    (
        _same('secret', 'cookie_name', 'set_on_exception', 'serializer'),
        Foreign(('timeout',), ('idle_timeout',), '', 'seconds'),
        Foreign(
            ('reissue_time',),
            ('touch_interval',),
            '',
            'seconds',
        ),
        Foreign(('max_age',), ('cookie_max_age',)),
        *_cookie('path', 'domain', 'secure', 'httponly', 'samesite'),
        Foreign(
            ('hashalg', 'salt'), (), '', 'fixed: SHA-512, a salt of its own'
        ),
    ),
)

REDIS = Package(
    'pyramid_session_redis',
    ('redis.sessions.',),
    (
        _same(
            *('secret', 'cookie_name', 'cookie_max_age', 'cookie_path'),
            *('cookie_domain', 'cookie_secure', 'cookie_httponly'),
            'cookie_samesite',
        ),
        Foreign(('timeout',), ('idle_timeout',), '', 'seconds'),
        Foreign(('timeout_trigger',), ('touch_interval',)),
        Foreign(('cookie_on_exception',), ('set_on_exception',)),
        Foreign(
            ('redis_url', 'url', 'redis_host'),
            ('host', 'port', 'user', 'password', 'database'),
        ),
        Foreign(('redis_port',), ('port',)),
        Foreign(('redis_db',), ('database',)),
        Foreign(('redis_username',), ('user',)),
        Foreign(('redis_password',), ('password',)),
        Foreign(('redis_unix_socket_path',), ('unix_socket',)),
        Foreign(('redis_connection_pool',), ('pool',)),
        Foreign(
            ('redis_socket_timeout',),
            ('connect_timeout', 'read_timeout', 'write_timeout'),
        ),
        Foreign(('serialize', 'deserialize'), ('serializer',)),
        Foreign(
            ('deserialized_fails_new', 'invalidate_empty_session'),
            (),
            '',
            'always so',
        ),
        Foreign(('set_redis_ttl',), (), '', 'the purging thread'),
    ),
)

BEAKER = Package(
    'pyramid_beaker',
    ('session.', 'beaker.session.'),
    (
        Foreign(('key',), ('cookie_name',)),
        Foreign(('secret', 'validate_key'), ('secret',)),
        Foreign(('timeout',), ('idle_timeout',)),
        Foreign(('save_accessed_time',), ('touch_interval',)),
        Foreign(('cookie_expires',), ('cookie_max_age',)),
        _same('cookie_domain'),
        _same('cookie_path'),
        *_cookie('secure', 'httponly', 'samesite'),
        Foreign(
            ('url', 'sa.url'),
            ('host', 'port', 'user', 'password', 'database'),
        ),
        _same('table_name'),
        Foreign(('data_serializer',), ('serializer',)),
        Foreign(('encrypt_key',), ('encrypt',), '', 'true'),
        Foreign(
            ('type', 'auto', 'data_dir', 'lock_dir'), (), '', 'not needed'
        ),
    ),
)

PACKAGES = (EXPRESS, SIGNED_COOKIE, REDIS, BEAKER)


def renamed(name: str) -> str | None:
    """
    Say what a setting of another package is called here.

    :param name: without a prefix; case and underscores do not matter.
    :returns: ``None`` if no other package is known to have it.
    """
    for package in PACKAGES:
        for row in package.rows:
            for there in row.there:
                if _plain(there) == _plain(name) and there not in row.here:
                    return _shown(package, there, row)
    return None


def leftovers(settings: Iterable[str]) -> Iterator[str]:
    """Say what became of names that begin as another package has them."""
    for name in settings:
        for package in PACKAGES:
            for prefix in package.prefixes:
                if name.startswith(prefix):
                    there = name[len(prefix) :]
                    yield from (
                        f'{name} is not read: {_shown(package, there, row)}'
                        for row in package.rows
                        if there in row.there
                    )


def as_rst(package: Package) -> str:
    """Return the table of a package as reStructuredText."""
    lines = [
        '.. list-table::',
        '    :header-rows: 1',
        '    :widths: 50 50',
        '',
        '    * - there',
        '      - here',
    ]
    for row in package.rows:
        here = _code(row.here)
        if row.here == row.there:
            here = 'the same name' if len(row.here) == 1 else 'the same names'
        lines += [
            f'    * - {_noted(_code(row.there), row.there_note)}',
            f'      - {_noted(here, row.here_note)}',
        ]
    return '\n'.join([*lines, ''])


def _code(names: Iterable[str]) -> str:
    return ', '.join(f'``{name}``' for name in names)


def _noted(text: str, note: str) -> str:
    return f'{text} ({note})' if text and note else text or note


def _plain(name: str) -> str:
    return name.replace('_', '').lower()


def _shown(package: Package, name: str, row: Foreign) -> str:
    """Say what a name of another package is here."""
    there = _noted(name, row.there_note)
    here = ', '.join(f'mysql_session.{each}' for each in row.here)
    return (
        f'what is {there} in {package.name} is '
        f'{_noted(here, row.here_note)} here'
    )
