"""A process of the soak test: an application, and browsers in threads."""

from __future__ import annotations

import collections
import itertools
import logging
import random
import threading
import time

import MySQLdb
from dbutils.pooled_db import PooledDB
from pyramid.config import Configurator
from pyramid.request import Request

from pyramid_mysql_session import (
    POOL_KEY,
    SessionError,
    SessionLost,
    SessionMerged,
)
from pyramid_mysql_session.store import revisions

# settings that are arguments of the driver, too
WHERE = ('unix_socket', 'host', 'port', 'ssl_mode')
WHO = ('user', 'password', 'database')
# where the WSGI environment has the operation, and what became of it
OPERATION = 'soak.operation'
EVENTS = 'soak.events'


class Operation:
    """
    What one request did with its session, and how that ended.

    :ivar session: the name of the session; it survives a renewal.
    :ivar outcome: ``done``; ``error``, so that it may have been done or not;
        ``lost``, dropped because the session was deleted or renewed
        meanwhile; ``gone``, the cookie led to no session.
    :ivar target: the key that it deletes.
    :ivar seen: what it found.
    """

    def __init__(self, number, session, kind, target=None):
        self.number = number
        self.session = session
        self.kind = kind
        self.target = target
        self.outcome = None
        self.seen = None
        self.began = self.ended = None

    def __repr__(self):
        return f'<{self.kind} {self.number} {self.outcome}>'

    @property
    def key(self):
        return f'k{self.number}'

    @property
    def ends(self):
        """Whether it ends the session."""
        return self.kind in ('log_out', 'log_in_again')

    @property
    def locks(self):
        """Whether it locks the session."""
        return self.kind in ('increment', 'pop_once')

    @property
    def moves(self):
        """Whether it gives the session another id."""
        return self.kind == 'renew'

    @property
    def created(self):
        """The name of the session that it creates, if it does."""
        creates = self.kind in ('log_in', 'log_in_again')
        return f'by {self.number}' if creates else None


def think():
    """Let others come between load and save, every other time."""
    if random.random() < 0.5:
        time.sleep(random.random() / 200)


def log_in(session, operation):
    session.update(
        name=operation.created, tree={}, log=[], count=0, counted=[]
    )


def log_in_again(session, operation):
    session.invalidate()
    log_in(session, operation)


def log_out(session, operation):
    session.invalidate()


def renew(session, operation):
    session.renew_id()
    session[operation.key] = True


def set_key(session, operation):
    session[operation.key] = True


def set_nested(session, operation):
    branch = session['tree'].setdefault(str(operation.number % 7), {})
    branch[operation.key] = True


def delete_key(session, operation):
    operation.seen = session.pop(operation.target, None)


def append(session, operation):
    session['log'].append(operation.number)


def append_and_save(session, operation):
    append(session, operation)
    session.save()
    session[operation.key] = True


def flash(session, operation):
    session.flash(operation.number)


def pop_flash(session, operation):
    operation.seen = session.pop_flash()


def pop_and_flash(session, operation):
    operation.seen = session.pop_flash()
    session.flash(operation.number)


def flash_once(session, operation):
    session.flash(operation.number, 'once')


def pop_once(session, operation):
    with session.locked():
        operation.seen = session.pop_flash('once')
        think()


def increment(session, operation):
    with session.locked():
        session['count'] += 1
        session['counted'].append(operation.number)
        operation.seen = session['count']
        think()


def read(session, operation):
    operation.seen = session.copy()


CALM = {
    set_key: 4,
    set_nested: 4,
    delete_key: 3,
    append: 4,
    append_and_save: 1,
    flash: 3,
    pop_flash: 1,
    pop_and_flash: 1,
    flash_once: 3,
    pop_once: 1,
    increment: 4,
    read: 2,
}
#: How often what is done with a session, by what can become of it.
SLOTS = {
    'lasting': CALM,
    'mortal': {**CALM, log_out: 1, log_in_again: 1},
    'moving': {**CALM, renew: 2},
    'wild': {**CALM, renew: 1, log_out: 1, log_in_again: 1},
}
BY_NAME = {view.__name__: view for view in (log_in, *SLOTS['wild'])}


class Slot:
    """The cookie jar that several processes share: one session at a time."""

    def __init__(self, context, fate):
        self.fate = fate
        self._text = context.Array('c', 400)

    def read(self):
        """Return name and cookie of the session, two empty texts for none."""
        name, _, cookie = self._text.value.decode().partition('\n')
        return name, cookie

    def write(self, name, cookie, expected):
        """Put in another cookie unless somebody else has done so."""
        with self._text.get_lock():
            if self.read()[1] == expected:
                self._text.value = f'{name}\n{cookie}'.encode()


