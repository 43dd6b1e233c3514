"""Galera clusters of MariaDB."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from tests.clusters.cluster import Cluster
from tests.clusters.nodes import Node, fresh_port

PROVIDERS = [
    Path('/usr/lib/galera/libgalera_smm.so'),
    Path('/usr/lib64/galera-4/libgalera_smm.so'),
    Path('/usr/lib64/galera/libgalera_smm.so'),
]
#: The replication of Galera, which MariaDB loads; ``None`` without it.
PROVIDER = next(filter(Path.exists, PROVIDERS), None)
# a node that says nothing is given up after two seconds, not five and more
IMPATIENCE = {
    'evs.keepalive_period': 'PT0.5S',
    'evs.inactive_check_period': 'PT0.25S',
    'evs.suspect_timeout': 'PT2S',
    'evs.inactive_timeout': 'PT4S',
    'evs.install_timeout': 'PT4S',
}
SYNCED = '4'


class Galera(Cluster):
    """
    A Galera cluster.

    :param size: the number of nodes.
    """

    # SELECT, UPDATE and DELETE, INSERT
    synchronous = {'wsrep_sync_wait': 7}
    current = 'SET SESSION wsrep_sync_wait = 15'

    def __init__(self, size=3):
        self._ports = [fresh_port() for _ in range(size)]
        super().__init__(
            [
                # a copy of the data arrives as nobody's, whoever asked for it
                Node('mariadb', f'n{i}', self._options(i), run_as='nobody')
                for i in range(size)
            ]
        )

    def _options(self, index):
        address = f'127.0.0.1:{self._ports[index]}'
        others = ','.join(f'127.0.0.1:{port}' for port in self._ports)
        provider = IMPATIENCE | {
            'base_port': self._ports[index],
            'gmcast.listen_addr': f'tcp://{address}',
            'ist.recv_addr': f'127.0.0.1:{fresh_port()}',
            'gcache.size': '64M',
        }
        return {
            'binlog_format': 'ROW',
            'innodb_autoinc_lock_mode': 2,
            'wsrep_on': 'ON',
            'wsrep_provider': PROVIDER,
            'wsrep_provider_options': _joined(provider),
            'wsrep_cluster_name': 'tests',
            'wsrep_cluster_address': f'gcomm://{others}',
            'wsrep_node_address': address,
            'wsrep_node_name': f'n{index}',
            'wsrep_slave_threads': 2,
            'wsrep_sst_method': 'rsync',
            'wsrep_sst_receive_address': f'127.0.0.1:{fresh_port()}',
        }

    def begin(self):
        first, *others = self.nodes
        first.start(wsrep_new_cluster='')
        self.wait_for(first)
        first.admit_visitors()
        for node in others:
            node.start()
            self.wait_for(node)

    def is_member(self, node):
        status = self.status(node)
        return (
            status['wsrep_ready'] == 'ON'
            and status['wsrep_local_state'] == SYNCED
        )

    def view(self, node):
        return self.status(node)['wsrep_cluster_conf_id']

    def rejoin(self, node):
        """
        Bring a node back; it comes by itself unless it was killed.

        One that was killed has not written down how far it got, but InnoDB
        knows.
        """
        if not node.running:
            text = node.run_once('--wsrep-recover')
            position = re.search(r'Recovered position:\s*(\S+)', text)[1]
            node.start(wsrep_start_position=position)
        self.wait_for(node)

    def switch(self, old, new, proxy):
        # in the other order it would wait for a transaction that waits for
        # what the new one has written
        old.set(read_only=1)
        proxy.only(new)

    def heal(self):
        super().heal()
        for node in self.nodes:
            node.set(read_only=0)

    def all_active(self):
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def flow_control(self):
        """Let all nodes wait early for the slowest."""
        for node in self.nodes:
            self.tune(node, **{'gcs.fc_limit': 1})
        try:
            yield
        finally:
            for node in self.nodes:
                self.tune(node, **{'gcs.fc_limit': 16})

    def isolate(self, node, isolated=True):
        """Cut a node off from the others, or let it come back."""
        self.tune(node, **{'gmcast.isolate': int(isolated)})

    def tune(self, node, **options):
        """Set options of the provider, until the node starts again."""
        node.query(
            'SET GLOBAL wsrep_provider_options = %s', (_joined(options),)
        )

    def status(self, node):
        """Return what a node says about the cluster."""
        return dict(node.query("SHOW GLOBAL STATUS LIKE 'wsrep%%'"))


def _joined(options):
    return ';'.join(f'{name}={value}' for name, value in options.items())
