"""What millions of sessions change: our stored key beside a random one."""

from __future__ import annotations

import hashlib
import json
import random
import secrets
import time
from unittest import mock

from pyramid_mysql_session import session_factory_from_settings
from pyramid_mysql_session.store import keys
from pyramid_mysql_session.store.keys import make_session_id, stored_key

from .harness import median, spread
from .servers import NAMES
from .sites import DATA, SECRET

#: Sessions that are in use: those that were created last.
ACTIVE = 10_000
#: Operations of each kind that are measured.
OPERATIONS = 5_000
DEAD = 20_000
CHUNK = 50_000
#: A prime that scatters the ages over the random keys.
SHUFFLE = 7919
DAY = 86400
PAYLOAD = json.dumps(DATA)

#: A key that begins with the second of the creation, as our stored key does.
OURS = 'time, then hash'
RANDOM = 'random'
FRESH = {
    OURS: lambda: stored_key(make_session_id()),
    RANDOM: lambda: secrets.token_bytes(32),
}
OPERATION_NAMES = {
    'read': 'read, in use',
    'write': 'load and save, in use',
    'create': 'create',
    'cold': 'read, any session',
}


def measure(bench):
    options = bench.options
    return {
        kind: {
            key: [
                measure_one(bench, database, key, rows)
                for rows in options.sizes
            ]
            for key in FRESH
        }
        for kind, database in bench.databases().items()
    }


def measure_one(bench, database, key, rows):
    # session ids here are stored keys in hexadecimal
    with mock.patch.object(
        keys, 'stored_key', lambda text, shard_bytes: bytes.fromhex(text)
    ):
        return measure_store(bench, make_store(database), database, key, rows)


