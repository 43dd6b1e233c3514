"""Ours over HTTP beside express-mysql-session, from which it descends."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import multiprocessing
import os
import pathlib
import random
import subprocess
import threading
import time
from functools import partial

import waitress

from . import sites
from .harness import count_statements, median, minus, spread
from .servers import NAMES

ACTIONS = ('untouched', 'read', 'write', 'new', 'login')
CONNECTIONS = (1, 8)
ROUNDS = 5
BARE = 'Pyramid, no sessions'
BARE_EXPRESS = 'Express, no sessions'


class Client:
    """A browser with one connection that is kept open."""

    def __init__(self, port):
        self._connection = http.client.HTTPConnection('127.0.0.1', port)
        self._cookie = {}

    def get(self, path, keep=True):
        """
        :param keep: whether the cookie is sent and kept.
        """
        self._connection.request(
            'GET', path, headers=self._cookie if keep else {}
        )
        response = self._connection.getresponse()
        body = response.read()
        if (response.status, body) != (200, b'ok'):
            raise RuntimeError(f'{path} was answered with {response.status}')
        cookie = response.getheader('Set-Cookie')
        if cookie and keep:
            self._cookie = {'Cookie': cookie.split(';')[0]}

    def close(self):
        self._connection.close()


def measure(bench):
    databases = bench.databases()
    counters = {}
    statements = {}
    with contextlib.ExitStack() as stack:
        ports = {
            BARE: stack.enter_context(pyramid_server(sites.bare)),
            BARE_EXPRESS: stack.enter_context(express_server()),
        }
        for kind, database in databases.items():
            # express-mysql-session knows no socket
            address = database.address('TCP')
            for name, server in (
                (
                    f'ours, {NAMES[kind]}',
                    pyramid_server(
                        partial(sites.ours, address, table_name='ours')
                    ),
                ),
                (
                    f'express-mysql-session, {NAMES[kind]}',
                    express_server(address),
                ),
            ):
                ports[name] = stack.enter_context(server)
                counters[name] = database.counters
        rates = {name: {} for name in ports}
        seconds = bench.options.burst / 2
        for number in range(-1, min(ROUNDS, bench.options.rounds)):
            for name in random.sample(list(ports), len(ports)):
                for action in ACTIONS[: None if name in counters else 1]:
                    for connections in CONNECTIONS:
                        rate = load(ports[name], action, connections, seconds)
                        if number >= 0:
                            rates[name].setdefault(action, {}).setdefault(
                                str(connections), []
                            ).append(rate)
            bench.note(f'round {number + 1}')
        for name, counter in counters.items():
            client = Client(ports[name])
            client.get('/new')
            for action in ACTIONS:
                statements.setdefault(name, {})[action] = count_statements(
                    counter, partial(repeat, client, action, 50), 50
                )
            client.close()
    return {'rates': rates, 'statements': statements}


def repeat(client, action, number):
    for _ in range(number):
        client.get(f'/{action}', keep=action != 'new')


def load(port, action, connections, seconds):
    """Return the requests per second that some clients get answered."""
    counts = []
    barrier = threading.Barrier(connections)

    def run():
        client = Client(port)
        if action not in ('new', 'untouched'):
            client.get('/new')
        count = 0
        barrier.wait(10)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            client.get(f'/{action}', keep=action != 'new')
            count += 1
        counts.append(count)
        client.close()

    threads = [threading.Thread(target=run) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(counts) < connections:
        raise RuntimeError('a client failed')
    return sum(counts) / seconds


@contextlib.contextmanager
def pyramid_server(make_app):
    """Serve an application with waitress in a process of its own."""
    context = multiprocessing.get_context('spawn')
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(make_app, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def _serve(make_app, pipe):
    # it warns whenever a request has to wait for a thread
    logging.getLogger('waitress.queue').setLevel(logging.ERROR)
    server = waitress.create_server(
        make_app(), host='127.0.0.1', port=0, threads=8
    )
    pipe.send(server.effective_port)
    server.run()


@contextlib.contextmanager
def express_server(address=None):
    """Serve express.js with Node."""
    variables = {'SECRET': sites.SECRET, 'DATA': json.dumps(sites.DATA)}
    if address:
        variables |= {
            'DB_HOST': address['host'],
            'DB_PORT': str(address['port']),
            'DB_USER': address['user'],
            'DB_NAME': address['database'],
        }
    process = subprocess.Popen(
        ['node', str(pathlib.Path(__file__).with_name('express.js'))],
        env=os.environ | {'NODE_ENV': 'production'} | variables,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def report(data, page):
    page.title('Beside express-mysql-session, over HTTP')
    page.text(
        'Requests per second of one process with waitress (8 threads) or '
        'Node, over connections that are kept open, from a client on the same '
        'machine; both talk TCP with the database. What the two spend on HTTP '
        'differs, so the second table has what the session alone adds to a '
        'request over one connection.'
    )
    rates = data['rates']
    page.table(
        ('requests/s', 'connections', *ACTIONS),
        [
            (
                name,
                connections,
                *(
                    spread(by_action[action][str(connections)])
                    if action in by_action
                    else ''
                    for action in ACTIONS
                ),
            )
            for name, by_action in rates.items()
            for connections in CONNECTIONS
        ],
    )
    page.table(
        ('µs over no sessions', *ACTIONS),
        [
            (
                name,
                *(
                    spread(
                        minus(
                            microseconds(rates[name][action]),
                            microseconds(rates[bare(name)]['untouched']),
                        )
                    )
                    for action in ACTIONS
                ),
            )
            for name in data['statements']
        ],
    )
    page.table(
        ('statements per request', *ACTIONS),
        [
            (
                name,
                *(f'{counts[action].get("all", 0):g}' for action in ACTIONS),
            )
            for name, counts in data['statements'].items()
        ],
    )
    page.bars(
        'express',
        'Requests per second over one connection',
        'requests per second, logarithmic',
        ACTIONS,
        {
            name: [
                median(by_action[action]['1']) if action in by_action else None
                for action in ACTIONS
            ]
            for name, by_action in rates.items()
        },
    )


def bare(name):
    return BARE_EXPRESS if name.startswith('express') else BARE


def microseconds(rates):
    return [1e6 / rate for rate in rates['1']]
