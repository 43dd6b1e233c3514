"""Make one server the copy of another, and then the primary in its place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import MySQLdb
from private_server import PrivateServer
from server_programs import ServerError

# needed on both sides, before one can follow the other
OPTIONS = {
    'log_bin': 'binlog',
    'binlog_expire_logs_seconds': 3600,
    # 127.0.0.1 is a host of its own, whatever its name
    'skip_name_resolve': '',
    # who was made the primary is not to follow anybody after a restart; each
    # kind knows one of the names
    'loose_skip_slave_start': '',
    'loose_skip_replica_start': '',
}
PATIENCE = 30


class Primary:
    """
    A server, with what is done on it as ``root``.

    :param server: runs.
    """

    options: dict[str, object] = {}
    copier = "copier@'127.0.0.1'"

    def __init__(self, server: PrivateServer) -> None:
        self.server = server
        self.cursor: Any = None

    @contextlib.contextmanager
    def connected(self) -> Iterator[Primary]:
        """Connect; nothing that is done is told to who follows."""
        connection = MySQLdb.connect(
            unix_socket=self.server.socket,
            user=self.server.user,
            charset='utf8mb4',
            autocommit=True,
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute('SET SESSION sql_log_bin = 0')
            self.cursor = cursor
            yield self

    def run(self, sql: str, *args: object) -> list[Any]:
        self.cursor.execute(sql, args or None)
        return list(self.cursor.fetchall())

    def make_users(self, user: str, database: str) -> None:
        """Make a database, and who may use it and copy it."""
        self.run(f'CREATE DATABASE IF NOT EXISTS `{database}`')
        account = f"{user}@'127.0.0.1'"
        for each in (account, self.copier):
            self.run(f'CREATE USER IF NOT EXISTS {each}')
        # no right to write to a server that is read-only, as root has
        self.run(
            'GRANT SELECT, INSERT, UPDATE, DELETE, CREATE '
            f'ON `{database}`.* TO {account}'
        )
        self.run(f'GRANT REPLICATION SLAVE ON *.* TO {self.copier}')

    def copy(self, other: Primary, database: str, user: str) -> None:
        """Begin as what another server has now, and follow it from then on."""
        self.stop_following()
        # a line from when this was the primary must not write here again
        for (line,) in self.run(
            'SELECT ID FROM information_schema.PROCESSLIST WHERE USER = %s',
            user,
        ):
            self.run(f'KILL {line}')
        self.admit_writes()
        self.run(f'DROP DATABASE IF EXISTS `{database}`')
        self.run(f'CREATE DATABASE `{database}`')
        # nobody writes while this is copied
        other.run('FLUSH TABLES WITH READ LOCK')
        try:
            position = other.position()
            for (table,) in other.run(f'SHOW TABLES FROM `{database}`'):
                name = f'`{database}`.`{table}`'
                ((_, create),) = other.run(f'SHOW CREATE TABLE {name}')
                self.run(f'USE `{database}`')
                self.run(create)
                rows = other.run(f'SELECT * FROM {name}')
                if rows:
                    marks = ', '.join(['%s'] * len(rows[0]))
                    self.cursor.executemany(
                        f'INSERT INTO {name} VALUES ({marks})', rows
                    )
        finally:
            other.run('UNLOCK TABLES')
        self.follow(other.server, position)

    def take_over(self, other: Primary) -> None:
        """Let the other one take no writes any more; take them ourselves."""
        # the shop's connections stay open, as they do with every server
        other.refuse_writes()
        if not self.catch_up(other.position()):
            other.admit_writes()
            raise ServerError(
                f'The copy has not caught up within {PATIENCE} seconds.'
            )
        self.stop_following()
        self.admit_writes()

    def admit_writes(self) -> None:
        self.run('SET GLOBAL read_only = 0')

    def refuse_writes(self) -> None:
        raise NotImplementedError

    def position(self) -> str:
        raise NotImplementedError

    def follow(self, server: PrivateServer, position: str) -> None:
        raise NotImplementedError

    def catch_up(self, position: str) -> bool:
        """Wait for what the other one has; return whether it has come."""
        raise NotImplementedError

    def stop_following(self) -> None:
        raise NotImplementedError


class MariaDB(Primary):
    def refuse_writes(self) -> None:
        self.run('SET GLOBAL read_only = 1')

    def position(self) -> str:
        ((position,),) = self.run('SELECT @@GLOBAL.gtid_current_pos')
        return str(position)

    def follow(self, server: PrivateServer, position: str) -> None:
        self.run('RESET MASTER')
        self.run('SET GLOBAL gtid_slave_pos = %s', position)
        self.run(
            'CHANGE MASTER TO MASTER_HOST = %s, MASTER_PORT = %s, '
            "MASTER_USER = 'copier', MASTER_USE_GTID = slave_pos",
            server.host,
            server.port,
        )
        self.run('START SLAVE')

    def catch_up(self, position: str) -> bool:
        ((answer,),) = self.run(
            'SELECT MASTER_GTID_WAIT(%s, %s)', position, PATIENCE
        )
        return bool(answer == 0)

    def stop_following(self) -> None:
        self.run('STOP SLAVE')


class MySQL(Primary):
    options = {'gtid_mode': 'ON', 'enforce_gtid_consistency': 'ON'}

    def refuse_writes(self) -> None:
        # for root, too
        self.run('SET GLOBAL super_read_only = 1')

    def position(self) -> str:
        ((position,),) = self.run('SELECT @@GLOBAL.gtid_executed')
        return str(position)

    def follow(self, server: PrivateServer, position: str) -> None:
        ((version,),) = self.run('SELECT VERSION()')
        old = tuple(map(int, version.split('.')[:2])) < (8, 2)
        self.run('RESET MASTER' if old else 'RESET BINARY LOGS AND GTIDS')
        self.run('SET GLOBAL gtid_purged = %s', position)
        self.run(
            'CHANGE REPLICATION SOURCE TO SOURCE_HOST = %s, SOURCE_PORT = %s, '
            "SOURCE_USER = 'copier', SOURCE_AUTO_POSITION = 1, "
            'GET_SOURCE_PUBLIC_KEY = 1',
            server.host,
            server.port,
        )
        self.run('START REPLICA')

    def catch_up(self, position: str) -> bool:
        ((answer,),) = self.run(
            'SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)', position, PATIENCE
        )
        return bool(answer == 0)

    def stop_following(self) -> None:
        self.run('STOP REPLICA')


DIALECTS: dict[str, type[Primary]] = {'mariadb': MariaDB, 'mysql': MySQL}
