"""Knows the settings: names, defaults, rules, documentation."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, NamedTuple

from ..errors import SettingsError
from . import foreign
from .converters import (
    boolean,
    charset,
    cookie_domain,
    cookie_name,
    cookie_path,
    either,
    encrypt,
    host,
    identifier,
    one_of,
    pool,
    secrets,
    serializer,
    session_variables,
    table_name,
    text,
    userid,
    whole,
)

PREFIX = 'mysql_session.'
REQUIRED: Any = object()
# of the letters of a prefix that is nearly ours
_NEARLY = 0.85
log = logging.getLogger(__name__)


class Setting(NamedTuple):
    """One row of the table that parses, validates and documents."""

    name: str  # the key after the prefix
    convert: Callable[[Any], Any]  # ini text or ready value, or ValueError
    default: Any  # REQUIRED where there is none
    doc: str  # one sentence that opens with the unit or the kind
    hidden: bool = False  # True: no message or log shows the value
    example: str = ''  # of an ini line; without one the default is


#: Seconds, 400 days: browsers keep no cookie for longer (RFC 6265bis section
#: 5.5), nor do we a session that nobody uses.
LONGEST_TIMEOUT = 34_560_000

# what takes longer than an hour is stuck
patience = whole('whole seconds', 1, 3600, 30)
idle_seconds = whole('whole seconds', 1, LONGEST_TIMEOUT, 1200)

SETTINGS = (
    Setting(
        'secret',
        secrets,
        REQUIRED,
        'Text that signs the cookie: one or more secrets, one a line; the '
        'first signs, all verify.',
        True,
        example='change-me-to-32-random-characters-or-more',
    ),
    Setting(
        'host',
        host,
        'localhost',
        'Host name or address of the server.',
        example='db.example',
    ),
    Setting(
        'port',
        whole('a port', 1, 65535, 3306),
        3306,
        'TCP port of the server.',
    ),
    Setting(
        'unix_socket',
        text,
        None,
        "Path of the server's socket; used instead of host and port.",
        example='/run/mysqld/mysqld.sock',
    ),
    Setting(
        'user',
        text,
        None,
        'Name of the MySQL user; required unless a pool or an option file '
        'is given.',
        example='shop',
    ),
    Setting(
        'password',
        text,
        '',
        'Password of the MySQL user.',
        True,
        example='correct horse',
    ),
    Setting(
        'database',
        text,
        None,
        'Name of the database; required unless a pool or an option file '
        'is given.',
        example='shop',
    ),
    Setting(
        'read_default_file',
        text,
        None,
        'Path of a MySQL option file, which keeps the password out of the '
        'ini file; it may name host and port, too.',
        example='/etc/shop/mysql.cnf',
    ),
    Setting(
        'read_default_group',
        text,
        None,
        'Section of the option file that is read besides ``[client]``.',
        example='shop',
    ),
    Setting(
        'ssl_mode',
        one_of(
            'DISABLED', 'PREFERRED', 'REQUIRED', 'VERIFY_CA', 'VERIFY_IDENTITY'
        ),
        None,
        'Word that says whether the connection is encrypted and whom it '
        'trusts, as mysqlclient names them.',
        example='VERIFY_IDENTITY',
    ),
    Setting(
        'ssl_ca',
        text,
        None,
        'Path of the certificate authority.',
        example='/etc/shop/mysql-ca.pem',
    ),
    Setting(
        'ssl_cert',
        text,
        None,
        "Path of the client's certificate.",
        example='/etc/shop/mysql-cert.pem',
    ),
    Setting(
        'ssl_key',
        text,
        None,
        "Path of the client's key.",
        example='/etc/shop/mysql-key.pem',
    ),
    Setting(
        'connect_timeout',
        patience,
        5,
        'Seconds that connecting to the server may take.',
    ),
    Setting(
        'read_timeout',
        patience,
        10,
        'Seconds that the server may take to answer.',
    ),
    Setting(
        'write_timeout',
        patience,
        10,
        'Seconds that sending a statement may take.',
    ),
    Setting(
        'charset', charset, 'utf8mb4', 'Character set of the connections.'
    ),
    Setting(
        'connection_limit',
        whole('a number', 1, 10_000, 10),
        10,
        'Number of connections that one process opens at most.',
        example='20',
    ),
    Setting(
        'connection_wait',
        patience,
        10,
        'Seconds that a request waits for a free connection, or for a server '
        'that can be written to.',
    ),
    Setting(
        'connection_max_idle',
        # the server hangs up on idle ones after so long
        whole('whole seconds', 1, 28_800, 50),
        50,
        'Seconds after which an idle connection is replaced before it is '
        'used: firewalls and load balancers drop such ones without a word.',
    ),
    Setting(
        'connection_max_age',
        # a week
        whole('whole seconds', 1, 604_800, 1800),
        1800,
        'Seconds after which any connection is replaced before it is used, '
        'so that it follows the primary server.',
    ),
    Setting(
        'session_variables',
        session_variables,
        (),
        'Variables that are set for each connection made from these '
        'settings, one ``name = value`` a line, such as ``wsrep_sync_wait = '
        '7``.',
        example='wsrep_sync_wait = 7',
    ),
    Setting(
        'pool',
        pool,
        None,
        'A pre-built DBUtils ``PooledDB``, or a dotted name of one or of a '
        'callable that returns one.',
        True,
        example='shop.database.make_pool',
    ),
    Setting(
        'close_pool',
        boolean,
        None,
        'Boolean: whether ``close()`` closes the pool; true for a pool made '
        'from these settings, false for one that was passed in.',
        example='true',
    ),
    Setting(
        'table_name',
        table_name,
        'sessions',
        'Name of the table, ``name`` or ``schema.name``.',
        example='shop.visits',
    ),
    *(
        Setting(f'column_{name}', identifier, name, f'Name of {purpose}.')
        for name, purpose in {
            'session_id': 'the column that holds the stored key',
            'expires': 'the column that holds the second of expiry',
            'data': 'the column that holds the payload',
            'created': 'the column that holds the second of creation',
            'revision': 'the column that each save compares and swaps',
            'userid': 'the column that holds the user id',
            'seen': 'the column that holds the second of the last use, with '
            'tracked devices',
            'ip': 'the column that holds the network address, likewise',
            'agent': 'the column that holds the name of the browser, likewise',
        }.items()
    ),
    Setting(
        'create_table',
        boolean,
        True,
        'Boolean: whether a missing table is created at first use.',
    ),
    Setting(
        'check_at_start',
        boolean,
        False,
        'Boolean: whether the server is connected to and the table checked '
        'when the application is made, rather than at first use: a wrong '
        'password shows at once, but the application does not start while '
        'the server is down.',
    ),
    Setting(
        'shard_bytes',
        whole('a number', 0, 2, 1),
        0,
        'Number of hashed bytes, 0 to 2, that stand in front of the time in '
        'each stored key, for tables that are sharded by it; sessions that '
        'exist are not found after a change.',
        example='1',
    ),
    Setting(
        'idle_timeout',
        either({'none': None}, idle_seconds),
        86400,
        'Seconds without a request after which a session expires; ``none`` '
        'is possible with an absolute time-out, and without this setting it '
        'is no longer than that.',
        example='1800',
    ),
    Setting(
        'anonymous_idle_timeout',
        either({'none': None}, idle_seconds),
        None,
        'Seconds without a request after which a session without a user '
        'expires, if they differ from the idle time-out.',
        example='1800',
    ),
    Setting(
        'absolute_timeout',
        # ten years
        either({'none': None}, whole('whole seconds', 1, 315_360_000, 3600)),
        None,
        'Seconds after its creation when a session expires however busy it '
        'is.',
        example='604800',
    ),
    Setting(
        'touch_interval',
        either(
            {'auto': 'auto', 'never': 'never'},
            whole('whole seconds', 0, LONGEST_TIMEOUT, 60),
        ),
        'auto',
        'Seconds that pass before a request which only reads moves the idle '
        'deadline again; if that is more than half of the shortest time-out, '
        'what is left of it counts, ``auto`` is a tenth of it, and with '
        '``never`` only saves move the deadline.',
        example='60',
    ),
    Setting(
        'lock_timeout',
        patience,
        5,
        'Seconds that ``locked()`` and a save wait for a row lock.',
    ),
    Setting(
        'cookie_name',
        cookie_name,
        'session',
        'Name of the cookie.',
        example='shop_session',
    ),
    Setting(
        'cookie_path',
        cookie_path,
        '/',
        'Path of the cookie, as it stands in addresses.',
        example='/shop',
    ),
    Setting(
        'cookie_domain',
        either({'none': None}, cookie_domain),
        None,
        'Domain of the cookie, with all below it; without one the host that '
        'set it alone.',
        example='example.com',
    ),
    Setting(
        'cookie_max_age',
        either({'none': None}, idle_seconds),
        None,
        'Seconds that the browser keeps the cookie after the last touch; '
        'without them it ends with the browser session.',
        example='604800',
    ),
    Setting(
        'cookie_secure',
        either({'auto': 'auto'}, boolean),
        'auto',
        'Boolean: whether the cookie is sent over https only; ``auto`` is '
        'true when the request came over https.',
        example='true',
    ),
    Setting(
        'cookie_httponly',
        boolean,
        True,
        'Boolean: whether the cookie is hidden from scripts.',
    ),
    Setting(
        'cookie_samesite',
        either({'off': None}, one_of('Lax', 'Strict', 'None')),
        'Lax',
        'Word that says when other sites may cause the cookie to be sent; '
        '``off`` leaves that to the browser.',
        example='Strict',
    ),
    Setting(
        'set_on_exception',
        boolean,
        True,
        'Boolean: whether the session is saved when an exception view made '
        'the response.',
    ),
    Setting(
        'serializer',
        serializer,
        'json',
        'Name of the serializer: ``json`` or the dotted name of an object '
        'with ``dumps`` and ``loads``.',
        example='shop.sessions.Serializer',
    ),
    Setting(
        'max_payload_bytes',
        either({'none': None}, whole('bytes', 2, 2**32 - 1, 65535)),
        None,
        'Bytes of the largest payload; without them what the data column '
        "and the server's ``max_allowed_packet`` can hold.",
        example='65535',
    ),
    Setting(
        'encrypt',
        encrypt,
        False,
        'Boolean: whether payloads are sealed with a key that only the cookie '
        'holds; ``starting`` still reads those that are not sealed, '
        '``ending`` seals none any more, but reads them.',
        example='starting',
    ),
    Setting(
        'userid_key',
        text,
        'auth.userid',
        'Name of the session key that is copied to the userid column; '
        "Pyramid's ``SessionAuthenticationHelper`` uses the default.",
        example='user',
    ),
    Setting(
        'userid',
        userid,
        None,
        'Dotted name of a callable that takes the request and returns its '
        'user id or ``None``, where users are not in the session; it is asked '
        'instead of ``userid_key``.',
        example='shop.security.userid',
    ),
    Setting(
        'track_devices',
        either({'truncated': 'truncated'}, boolean),
        False,
        'Boolean: whether time, network address and browser of the last '
        'request are stored with each session; ``truncated`` stores the '
        'network part of the address only.',
        example='truncated',
    ),
    Setting(
        'purge_expired',
        boolean,
        True,
        'Boolean: whether a thread deletes expired sessions.',
    ),
    Setting(
        'purge_interval',
        whole('whole seconds', 1, 604_800, 900),
        900,
        'Seconds between two purges, give or take half of them.',
        example='300',
    ),
    Setting(
        'purge_batch',
        whole('a number', 1, 100000, 250),
        250,
        'Number of sessions that one transaction purges at most.',
        example='1000',
    ),
)


def _names(settings: Settings) -> str | None:
    if settings.pool is None and settings.read_default_file is None:
        missing = [
            PREFIX + name
            for name in ('user', 'database')
            if getattr(settings, name) is None
        ]
        if missing:
            return (
                f'{" and ".join(missing)}: required unless '
                f'{PREFIX}pool or {PREFIX}read_default_file is given'
            )
    return None


def _deadlines(settings: Settings) -> str | None:
    idle, absolute = settings.idle_timeout, settings.absolute_timeout
    if idle is None and absolute is None:
        return (
            f'{PREFIX}idle_timeout = none: expected '
            f'{PREFIX}absolute_timeout with it'
        )
    # each at most as long as those that follow it
    names = 'anonymous_idle_timeout', 'idle_timeout', 'absolute_timeout'
    given = [
        (name, value)
        for name in names
        if (value := getattr(settings, name)) is not None
    ]
    for (name, value), (longer, most) in pairwise(given):
        if value > most:
            return (
                f'{PREFIX}{name} = {value}: expected at most '
                f'{PREFIX}{longer}, which is {most}'
            )
    return None


def _same_site(settings: Settings) -> str | None:
    # browsers drop such a cookie (RFC 6265bis section 5.6)
    if (
        settings.cookie_samesite == 'None'
        and settings.cookie_secure is not True
    ):
        return (
            f'{PREFIX}cookie_samesite = None: expected '
            f'{PREFIX}cookie_secure = true with it'
        )
    return None


def _cookie_prefix(settings: Settings) -> str | None:
    # RFC 6265bis section 4.1.3: browsers drop a cookie that does not comply
    name = settings.cookie_name.lower()
    if name.startswith(('__host-', '__secure-')):
        wanted = []
        if settings.cookie_secure is not True:
            wanted.append(f'{PREFIX}cookie_secure = true')
        if name.startswith('__host-'):
            if settings.cookie_path != '/':
                wanted.append(f'{PREFIX}cookie_path = /')
            if settings.cookie_domain is not None:
                wanted.append(f'no {PREFIX}cookie_domain')
        if wanted:
            return (
                f'{PREFIX}cookie_name = {settings.cookie_name!r}: expected '
                f'{" and ".join(wanted)} with this prefix'
            )
    return None


def _column_names(settings: Settings) -> str | None:
    names = [
        value.lower()
        for name, value in vars(settings).items()
        if name.startswith('column_')
    ]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return (
            f'{PREFIX}column_*: expected different names, found '
            f'{", ".join(map(repr, twice))} more than once'
        )
    return None


def _client_certificate(settings: Settings) -> str | None:
    if (settings.ssl_cert is None) != (settings.ssl_key is None):
        return f'{PREFIX}ssl_cert and {PREFIX}ssl_key: expected both or none'
    return None


def _encryption(settings: Settings) -> str | None:
    # a server without TLS, or who stands in its place, is believed else
    if (
        settings.ssl_mode is None
        and settings.pool is None
        and settings.read_default_file is None
    ):
        names = [
            f'{PREFIX}ssl_{name}'
            for name in ('ca', 'cert', 'key')
            if getattr(settings, f'ssl_{name}') is not None
        ]
        if names:
            return (
                f'{" and ".join(names)}: expected {PREFIX}ssl_mode with it, '
                'such as VERIFY_IDENTITY: else the connection may not be '
                'encrypted'
            )
    return None


#: Rules between settings: each returns a problem or ``None``.
CHECKS = (
    _names,
    _deadlines,
    _same_site,
    _cookie_prefix,
    _column_names,
    _client_certificate,
    _encryption,
)


class Settings(SimpleNamespace):
    """The value of each of :data:`SETTINGS`, by its name."""

    def __repr__(self) -> str:
        hidden = {setting.name for setting in SETTINGS if setting.hidden}
        shown = ', '.join(
            f'{name}={value!r}'
            for name, value in vars(self).items()
            if name not in hidden
        )
        return f'Settings({shown})'


def parse(settings: Mapping[str, Any], pool: Any | None = None) -> Settings:
    """
    Read the settings that begin with :data:`PREFIX`.

    An empty text counts as not given, so that an ini file can interpolate.

    :param settings: ini texts or ready values, for instance
        ``config.registry.settings``; names without the prefix are ignored.
    :param pool: counts as the ``pool`` setting.
    :returns: one attribute for each of :data:`SETTINGS`.
    :raises pyramid_mysql_session.SettingsError: lists every problem.
    """
    given = {
        name[len(PREFIX) :]: value
        for name, value in settings.items()
        if isinstance(name, str) and name.startswith(PREFIX)
    }
    if pool is not None:
        given['pool'] = pool
    problems = [
        *_near_misses(settings),
        *map(_unknown, _unknown_names(given)),
    ]
    given = {
        name: value
        for name, value in given.items()
        if value is not None
        and not (isinstance(value, str) and not value.strip())
    }
    parsed = Settings()
    for setting in SETTINGS:
        value = given.get(setting.name, setting.default)
        if value is REQUIRED:
            problems.append(_missing(setting))
        else:
            try:
                if value is not None:
                    _see_that_it_is_utf8(value)
                    value = setting.convert(value)
                setattr(parsed, setting.name, value)
            except ValueError as exc:
                problems.append(_problem(setting, value, exc))
    if not problems:
        _adapt_defaults(parsed, given)
        problems = [found for check in CHECKS if (found := check(parsed))]
    names = [name for name in settings if isinstance(name, str)]
    leftovers = list(foreign.leftovers(names))
    if problems:
        raise SettingsError([*problems, *leftovers])
    for leftover in leftovers:
        log.info(leftover)
    return parsed


def _see_that_it_is_utf8(value: Any) -> None:
    """See that a text, of an environment or option, can be sent."""
    try:
        if isinstance(value, str):
            value.encode('utf-8')
    except UnicodeEncodeError:
        # the driver would raise the same, with a password in it
        raise ValueError('text in UTF-8') from None


def _adapt_defaults(settings: Settings, given: Mapping[str, Any]) -> None:
    """Let no default contradict what is given."""
    if settings.read_default_file is not None:
        # what the option file says must not be hidden
        for name in ('host', 'port'):
            if name not in given:
                setattr(settings, name, None)
    absolute = settings.absolute_timeout
    if absolute is not None and 'idle_timeout' not in given:
        settings.idle_timeout = min(settings.idle_timeout, absolute)


def _unknown_names(given: Mapping[str, Any]) -> list[str]:
    known = {setting.name for setting in SETTINGS}
    return [name for name in given if name not in known]


def _unknown(name: str) -> str:
    problem = f'{PREFIX}{name}: no such setting'
    known = foreign.renamed(name)
    if known is not None:
        return f'{problem}; {known}'
    names = [setting.name for setting in SETTINGS]
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.66)
    if near:
        problem += f', the closest is {PREFIX}{near[0]}'
    return problem


def _near_misses(settings: Mapping[str, Any]) -> list[str]:
    """Tell of names that almost begin with our prefix."""
    known = {setting.name for setting in SETTINGS}
    stem = PREFIX.rstrip('.')
    problems = []
    for name in settings:
        begin, dot, rest = str(name).lower().partition('.')
        if not dot and begin.startswith((f'{stem}_', f'{stem}-')):
            begin, rest = stem, begin[len(PREFIX) :]
            if f'{PREFIX}{rest}' in settings:
                # a variable of the ini file, of which ours is made
                continue
        if (
            not str(name).startswith(PREFIX)
            and rest in known
            and _is_nearly(begin, stem)
        ):
            problems.append(
                f'{name}: no such setting, expected {PREFIX}{rest}'
            )
    return problems


def _is_nearly(text: str, wanted: str) -> bool:
    matcher = difflib.SequenceMatcher(None, text.lower(), wanted)
    return wanted in text.lower() or matcher.ratio() >= _NEARLY


def _missing(setting: Setting) -> str:
    try:
        setting.convert(None)
    except ValueError as exc:
        return f'{PREFIX}{setting.name}: required, expected {exc}'
    return f'{PREFIX}{setting.name}: required'


def _problem(setting: Setting, value: Any, exc: ValueError) -> str:
    shown = '(not shown)' if setting.hidden else _shown(value)
    return f'{PREFIX}{setting.name} = {shown}: expected {exc}'


def _shown(value: Any) -> str:
    try:
        shown = repr(value)
    except ValueError:
        # Python writes no number of thousands of digits
        return f'({type(value).__name__})'
    # in an address, a password stands in front of it
    return '(not shown)' if '@' in shown else shown
