"""Turns ini text, or a value that is ready, into the value of a setting.

Each converter raises ``ValueError`` with what it had expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from pyramid.path import DottedNameResolver

_NAME = '(`(?:[^`]|``)+`|[^`.][^.]*)'
# the serializers that have a short name
_SERIALIZERS = {
    'json': 'pyramid_mysql_session.session.serializers.JSONSerializer',
}
# the characters of a token, RFC 9110 section 5.6.2
_SPECIAL = "!#$%&'*+-.^_`|~"
_TOKEN = re.compile(f'[0-9A-Za-z{re.escape(_SPECIAL)}]+')
# browsers drop a cookie of more than 4096 bytes, and a longer path (RFC
# 6265bis section 5.6)
_LONGEST_NAME = 256
_LONGEST_PATH = 1024
# what has a meaning of its own in some Cookie or Set-Cookie header
_ATTRIBUTES = frozenset(
    (
        *('comment', 'commenturl', 'discard', 'domain', 'expires'),
        *('httponly', 'max-age', 'partitioned', 'path', 'port', 'priority'),
        *('samesite', 'secure', 'version'),
    )
)
# a path of RFC 3986 section 3.3, without what ends an attribute
_PATH = re.compile("(?:/(?:[0-9A-Za-z._~!$&'()*+=:@-]|%[0-9A-Fa-f]{2})*)+")
_LABEL = '[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?'
_DOMAIN = re.compile(rf'\.?{_LABEL}(?:\.{_LABEL})*')
# not IPv6, which has several colons
_WITH_PORT = re.compile(r'\[[^,]*|[^:,]*:[0-9]*')
_VARIABLE = re.compile(r'([a-z_][a-z0-9_.]*)\s*=\s*(.*\S)', re.IGNORECASE)
# of a module and what is in it
_DOTTED = re.compile(r'[\w.:]+')
_NUMBER = re.compile(r'[+-]?[0-9]+(\.[0-9]+)?')
# what this package sets itself, since it depends on it
_OUR_VARIABLES = frozenset(
    (
        *('autocommit', 'character_set_client', 'character_set_connection'),
        *('character_set_results', 'collation_connection', 'completion_type'),
        *('innodb_lock_wait_timeout', 'lock_wait_timeout', 'sql_mode'),
        *('sql_big_selects', 'sql_safe_updates', 'sql_select_limit'),
        'timestamp',
        *('transaction_isolation', 'transaction_read_only', 'tx_isolation'),
        *('tx_read_only',),
    )
)
# which both servers take from a client, and Python knows by the same name;
# not sjis, in which Python does not find a backslash again
_CHARSETS = (
    *('utf8mb4', 'utf8mb3', 'utf8', 'ascii', 'big5', 'cp1250', 'cp1251'),
    *('cp1256', 'cp1257', 'cp850', 'cp852', 'cp866', 'cp932', 'euckr'),
    *('gb2312', 'gbk', 'greek', 'hebrew', 'koi8r', 'koi8u', 'latin1'),
    *('latin2', 'latin5', 'tis620', 'ujis'),
)
#: Ends a message about a secret.
MAKES_ONE = (
    'such as the output of python -c "import secrets; '
    'print(secrets.token_urlsafe(48))"'
)
# what our manual has in the place of one
_PLACEHOLDER = 'change-me-to-32-random-characters-or-more'
_TABLE_NAME = re.compile(rf'(?:{_NAME}\.)?{_NAME}', re.DOTALL)


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError('text')
    return value


def host(value: Any) -> str:
    """Accept the name or address of a host; a list is for the driver."""
    expected = 'the name or address of a host alone, such as db.example'
    if '://' in text(value):
        raise ValueError(f'{expected}, without a scheme')
    if '@' in value:
        raise ValueError(f'{expected}, without a user or password')
    if '/' in value:
        raise ValueError(
            f'{expected}; the path of a socket is mysql_session.unix_socket'
        )
    if _WITH_PORT.fullmatch(value):
        raise ValueError(
            f'{expected}, without a port or brackets; the port is '
            'mysql_session.port'
        )
    return str(value)


def secrets(value: Any) -> tuple[str, ...]:
    lines = value
    if isinstance(value, str):
        lines = [line.strip() for line in value.splitlines()]
        lines = [line for line in lines if line]
    if (
        not isinstance(lines, (list, tuple))
        or not lines
        or not all(isinstance(line, str) and line for line in lines)
    ):
        raise ValueError(f'one or more secrets, one a line, {MAKES_ONE}')
    # also with quotes around it, or a comment behind it
    if any(_PLACEHOLDER in line for line in lines):
        raise ValueError(
            f'a secret of your own, not that of the manual, {MAKES_ONE}'
        )
    return tuple(lines)


def boolean(value: Any) -> bool:
    # pyramid.settings.asbool takes every word that it does not know as false
    words = {
        **dict.fromkeys(('true', 'yes', 'on', '1'), True),
        **dict.fromkeys(('false', 'no', 'off', '0'), False),
    }
    word = str(value).strip().lower()
    if word not in words:
        raise ValueError('true or false')
    return words[word]


def whole(
    what: str, least: int, most: int | None, example: int
) -> Callable[[Any], int]:
    limits = f'from {least} to {most}' if most else f'of {least} or more'
    expected = f'{what} {limits}, such as {example}'

    def convert(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError(expected)
        try:
            number = int(value)
        except ValueError:
            raise ValueError(expected) from None
        if number < least or (most is not None and number > most):
            raise ValueError(expected)
        return number

    return convert


def either(words: Mapping[str, Any], convert: Callable[[Any], Any]) -> Any:
    """Accept one of some words, in any case, besides what convert does."""

    def converter(value: Any) -> Any:
        if value is None and None in words.values():
            return None
        word = value.strip().lower() if isinstance(value, str) else value
        if isinstance(word, str) and word in words:
            return words[word]
        try:
            return convert(value)
        except ValueError as exc:
            raise ValueError(f'{exc}, or {" or ".join(words)}') from None

    return converter


def one_of(*words: str) -> Callable[[Any], str]:
    known = {word.lower(): word for word in words}

    def convert(value: Any) -> str:
        try:
            return known[str(value).strip().lower()]
        except KeyError:
            raise ValueError(f'one of {", ".join(words)}') from None

    return convert


def charset(value: Any) -> str:
    """Accept the name of a character set that a client may use."""
    try:
        return one_of(*_CHARSETS)(value)
    except ValueError:
        raise ValueError(
            'the name of a character set, such as utf8mb4 (not of a '
            'collation, such as utf8mb4_bin)'
        ) from None


def session_variables(value: Any) -> tuple[str, ...]:
    """Turn lines ``name = value`` into what follows SET SESSION."""
    expected = 'lines "name = value", such as "wsrep_sync_wait = 7"'
    lines = value.splitlines() if isinstance(value, str) else value
    if not isinstance(lines, (list, tuple)):
        raise ValueError(expected)
    assignments = []
    for line in lines:
        if not isinstance(line, str):
            raise ValueError(expected)
        if not line.strip():
            continue
        found = _VARIABLE.fullmatch(line.strip())
        if found is None:
            raise ValueError(expected)
        name, wanted = found.groups()
        if name.lower() in _OUR_VARIABLES:
            raise ValueError(
                f'{expected}, but not {name}, which this package sets itself'
            )
        if wanted[0] in '\'"' and wanted[0] == wanted[-1:]:
            wanted = wanted[1:-1]
        if not _NUMBER.fullmatch(wanted) and wanted.upper() != 'DEFAULT':
            # hexadecimal is right in every sql_mode and character set
            wanted = f"_utf8mb4 x'{wanted.encode().hex()}'"
        assignments.append(f'{name} = {wanted}')
    return tuple(assignments)


def cookie_name(value: Any) -> str:
    """Accept what browsers and WebOb take as the name of a cookie."""
    if not _TOKEN.fullmatch(text(value)) or value.startswith('$'):
        raise ValueError(f'ASCII letters, digits and {_SPECIAL}')
    if len(value) > _LONGEST_NAME:
        raise ValueError(f'{_LONGEST_NAME} characters at most')
    if value.lower() in _ATTRIBUTES:
        raise ValueError(
            f'another name: {value} is an attribute of cookies, for which '
            'servers mistake it'
        )
    return str(value)


def cookie_path(value: Any) -> str:
    """Accept what a browser compares with the path of an address."""
    if not text(value).startswith('/'):
        raise ValueError('a path that begins with /, such as /shop')
    if len(value) > _LONGEST_PATH:
        raise ValueError(f'{_LONGEST_PATH} characters at most')
    if not _PATH.fullmatch(value):
        raise ValueError(
            'a path as it stands in addresses: no semicolon or comma, and '
            '%-escapes for blanks and letters that are not ASCII, such as '
            '/caf%C3%A9'
        )
    return str(value)


def cookie_domain(value: Any) -> str:
    """Accept the name of a host, RFC 1123 section 2.1."""
    expected = 'the name of a host alone, such as example.com'
    if '://' in text(value):
        raise ValueError(f'{expected}, without a scheme')
    if ':' in value:
        raise ValueError(
            f'{expected}, without a port: cookies are shared by all ports'
        )
    if '*' in value:
        raise ValueError(
            f'{expected}: the hosts below it are included without a star'
        )
    if not value.isascii():
        raise ValueError(f'{expected}; other letters are written as xn--…')
    if len(value) > 253 or not _DOMAIN.fullmatch(value):
        raise ValueError(expected)
    return str(value)


def identifier(value: Any) -> str:
    """Accept what MySQL takes as a quoted name (manual section 11.2)."""
    if (
        not isinstance(value, str)
        or not 1 <= len(value) <= 64
        or '\0' in value
        or value.endswith(' ')
        or any(ord(character) > 0xFFFF for character in value)
    ):
        raise ValueError(
            'a name of 1 to 64 characters, none of them NUL or outside the '
            'basic multilingual plane, that does not end with a space'
        )
    return value


def table_name(value: Any) -> tuple[str | None, str]:
    """Split ``name``, ``schema.name`` or the same in back-ticks."""
    found = _TABLE_NAME.fullmatch(text(value))
    if found is None:
        raise ValueError('name or schema.name')
    schema, table = found.groups()
    return schema and _unquoted(schema), _unquoted(table)


def _unquoted(name: str) -> str:
    if name[0] == '`':
        name = name[1:-1].replace('``', '`')
    return identifier(name)


def serializer(value: Any) -> Any:
    """Resolve a serializer and see that it can do its one job."""
    expected = (
        'json, or the dotted name of an object or class with dumps and loads'
    )
    if isinstance(value, str):
        value = _SERIALIZERS.get(value, value)
    found = _resolve(value, expected)
    try:
        if isinstance(found, type):
            found = found()
        payload = found.dumps({})
        works = (
            isinstance(payload, (str, bytes)) and found.loads(payload) == {}
        )
    # it is anybody's code, which may raise anything
    except Exception as exc:
        raise ValueError(f'{expected} ({exc})') from exc
    if not works:
        raise ValueError(expected)
    return found


def pool(value: Any) -> Any:
    """Resolve a pool, or what makes one; nothing of it is ever shown."""
    expected = (
        'a DBUtils PooledDB, or the dotted name of one or of a callable '
        'that returns one'
    )
    if isinstance(value, str) and not _DOTTED.fullmatch(value):
        raise ValueError(f'{expected} (not such a text)')
    found = _resolve(value, expected)
    if not hasattr(found, 'dedicated_connection') and callable(found):
        found = found()
    if not hasattr(found, 'dedicated_connection'):
        raise ValueError(
            f'{expected} (not something of type {type(found).__qualname__})'
        )
    return found


def userid(value: Any) -> Any:
    """Resolve what tells whose request one is."""
    expected = (
        'the dotted name of a callable that takes a request and returns a '
        'user id or None'
    )
    if isinstance(value, str) and not _DOTTED.fullmatch(value):
        raise ValueError(expected)
    found = _resolve(value, expected)
    if not callable(found):
        raise ValueError(expected)
    return found


_encrypt = either({'starting': 'starting', 'ending': 'ending'}, boolean)


def encrypt(value: Any) -> bool | str:
    """Tell whether payloads are sealed, and see that they can be."""
    found: bool | str = _encrypt(value)
    if found and find_spec('cryptography') is None:
        raise ValueError(
            'false, unless cryptography is installed: pip install '
            "'pyramid-mysql-session[encryption]'"
        )
    return found


def _resolve(value: Any, expected: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return DottedNameResolver().resolve(value)
    except (ImportError, AttributeError, ValueError) as exc:
        raise ValueError(f'{expected} ({exc})') from exc
