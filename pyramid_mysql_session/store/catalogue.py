"""Reads what the server knows of a table."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..connection.driver import Connection, DriverError, error_code
from .quoting import quoted, text, text_literal

# what MariaDB says when max_statement_time has passed
_TOO_LATE = 1969
_GENERATED = re.compile(r'(virtual|stored) generated', re.IGNORECASE)


class Kind(NamedTuple):
    """What sort of a table it is."""

    name: str  # as the server spells it
    type: str  # 'BASE TABLE', 'VIEW' …
    engine: str | None  # None for a view, or when the engine is not there


class Column(NamedTuple):
    """A column of the table."""

    name: str
    type: str  # as in the DDL
    character_set: str | None
    octets: int | None  # how many bytes a text or binary column holds
    nullable: bool
    required: bool  # an INSERT that omits it fails
    generated: str | None  # 'VIRTUAL' or 'STORED'
    row_end: bool = False  # MariaDB keeps in it until when a row was as it is

    @property
    def base(self) -> str:
        """The type without its size and attributes."""
        return re.split(r'[( ]', self.type, maxsplit=1)[0].lower()

    def __str__(self) -> str:
        if self.character_set:
            return f'{self.type} in {self.character_set}'
        return self.type


class Part(NamedTuple):
    """A column in an index."""

    column: str  # lower case; empty for an expression
    whole: bool  # not only its first bytes


class Index(NamedTuple):
    """An index of the table."""

    name: str
    unique: bool
    type: str
    show: str | None  # what ALTER INDEX lacks to make an unused one used
    parts: list[Part]


class Reference(NamedTuple):
    """A foreign key that refers to the table."""

    constraint: str
    table: str
    on_delete: str
    on_update: str


class Sizes(NamedTuple):
    """How large a table is, by the estimates of the server."""

    bytes: int  # with its indexes
    rows: int
    distinct: dict[str, int]  # different values by the first of each index


class Catalogue:
    """
    What ``information_schema`` shows of one table.

    MariaDB opens every table of the server unless it is asked for one schema
    and one table, literally.

    :param connection: asks the server.
    :param schema: ``None`` for that of the connection.
    :param table: the name of the table, as it is.
    """

    def __init__(
        self, connection: Connection, schema: str | None, table: str
    ) -> None:
        self._connection = connection
        self._schema = text_literal(schema) if schema else 'DATABASE()'
        self._table = text_literal(table)
        self._quoted = '.'.join(quoted(x) for x in (schema, table) if x)

    def kind(self) -> Kind | None:
        """Tell what sort of a table it is; ``None`` if it is not seen."""
        kinds = [
            Kind(text(name), text(type_), engine and text(engine))
            for name, type_, engine in self._ask(
                'TABLE_NAME, TABLE_TYPE, ENGINE', 'TABLES'
            )
        ]
        # newer versions of MariaDB show a temporary table that hides it, too
        kinds.sort(key=lambda kind: 'TEMPORARY' not in kind.type)
        return kinds[0] if kinds else None

    def sizes(self) -> Sizes:
        """Tell how large the table is."""
        with self._fresh_estimates():
            ((size, rows),) = self._ask(
                'DATA_LENGTH + INDEX_LENGTH, TABLE_ROWS', 'TABLES'
            )
            distinct = self._ask(
                'COLUMN_NAME, CARDINALITY',
                'STATISTICS',
                'AND SEQ_IN_INDEX = 1 AND CARDINALITY IS NOT NULL '
                # an index over an expression has no column name
                'AND COLUMN_NAME IS NOT NULL',
            )
        return Sizes(
            int(size or 0),
            int(rows or 0),
            {text(name).lower(): int(number) for name, number in distinct},
        )

    @contextmanager
    def _fresh_estimates(self) -> Iterator[None]:
        """Let MySQL not answer with what it has kept for up to a day."""
        name = 'information_schema_stats_expiry'
        rows = self._connection.fetch(f"SHOW SESSION VARIABLES LIKE '{name}'")
        if not rows:
            yield
            return
        self._connection.execute(f'SET SESSION {name} = 0')
        try:
            yield
        finally:
            self._connection.execute(f'SET SESSION {name} = {int(rows[0][1])}')

    def has_short_indexes(self) -> bool:
        """Tell whether the row format holds no index on the user id."""
        # apart from the kind, for it makes MariaDB open the table
        ((row_format,),) = self._ask('ROW_FORMAT', 'TABLES')
        return text(row_format or '').lower() in {'compact', 'redundant'}

    def columns(self) -> dict[str, Column]:
        """Return the columns by their names in lower case."""
        columns = [
            self._column(*row)
            for row in self._ask(
                'COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME, '
                'CHARACTER_OCTET_LENGTH, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, '
                'GENERATION_EXPRESSION',
                'COLUMNS',
            )
        ]
        return {column.name.lower(): column for column in columns}

    def indexes(self, left_out: Collection[str] = ()) -> list[Index]:
        """
        Return the indexes, the primary key first.

        :param left_out: columns that do not count, in lower case.
        """
        indexes: dict[str, Index] = {}
        for name, column, not_unique, prefix, type_, show in self._ask(
            'INDEX_NAME, COLUMN_NAME, NON_UNIQUE, SUB_PART, INDEX_TYPE, '
            # each server reads what is meant for it and its version
            "CASE /*!80000 WHEN IS_VISIBLE = 'NO' THEN 'VISIBLE' */ "
            "/*M!100600 WHEN IGNORED = 'YES' THEN 'NOT IGNORED' */ "
            'WHEN FALSE THEN NULL END',
            'STATISTICS',
            "ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX",
        ):
            index = indexes.setdefault(
                text(name),
                Index(
                    text(name),
                    not int(not_unique),
                    text(type_),
                    show and text(show),
                    [],
                ),
            )
            # an index over an expression has no column name
            part = Part(text(column or '').lower(), prefix is None)
            if part.column not in left_out:
                index.parts.append(part)
        return [index for index in indexes.values() if index.parts]

    def foreign_keys(self, column: str) -> list[str]:
        """Return the foreign keys by which a column refers to others."""
        return [
            text(constraint)
            for name, constraint in self._ask(
                'COLUMN_NAME, CONSTRAINT_NAME',
                'KEY_COLUMN_USAGE',
                'AND REFERENCED_TABLE_NAME IS NOT NULL',
            )
            if text(name) == column
        ]

    def partitioned_by(self) -> set[str]:
        """Return the columns that say in which partition a row is."""
        return {
            column.lower().replace('``', '`')
            for row in self._ask(
                'PARTITION_EXPRESSION, SUBPARTITION_EXPRESSION', 'PARTITIONS'
            )
            for expression in row
            for column in re.findall(
                '`((?:[^`]|``)+)`', text(expression or '')
            )
        }

    def references(self, kind: Kind) -> list[Reference] | None:
        """
        Return the foreign keys that refer to the table, if seen.

        :returns: ``None`` when it took too long to look for them.
        """
        try:
            rows = self._connection.fetch(
                # MariaDB has to open each table of the schema, which may
                # have many
                '/*M!100100 SET STATEMENT max_statement_time = 0.2 FOR */ '
                'SELECT REFERENCED_TABLE_NAME, CONSTRAINT_NAME, TABLE_NAME, '
                'DELETE_RULE, UPDATE_RULE '
                'FROM information_schema.REFERENTIAL_CONSTRAINTS '
                f'WHERE CONSTRAINT_SCHEMA = {self._schema} '
                f'AND UNIQUE_CONSTRAINT_SCHEMA = {self._schema} '
                f'AND REFERENCED_TABLE_NAME = {self._table} '
                'ORDER BY TABLE_NAME, CONSTRAINT_NAME'
            )
        except DriverError as exc:
            if error_code(exc) != _TOO_LATE:
                raise
            return None
        return [
            Reference(*map(text, row))
            for referenced, *row in rows
            # in MariaDB they are equal without regard to case and accents
            if text(referenced) == kind.name
        ]

    def has_triggers(self) -> bool:
        """Tell whether the table has triggers that the user can see."""
        return bool(
            self._connection.fetch(
                'SELECT 1 FROM information_schema.TRIGGERS '
                f'WHERE EVENT_OBJECT_SCHEMA = {self._schema} '
                f'AND EVENT_OBJECT_TABLE = {self._table} LIMIT 1'
            )
        )

    def has_transactions(self, engine: str) -> bool:
        """Tell whether a storage engine has transactions."""
        rows = self._connection.fetch(
            'SELECT TRANSACTIONS FROM information_schema.ENGINES '
            f'WHERE ENGINE = {text_literal(engine)}'
        )
        return [text(answer or '') for (answer,) in rows] == ['YES']

    def relaxed(self, column: Column) -> str | None:
        """
        Return the definition of a column, but with NULL for NOT NULL.

        :returns: ``None`` when it cannot be told for certain.
        """
        ((_, statement),) = self._connection.fetch(
            f'SHOW CREATE TABLE {self._quoted}'
        )
        head = f'  {quoted(column.name)} {column.type}'
        for line in text(statement).split('\n'):
            rest = line[len(head) :].rstrip(',')
            if not line.startswith(f'{head} ') or ' NOT NULL' not in rest:
                continue
            # a question mark may stand for a character of a name or comment
            # that the connection cannot carry
            if self._connection.character_set != 'utf8mb4' and '?' in line:
                continue
            return head.strip() + rest.replace(' NOT NULL', ' NULL', 1)
        return None

    def _column(
        self,
        name: str | bytes,
        type_: str | bytes,
        character_set: str | bytes | None,
        octets: int | None,
        nullable: str | bytes,
        default: str | bytes | None,
        extra: str | bytes,
        expression: str | bytes | None,
    ) -> Column:
        generated = _GENERATED.search(text(extra))
        column = Column(
            text(name),
            text(type_),
            text(character_set) if character_set else None,
            int(octets) if octets else None,
            text(nullable) == 'YES',
            False,
            generated[1].upper() if generated else None,
            text(expression or '') == 'ROW END',
        )
        return column._replace(
            required=not column.nullable
            and default is None
            and not generated
            and 'auto_increment' not in text(extra).lower()
            # whose default is the first of its values
            and column.base != 'enum'
        )

    def _ask(
        self, what: str, where: str, rest: str = ''
    ) -> tuple[tuple[Any, ...], ...]:
        return self._connection.fetch(
            f'SELECT {what} FROM information_schema.{where} '
            f'WHERE TABLE_SCHEMA = {self._schema} '
            f'AND TABLE_NAME = {self._table} {rest}'
        )