class Worker:
    """
    The application and the threads of one process.

    :param number: tells the processes apart.
    :param settings: of the session factory.
    :param passed_in: whether it gets a pool with the defaults of DBUtils.
    """

    def __init__(self, number, slots, settings, passed_in):
        self.slots = slots
        self.operations = []
        self.figures = collections.Counter()
        # unique among all processes
        self._numbers = itertools.count(number, 100)
        self._keys = {}
        with Configurator(settings=settings) as config:
            if passed_in:
                config.registry[POOL_KEY] = _pool(settings)
            config.include('pyramid_mysql_session')
            config.add_view(_answer, renderer='json')
            for kind in (SessionLost, SessionMerged):
                config.add_subscriber(_note, kind)
        self._router = config.make_wsgi_app()
        self._watch_recoveries()

    def run(self, threads, seconds):
        """Let threads send requests; return what they did, and figures."""
        self.operations.clear()
        self.figures.clear()
        self._keys.clear()
        deadline = time.monotonic() + seconds
        running = [
            threading.Thread(target=self._loop, args=(deadline,))
            for _ in range(threads)
        ]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return self.operations, self.figures

    def _loop(self, deadline):
        while time.monotonic() < deadline:
            slot = random.choice(self.slots)
            name, cookie = slot.read()
            view = log_in
            if name:
                views = SLOTS[slot.fate]
                (view,) = random.choices([*views], [*views.values()])
            operation = Operation(next(self._numbers), name, view.__name__)
            if view is delete_key:
                operation.target = self._key(name)
            self._send(operation, slot, cookie)
            self.operations.append(operation)

    def _key(self, name):
        """Return a key of a session that one of our threads has set."""
        try:
            return self._keys[name].pop()
        except (KeyError, IndexError):
            return 'none'

    def _send(self, operation, slot, cookie):
        request = Request.blank(
            '/',
            environ={OPERATION: operation, EVENTS: []},
            cookies={'session': cookie} if cookie else {},
        )
        operation.began = time.monotonic()
        try:
            response = request.get_response(self._router)
        except SessionError as exc:
            operation.outcome = 'error'
            code = getattr(exc, 'code', None) or exc
            where = ' in locked()' if operation.locks else ''
            self.figures[f'error: {type(exc).__name__} {code}{where}'] += 1
        except Exception as exc:  # noqa: BLE001 whatever escapes
            operation.outcome, operation.seen = 'crash', repr(exc)
        else:
            events = request.environ[EVENTS]
            self.figures['conflicts merged'] += events.count(SessionMerged)
            if operation.outcome is None:
                operation.outcome = 'done'
            if SessionLost in events:
                operation.outcome = 'lost'
        operation.ended = time.monotonic()
        if operation.outcome == 'done':
            self._keep(operation, slot, cookie, response)
        elif operation.outcome == 'gone' and random.random() < 0.1:
            # nobody brings the cookie of its successor any more
            slot.write('', '', cookie)
        elif operation.outcome == 'error':
            time.sleep(0.01)

    def _keep(self, operation, slot, cookie, response):
        if operation.kind == 'set_key':
            keys = self._keys.setdefault(operation.session, [])
            keys.append(operation.key)
        for header in response.headers.getall('Set-Cookie'):
            value = header.partition(';')[0].partition('=')[2]
            name = operation.created or operation.session
            slot.write(name if value else '', value, cookie)

    def _watch_recoveries(self):
        was_written = revisions.was_written

        def watched(*args):
            written = was_written(*args)
            if written:
                self.figures['lost answers recovered'] += 1
            return written

        revisions.was_written = watched
        log = logging.getLogger('pyramid_mysql_session.connection.pool')
        log.setLevel(logging.DEBUG)
        log.addFilter(self._count)

    def _count(self, record):
        """Count the messages of the log; none is shown."""
        self.figures[record.msg.partition(' after')[0]] += 1
        return False


def _answer(request):
    operation, session = request.environ[OPERATION], request.session
    if operation.kind != 'log_in' and session.get('name') != operation.session:
        operation.outcome = 'gone' if session.new else 'alien'
        return
    think()
    BY_NAME[operation.kind](session, operation)
    think()


def _note(event):
    event.request.environ[EVENTS].append(type(event))


def _pool(settings):
    options = {
        name: settings[f'mysql_session.{name}']
        for name in (*WHERE, *WHO)
        if f'mysql_session.{name}' in settings
    }
    # as many as there are threads, and one that purges
    return PooledDB(MySQLdb, maxconnections=4, **options)


def serve(connection, number, *how):
    """Say that we are ready; do a round for each pair that arrives."""
    # losing sessions is what this is about
    logging.getLogger('pyramid_mysql_session').setLevel(logging.ERROR)
    worker = Worker(number, *how)
    connection.send('ready')
    for threads, seconds in iter(connection.recv, None):
        connection.send(worker.run(threads, seconds))
