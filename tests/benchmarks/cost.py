"""What one request costs: ours, the peers, the least."""

from __future__ import annotations

from functools import partial

import pyramid_mysql_session

from . import django_site, floors, memory, sites
from .harness import (
    Loop,
    Site,
    count_statements,
    judged,
    median,
    minus,
    ratios,
    spread,
    take_turns,
)
from .servers import NAMES

BARE = 'no sessions'
BARE_DJANGO = 'Django, no sessions'
REDIS = 'pyramid_session_redis'
BEAKER = 'pyramid_beaker ext:database'
FLOORS = {
    'cursor': floors.by_cursor,
    'query': floors.by_query,
    'PooledDB': floors.by_pool,
}
#: In the chart.
CHARTED = ('read', 'touch', 'write', 'new', 'login')


def ours(kind, transport):
    return f'ours, {NAMES[kind]}, {transport}'


def floor(kind, transport, way, where='view'):
    return f'{way} in a {where}, {NAMES[kind]}, {transport}'


def measure(bench):
    options = bench.options
    databases = bench.databases()
    contestants, counters = make_contestants(bench, databases)
    with bench.apart():
        times = take_turns(
            contestants,
            sites.ACTIONS,
            options.rounds,
            options.requests,
            bench.note,
        )
    statements = {}
    for one in contestants:
        if one.name in counters:
            for action in one.actions:
                one.prepare(action, options.requests)
                statements.setdefault(one.name, {})[action] = count_statements(
                    counters[one.name],
                    partial(one.block, action, options.requests),
                    options.requests,
                )
    return {
        'servers': list(databases),
        'times': times,
        'statements': statements,
        'large': {
            kind: memory.take_times(
                bench, *memory.make_both(database), ['read', 'pick']
            )
            for kind, database in bench.databases().items()
        },
    }


def make_contestants(bench, databases):
    """Return the contestants, and what counts their statements."""
    counters = {}
    contestants = [
        Site(BARE, sites.bare(), ['untouched'], None),
        Site('signed cookie', sites.cookie(), sites.UNLOCKED, BARE),
    ]

    def add(
        name, app, baseline=BARE, age=None, server=None, actions=sites.UNLOCKED
    ):
        contestants.append(Site(name, app, actions, baseline, age))
        counters[name] = server.counters

    redis = bench.redis()
    add(REDIS, sites.redis(redis.socket), server=redis)
    add(f'{REDIS}, hiredis', sites.redis(redis.socket, True), server=redis)
    first = next(iter(databases.values()))
    add(BEAKER, sites.beaker(first.address()), server=first)
    contestants.append(
        Site(
            BARE_DJANGO,
            django_site.bare(first.address()),
            ['untouched'],
            None,
        )
    )
    add(
        'Django db',
        django_site.with_sessions(first.address()),
        BARE_DJANGO,
        server=first,
    )
    for kind, database in databases.items():
        for transport in ('socket', 'TCP'):
            address = database.address(transport)
            app = sites.ours(address, table_name=f'ours_{transport}')
            store = pyramid_mysql_session.get_store(app.registry)
            store.check_table()
            add(
                ours(kind, transport),
                app,
                age=partial(
                    database.query,
                    # the browsers' are the oldest, and keys begin with the
                    # time
                    f'UPDATE ours_{transport} SET expires = expires - 20000 '
                    f'ORDER BY session_id LIMIT {bench.options.requests}',
                ),
                server=database,
                actions=sites.ACTIONS,
            )
        floors.make_table(database, 'ours_socket')
        for transport, way in (
            *(('socket', way) for way in FLOORS),
            ('TCP', 'cursor'),
        ):
            functions = floors.functions(
                FLOORS[way](database.address(transport)),
                bench.options.requests,
            )
            pages = {
                name: lambda request, function=function: function()
                for name, function in functions.items()
            }
            contestants.append(
                Site(
                    floor(kind, transport, way),
                    sites.make_app(pages),
                    list(functions),
                    BARE,
                )
            )
            if (transport, way) == ('socket', 'cursor'):
                contestants.append(
                    Loop(floor(kind, transport, way, 'loop'), functions)
                )
    return contestants, counters


