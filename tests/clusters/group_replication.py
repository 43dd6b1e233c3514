"""Groups of MySQL servers: Group Replication."""

from __future__ import annotations

import contextlib

from tests.clusters.cluster import Cluster
from tests.clusters.nodes import Node, fresh_port, start_together
from tests.helpers import wait_until

GROUP = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee'
CHANNEL = 'group_replication_recovery'


class GroupReplication(Cluster):
    """
    A group with a single primary server.

    :param size: the number of nodes.
    :param multi: whether all nodes are primary ones.
    """

    synchronous = {'group_replication_consistency': 'BEFORE'}
    # a member is given up when it has said nothing for five seconds
    notice = 4
    current = "SET SESSION group_replication_consistency = 'BEFORE'"

    def __init__(self, size=3, multi=False):
        self._ports = [fresh_port() for _ in range(size)]
        self._multi = multi
        super().__init__(
            [Node('mysql', f'n{i}', self._options(i)) for i in range(size)]
        )
        for node in self.nodes:
            node.options['report_port'] = node.port

    def _options(self, index):
        addresses = [f'127.0.0.1:{port}' for port in self._ports]
        group = {
            'group_name': GROUP,
            'local_address': addresses[index],
            'group_seeds': ','.join(addresses),
            'ip_allowlist': '127.0.0.1/8',
            'start_on_boot': 'OFF',
            'single_primary_mode': 'OFF' if self._multi else 'ON',
            'enforce_update_everywhere_checks': 'ON' if self._multi else 'OFF',
            # nobody reads the old data of a new primary
            'consistency': 'BEFORE_ON_PRIMARY_FAILOVER',
            'recovery_get_public_key': 'ON',
            'member_expel_timeout': 0,
            # whoever has expelled it brings it back
            'autorejoin_tries': 0,
            'unreachable_majority_timeout': 10,
        }
        return {
            'performance_schema': 'ON',
            'log_bin': 'binlog',
            'server_id': index + 1,
            'gtid_mode': 'ON',
            'enforce_gtid_consistency': 'ON',
            'report_host': '127.0.0.1',
            'plugin_load_add': 'group_replication.so',
            **{f'loose_group_replication_{k}': v for k, v in group.items()},
        }

    def begin(self):
        start_together(self.nodes)
        for node in self.nodes:
            self._prepare(node)
        first, *others = self.nodes
        first.query('SET GLOBAL group_replication_bootstrap_group = ON')
        first.query('START GROUP_REPLICATION')
        first.query('SET GLOBAL group_replication_bootstrap_group = OFF')
        self.wait_for(first)
        first.admit_visitors()
        for node in others:
            node.query('START GROUP_REPLICATION')
            self.wait_for(node)

    def is_member(self, node):
        state, _ = self._state(node)
        return state == 'ONLINE'

    def view(self, node):
        return node.query(
            'SELECT GROUP_CONCAT(MEMBER_PORT, MEMBER_STATE, MEMBER_ROLE '
            'ORDER BY MEMBER_PORT) '
            'FROM performance_schema.replication_group_members'
        )[0]

    def rejoin(self, node):
        # one that was expelled while it was busy can take minutes to leave
        node.kill()
        node.start()
        # it would be taken for who it was before
        wait_until(lambda: not self._is_missed(node))
        node.query('START GROUP_REPLICATION')
        self.wait_for(node)

    def _is_missed(self, node):
        """Whether others still wait for a node to come back."""
        return any(
            other is not node
            and other.running
            and other.query(
                'SELECT 1 FROM performance_schema.replication_group_members '
                'WHERE MEMBER_PORT = %s',
                (node.port,),
            )
            for other in self.nodes
        )

    def switch(self, old, new, proxy):
        """Make another node the primary; HAProxy finds it by itself."""
        uuid = new.value('server_uuid')
        old.query('SELECT group_replication_set_as_primary(%s)', (uuid,))

    @contextlib.contextmanager
    def flow_control(self):
        """Let all nodes wait early for the slowest."""
        name = 'group_replication_flow_control_{}_threshold'
        limits = {name.format(what): 5 for what in ('applier', 'certifier')}
        with self.variables(**limits):
            yield

    @contextlib.contextmanager
    def all_active(self):
        first = self.nodes[0]
        first.query('SELECT group_replication_switch_to_multi_primary_mode()')
        try:
            yield
        finally:
            first.query(
                'SELECT group_replication_switch_to_single_primary_mode()'
            )

    def _prepare(self, node):
        # each began by itself: nobody is to repeat what it has done so far
        with node.connect() as connection, connection.cursor() as cursor:
            for statement in (
                'SET SESSION sql_log_bin = 0',
                "CREATE USER copy@'%' IDENTIFIED BY 'copy'",
                'GRANT REPLICATION SLAVE, BACKUP_ADMIN, CONNECTION_ADMIN, '
                "GROUP_REPLICATION_STREAM ON *.* TO copy@'%'",
                "CHANGE REPLICATION SOURCE TO SOURCE_USER = 'copy', "
                f"SOURCE_PASSWORD = 'copy' FOR CHANNEL '{CHANNEL}'",
            ):
                cursor.execute(statement)

    def _state(self, node):
        rows = node.query(
            'SELECT MEMBER_STATE, MEMBER_ROLE '
            'FROM performance_schema.replication_group_members '
            'WHERE MEMBER_ID = @@server_uuid'
        )
        return rows[0] if rows else ('', '')
