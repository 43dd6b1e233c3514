"""
Random requests of several processes to a few sessions, amid faults.

``python -m tests.faults.soak --seconds 600`` runs it on each server; further
arguments go to pytest, ``-k mysql`` for instance.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import itertools
import json
import pathlib
import random
import sys
import threading

import MySQLdb
import pytest

from tests.faults import soak_model
from tests.faults.proxy import Proxy, lose_answer, lose_statement
from tests.faults.soak_crew import Crew
from tests.helpers import connections, wait_until

ROUND_SECONDS = 5
# a crash of the server takes some seconds of a round
CRASH_EVERY = 10
# how often the proxy loses a statement that writes, or the answer to it
CHANCE = 0.01
WRITING = '^(UPDATE|INSERT|DELETE|COMMIT)|FOR UPDATE$'


class Soak:
    """
    One soak test of one server.

    :ivar figures: what happened so far, by name.
    :ivar faults: pairs: what kind of fault, and which.
    """

    def __init__(self, database):
        self.database = database
        self.figures = collections.Counter()
        self.faults = []
        self._stop = threading.Event()

    def run(self, seconds):
        """Run rounds, about so many seconds, until there is a fault."""
        address = self.database.server.address
        with Proxy(address) as plain, Proxy(address, tls=True) as encrypted:
            for proxy in (plain, encrypted):
                proxy.on(WRITING, self._lose(lose_answer), None, CHANCE)
                proxy.on(WRITING, self._lose(lose_statement), None, CHANCE)
            ways = self._ways({}, plain.settings, encrypted.settings)
            with Crew(ways) as crew:
                for number in range(max(1, round(seconds / ROUND_SECONDS))):
                    self._round(number, crew, seconds)
                    if self.faults:
                        break

    def _ways(self, *addresses):
        """Return each address with each kind of pool."""
        return [
            (
                self.database.settings(
                    purge_interval=1, touch_interval=0, **address
                ),
                passed_in,
            )
            for address, passed_in in itertools.product(
                addresses, (False, True)
            )
        ]

    def _round(self, number, crew, seconds):
        crew.start(min(seconds, ROUND_SECONDS))
        self._stop.clear()
        killer = threading.Thread(target=self._kill)
        killer.start()
        try:
            if number % CRASH_EVERY == CRASH_EVERY - 1:
                self._crash()
            operations, figures = crew.results()
        finally:
            self._stop.set()
            killer.join()
        # a connection that a client has lost may still be at work
        wait_until(lambda: not any(connections(self.database).values()))
        rows = [
            json.loads(data)
            for (data,) in self.database.query('SELECT data FROM sessions')
        ]
        self.faults += soak_model.check(operations, rows)
        self._count(operations, figures)
        self.database.query('DELETE FROM sessions')

    def _count(self, operations, figures):
        self.figures['rounds'] += 1
        self.figures['operations'] += len(operations)
        for operation in operations:
            self.figures[f'outcome: {operation.outcome}'] += 1
        for counted in figures:
            self.figures += counted

    def _lose(self, loss):
        name = loss.__name__.replace('_', ' ')

        def action(line):
            self.figures[name] += 1
            loss(line)

        return action

    def _kill(self):
        """Kill random connections every few dozen milliseconds."""
        while not self._stop.wait(random.uniform(0.02, 0.06)):
            # the server may be down, or the connection gone
            with contextlib.suppress(MySQLdb.Error):
                found = list(connections(self.database))
                if found:
                    what = random.choice(['KILL'] * 9 + ['KILL QUERY'])
                    self.database.query(f'{what} {random.choice(found)}')
                    self.figures['kills'] += 1

    def _crash(self):
        server = self.database.server
        if server.private:
            self._stop.wait(random.uniform(0.5, 2))
            server.kill()
            server.start()
            self.figures['server crashes'] += 1

    def report(self):
        """Return the figures as text."""
        found = collections.Counter(kind for kind, _ in self.faults)
        figures = {
            **self.figures,
            'losses': found[soak_model.LOSS],
            'duplicates': found[soak_model.DUPLICATE],
            'resurrections': found[soak_model.RESURRECTION],
        }
        lines = [f'{name:>30}: {n:,}' for name, n in figures.items()]
        lines += [f'{kind}: {what}' for kind, what in self.faults[:50]]
        return '\n'.join(lines)


def main(arguments=None):
    """Run the soak test through pytest, which starts the servers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=int, default=600)
    options, others = parser.parse_known_args(arguments)
    return pytest.main(
        [
            str(pathlib.Path(__file__).with_name('test_soak.py')),
            f'--soak-seconds={options.seconds}',
            *('-q', '-s', '-o', 'faulthandler_timeout=0'),
            *others,
        ]
    )


if __name__ == '__main__':
    sys.exit(main())