class Costs:
    """
    Microseconds over the same page without sessions, round by round.

    :param data: as measured.
    """

    def __init__(self, data):
        self._times = data['times']

    def __getitem__(self, of):
        name, action = of
        times = self._times[name][action]
        bare = BARE_DJANGO if name.startswith('Django') else BARE
        if ' in a loop' in name:
            return times
        return minus(times, self._times[bare]['untouched'])

    def __contains__(self, of):
        name, action = of
        return action in self._times.get(name, ())

    def actions(self, names=None):
        """Return what any contestant, or any of some, has done."""
        return [
            action
            for action in sites.ACTIONS
            if any((name, action) in self for name in names or self._times)
        ]

    def cells(self, name, actions):
        """Return the cells of a table."""
        return [
            spread(self[name, action]) if (name, action) in self else ''
            for action in actions
        ]

    def whole(self, name):
        """Return the microseconds of an untouched request, all in all."""
        return self._times[name]['untouched']


def report(data, page):
    costs = Costs(data)
    times = data['times']
    actions = costs.actions()
    page.title('What a request costs')
    page.text(
        'Microseconds that a request takes over the same page without '
        'sessions, in one thread that calls the WSGI application. *read* '
        'takes a text from the session, *look* a dict, *touch* is a read '
        'that is due to move the idle deadline, *write* adds one to a '
        'number, *locked* does so in a block of ``locked()``, *login* renews '
        'the id. A signed cookie has no server that could revoke it. Redis '
        'listens on a socket and writes nothing to disk; with its defaults '
        'pyramid_session_redis moves the deadline at each read. Beaker and '
        'Django '
        f'use {NAMES[data["servers"][0]]} on its socket. The servers have '
        'one core and the application the other. A page without '
        f'sessions takes {spread(costs.whole(BARE))} µs with Pyramid, '
        f'{spread(costs.whole(BARE_DJANGO))} µs with Django.'
    )
    named = [
        name
        for name in times
        if name not in (BARE, BARE_DJANGO) and ' in a ' not in name
    ]
    page.table(
        ('µs', *actions),
        [(name, *costs.cells(name, actions)) for name in named],
    )
    page.bars(
        'cost',
        'What a session adds to a request, on sockets',
        'microseconds over the page without sessions, logarithmic',
        CHARTED,
        {
            name: [median(costs[name, action]) for action in CHARTED]
            for name in named
            if 'TCP' not in name and name != 'signed cookie'
        },
    )
    page.text(
        "Statements that one request sends, pings included, from the server's "
        'counters (commands, for Redis):'
    )
    page.table(
        ('statements', *actions, 'those of a write'),
        [
            (
                name,
                *(
                    total(counts[action]) if action in counts else ''
                    for action in actions
                ),
                kinds(counts['write']),
            )
            for name, counts in data['statements'].items()
        ],
    )
    report_floors(data, costs, page)
    report_aims(data, costs, page)


def total(counts):
    """Return the number of statements, or of Redis' commands."""
    if 'all' in counts:
        number = counts['all'] + counts.get('ping', 0)
    else:
        number = sum(counts.values())
    return f'{number:g}'


def kinds(counts):
    """Say how many statements of which kind there are."""
    return ', '.join(
        f'{many:g} {kind}' for kind, many in counts.items() if kind != 'all'
    )


