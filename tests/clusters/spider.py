"""A table that Spider, an engine of MariaDB, spreads over several servers."""

from __future__ import annotations

import re
import secrets

from tests.clusters.nodes import VISITOR, Node, Running, start_together
from tests.conftest import Database
from tests.helpers import SECRET, application


class Spider(Running):
    """
    A server in front of some others, which have the rows.

    A context manager.

    :param size: the number of data nodes.
    :ivar front: the node to which applications connect.
    :ivar nodes: the data nodes.
    """

    def __init__(self, size=3):
        self.front = Node(
            'mariadb', 'front', {'plugin_load_add': 'ha_spider.so'}
        )
        self.nodes = [Node('mariadb', f'n{i}', {}) for i in range(size)]

    def begin(self):
        start_together([*self.nodes, self.front])
        for node in (*self.nodes, self.front):
            node.admit_visitors()

    def close(self):
        for node in (self.front, *self.nodes):
            node.close()

    def create_database(self):
        """Create a database with a session table, see :class:`Sharded`."""
        name = f'pyramid_mysql_session_{secrets.token_hex(6)}'
        for node in (*self.nodes, self.front):
            node.query(f'CREATE DATABASE {name}')
        parts = [Database(node, name) for node in self.nodes]
        for part in parts:
            app = application(part, secret=SECRET)
            app.store.create_table()
            app.close()
        ((_, statement),) = parts[0].query('SHOW CREATE TABLE sessions')
        statement = re.sub('ROW_FORMAT=DYNAMIC', '', statement)
        statement = re.sub('ENGINE=InnoDB', 'ENGINE=SPIDER', statement)
        self.front.query(
            f'{statement} ' + self._partitions(name), database=name
        )
        return Sharded(self.front, name, parts)

    def _partitions(self, database):
        """Divide the keys evenly by their first byte."""
        partitions = []
        for i, node in enumerate(self.nodes):
            server = f'{database}_{node.name}'
            self.front.query(
                f'CREATE SERVER {server} FOREIGN DATA WRAPPER mysql '
                'OPTIONS (HOST %s, PORT %s, USER %s, PASSWORD %s, '
                'DATABASE %s)',
                (node.host, node.port, *VISITOR.values(), database),
            )
            bound = 'MAXVALUE'
            if i + 1 < len(self.nodes):
                bound = f"x'{256 * (i + 1) // len(self.nodes):02x}'"
            partitions.append(
                f'PARTITION p{i} VALUES LESS THAN ({bound}) '
                f'COMMENT = \'srv "{server}"\''
            )
        return (
            'COMMENT = \'wrapper "mysql", table "sessions"\' '
            'PARTITION BY RANGE COLUMNS (session_id) '
            f'({", ".join(partitions)})'
        )


class Sharded(Database):
    """
    A database of the server in front.

    :ivar parts: the databases of the data nodes.
    """

    def __init__(self, front, name, parts):
        super().__init__(front, name)
        self.parts = parts

    def drop(self):
        super().drop()
        for part in self.parts:
            part.drop()
            self.server.query(f'DROP SERVER {self.name}_{part.server.name}')
