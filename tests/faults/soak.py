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
import multiprocessing
import pathlib
import random
import sys
import threading

import MySQLdb
import pytest

from tests.faults import soak_model, soak_worker
from tests.faults.proxy import Proxy, lose_answer, lose_statement
from tests.helpers import connections, wait_until

THREADS = 3
SLOTS = 2 * ['lasting', 'mortal', 'moving', 'wild']
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
        # a forked child would have the threads' locks, not the threads
        self._context = multiprocessing.get_context('spawn')

    def run(self, seconds):
        """Run rounds, about so many seconds, until there is a fault."""
        slots = [soak_worker.Slot(self._context, fate) for fate in SLOTS]
        with Proxy(self.database.server.address) as proxy:
            proxy.on(WRITING, self._lose(lose_answer), None, CHANCE)
            proxy.on(WRITING, self._lose(lose_statement), None, CHANCE)
            with self._workers(slots, ({}, proxy.settings)) as workers:
                for number in range(max(1, round(seconds / ROUND_SECONDS))):
                    self._round(number, workers, slots, seconds)
                    if self.faults:
                        break

    @contextlib.contextmanager
    def _workers(self, slots, ways):
        """Start a process for each way to the server and kind of pool."""
        started = []
        for way, passed_in in itertools.product(ways, (False, True)):
            ours, theirs = self._context.Pipe()
            settings = self.database.settings(
                purge_interval=1, touch_interval=0, **way
            )
            number = len(started)
            process = self._context.Process(
                target=soak_worker.serve,
                args=(theirs, number, slots, settings, passed_in),
            )
            process.start()
            started.append((process, ours))
        try:
            yield [connection for _, connection in started]
        finally:
            for process, connection in started:
                with contextlib.suppress(OSError):
                    connection.send(None)
                process.join(30)
                process.kill()
                process.join()
                connection.close()

    def _round(self, number, workers, slots, seconds):
        duration = min(seconds, ROUND_SECONDS)
        for slot in slots:
            slot.write('', '', slot.read()[1])
        for connection in workers:
            connection.send((THREADS, duration))
        self._stop.clear()
        killer = threading.Thread(target=self._kill)
        killer.start()
        try:
            if number % CRASH_EVERY == CRASH_EVERY - 1:
                self._crash()
            answers = [self._receive(connection) for connection in workers]
        finally:
            self._stop.set()
            killer.join()
        # a connection that a client has lost may still be at work
        wait_until(lambda: not any(connections(self.database).values()))
        rows = [
            json.loads(data)
            for (data,) in self.database.query('SELECT data FROM sessions')
        ]
        operations = [o for found, _ in answers for o in found]
        self.faults += soak_model.check(operations, rows)
        self._count(operations, [figures for _, figures in answers])
        self.database.query('DELETE FROM sessions')

    def _receive(self, connection):
        assert connection.poll(ROUND_SECONDS + 120), 'a worker hangs'
        return connection.recv()

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
