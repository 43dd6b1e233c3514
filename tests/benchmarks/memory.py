"""What a large session costs: memory and time."""

from __future__ import annotations

import gc
import json
import secrets
import tracemalloc

from pyramid.interfaces import ISessionFactory
from pyramid.testing import DummyRequest

from . import floors, sites
from .harness import Browser, Loop, Site, minus, ratios, spread, take_turns
from .servers import NAMES

KIB = 1024
HELD = 50
BARE = 'no sessions'
LEAST = 'SELECT and json.loads'


def cart(size):
    """Return data whose payload has about so many bytes."""
    item = {'item': 'tea', 'count': 1, 'price': '12.50', 'note': 'x' * 80}
    number = size // len(json.dumps(item, separators=(',', ':')))
    return {
        'auth.userid': 'somebody@example.com',
        'cart': [item | {'item': f'tea {n}'} for n in range(number)],
    }


LARGE = cart(64 * KIB)
SMALL = {'visits': 0}
ACTIONS = {
    'read': 'read text',
    'look': 'read a list',
    'pick': 'read a dict in it',
    'write': 'write',
}


def pages():
    """Return what is done with the session, of 64 KiB unless it is small."""

    def new(request):
        request.session.update(LARGE)

    def small(request):
        request.session.update(SMALL)

    def read(request):
        if not request.session['auth.userid']:
            raise ValueError('this is no session of ours')

    def look(request):
        # a list could be changed by whoever has it
        if not request.session['cart']:
            raise ValueError('this is no session of ours')

    def pick(request):
        # and so could a dict in the list
        if request.session['cart'][0]['item'] != 'tea 0':
            raise ValueError('this is no session of ours')

    def write(request):
        request.session['cart'][0]['count'] += 1

    return {
        'new': new,
        'small': small,
        'read': read,
        'look': look,
        'pick': pick,
        'write': write,
    }


def measure(bench):
    found = {}
    for kind, database in bench.databases().items():
        app, least = make_both(database)
        least_app = make_least_app(least)
        found[kind] = {
            'times': take_times(bench, app, least, ACTIONS),
            'peaks': measure_peaks(app, least_app),
            'held': {
                'a session of 64 KiB': held(app, '/new'),
                'a small session': held(app, '/small'),
                'the data of 64 KiB': held_data(),
            },
        }
    return found


def make_both(database):
    """Return our application, and what does the least instead."""
    settings = {
        'secret': sites.SECRET,
        'purge_expired': False,
        **database.address(),
    }
    app = sites.make_app(
        pages(),
        settings={f'mysql_session.{k}': v for k, v in settings.items()},
    )
    # it makes the table
    Browser(app).get('/new')
    floors.make_table(database, 'sessions')
    return app, make_least(database)


def make_least_app(least):
    return sites.make_app(
        {name: drop_request(one) for name, one in least.items()}
    )


def take_times(bench, app, least, actions):
    """Return what :func:`.take_turns` does."""
    options = bench.options
    contestants = [
        Site(BARE, sites.bare(), ['untouched'], None),
        Site('ours', app, ['new', *actions], BARE),
        Site(f'{LEAST}, in a view', make_least_app(least), actions, BARE),
        Loop(f'{LEAST}, in a loop', least),
    ]
    with bench.apart():
        return take_turns(
            contestants,
            ['untouched', *actions],
            options.rounds,
            min(options.requests, 50),
            bench.note,
        )


def make_least(database):
    payload = json.dumps(LARGE, separators=(',', ':'))
    run = floors.by_cursor(database.address())
    key = secrets.token_bytes(32)
    run(floors.INSERT, key, payload)

    def read():
        return json.loads(run(floors.SELECT, key)[0])

    def write():
        data = read()
        data['cart'][0]['count'] += 1
        run(floors.UPDATE, json.dumps(data, separators=(',', ':')), key)

    return {'read': read, 'look': read, 'pick': read, 'write': write}


def drop_request(function):
    return lambda request: function()


def measure_peaks(app, least_app):
    """Return the most KiB that a request needs meanwhile."""
    browser, least = Browser(app), Browser(least_app)
    browser.get('/new')
    return {
        action: {
            'ours': peak(browser, f'/{action}'),
            LEAST: peak(least, f'/{action}'),
        }
        for action in ACTIONS
    }


def peak(browser, path):
    for _ in range(3):
        browser.get(path)
    gc.collect()
    tracemalloc.start()
    browser.get(path)
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    browser.get(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (most - before) / KIB


def held(app, path):
    """Return the KiB that a request keeps which has read its session."""
    browser = Browser(app)
    browser.get(path)
    factory = app.registry.getUtility(ISessionFactory)
    cookies = browser.cookies()

    def read():
        request = DummyRequest(cookies=cookies)
        session = factory(request)
        len(session)
        return session

    return per_item(read)


def held_data():
    payload = json.dumps(LARGE)
    return per_item(lambda: json.loads(payload))


def per_item(make):
    make()
    gc.collect()
    tracemalloc.start()
    kept = [make() for _ in range(HELD)]
    now, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return now / len(kept) / KIB


def in_view(times, action):
    """Return what ours adds to a page, divided by what the least adds."""
    bare = times[BARE]['untouched']
    return ratios(
        minus(times['ours'][action], bare),
        minus(times[f'{LEAST}, in a view'][action], bare),
    )


def report(data, page):
    page.title('Memory, and large sessions')
    page.text(
        'Time that a session of 64 KiB adds to a request, divided by one '
        'SELECT and ``json.loads``, and for a write ``json.dumps`` and an '
        'UPDATE; *in a view* and *in a loop* as above. Who reads a text '
        'cannot change it. Who reads a list can, so that the session is '
        'serialized again at the end of the request to see whether it did.'
    )
    rows = []
    for kind, found in data.items():
        times = found['times']
        bare = times[BARE]['untouched']
        for action, title in ACTIONS.items():
            if action not in times['ours']:
                continue
            ours = minus(times['ours'][action], bare)
            view = minus(times[f'{LEAST}, in a view'][action], bare)
            loop = times[f'{LEAST}, in a loop'][action]
            rows.append(
                (
                    f'{title}, {NAMES[kind]}',
                    spread(ours),
                    spread(view),
                    spread(in_view(times, action), 2),
                    spread(ratios(ours, loop), 2),
                )
            )
    page.table(
        ('64 KiB', 'ours, µs', 'the least, µs', '/ in a view', '/ in a loop'),
        rows,
    )
    page.text(
        'The most memory that a request takes meanwhile, and what one keeps '
        'that has read its session, in KiB as tracemalloc counts them:'
    )
    page.table(
        ('KiB', *(NAMES[kind] for kind in data)),
        [
            (
                f'peak, {title}, {who}',
                *(
                    f'{one["peaks"][action][who]:,.0f}'
                    for one in data.values()
                ),
            )
            for action, title in ACTIONS.items()
            if action in next(iter(data.values()))['peaks']
            for who in ('ours', LEAST)
        ]
        + [
            (
                f'kept by {what}',
                *(f'{one["held"][what]:,.1f}' for one in data.values()),
            )
            for what in next(iter(data.values()))['held']
        ],
    )