def report_floors(data, costs, page):
    page.title('The least that it can cost', '~')
    page.text(
        'The same with the driver alone: one SELECT by primary key, and the '
        'UPDATE or INSERT where there is one, of as many rows of the same '
        'size in a table like ours. *look* '
        'decodes the JSON, *locked* is BEGIN, SELECT FOR UPDATE, UPDATE and '
        'COMMIT. In a tight loop a statement is faster than in a view, where '
        "Pyramid worked for some time and the server's thread has gone to "
        'sleep meanwhile. *ours* is shown again for comparison.'
    )
    names = [
        name
        for kind in data['servers']
        for transport in ('socket', 'TCP')
        for name in (
            *(floor(kind, transport, way, 'loop') for way in FLOORS),
            *(floor(kind, transport, way) for way in FLOORS),
            ours(kind, transport),
        )
        if (name, 'read') in costs
    ]
    actions = costs.actions(names)[1:]
    page.table(
        ('µs', *actions),
        [(name, *costs.cells(name, actions)) for name in names],
    )


def report_aims(data, costs, page):
    page.title('Ratios', '~')
    page.text(
        'All on sockets, the median of the ratios of each round; *met* or '
        '*missed* says how it compares with what we aim at. A ratio divides '
        'what both add to the same page, so that the time of the page '
        'without sessions counts on neither side; *in a loop* divides by '
        'what the driver takes in a tight loop. A cursor in a view neither '
        'decodes the JSON, except where that is said, nor looks at a cookie.'
    )
    page.table(
        ('ratio', 'aim', *(NAMES[kind] for kind in data['servers'])),
        [
            (title, aim, *(judged(one, aim, digits) for one in by_kind))
            for title, aim, digits, by_kind in aims(data, costs)
        ],
    )


#: An action of ours, whose it is divided by, and what we aim at.
AIMS = (
    ('read', 'cursor in a view', '≤ 1.20'),
    ('read', 'cursor in a loop', ''),
    ('read', REDIS, '≤ 0.45'),
    ('read', f'{REDIS}, hiredis', ''),
    ('write', 'cursor in a view', '≤ 1.25'),
    ('write', 'cursor in a loop', ''),
    ('write', REDIS, '≤ 0.95'),
    ('write', f'{REDIS}, hiredis', ''),
    ('new', 'cursor in a view', '≤ 1.40'),
    ('new', 'cursor in a loop', ''),
    ('new', REDIS, ''),
    ('new', f'{REDIS}, hiredis', ''),
    ('locked', 'cursor in a view', '≤ 1.20'),
    ('login', 'cursor in a view', ''),
    ('login', REDIS, ''),
    ('look', 'cursor in a view', ''),
    ('look', REDIS, ''),
)


def aims(data, costs):
    """Generate title, aim, digits, and for each server what is aimed at."""
    mine = {kind: ours(kind, 'socket') for kind in data['servers']}
    for action, other, aim in AIMS:
        if action in costs.actions():
            yield (
                f'{action} / {other}',
                aim,
                2,
                [
                    ratios(
                        costs[name, action],
                        costs[
                            f'{other}, {NAMES[kind]}, socket'
                            if other.startswith('cursor')
                            else other,
                            action,
                        ],
                    )
                    for kind, name in mine.items()
                ],
            )
    if 'look' in costs.actions():
        yield (
            'look / read',
            '≤ 1.05',
            2,
            [
                ratios(costs[name, 'look'], costs[name, 'read'])
                for name in mine.values()
            ],
        )
    for action, title, aim in (
        ('read', 'text', ''),
        ('pick', 'dict', '≤ 1.3'),
    ):
        if 'large' in data:
            yield (
                f'{title} of 64 KiB / {memory.LEAST} in a view',
                aim,
                2,
                [memory.in_view(data['large'][kind], action) for kind in mine],
            )
    yield (
        f'{BEAKER} / read',
        '≥ 8',
        2,
        [
            ratios(costs[BEAKER, 'read'], costs[name, 'read'])
            for name in mine.values()
        ],
    )
    yield (
        'untouched - no sessions, µs',
        '≤ 2',
        1,
        [costs[name, 'untouched'] for name in mine.values()],
    )
    yield (
        'untouched / no sessions',
        '≤ 1.1',
        2,
        [
            ratios(costs.whole(name), costs.whole(BARE))
            for name in mine.values()
        ],
    )
