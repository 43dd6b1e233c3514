"""What a cluster costs: replication, and HAProxy in front of it."""

from __future__ import annotations

import contextlib

import health_check

import pyramid_mysql_session
from tests.clusters import needs
from tests.clusters.galera import Galera
from tests.clusters.group_replication import GroupReplication
from tests.clusters.haproxy import HAProxy
from tests.clusters.nodes import VISITOR, Node, Running

from . import sites
from .harness import Site, minus, ratios, spread, take_turns
from .servers import NAMES

ACTIONS = ('read', 'write', 'locked', 'new', 'login')
BARE = 'no sessions'
DATABASE = 'benchmark'
#: Kind of server -> its cluster, and what that is called and needs.
CLUSTERS = {
    'mariadb': (Galera, 'Galera', ('Galera', 'rsync')),
    'mysql': (GroupReplication, 'Group Replication', ('Group Replication',)),
}
LONE = 'a lone server'
WAYS = ('directly', 'through HAProxy')


class Lone(Running):
    """A server that HAProxy takes for a cluster of one node."""

    def __init__(self, kind):
        self.nodes = [Node(kind, 'n0', LIKE_A_NODE[kind])]

    def begin(self):
        (node,) = self.nodes
        node.start()
        node.admit_visitors()

    def healthy(self, node):
        return health_check.answer({**node.tcp, **VISITOR}) == 200

    def close(self):
        for node in self.nodes:
            node.close()


#: What a lone server has by default, but not a private one, and what the
#: nodes of a cluster have, too.
LIKE_A_NODE = {
    'mariadb': {},
    'mysql': {
        'performance_schema': 'ON',
        'log_bin': 'binlog',
        'server_id': 1,
        'gtid_mode': 'ON',
        'enforce_gtid_consistency': 'ON',
    },
}


def measure(bench):
    found = {}
    for kind, (make, name, wanted) in CLUSTERS.items():
        missing = {NAMES[kind], 'HAProxy', 'setpriv', *wanted} & {
            *needs.MISSING
        }
        if missing:
            bench.note(f'no {name}, for lack of {", ".join(sorted(missing))}')
            continue
        with contextlib.ExitStack() as stack:
            found[kind] = _measure(
                bench, stack, {LONE: Lone(kind), name: make()}
            )
    return found


def _measure(bench, stack, clusters):
    options = bench.options
    contestants = [Site(BARE, sites.bare(), ['untouched'], None)]
    pids = []
    for name, cluster in clusters.items():
        for node in cluster.nodes:
            node.options |= durability(node.kind, options.flush)
        stack.enter_context(cluster)
        first, *_ = cluster.nodes
        first.query(f'CREATE DATABASE {DATABASE}')
        proxy = stack.enter_context(HAProxy(cluster))
        if proxy.active() is not first:
            raise RuntimeError('HAProxy leads to another node')
        for node in cluster.nodes:
            # this process answers the checks, also while it is measured
            proxy.tell(f'disable health nodes/{node.name}')
        pids += [*(node.pid for node in cluster.nodes), pid_of(proxy)]
        for way, server in zip(WAYS, (first, proxy), strict=True):
            app = sites.ours(
                {'host': server.host, 'port': server.port, **VISITOR},
                database=DATABASE,
                table_name=way.replace(' ', '_'),
            )
            pyramid_mysql_session.get_store(app.registry).check_table()
            contestants.append(Site(f'{name}, {way}', app, ACTIONS, BARE))
        bench.note(f'{name} runs')
    with bench.apart(*pids):
        return take_turns(
            contestants,
            ['untouched', *ACTIONS],
            options.rounds,
            options.requests,
            bench.note,
        )


def durability(kind, flush):
    """Return server options: write to disk at each commit, or each second."""
    options = {'innodb_flush_log_at_trx_commit': flush}
    if kind == 'mysql':
        options['sync_binlog'] = int(flush == 1)
    return options


def pid_of(proxy):
    lines = proxy.tell('show info').splitlines()
    return next(
        int(line.split()[1]) for line in lines if line.startswith('Pid:')
    )


def report(data, page):
    page.title('Clusters')
    page.text(
        'Microseconds over the same page without sessions, of ours at a '
        'cluster of three nodes, one of which takes all requests, and at a '
        'lone server of the same options; all over TCP, directly and through '
        'HAProxy. All nodes and HAProxy share one core, so that the work of '
        'the other two nodes counts as well, which have hosts of their own '
        'elsewhere; there is no network between them, which would add a '
        'round trip to each commit. The checks of HAProxy are off meanwhile.'
    )
    rows, quotients = [], []
    for kind, times in data.items():
        bare = times[BARE]['untouched']
        costs = {
            name: {
                action: minus(taken, bare)
                for action, taken in by_action.items()
            }
            for name, by_action in times.items()
        }
        rows += [
            (
                f'{name}, {NAMES[kind]}',
                *(spread(by_action[action]) for action in ACTIONS),
            )
            for name, by_action in costs.items()
            if name != BARE
        ]
        cluster = CLUSTERS[kind][1]
        direct, through = WAYS
        for title, one, other in (
            (f'HAProxy / directly, {LONE}', (LONE, through), (LONE, direct)),
            (
                f'HAProxy / directly, {cluster}',
                (cluster, through),
                (cluster, direct),
            ),
            (
                f'{cluster} / {LONE}, directly',
                (cluster, direct),
                (LONE, direct),
            ),
            (
                f'{cluster} / {LONE}, through HAProxy',
                (cluster, through),
                (LONE, through),
            ),
        ):
            quotients.append(
                (
                    f'{title}, {NAMES[kind]}',
                    *(
                        spread(
                            ratios(
                                costs[', '.join(one)][action],
                                costs[', '.join(other)][action],
                            ),
                            2,
                        )
                        for action in ACTIONS
                    ),
                )
            )
    page.table(('µs', *ACTIONS), rows)
    page.text('What HAProxy and replication make of it, round by round:')
    page.table(('ratio', *ACTIONS), quotients)
