"""Many requests at once: threads, processes."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import queue
import random
import threading
import time
from functools import partial

from . import sites
from .harness import Browser, judged, median, ratios, spread
from .servers import NAMES

ACTIONS = ('read', 'write', 'new')
#: Processes and threads in each of them.
LOADS = ((1, 1), (1, 4), (1, 16), (4, 1))
ROUNDS = 5
BARE = 'no sessions'
REDIS = 'pyramid_session_redis'


def measure(bench):
    redis = bench.redis()
    # what makes the application, and the process that serves it
    contestants = {
        BARE: (sites.bare, None),
        REDIS: (partial(sites.redis, redis.socket), redis.pid),
        f'{REDIS}, hiredis': (
            partial(sites.redis, redis.socket, True),
            redis.pid,
        ),
    }
    for kind, database in bench.databases().items():
        contestants[f'ours, {NAMES[kind]}'] = (
            # no request shall wait for a connection
            partial(sites.ours, database.address(), connection_limit=16),
            database.server.pid,
        )
    found = {
        name: {
            action: [[] for _ in LOADS]
            for action in (ACTIONS if pid else ACTIONS[:1])
        }
        for name, (_, pid) in contestants.items()
    }
    for number in range(min(ROUNDS, bench.options.rounds)):
        for load, (processes, threads) in enumerate(LOADS):
            for name in random.sample(list(contestants), len(contestants)):
                results = hammer(
                    *contestants[name],
                    processes,
                    threads,
                    bench.options.burst / 2,
                )
                for action, result in results.items():
                    found[name][action][load].append(result)
        bench.note(f'round {number + 1}')
    return found


def hammer(make_app, pid, processes, threads, seconds):
    """
    Let processes and threads send requests.

    :param pid: of the server behind the application, or ``None``.
    :returns: action -> requests per second, cores that the application
        used, cores that the server used. Without a server all actions are
        one.
    """
    context = multiprocessing.get_context('spawn')
    start = context.Barrier(processes)
    answers = context.Queue()
    workers = [
        context.Process(
            target=_work,
            args=(make_app, pid, threads, seconds, start, answers),
        )
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=60 + 4 * seconds) for _ in workers]
    for worker in workers:
        worker.join()
    return {
        action: (
            sum(one[action][0] for one in found) / seconds,
            sum(one[action][1] for one in found) / seconds,
            # all of them have seen the same server
            max(one[action][2] for one in found) / seconds,
        )
        for action in found[0]
    }


def _work(make_app, pid, threads, seconds, start, answers):
    app = make_app()
    browsers = [Browser(app) for _ in range(threads)]
    if pid:
        for browser in browsers:
            browser.get('/new')
    found = {}
    for action in ACTIONS if pid else ACTIONS[:1]:
        start.wait(60)
        own, servers = time.process_time(), server_time(pid)
        number = _run(
            browsers,
            f'/{action}' if pid else '/untouched',
            seconds,
            fresh=partial(Browser, app) if action == 'new' else None,
        )
        found[action] = (
            number,
            time.process_time() - own,
            server_time(pid) - servers,
        )
    answers.put(found)


def server_time(pid):
    """Return the seconds of processor time that a process has used."""
    if pid is None:
        return 0
    # utime and stime, see proc(5)
    stat = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2]
    return sum(map(int, stat.split()[11:13])) / os.sysconf('SC_CLK_TCK')


def _run(browsers, path, seconds, fresh=None):
    """
    Let each browser send requests from a thread of its own.

    :param fresh: makes a browser without a session for each request.
    """
    numbers = queue.SimpleQueue()
    end = time.perf_counter() + seconds

    def run(browser):
        number = 0
        while time.perf_counter() < end:
            (fresh() if fresh else browser).get(path)
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
    rates = {
        name: {
            action: [[rate for rate, _, _ in rounds] for rounds in by_load]
            for action, by_load in by_action.items()
        }
        for name, by_action in data.items()
    }
    actions = [action for action in ACTIONS if action in data[REDIS]]
    for action in actions:
        page.table(
            (f'{action}s/s, processes × threads', *loads),
            [
                (name, *map(spread, by_action[action]))
                for name, by_action in rates.items()
                if action in by_action
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
                    name: list(map(median, by_action[action]))
                    for name, by_action in rates.items()
                    if name != BARE
                },
            )
            for action in actions
        ],
        'processes × threads',
    )
    page.text(
        'Ours divided by pyramid_session_redis, round by round; *met* means '
        'at least as many requests:'
    )
    page.table(
        ('requests/s', 'aim', *loads),
        [
            (
                f'{action}, {name} / {peer}',
                aim,
                *(
                    judged(ratios(one, other), aim)
                    for one, other in zip(
                        rates[name][action], rates[peer][action], strict=True
                    )
                ),
            )
            for action in actions
            for name in rates
            if name.startswith('ours')
            for peer, aim in ((REDIS, '≥ 1'), (f'{REDIS}, hiredis', ''))
        ],
    )
    page.text(
        'Where the curves bend: cores that the application used, and that '
        'the server behind it used. The threads of one Python process share '
        'a single core, because of its global interpreter lock.'
    )
    page.table(
        ('cores', *loads),
        [
            (
                f'{action}, {name}',
                *(
                    ' + '.join(
                        f'{median(used):.2f}'
                        for used in list(zip(*rounds, strict=True))[1:]
                    )
                    for rounds in data[name][action]
                ),
            )
            for action in actions
            for name in data
            if name != BARE
        ],
    )
