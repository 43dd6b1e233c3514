"""
Counts the machine instructions of a request, without a server or a clock.

``python -m tests.benchmarks.instructions`` runs each kind of request under
valgrind, with a driver that answers from memory, and compares the counts with
those that ``docs/instructions.json`` keeps. Such counts repeat on one machine
to a fraction of a per cent, whatever else it does; between machines and builds
of Python they differ, so compare what one machine has counted.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import time

from MySQLdb import _mysql
from pyramid.interfaces import ISessionFactory

from pyramid_mysql_session import get_store
from pyramid_mysql_session.connection import driver, owned
from pyramid_mysql_session.session.serializers import JSONSerializer
from pyramid_mysql_session.store.keys import make_session_id
from pyramid_mysql_session.web.cookie import CookieSigner

from .harness import Browser
from .sites import DATA, SECRET, make_app, nothing, session_pages

ROOT = pathlib.Path(__file__).parents[2]
KEPT = ROOT / 'docs' / 'instructions.json'
#: A count that differs by more than this share is a change.
TOLERANCE = 0.03
#: What is counted: name -> the page and further settings.
REQUESTS = {
    'without sessions': ('nothing', None),
    'untouched': ('nothing', {}),
    'read': ('read', {}),
    'read a list': ('read_list', {}),
    'touch': ('touch', {}),
    'write': ('write', {}),
    'write in a list': ('write_list', {}),
    'locked': ('locked', {}),
    'new': ('new', {}),
    'log-in': ('login', {}),
    'log-out': ('logout', {}),
    'read, devices': ('read', {'track_devices': True}),
    'write, devices': ('write', {'track_devices': True}),
    'read, sealed': ('read', {'encrypt': True}),
    'write, sealed': ('write', {'encrypt': True}),
}
# requests before the count, and in it
_FIRST, _COUNTED = 20, 50


class CannedDriver:
    """
    A connection of the driver whose server is a dict in memory.

    It knows one session, and tells whatever is asked of it.
    """

    encoding = 'utf8'
    open = True

    def __init__(self, row):
        self._row = row
        self._answer = None

    def query(self, statement):
        self._answer = None
        if statement.startswith(b'SELECT'):
            self._answer = tuple(self._row)
            if b'read_only' in statement:
                self._answer += 0, 0

    def store_result(self):
        return self if self._answer is not None else None

    def fetch_row(self, _):
        return (self._answer,)

    def affected_rows(self):
        return 1

    def string_literal(self, text):
        return _mysql.string_literal(text)

    def get_autocommit(self):
        return True

    def rollback(self):
        pass

    def close(self):
        pass

    def fileno(self):
        return -1


def pages():
    """Return what the requests do with a session."""

    def read_list(request):
        if len(request.session['cart']) != len(DATA['cart']):
            raise ValueError('this is no session of ours')

    def write_list(request):
        request.session['cart'][0]['count'] += 1

    def locked(request):
        with request.session.locked():
            request.session['visits'] += 1

    def logout(request):
        request.session.invalidate()
        request.session['goodbye'] = True

    more = (read_list, write_list, locked, logout)
    return {
        **session_pages(lambda session: session.renew_id()),
        'nothing': nothing,
        **{page.__name__: page for page in more},
    }


def serve(name):
    """Answer the requests that are counted, between two marks."""
    page, settings = REQUESTS[name]
    if settings is None:
        app, cookie = make_app({page: nothing}), None
    else:
        app, cookie = canned_site(page, settings)
    environ = Browser(app).environ(f'/{page}')
    if cookie is not None and page != 'new':
        environ['HTTP_COOKIE'] = cookie
    for counted, number in ((False, _FIRST), (True, _COUNTED)):
        gc.collect()
        if counted:
            mark()
        for _ in range(number):
            if b''.join(app(environ.copy(), start_response)) != b'ok':
                raise ValueError('the request has failed')
    mark()


def start_response(status, headers, exc_info=None):
    """Send nothing."""


def canned_site(page, settings):
    """Return an application, and the cookie of its session."""
    session_id = make_session_id()
    now = int(time.time())
    # a touch is due when a tenth of a day has passed
    left = 86400 - (9000 if page == 'touch' else 0)
    row = [None, now, now + left, 1 << 50, now]
    owned.connect = lambda *args: CannedDriver(row)
    given = {
        'secret': SECRET,
        'user': 'canned',
        'database': 'canned',
        'connection_max_idle': 3600,
        'purge_expired': False,
        **settings,
    }
    app = make_app(
        pages(),
        settings={f'mysql_session.{k}': v for k, v in given.items()},
    )
    seal = app.registry.getUtility(ISessionFactory)._kit.seal
    row[0] = seal.close(JSONSerializer().dumps(DATA), session_id)
    access = get_store(app.registry)._access
    access.payload_limit = access.packet_limit = 1 << 24
    access.table.key_index = '`PRIMARY`'
    access.table.holds_nothing_else = True
    return app, f'session={CookieSigner([SECRET]).sign(session_id)}'


def mark():
    """Have valgrind write down what it has counted since the last mark."""
    os.getppid()


def count(names):
    """Yield name and instructions of one request of each kind."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            'valgrind',
            '--tool=callgrind',
            '--dump-before=getppid',
            f'--callgrind-out-file={folder}/part',
            sys.executable,
            '-m',
            'tests.benchmarks.instructions',
            '--serve',
            *names,
        ]
        subprocess.run(
            command,
            check=True,
            cwd=ROOT,
            env={**os.environ, 'PYTHONHASHSEED': '0'},
            stderr=subprocess.DEVNULL,
        )
        for number, name in enumerate(names):
            # before it is what led up to it
            part = pathlib.Path(folder, f'part.{2 * number + 2}')
            (total,) = re.findall('^totals: ([0-9]+)', part.read_text(), re.M)
            yield name, int(total) / _COUNTED


