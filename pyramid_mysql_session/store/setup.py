"""Writes what makes database, user and table, with the least privileges."""

from __future__ import annotations

from .quoting import quoted
from .schema import Table


def setup_statements(
    table: Table, database: str, user: str, host: str
) -> list[str]:
    """Write them; see :meth:`.MySQLSessionStore.setup_statements`."""
    database = quoted(table.name[0] or database)
    account = f'{quoted(user)}@{quoted(host)}'
    return [
        f'CREATE DATABASE IF NOT EXISTS {database}',
        # in quotes it would become the password of who does not replace it
        f'CREATE USER IF NOT EXISTS {account} IDENTIFIED BY <password>',
        f'USE {database}',
        table.create_statement(),
        # on a table that is not there nobody grants without CREATE
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON {table.quoted} TO {account}',
    ]
