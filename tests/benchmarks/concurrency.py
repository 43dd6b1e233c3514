"""Many requests at once: threads, processes."""

from __future__ import annotations

import multiprocessing
import queue
import random
import threading
import time
from functools import partial

from . import sites
from .harness import Browser, median, ratios, spread
from .servers import NAMES

ACTIONS = ('read', 'write')
#: Processes and threads in each of them.
LOADS = ((1, 1), (1, 4), (1, 16), (4, 1))
ROUNDS = 3
BARE = 'no sessions'
REDIS = 'pyramid_session_redis'


def measure(bench):
    makers = {
        BARE: sites.bare,
        REDIS: partial(sites.redis, bench.redis().socket),
        f'{REDIS}, hiredis': partial(sites.redis, bench.redis().socket, True),
    }
    for kind, database in bench.databases().items():
        makers[f'ours, {NAMES[kind]}'] = partial(
            # no request shall wait for a connection
            sites.ours,
            database.address(),
            connection_limit=16,
        )
    rates = {name: {action: [] for action in ACTIONS} for name in makers}
    for number in range(min(ROUNDS, bench.options.rounds)):
        for processes, threads in LOADS:
            for name in random.sample(list(makers), len(makers)):
                found = hammer(
                    makers[name],
                    ('untouched',) * 2 if name == BARE else ACTIONS,
                    processes,
                    threads,
                    bench.options.burst,
                )
                for action, rate in zip(ACTIONS, found, strict=True):
                    rates[name][action].append(rate)
        bench.note(f'round {number + 1}')
    # by load: the rounds of each
    return {
        name: {
            action: [found[load :: len(LOADS)] for load in range(len(LOADS))]
            for action, found in by_action.items()
        }
        for name, by_action in rates.items()
    }


def hammer(make_app, actions, processes, threads, seconds):
    """Return the requests per second of each action, all in all."""
    context = multiprocessing.get_context('spawn')
    start = context.Barrier(processes)
    counts = context.Queue()
    workers = [
        context.Process(
            target=_work,
            args=(make_app, actions, threads, seconds, start, counts),
        )
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    totals = [0] * len(actions)
    for _ in workers:
        for place, count in enumerate(counts.get(timeout=60 + 4 * seconds)):
            totals[place] += count
    for worker in workers:
        worker.join()
    return [total / seconds for total in totals]


def _work(make_app, actions, threads, seconds, start, counts):
    app = make_app()
    browsers = [Browser(app) for _ in range(threads)]
    if actions == ACTIONS:
        for browser in browsers:
            browser.get('/new')
    found = []
    for action in actions:
        start.wait(60)
        found.append(_run(browsers, f'/{action}', seconds))
    counts.put(found)


def _run(browsers, path, seconds):
    """Let each browser send requests from a thread of its own."""
    numbers = queue.SimpleQueue()
    end = time.perf_counter() + seconds

    def run(browser):
        number = 0
        while time.perf_counter() < end:
            browser.get(path)
            number += 1
        numbers.put(number)

    threads = [
        threading.Thread(target=run, args=(browser,)) for browser in browsers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(numbers.get(timeout=1) for _ in threads)


def report(data, page):
    page.title('Many requests at once')
    page.text(
        'Requests per second of the WSGI application, all threads and '
        'processes together; each thread has a session of its own, and the '
        'database, Redis and the threads share the cores of the machine. '
        'Ours may open 16 connections a process.'
    )
    loads = [
        f'{processes} × {threads}'  # processes times threads
        for processes, threads in LOADS
    ]
    for action in ACTIONS:
        page.table(
            (f'{action}s/s, processes × threads', *loads),
            [
                (name, *map(spread, by_action[action]))
                for name, by_action in data.items()
            ],
        )
    page.lines(
        'concurrency',
        'Requests per second, processes × threads',
        [
            (
                f'{action}s',
                'requests per second',
                loads,
                {
                    name: [median(rates) for rates in by_action[action]]
                    for name, by_action in data.items()
                    if name != BARE
                },
            )
            for action in ACTIONS
        ],
        'processes × threads',
    )
    page.text('Ours divided by pyramid_session_redis, round by round:')
    page.table(
        ('requests/s', *loads),
        [
            (
                f'{action}, {name}',
                *(
                    spread(ratios(one, other), 2)
                    for one, other in zip(
                        data[name][action], data[REDIS][action], strict=True
                    )
                ),
            )
            for action in ACTIONS
            for name in data
            if name.startswith('ours')
        ],
    )
