"""What one request costs: ours, the peers, the least."""

from __future__ import annotations

from functools import partial

import pyramid_mysql_session

from . import django_site, floors, sites
from .harness import (
    Loop,
    Site,
    count_statements,
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
PAID = sites.ACTIONS[1:]


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
    }


def make_contestants(bench, databases):
    """Return the contestants, and what counts their statements."""
    actions = sites.ACTIONS
    counters = {}
    contestants = [
        Site(BARE, sites.bare(), ['untouched'], None),
        Site('signed cookie', sites.cookie(), actions, BARE),
    ]

    def add(name, app, baseline=BARE, age=None, server=None):
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
                    f'UPDATE ours_{transport} SET expires = expires - 20000',
                ),
                server=database,
            )
        floors.make_table(database, 'ours_socket')
        for transport in ('socket', 'TCP'):
            for way, make in FLOORS.items():
                functions = floors.functions(make(database.address(transport)))
                pages = {
                    name: lambda request, function=function: function()
                    for name, function in functions.items()
                }
                contestants += [
                    Loop(floor(kind, transport, way, 'loop'), functions),
                    Site(
                        floor(kind, transport, way),
                        sites.make_app(pages),
                        list(functions),
                        BARE,
                    ),
                ]
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

    def whole(self, name):
        """Return the microseconds of an untouched request, all in all."""
        return self._times[name]['untouched']


def report(data, page):
    costs = Costs(data)
    times = data['times']
    page.title('What a request costs')
    page.text(
        'Microseconds that a request takes over the same page without '
        'sessions, in one thread that calls the WSGI application. *touch* is '
        'a read that is due to move the idle deadline, *login* renews the '
        'id. A signed cookie has no server that could revoke it. Redis '
        'listens on a socket and writes nothing to disk, Beaker and Django '
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
        ('µs', *sites.ACTIONS),
        [
            (name, *(spread(costs[name, action]) for action in sites.ACTIONS))
            for name in named
        ],
    )
    page.bars(
        'cost',
        'What a session adds to a request, on sockets',
        'microseconds over the page without sessions, logarithmic',
        PAID,
        {
            name: [median(costs[name, action]) for action in PAID]
            for name in named
            if 'TCP' not in name and name != 'signed cookie'
        },
    )
    page.text(
        "Statements that one request sends, pings included, from the server's "
        'counters (commands, for Redis):'
    )
    page.table(
        ('statements', *sites.ACTIONS, 'those of a write'),
        [
            (
                name,
                *(total(counts[action]) for action in sites.ACTIONS),
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
        'UPDATE or INSERT where there is one. In a tight loop a statement is '
        'faster than in a view, where Pyramid worked for some time and the '
        "server's thread has gone to sleep meanwhile. *ours* is shown again "
        'for comparison.'
    )
    rows = []
    for kind in data['servers']:
        for transport in ('socket', 'TCP'):
            names = [
                *(floor(kind, transport, way, 'loop') for way in FLOORS),
                *(floor(kind, transport, way) for way in FLOORS),
                ours(kind, transport),
            ]
            rows += [
                (name, *(spread(costs[name, action]) for action in PAID))
                for name in names
            ]
    page.table(('µs', *PAID), rows)


def report_aims(data, costs, page):
    page.title('Ratios', '~')
    page.text(
        'All on sockets, the median of the ratios of each round. *in a view* '
        'divides what both add to the same page, *in a loop* by what the '
        'driver takes in a tight loop.'
    )

    def ratio(one, other, action):
        return spread(ratios(costs[one, action], costs[other, action]), 2)

    rows = []
    kinds = data['servers']
    mine = [ours(kind, 'socket') for kind in kinds]

    def row(title, aim, cell):
        rows.append((title, aim, *map(cell, kinds, mine)))

    for action, aim in (('read', 1.3), ('write', 1.2), ('new', 1.2)):
        for where in ('view', 'loop'):
            row(
                f'{action} / cursor in a {where}',
                f'≤ {aim}',
                lambda kind, name, action=action, where=where: ratio(
                    name, floor(kind, 'socket', 'cursor', where), action
                ),
            )
    for peer, action, aim in (
        (REDIS, 'read', '≤ 1.0'),
        (f'{REDIS}, hiredis', 'read', '≤ 1.0'),
        (REDIS, 'write', ''),
        (REDIS, 'new', ''),
    ):
        row(
            f'{action} / {peer}',
            aim,
            lambda kind, name, peer=peer, action=action: ratio(
                name, peer, action
            ),
        )
    row(
        f'{BEAKER} / read',
        '≥ 8',
        lambda kind, name: ratio(BEAKER, name, 'read'),
    )
    row(
        'untouched - no sessions, µs',
        '≤ 2',
        lambda kind, name: spread(costs[name, 'untouched'], 1),
    )
    row(
        'untouched / no sessions',
        '≤ 1.1',
        lambda kind, name: spread(
            ratios(costs.whole(name), costs.whole(BARE)), 2
        ),
    )
    page.table(('ratio', 'aim', *(NAMES[kind] for kind in kinds)), rows)
    page.text(
        'Aims that are missed are missed by Python. Measured with a driver '
        'that answers at once, on one idle core with warm caches, a read '
        'takes 23 µs besides the driver, a write 48, a new session 54. By '
        "profile a third of the latter is WebOb's: it signs the id and "
        'makes the cookie. Half of a write is the read before it; the rest '
        'spreads over the second loan of a connection, JSON, comparing the '
        'payloads and the text of the UPDATE. A core that was woken by the '
        "server's answer takes nearly twice as long for the same work."
    )
