"""Knows what each column of the table has to be."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .catalogue import Column
from .quoting import quoted

#: The columns in the order of the table; the keys are their default names.
DEFAULT_COLUMNS = (
    'session_id',
    'expires',
    'data',
    'created',
    'revision',
    'userid',
)
#: What follows them where devices are tracked.
DEVICE_COLUMNS = ('seen', 'ip', 'agent')
#: Those that may be NULL.
OPTIONAL_COLUMNS = frozenset({'userid', *DEVICE_COLUMNS})
_INTEGERS = frozenset({'tinyint', 'smallint', 'mediumint', 'int', 'bigint'})
_CHARACTERS = frozenset({'char', 'varchar'})
_BYTES = frozenset({'binary', 'varbinary'})
_TEXTS = frozenset({'tinytext', 'text', 'mediumtext', 'longtext'})
BLOBS = frozenset({'tinyblob', 'blob', 'mediumblob', 'longblob'})
# in which plain ASCII takes more bytes than it has characters, or is not whole
_UNLIKE_ASCII = frozenset({'swe7', 'ucs2', 'utf16', 'utf16le', 'utf32'})
# these do not fit into the types that a table of ours is created with
_LONG = frozenset({'longtext', 'longblob', 'json'})


class Layout:
    """
    Names and types of the columns of one session table.

    :param names: the name of each of :data:`DEFAULT_COLUMNS`, and of
        :data:`DEVICE_COLUMNS` where devices are tracked.
    :param binary: whether payloads are ``bytes``.
    :param plain: whether payloads are plain ASCII.
    """

    def __init__(
        self, names: Mapping[str, str], binary: bool, plain: bool
    ) -> None:
        self.names = names
        self._binary = binary
        self._plain = plain

    def key(self, name: str) -> str:
        """Return the name of a column as :class:`.Catalogue` lists it."""
        return self.names[name].lower()

    def quoted(self, name: str) -> str:
        """Return the quoted name of a column."""
        return quoted(self.names[name])

    def definition(
        self, name: str, type_: str | None = None, actual: str | None = None
    ) -> str:
        """
        Return what DDL says of a column.

        :param type_: instead of the type that a created table has.
        :param actual: how an existing table spells the name.
        """
        types = {
            'session_id': 'binary(32)',
            'data': 'mediumblob' if self._binary else 'mediumtext',
            'userid': 'varchar(255)',
            'ip': 'varbinary(16)',
            'agent': 'varchar(255)',
        }
        type_ = type_ or types.get(name, 'bigint unsigned')
        words = [quoted(actual or self.names[name]), type_]
        if 'text' in type_ or 'char' in type_:
            words.append('CHARACTER SET utf8mb4 COLLATE utf8mb4_bin')
        words.append('NULL' if name in OPTIONAL_COLUMNS else 'NOT NULL')
        return ' '.join(words)

    def fits(self, name: str, column: Column) -> bool:
        """Tell whether a column has a type that will do."""
        if name == 'session_id':
            return column.type.lower() == 'binary(32)'
        if name == 'ip':
            return column.base == 'varbinary' and (column.octets or 0) >= 16
        if name in ('userid', 'agent'):
            return (
                column.base == 'varchar'
                and column.character_set == 'utf8mb4'
                and (column.octets or 0) >= 255 * 4
            )
        if name == 'data':
            if self._binary:
                return column.base in BLOBS
            return (
                column.base == 'json'
                or column.base in BLOBS
                or (
                    column.base in _TEXTS
                    and (
                        column.character_set == 'utf8mb4'
                        or (
                            self._plain
                            and column.character_set not in _UNLIKE_ASCII
                        )
                    )
                )
            )
        # a display width, bigint(20), means nothing, nor do leading zeros
        return column.base == 'bigint' and 'unsigned' in column.type.lower()

    def widened(self, name: str, column: Column) -> str | None:
        """
        Return a definition that will do and keeps what a column holds.

        :returns: ``None`` when there is none.
        """
        type_ = self._wide_type(name, column)
        return type_ and self.definition(name, type_, column.name)

    def _wide_type(self, name: str, column: Column) -> str | None:
        base = column.base
        if name == 'session_id':
            short = base in _BYTES and (column.octets or 0) <= 32
            return 'binary(32)' if short else None
        if name == 'data':
            return self._wide_data(column)
        if name == 'ip':
            short = base in _BYTES and (column.octets or 0) <= 16
            return 'varbinary(16)' if short else None
        if name in ('userid', 'agent'):
            if base in _CHARACTERS:
                length = re.findall(r'\d+', column.type)[0]
                return f'varchar({max(int(length), 255)})'
            return 'varchar(255)' if base in _INTEGERS else None
        return 'bigint unsigned' if base in _INTEGERS else None

    def _wide_data(self, column: Column) -> str | None:
        base = column.base
        if base not in _CHARACTERS | _BYTES | _TEXTS | BLOBS | {'json'}:
            return None
        # bytes need not be a text in any character set
        blob = self._binary or base in _BYTES | BLOBS
        long = base in _LONG or (
            # the same characters may need more bytes
            base == 'mediumtext' and column.character_set != 'utf8mb4'
        )
        return ('long' if long else 'medium') + ('blob' if blob else 'text')
