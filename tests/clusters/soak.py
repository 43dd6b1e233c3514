"""
Random requests of several processes to a cluster, amid its troubles.

``python -m tests.clusters.soak --seconds 60`` runs it on each kind of cluster
and prints what became of the requests.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import sys
from itertools import pairwise

from pyramid_mysql_session.settings.table import SETTINGS
from tests.clusters.galera import Galera
from tests.clusters.group_replication import GroupReplication
from tests.clusters.haproxy import HAProxy
from tests.clusters.scenarios import (
    ONE,
    SEVERAL,
    UNNOTICED,
    Stage,
    name,
    switch,
)
from tests.conftest import Database
from tests.faults import soak_model
from tests.faults.soak_crew import Crew
from tests.helpers import SECRET, application, connections, wait_until

ROUND_SECONDS = 12
# what the model says of visitors whose session was not there
UNEXPLAINED = 'but nobody ended it'


class Tally:
    """
    What became of the requests of some rounds of one scenario.

    :ivar counts: how often what happened.
    :ivar errors: how many requests ended with which error.
    :ivar faults: pairs: what kind of fault, and which.
    :ivar pause: the longest time, in seconds, without any success.
    :ivar events: see :class:`.Stage`.
    """

    COLUMNS = (
        'requests',
        'errors',
        'lost',
        'doubled',
        'resurrected',
        'logged out',
        'untyped',
    )

    def __init__(self, name):
        self.name = name
        self.counts = collections.Counter()
        self.errors = collections.Counter()
        self.faults = []
        self.events = []
        self.pause = 0

    def add(self, stage, operations, figures, rows):
        """Judge a round."""
        faults = soak_model.check(operations, rows)
        self.faults += faults
        self.events += stage.events
        self.counts['requests'] += len(operations)
        self.counts.update(
            'errors' for o in operations if o.outcome == 'error'
        )
        self.counts.update(_named(*fault) for fault in faults)
        for counted in figures:
            for what, times in counted.items():
                kind, _, error = what.partition('error: ')
                if not kind:
                    self.errors[error] += times
        ends = sorted(o.ended for o in operations if o.outcome == 'done')
        gaps = (after - before for before, after in pairwise(ends))
        self.pause = max(self.pause, *gaps, 0)

    def row(self):
        """Return the figures as a line of the table."""
        figures = [f'{self.counts[name]:>12,}' for name in self.COLUMNS]
        return ''.join(
            [f'{self.name:<24}', *figures, f'{self.pause:>10.1f} s']
        )

    @classmethod
    def head(cls):
        """Return the line above :meth:`row`."""
        names = [f'{name:>12}' for name in cls.COLUMNS]
        return ''.join([f'{"":<24}', *names, f'{"pause":>12}'])

    def details(self):
        """Return what the table has no room for, as text."""
        lines = [f'    {at:.1f} s: {event}' for at, event in self.events]
        lines += [f'    {n} times {what}' for what, n in self.errors.items()]
        lines += [f'    {kind}: {what}' for kind, what in self.faults[:20]]
        return '\n'.join(lines)

    def __str__(self):
        return '\n'.join([self.head(), self.row(), self.details()])


def _named(kind, text):
    """Return the column of a fault that the model found."""
    if UNEXPLAINED in text:
        return 'logged out'
    if ' crash> ' in text:
        return 'untyped'
    return {
        soak_model.LOSS: 'lost',
        soak_model.DUPLICATE: 'doubled',
        soak_model.RESURRECTION: 'resurrected',
    }[kind]


class ClusterSoak:
    """
    The soak test of a cluster behind a proxy.

    :param pools: for each process whether it gets a pool passed in.
    :param settings: of the session factories, without their prefix.
    """

    def __init__(self, cluster, proxy, pools, settings):
        self._cluster = cluster
        self._proxy = proxy
        self._pools = pools
        self._settings = settings

    def run(self, scenario, seconds, rounds=1):
        """Run rounds of so many seconds each; return a :class:`Tally`."""
        tally = Tally(name(scenario))
        database = self._proxy.create_database()
        app = application(database, secret=SECRET)
        app.store.create_table()
        app.close()
        settings = database.settings(
            secret=SECRET, purge_interval=1, touch_interval=0, **self._settings
        )
        try:
            with Crew([(settings, pool) for pool in self._pools]) as crew:
                for _ in range(rounds):
                    self._round(scenario, seconds, crew, database, tally)
        finally:
            database.drop()
        return tally

    def _round(self, scenario, seconds, crew, database, tally):
        crew.start(seconds)
        stage = Stage(self._cluster, self._proxy, seconds)
        try:
            scenario(stage)
        finally:
            operations, figures = crew.results()
            self._heal()
        copies = [
            Database(node, database.name) for node in self._cluster.nodes
        ]
        for copy in copies:
            self._wait_until_idle(copy)
        tables = [self._rows(copy) for copy in copies]
        assert all(table == tables[0] for table in tables), 'nodes differ'
        tally.add(stage, operations, figures, tables[0])
        database.query('DELETE FROM sessions')

    def _heal(self):
        self._proxy.all()
        self._cluster.heal()
        nodes = [n for n in self._cluster.nodes if self._cluster.healthy(n)]
        wait_until(lambda: self._proxy.leads_to(*nodes))

    def _wait_until_idle(self, database):
        # a connection that a client has lost may still be at work
        wait_until(lambda: not any(connections(database).values()))

    def _rows(self, database):
        with (
            database.connect(init_command=self._cluster.current) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute('SELECT data FROM sessions ORDER BY session_id')
            return [json.loads(data) for (data,) in cursor.fetchall()]


#: Whether a session factory sets the variables of its connections.
KNOWS_VARIABLES = any(each.name == 'session_variables' for each in SETTINGS)
#: The kinds of clusters.
CLUSTERS = {'galera': Galera, 'gr': GroupReplication}


def run(cluster, scenario, several, seconds, rounds=1):
    """
    Run the soak test of a cluster that is whole.

    :param several: whether all nodes take writes.
    """
    pools, settings = (False, False, True), {}
    with contextlib.ExitStack() as stack:
        if several:
            stack.enter_context(cluster.all_active())
        if several and KNOWS_VARIABLES:
            # nobody sets them for a pool that was passed in
            pools = (False, False, False)
            settings['session_variables'] = '\n'.join(
                f'{name} = {value}'
                for name, value in cluster.synchronous.items()
            )
        elif several:
            stack.enter_context(cluster.variables(**cluster.synchronous))
        proxy = HAProxy(
            cluster,
            active='all' if several else 'one',
            # what a planned switch leaves alone
            cut=scenario is not switch,
        )
        stack.enter_context(proxy)
        if scenario in UNNOTICED:
            seconds += cluster.notice
        soak = ClusterSoak(cluster, proxy, pools, settings)
        return soak.run(scenario, seconds, rounds)


def main(arguments=None):
    """Run all scenarios, or some of them, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=int, default=60, help='for each')
    parser.add_argument('--kind', choices=CLUSTERS, action='append')
    parser.add_argument('--scenario', action='append')
    parser.add_argument('--several', action='store_true', help='all write')
    options = parser.parse_args(arguments)
    rounds = max(1, round(options.seconds / ROUND_SECONDS))
    seconds = min(options.seconds, ROUND_SECONDS)
    failed = False
    for kind in options.kind or CLUSTERS:
        scenarios = [
            scenario
            for scenario in (SEVERAL if options.several else ONE)[kind]
            if name(scenario) in (options.scenario or [name(scenario)])
        ]
        print(f'\n{kind}\n{Tally.head()}', flush=True)
        with CLUSTERS[kind]() as cluster:
            for scenario in scenarios:
                tally = run(
                    cluster, scenario, options.several, seconds, rounds
                )
                print(f'{tally.row()}\n{tally.details()}', flush=True)
                failed |= bool(tally.faults)
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
