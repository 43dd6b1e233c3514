"""Holds the DDL: creates and checks the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..connection.driver import Connection
from ..errors import SchemaError
from .catalogue import Catalogue, Column, Index
from .columns import check_null, check_ours, check_owner
from .findings import Findings
from .indexes import (
    check_key,
    check_leading,
    check_unique,
    leading,
    primary_columns,
)
from .layout import BLOBS, Layout
from .quoting import quoted
from .surroundings import (
    check_binary_log,
    check_engine,
    check_history,
    check_kind,
    check_references,
    is_usual,
)


class Table:
    """
    Names and types of one session table.

    :param name: schema and table; without a schema the connection's.
    :param columns: the names of the columns, see :class:`.Layout`.
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
        self._plain = plain
        self._binary = binary
        self._layout = Layout(columns, binary, plain)
        #: Whether the table has columns for devices.
        self.tracks_devices = 'seen' in columns
        self.quoted = '.'.join(quoted(part) for part in name if part)
        #: The quoted name of the index on the key, known after a check.
        self.key_index = '`PRIMARY`'
        #: Whether nothing but what we write belongs to a row, as far as a
        #: check has seen.
        self.holds_nothing_else = False

    def column(self, name: str) -> str:
        """Return the quoted name of a column, by its default name."""
        return self._layout.quoted(name)

    def column_key(self, name: str) -> str:
        """Return the name of a column as :class:`.Catalogue` lists it."""
        return self._layout.key(name)

    def index_on(self, name: str, indexes: Iterable[Index]) -> str | None:
        """Return the quoted name of an index that finds what a column has."""
        found = leading(indexes, self._layout.key(name))
        return next((quoted(x.name) for x in found if not x.show), None)

    def create(self, connection: Connection) -> None:
        """Create the table unless it exists."""
        connection.execute(self.create_statement())

    def create_statement(self) -> str:
        """Return the CREATE TABLE statement."""
        definitions = [
            *(self._layout.definition(name) for name in self._layout.names),
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
        return Catalogue(connection, *self.name).kind() is not None

    def check(self, connection: Connection) -> tuple[int, list[str]]:
        """
        Compare the existing table with what the store needs.

        :returns: the number of bytes that the data column holds, and
            warnings, each with what mends it.
        :raises pyramid_mysql_session.SchemaError: lists every deviation and
            the ALTER TABLE that mends them, as far as that does no harm.
        """
        layout = self._layout
        catalogue = Catalogue(connection, *self.name)
        findings = Findings(self.quoted)
        kind = catalogue.kind()
        if kind is None:
            raise SchemaError(
                self.quoted, ['it is missing'], self.create_statement()
            )
        check_kind(kind, findings)
        findings.raise_if_wrong()
        columns = catalogue.columns()
        check_owner(layout, columns, findings)
        findings.raise_if_wrong()

        # MariaDB puts it behind each unique index, and keeps one row without
        # an end
        row_ends = {key for key, column in columns.items() if column.row_end}
        indexes = catalogue.indexes(row_ends)
        primary = primary_columns(layout, indexes)
        staying = check_ours(layout, columns, catalogue, findings)
        check_null(layout, columns, primary, catalogue, findings)
        self.key_index = check_key(
            layout, indexes, staying, catalogue, findings
        )
        check_unique(layout, indexes, staying, findings)
        check_leading(layout, columns, indexes, staying, catalogue, findings)
        check_engine(kind, catalogue, findings)
        check_history(kind, findings)
        references = catalogue.references(kind)
        check_references(references or (), findings)
        check_binary_log(connection, findings)
        findings.raise_if_wrong()

        ours = {layout.key(name) for name in layout.names}
        self.holds_nothing_else = (
            is_usual(kind)
            and all(columns[each].generated for each in columns.keys() - ours)
            # None if that took too long
            and references == []
            and not catalogue.has_triggers()
        )
        data = columns[layout.key('data')]
        self._check_character_set(data, connection)
        # a JSON column has no size of its own; it is a LONGTEXT inside
        return data.octets or 2**32 - 1, findings.warnings()

    def _check_character_set(
        self, data: Column, connection: Connection
    ) -> None:
        # plain ASCII arrives unharmed in every character set, but MySQL's
        # own JSON type writes its text anew, without the escapes
        if self._binary or (self._plain and data.base != 'json'):
            return
        # what is stored as bytes arrives as bytes
        if data.base in BLOBS:
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
