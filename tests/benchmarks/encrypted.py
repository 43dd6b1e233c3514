"""What it costs to seal payloads: ``mysql_session.encrypt``."""

from __future__ import annotations

import pyramid_mysql_session

from . import sites
from .harness import Site, minus, ratios, spread, take_turns
from .servers import NAMES

ACTIONS = ('read', 'look', 'write', 'new', 'login')
BARE = 'no sessions'
#: Contestant -> its settings besides the address.
WAYS = {
    'plain': {'table_name': 'plain'},
    'sealed': {'table_name': 'sealed', 'encrypt': True},
}


def measure(bench):
    options = bench.options
    contestants = [Site(BARE, sites.bare(), ['untouched'], None)]
    databases = bench.databases()
    for kind, database in databases.items():
        for way, settings in WAYS.items():
            app = sites.ours(database.address(), **settings)
            pyramid_mysql_session.get_store(app.registry).check_table()
            contestants.append(
                Site(f'{way}, {NAMES[kind]}', app, ACTIONS, BARE)
            )
    with bench.apart():
        times = take_turns(
            contestants,
            ['untouched', *ACTIONS],
            options.rounds,
            options.requests,
            bench.note,
        )
    return {'servers': list(databases), 'times': times}


def report(data, page):
    page.title('Sealed payloads')
    page.text(
        'Microseconds over the same page without sessions, on sockets, of '
        'sessions as they are by default and with ``mysql_session.encrypt = '
        'true``, and the ratio of both, round by round. *look* reads a dict.'
    )
    bare = data['times'][BARE]['untouched']
    rows = []
    for kind in data['servers']:
        plain, sealed = (
            {
                action: minus(times, bare)
                for action, times in data['times'][
                    f'{way}, {NAMES[kind]}'
                ].items()
            }
            for way in WAYS
        )
        for way, costs in zip(WAYS, (plain, sealed), strict=True):
            rows.append(
                (
                    f'{way}, {NAMES[kind]}, µs',
                    *(spread(costs[action]) for action in ACTIONS),
                )
            )
        rows.append(
            (
                f'sealed / plain, {NAMES[kind]}',
                *(
                    spread(ratios(sealed[action], plain[action]), 2)
                    for action in ACTIONS
                ),
            )
        )
    page.table(('', *ACTIONS), rows)
