"""
What logins and touches notice while a million expired sessions are deleted.

Beside our purge of their table stand two others: our purge of another table,
which takes as much of the processors, the log and the disk but no lock that
they could wait for; and what other stores do, one DELETE without a limit.
Runnable alone: ``python -m tests.benchmarks.purge --help``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import pathlib
import random
import statistics
import sys
import threading
import time

from pyramid_mysql_session import SessionError, session_factory_from_settings
from pyramid_mysql_session.store.keys import make_session_id, stored_key

sys.path.append(str(pathlib.Path(__file__).parents[2] / 'docs' / 'demo'))

THREADS = 4
#: Logins and touches that each thread begins in a second, at even intervals.
RATE = 50
PAYLOAD = json.dumps({'padding': 'x' * 400})
UNBOUNDED = 'DELETE FROM sessions WHERE expires < UNIX_TIMESTAMP()'
WAYS = {
    'purge': 'our purge',
    'elsewhere': 'our purge, of another table',
    'unbounded': 'one DELETE',
}
_DIGIT = '(SELECT 0 AS n {})'.format(
    ' '.join(f'UNION ALL SELECT {digit}' for digit in range(1, 10))
)


def measure(bench):
    """Measure each server; sizes and durations are those of the options."""
    return {
        kind: [_measure_one(bench, database, way) for way in WAYS]
        # a server that cannot hold the table waits for its disk instead
        for kind, database in bench.databases('1G').items()
    }


def report(data, page):
    page.title('Purging')
    page.text(
        'The 99th percentile of logins and touches, in milliseconds from the '
        'moment when each was due, before and while all expired sessions are '
        'deleted: by our purge, and by one DELETE without a limit. Between '
        'them a purge of another table shows what comes from sharing '
        'processors, log and disk, rather than from waiting for locks.'
    )
    page.table(
        ('server, way', 'dead', 'rows/s', 'idle', 'meanwhile', 'times'),
        [
            (
                f'{kind}, {WAYS[one["way"]]}',
                f'{one["dead"]:,}',
                f'{one["dead"] / one["seconds"]:,.0f}',
                f'{one["idle"]["p99"]:.1f}',
                f'{one["meanwhile"]["p99"]:.1f}',
                f'{one["times"]:.1f}',
            )
            for kind, ways in data.items()
            for one in ways
        ],
    )


class Load:
    """
    Logins and touches at a steady rate, from several threads.

    :param store: has the sessions.
    :param ids: those of live sessions, which are touched.
    :ivar logins: the ids of the sessions that were created.
    :ivar failures: how many logins or touches failed.
    """

    def __init__(self, store, ids):
        self._store = store
        self._ids = ids
        self._times = []
        self.logins = []
        self.failures = 0

    def run(self, until):
        """Go on until a function says so; return statistics of the time."""
        self._times = []
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._work, args=(stop, number))
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        until()
        stop.set()
        for thread in threads:
            thread.join()
        parts = statistics.quantiles(self._times, n=100)
        return {
            'number': len(self._times),
            'p50': parts[49],
            'p99': parts[98],
            'max': max(self._times),
        }

    def _work(self, stop, number):
        due = time.monotonic() + number / (THREADS * RATE)
        for turn in itertools.count(number):
            if stop.wait(max(0, due - time.monotonic())):
                return
            try:
                if turn % 2:
                    session_id = make_session_id()
                    self._store.create(session_id, PAYLOAD, 86400)
                    self.logins.append(session_id)
                elif not self._store.touch(random.choice(self._ids), 86400):
                    raise RuntimeError('a live session was lost')
            except SessionError:
                self.failures += 1
            # who has to wait counts the time since it was due
            self._times.append((time.monotonic() - due) * 1000)
            due += 1 / RATE


def _measure_one(bench, database, way):
    options = bench.options
    settings = {
        f'mysql_session.{name}': value
        for name, value in {
            'secret': 'a-secret-of-the-benchmarks-that-is-long-enough',
            'purge_expired': False,
            'connection_limit': THREADS + 1,
            **database.address(),
        }.items()
    }
    factory = session_factory_from_settings(settings)
    store = factory.store
    database.query('DROP TABLE IF EXISTS sessions, others')
    store.check_table()
    ids = [make_session_id() for _ in range(options.live)]
    _fill_live(database, ids)
    table = 'sessions'
    if way == 'elsewhere':
        table = 'others'
        settings['mysql_session.table_name'] = table
        database.query('CREATE TABLE others LIKE sessions')
    _fill_dead(database, table, options.dead)
    bench.note(f'{way}: {options.dead:,} dead rows are there')
    load = Load(store, ids)
    load.run(lambda: time.sleep(1))
    idle = load.run(lambda: time.sleep(options.seconds))
    context = multiprocessing.get_context('spawn')
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_delete, args=(settings, way, send))
    process.start()
    receive.recv()
    took = []
    meanwhile = load.run(lambda: took.append(receive.recv()))
    process.join()
    ((dead,),) = database.query(
        f'SELECT COUNT(*) FROM {table} WHERE expires < UNIX_TIMESTAMP()'
    )
    lost = options.live + len(load.logins) - store.count()
    factory.close()
    result = {
        'way': way,
        'dead': options.dead,
        'left': dead,
        'lost': lost,
        'failures': load.failures,
        'seconds': took[0],
        'idle': idle,
        'meanwhile': meanwhile,
        'times': meanwhile['p99'] / idle['p99'],
    }
    bench.note(json.dumps(result))
    return result


def _delete(settings, way, pipe):
    """Delete what is expired, in a process of its own."""
    factory = session_factory_from_settings(settings)
    store = factory.store
    store.count()
    pipe.send('ready')
    began = time.monotonic()
    if way == 'unbounded':
        _delete_unbounded(settings)
    else:
        store.purge(exclusive=True)
    pipe.send(time.monotonic() - began)
    factory.close()


def _delete_unbounded(settings):
    import MySQLdb

    names = 'unix_socket', 'user', 'database'
    connection = MySQLdb.connect(
        **{name: settings[f'mysql_session.{name}'] for name in names},
        autocommit=True,
    )
    connection.query(UNBOUNDED)
    connection.close()


def _fill_dead(database, table, dead):
    places = range(len(str(dead - 1)))
    digits = ', '.join(f'{_DIGIT} AS d{place}' for place in places)
    number = ' + '.join(f'd{place}.n * {10**place}' for place in places)
    # as after a busy week: the key begins with the second of the creation
    second = 'UNIX_TIMESTAMP() - 700000 + s.number DIV 2'
    database.query('DROP TABLE IF EXISTS numbers')
    database.query('CREATE TABLE numbers (number INT PRIMARY KEY)')
    database.query(
        f'INSERT INTO numbers SELECT {number} AS n FROM {digits} '
        f'HAVING n < {dead}'
    )
    for start in range(0, dead, 50000):
        database.query(
            f'INSERT INTO {table} (session_id, expires, data, created, '
            'revision) SELECT CONCAT('
            f'UNHEX(LPAD(HEX({second}), 8, 0)), '
            'UNHEX(SHA2(CONCAT(RAND(), s.number), 224))), '
            f'{second} + 86400 - FLOOR(RAND() * 1000), %s, {second}, 1 '
            'FROM numbers AS s WHERE s.number >= %s AND s.number < %s',
            (PAYLOAD, start, start + 50000),
        )


def _fill_live(database, ids):
    for number in range(0, len(ids), 1000):
        rows = ', '.join(
            f"(x'{stored_key(one).hex()}', UNIX_TIMESTAMP() + 86400, "
            f"'{PAYLOAD}', UNIX_TIMESTAMP(), 1)"
            for one in ids[number : number + 1000]
        )
        database.query(
            'INSERT INTO sessions (session_id, expires, data, created, '
            f'revision) VALUES {rows}'
        )


def main():
    from .servers import Bench

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--dead', type=int, default=1000000)
    parser.add_argument('--live', type=int, default=10000)
    parser.add_argument('--seconds', type=float, default=20)
    parser.add_argument(
        '--flush',
        type=int,
        default=1,
        help='innodb_flush_log_at_trx_commit (1)',
    )
    with Bench(parser.parse_args()) as bench:
        measure(bench)


if __name__ == '__main__':
    main()