def measure_store(bench, store, database, key, rows):
    dead = min(DEAD, rows // 4)
    began = time.monotonic()
    layout = Layout(key, rows, dead, database)
    layout.fill()
    took = time.monotonic() - began
    bench.note(f'{database.server.kind}, {key} key: {rows:,} in {took:.0f} s')
    active = [
        layout.key_of_age(age)
        for age in range(rows - min(ACTIVE, rows // 2), rows)
    ]
    for one in active:
        load(store, one)
    number = min(OPERATIONS, rows)
    in_use = random.choices(active, k=number)
    with bench.apart():
        times = {
            'read': clock(lambda one: load(store, one), in_use),
            'write': clock(lambda one: load_and_save(store, one), in_use),
            'create': clock(
                lambda one: store.create(one.hex(), PAYLOAD, DAY),
                [FRESH[key]() for _ in range(number)],
            ),
            'cold': clock(
                lambda one: load(store, one),
                [
                    layout.key_of_age(random.randrange(dead, rows))
                    for _ in range(number)
                ],
            ),
        }
        began = time.monotonic()
        purged = store.purge()
        times['purge'] = [(time.monotonic() - began) / dead * 1e6]
    if purged != dead:
        raise RuntimeError(f'{purged} rows were purged instead of {dead}')
    store.close()
    database.query('DROP TABLE sessions')
    return {'rows': rows, **times}


def make_store(database):
    settings = {'secret': SECRET, 'purge_expired': False, **database.address()}
    factory = session_factory_from_settings(
        {f'mysql_session.{k}': v for k, v in settings.items()}
    )
    factory.store.check_table()
    return factory.store


def load(store, key):
    record = store.load(key.hex())
    if record is None:
        raise RuntimeError('a session is missing')
    return record


def load_and_save(store, key):
    record = load(store, key)
    payload = f'{PAYLOAD[:-1]}, "n": {random.randrange(10**6)}}}'
    store.save(key.hex(), payload, record.revision, DAY)


def clock(function, arguments):
    """Return the microseconds of each call, in ten groups of calls."""
    groups = []
    size = -(-len(arguments) // 10)
    for start in range(0, len(arguments), size):
        group = arguments[start : start + size]
        began = time.perf_counter()
        for argument in group:
            function(argument)
        groups.append((time.perf_counter() - began) / len(group) * 1e6)
    return groups


class Layout:
    """
    Sessions that were created one after the other during a day.

    Rows are sent in the order of the key, and the other indexes are made at
    the end, so that it takes minutes and not hours: a table that really grew
    with random keys has emptier pages and is larger.

    :param dead: how many of them, the eldest, have expired.
    """

    def __init__(self, key, rows, dead, database):
        self._ours = key == OURS
        self._rows = rows
        self._dead = dead
        self._database = database
        ((now,),) = database.query('SELECT UNIX_TIMESTAMP()')
        self._start = now - DAY

    def key_of_age(self, age):
        """Return the key of a row; 0 is the age of the eldest."""
        number = age
        lead = self._start + age * DAY // self._rows
        if not self._ours:
            number = age * pow(SHUFFLE, -1, self._rows) % self._rows
            lead = number * 2**32 // self._rows
        hashed = hashlib.sha224(str(number).encode()).digest()
        return lead.to_bytes(4, 'big') + hashed

    def fill(self):
        query, rows = self._database.query, self._rows
        query('DROP TABLE IF EXISTS numbers')
        query('CREATE TABLE numbers (n INT PRIMARY KEY)')
        values = ', '.join(f'({number})' for number in range(1000))
        query(f'INSERT INTO numbers VALUES {values}')
        query('ALTER TABLE sessions DROP KEY expires, DROP KEY userid')
        # the row with the number i is the i-th in the order of the key
        age = 'i' if self._ours else f'MOD(i * {SHUFFLE}, {rows})'
        created = f'({self._start} + {age} * {DAY} DIV {rows})'
        lead = created if self._ours else f'(i * {2**32} DIV {rows})'
        expires = (
            f'IF({age} < {self._dead}, {self._start}, '
            # later than all this takes
            f'{created} + {DAY} + 3600 + MOD(i, 3600))'
        )
        for first in range(0, rows, CHUNK):
            query(
                'INSERT INTO sessions '
                '(session_id, expires, data, created, revision, userid) '
                f'SELECT CONCAT(UNHEX(LPAD(HEX({lead}), 8, 0)), '
                f'UNHEX(SHA2(i, 224))), {expires}, %s, {created}, 1, '
                "CONCAT('user', MOD(i, 100000)) FROM (SELECT STRAIGHT_JOIN "
                f'{first} + a.n * 1000 + b.n AS i FROM numbers AS a, '
                f'numbers AS b WHERE a.n < {CHUNK // 1000}) AS some '
                f'WHERE i < {min(first + CHUNK, rows)}',
                (PAYLOAD,),
            )
        query('ALTER TABLE sessions ADD KEY (expires), ADD KEY (userid)')
        query('ANALYZE TABLE sessions')


def report(data, page):
    page.title('As the table grows')
    page.text(
        "Microseconds of the store's methods, one thread, with a buffer pool "
        'of 64 MiB: the table outgrows it at about a hundred thousand '
        f'sessions. *In use* are the {ACTIVE:,} sessions that were created '
        'last; any session is one from all over the table, which mostly has '
        'to be read from disk. The stored key begins with the second of the '
        'creation; beside it a key that is random from its first byte. The '
        'tables were filled in the order of their key, which flatters the '
        'random one.'
    )
    columns = [*OPERATION_NAMES.values(), 'purge with its pauses, µs/row']
    page.table(
        ('key', 'sessions', *columns),
        [
            (
                f'{NAMES[kind]}, {key}',
                f'{one["rows"]:,}',
                *(spread(one[name]) for name in OPERATION_NAMES),
                f'{one["purge"][0]:,.0f}',
            )
            for kind, by_key in data.items()
            for key, sizes in by_key.items()
            for one in sizes
        ],
    )
    page.text('The largest table divided by the smallest:')
    page.table(
        ('key', *columns, 'creates/s'),
        [
            (
                f'{NAMES[kind]}, {key}',
                *(
                    f'{growth(sizes, name):.2f}'
                    for name in [*OPERATION_NAMES, 'purge']
                ),
                f'{1 / growth(sizes, "create"):.2f}',
            )
            for kind, by_key in data.items()
            for key, sizes in by_key.items()
        ],
    )
    names = OPERATION_NAMES | {'purge': 'purge, per row'}
    first = next(iter(data.values()))[OURS]
    page.lines(
        'growth',
        'Microseconds by the number of sessions',
        [
            (
                title,
                'microseconds',
                [one['rows'] for one in first],
                {
                    f'{NAMES[kind]}, {key}': [
                        median(one[name]) for one in data[kind][key]
                    ]
                    for key in FRESH
                    for kind in data
                },
            )
            for name, title in names.items()
        ],
        'sessions',
        log=True,
    )


def growth(sizes, name):
    return median(sizes[-1][name]) / median(sizes[0][name])
