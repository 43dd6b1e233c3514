"""A server and its replica: asynchronous replication."""

from __future__ import annotations

import contextlib

from tests.clusters.cluster import Cluster
from tests.clusters.nodes import Node, start_together

COPIER = {'user': 'copy', 'password': 'copy'}


class Replicated(Cluster):
    """
    Two servers, one of which can only be read and follows the other.

    :param kind: ``'mariadb'`` or ``'mysql'``.
    """

    def __init__(self, kind):
        self._dialect = {'mariadb': MariaDB, 'mysql': MySQL}[kind]()
        super().__init__(
            [
                Node(
                    kind,
                    f'n{i}',
                    {
                        'log_bin': 'binlog',
                        'server_id': i + 1,
                        **self._dialect.options,
                    },
                )
                for i in range(2)
            ]
        )

    def begin(self):
        start_together(self.nodes)
        for node in self.nodes:
            with self._unlogged(node) as cursor:
                cursor.execute("CREATE USER copy@'%' IDENTIFIED BY 'copy'")
                cursor.execute("GRANT REPLICATION SLAVE ON *.* TO copy@'%'")
        first, second = self.nodes
        self._dialect.follow(second, first)
        second.set(read_only=1)
        first.admit_visitors()

    def is_member(self, node):
        return True

    def view(self, node):
        return None

    def rejoin(self, node):
        node.start()

    def switch(self, old, new, proxy):
        """
        Let the replica take the writes; the old server follows nobody.

        HAProxy finds it by itself.
        """
        old.set(read_only=1)
        self._dialect.catch_up(new, old)
        self._dialect.stop_following(new)
        new.set(read_only=0)

    def heal(self):
        """Let the server that can only be read follow the other one."""
        super().heal()
        primary = self.primary()
        for node in self.nodes:
            if node is not primary:
                self._dialect.follow(node, primary)
                self._dialect.catch_up(node, primary)

    def all_active(self):
        raise NotImplementedError('a replica takes no writes')

    def flow_control(self):
        raise NotImplementedError('nobody waits for a replica')

    @contextlib.contextmanager
    def _unlogged(self, node):
        """Give a cursor for what the other one is not to repeat."""
        with node.connect() as connection, connection.cursor() as cursor:
            cursor.execute('SET SESSION sql_log_bin = 0')
            yield cursor


class MariaDB:
    """How MariaDB speaks of replication."""

    options = {'log_slave_updates': 'ON'}

    def follow(self, node, other):
        node.query('STOP SLAVE')
        node.query('SET GLOBAL gtid_slave_pos = @@gtid_current_pos')
        node.query(
            'CHANGE MASTER TO MASTER_HOST = %s, MASTER_PORT = %s, '
            'MASTER_USER = %s, MASTER_PASSWORD = %s, '
            'MASTER_USE_GTID = slave_pos',
            (other.host, other.port, *COPIER.values()),
        )
        node.query('START SLAVE')

    def catch_up(self, node, other):
        position = other.value('gtid_current_pos')
        node.query('SELECT MASTER_GTID_WAIT(%s, 30)', (position,))

    def stop_following(self, node):
        node.query('STOP SLAVE')


class MySQL:
    """How MySQL speaks of replication."""

    options = {'gtid_mode': 'ON', 'enforce_gtid_consistency': 'ON'}

    def follow(self, node, other):
        node.query('STOP REPLICA')
        node.query(
            'CHANGE REPLICATION SOURCE TO SOURCE_HOST = %s, SOURCE_PORT = %s, '
            'SOURCE_USER = %s, SOURCE_PASSWORD = %s, '
            'SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1',
            (other.host, other.port, *COPIER.values()),
        )
        node.query('START REPLICA')

    def catch_up(self, node, other):
        position = other.value('gtid_executed')
        node.query('SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, 30)', (position,))

    def stop_following(self, node):
        node.query('STOP REPLICA')
