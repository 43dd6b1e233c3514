"""Holds the DDL: creates and checks the table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..connection.driver import Connection
from ..errors import SchemaError

#: The columns in the order of the table; the keys are their default names.
DEFAULT_COLUMNS = (
    'session_id',
    'expires',
    'data',
    'created',
    'revision',
    'userid',
)
_TEXT_TYPES = frozenset({'tinytext', 'text', 'mediumtext', 'longtext'})
_BLOB_TYPES = frozenset({'tinyblob', 'blob', 'mediumblob', 'longblob'})


class _Column(NamedTuple):
    name: str
    type: str  # as in the DDL, lower case
    character_set: str | None
    octets: int | None  # how many bytes a text or blob column holds
    required: bool  # an INSERT that omits it fails


class Table:
    """
    Names and types of one session table.

    :param name: schema and table; without a schema the connection's.
    :param columns: the name of each of :data:`DEFAULT_COLUMNS`.
    :param binary: whether payloads are ``bytes``.
    :param plain: whether payloads are plain ASCII.
    """

    def __init__(
        self,
        name: tuple[str | None, str],
        columns: Mapping[str, str],
        binary: bool = False,
        plain: bool = True,
    ) -> None:
        self.name = name
        self._schema, self._table = name
        self._columns = columns
        self._binary = binary
        self._plain = plain
        self.quoted = '.'.join(quoted(part) for part in name if part)
        #: The quoted name of the index on the key, known after a check.
        self.key_index = '`PRIMARY`'

    def column(self, name: str) -> str:
        """Return the quoted name of a column, by its default name."""
        return quoted(self._columns[name])

    def create(self, connection: Connection) -> None:
        """Create the table unless it exists."""
        connection.execute(self.create_statement())

    def create_statement(self) -> str:
        """Return the CREATE TABLE statement."""
        definitions = [
            *(self._definition(name) for name in DEFAULT_COLUMNS),
            f'PRIMARY KEY ({self.column("session_id")})',
            f'KEY ({self.column("expires")})',
            f'KEY ({self.column("userid")})',
        ]
        body = ',\n    '.join(definitions)
        return (
            f'CREATE TABLE IF NOT EXISTS {self.quoted} (\n    {body}\n) '
            # other formats, which a server may have for default, take no index
            # on the user id
            'ENGINE=InnoDB ROW_FORMAT=DYNAMIC '
            'DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin'
        )

    def exists(self, connection: Connection) -> bool:
        """Tell whether the user can see such a table."""
        return bool(connection.fetch(self._about('ENGINE', 'TABLES')))

    def check(self, connection: Connection) -> tuple[int, list[str]]:
        """
        Compare the existing table with what the store needs.

        :returns: the number of bytes that the data column holds, and
            warnings, each with the statement that mends it.
        :raises pyramid_mysql_session.SchemaError: lists every deviation and
            the ALTER TABLE that mends them all.
        """
        columns = self._existing(connection)
        deviations: list[str] = []
        changes: list[str] = []

        def wrong(deviation: str, change: str) -> None:
            deviations.append(deviation)
            changes.append(change)

        self._check_columns(columns, wrong)
        indexes = self._indexes(connection)
        key = self._columns['session_id'].lower()
        key_indexes = [
            name
            for name, (columns_, unique) in indexes.items()
            if unique and columns_ == [key]
        ]
        if key_indexes:
            self.key_index = quoted(key_indexes[0])
        else:
            kind = 'UNIQUE' if 'PRIMARY' in indexes else 'PRIMARY'
            wrong(
                f'column {self.column("session_id")} has no unique index',
                f'ADD {kind} KEY ({self.column("session_id")})',
            )
        ((engine,),) = connection.fetch(self._about('ENGINE', 'TABLES'))
        if engine is None or text(engine).lower() != 'innodb':
            wrong(
                f'its engine is {engine and text(engine)}, not InnoDB',
                'ENGINE=InnoDB',
            )
        if deviations:
            raise SchemaError(
                self.quoted,
                deviations,
                f'ALTER TABLE {self.quoted} {", ".join(changes)};',
            )
        leading = {names[0] for names, _ in indexes.values()}
        warnings = [
            f'{self.quoted} has no index on {self.column(name)}: {loss}. '
            f'ALTER TABLE {self.quoted} ADD KEY ({self.column(name)});'
            for name, loss in (
                ('expires', 'a purge reads the whole table'),
                ('userid', 'finding a user reads the whole table'),
            )
            if self._columns[name].lower() not in leading
        ]
        data = columns[self._columns['data'].lower()]
        self._check_character_set(data, connection)
        # a JSON column has no size of its own; it is a LONGTEXT inside
        return data.octets or 2**32 - 1, warnings

    def _definition(self, name: str) -> str:
        types = {
            'session_id': 'binary(32) NOT NULL',
            'data': 'mediumblob NOT NULL'
            if self._binary
            else 'mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin '
            'NOT NULL',
            'userid': 'varchar(255) CHARACTER SET utf8mb4 '
            'COLLATE utf8mb4_bin NULL',
        }
        return f'{self.column(name)} ' + types.get(
            name, 'bigint unsigned NOT NULL'
        )

    def _check_columns(
        self,
        columns: Mapping[str, _Column],
        wrong: Callable[[str, str], None],
    ) -> None:
        ours = {name.lower() for name in self._columns.values()}
        for name in DEFAULT_COLUMNS:
            column = columns.get(self._columns[name].lower())
            if column is None:
                wrong(
                    f'column {self.column(name)} is missing',
                    f'ADD COLUMN {self._definition(name)}',
                )
            elif not self._fits(name, column):
                wrong(
                    f'column {self.column(name)} is {column.type}'
                    + (
                        f' in {column.character_set}'
                        if column.character_set
                        else ''
                    ),
                    f'MODIFY COLUMN {self._definition(name)}',
                )
        for key, column in columns.items():
            if key not in ours and column.required:
                wrong(
                    f'column {quoted(column.name)} is NOT NULL and has no '
                    'default',
                    f'MODIFY COLUMN {quoted(column.name)} {column.type} NULL',
                )

    def _fits(self, name: str, column: _Column) -> bool:
        base = column.type.split('(')[0].split(' ')[0]
        if name == 'session_id':
            return column.type == 'binary(32)'
        if name == 'userid':
            return (
                base == 'varchar'
                and column.character_set == 'utf8mb4'
                and (column.octets or 0) >= 255 * 4
            )
        if name == 'data':
            if self._binary:
                return base in _BLOB_TYPES
            return (
                base == 'json'
                or base in _BLOB_TYPES
                or (
                    base in _TEXT_TYPES
                    and (self._plain or column.character_set == 'utf8mb4')
                )
            )
        # a display width, bigint(20), means nothing
        return base == 'bigint' and column.type.endswith('unsigned')

    def _check_character_set(
        self, data: _Column, connection: Connection
    ) -> None:
        # plain ASCII arrives unharmed in every character set, but MySQL's
        # own JSON type writes its text anew, without the escapes
        if self._binary or (self._plain and data.type != 'json'):
            return
        if connection.character_set != 'utf8mb4':
            raise SchemaError(
                self.quoted,
                [
                    'its text reaches the passed-in pool as '
                    f'{connection.character_set}, which loses characters'
                ],
                "Build the pool with charset='utf8mb4'.",
            )

    def _existing(self, connection: Connection) -> dict[str, _Column]:
        rows = connection.fetch(
            self._about(
                'COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME, '
                'CHARACTER_OCTET_LENGTH, IS_NULLABLE, COLUMN_DEFAULT, EXTRA',
                'COLUMNS',
            )
        )
        # whose values the server makes
        filled = re.compile('auto_increment|generated', re.IGNORECASE)
        columns = {}
        for (
            name,
            type_,
            character_set,
            octets,
            nullable,
            default,
            extra,
        ) in rows:
            columns[text(name).lower()] = _Column(
                text(name),
                text(type_).lower(),
                character_set and text(character_set),
                octets and int(octets),
                (text(nullable), default) == ('NO', None)
                and not filled.search(text(extra)),
            )
        return columns

    def _indexes(
        self, connection: Connection
    ) -> dict[str, tuple[list[str], bool]]:
        """Return the columns of each index, and whether it is unique."""
        indexes: dict[str, tuple[list[str], bool]] = {}
        for name, column, not_unique in connection.fetch(
            self._about('INDEX_NAME, COLUMN_NAME, NON_UNIQUE', 'STATISTICS')
            + ' ORDER BY INDEX_NAME, SEQ_IN_INDEX'
        ):
            # an index over an expression has no column name
            columns, _ = indexes.setdefault(
                text(name), ([], not int(not_unique))
            )
            columns.append(text(column or '').lower())
        return indexes

    def _about(self, what: str, where: str) -> str:
        schema = text_literal(self._schema) if self._schema else 'DATABASE()'
        return (
            f'SELECT {what} FROM information_schema.{where} '
            f'WHERE TABLE_SCHEMA = {schema} '
            f'AND TABLE_NAME = {text_literal(self._table)}'
        )


def quoted(name: str) -> str:
    """Quote an identifier (MySQL manual section 11.2)."""
    return '`' + name.replace('`', '``') + '`'


def text(value: str | bytes) -> str:
    """Return text that the driver may have left undecoded."""
    return value.decode('utf-8') if isinstance(value, bytes) else value


def text_literal(value: str) -> str:
    """Return SQL for some text."""
    # hexadecimal needs no escaping in any sql_mode and character set
    return f"_utf8mb4 x'{value.encode('utf-8').hex()}'"