def measure(names):
    """Return thousands of instructions of one request, by its name."""
    counts = {}
    for name, instructions in count(list(names)):
        counts[name] = round(instructions / 1000, 1)
        print(f'{name:20} {counts[name]:8.1f} k', flush=True)
    return counts


def compare(counts, kept):
    """Return a line for each count that is not as it was."""
    return [
        f'{name}: {now} k instead of {kept[name]} k '
        f'({now / kept[name] - 1:+.1%})'
        for name, now in counts.items()
        if name in kept and abs(now / kept[name] - 1) > TOLERANCE
    ]


def machine():
    """Say what the counts depend on."""
    return {
        'machine': platform.machine(),
        'python': platform.python_version(),
        **{
            name: importlib.metadata.version(name)
            for name in ('pyramid', 'webob', 'mysqlclient', 'dbutils')
        },
    }


def report(page):
    """Show the counts that are kept."""
    kept = json.loads(KEPT.read_text())
    counts, versions = kept['thousands'], kept['measured_with']
    bare = counts['without sessions']
    page.title('What a request executes')
    page.text(
        'Machine instructions of the application, in thousands, counted by '
        'valgrind with a driver that answers from memory: what is left when '
        'server, network and clock are taken away. They repeat to about a '
        'per cent; ``python -m tests.benchmarks.instructions`` counts them '
        'again, and compares. *over* is over the page without sessions.'
    )
    page.table(
        ('request', 'thousands', 'over'),
        [
            (name, f'{count:,.0f}', f'{count - bare:,.0f}')
            for name, count in counts.items()
        ],
    )
    named = ', '.join(f'{name} {text}' for name, text in versions.items())
    page.text(f'Counted with {named}.')


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('names', nargs='*', help=', '.join(REQUESTS))
    parser.add_argument('--keep', action='store_true', help='keep the counts')
    parser.add_argument('--serve', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        # valgrind is slow: a second is nothing
        driver.ASK_EVERY = float('inf')
        for name in options.names:
            serve(name)
        return 0
    counts = measure(options.names or REQUESTS)
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    changes = compare(counts, kept.get('thousands', {}))
    print(*changes, sep='\n')
    if kept.get('measured_with', machine()) != machine():
        print('note: the kept counts were made with', kept['measured_with'])
    if options.keep:
        thousands = {**kept.get('thousands', {}), **counts}
        text = {'measured_with': machine(), 'thousands': thousands}
        KEPT.write_text(json.dumps(text, indent=1) + '\n')
        return 0
    return 1 if changes else 0


if __name__ == '__main__':
    sys.exit(main())
