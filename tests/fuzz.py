"""
Random requests of one browser that overlap, over a store in memory.

``python -m tests.fuzz --sequences 40000`` runs more of them than the test
suite does. A model that knows nothing of merging says what must be there: each
change has a number of its own, so that it can be told where it went.
"""

from __future__ import annotations

import argparse
import collections
import copy
import json
import logging
import random
import sys
from unittest import mock

from pyramid_mysql_session.errors import LockTimeout
from pyramid_mysql_session.session import loop
from pyramid_mysql_session.session.saving import Saving
from pyramid_mysql_session.session.session import MySQLSession
from tests.memory_store import Clock, MemoryStore, make_kit

REQUESTS = 3
#: What a request does -> how often.
OPERATIONS = {
    'set_key': 4,
    'delete_key': 2,
    'set_nested': 4,
    'append': 4,
    'flash': 3,
    'pop_flash': 2,
    'pop_and_flash_again': 1,
    'share_nested': 2,
    'put_foreign': 3,
    'change_foreign': 1,
    'change_held': 2,
    'append_item': 2,
    'change_item': 2,
    'remember': 1,
    'clear': 0.3,
    'save': 3,
    'renew': 0.7,
    'invalidate': 0.4,
    'block': 3,
    'failing_block': 3,
    'spoiled_block': 1,
    'respond': 3,
}


class Failure(Exception):
    """What goes wrong in a block."""


class Fault(AssertionError):
    """What must not be."""


class Lineage:
    """
    What must become of one session, through all its ids.

    :ivar stored: the numbers of changes that are stored, by kind.
    :ivar gone: numbers of changes that were undone by another change.
    :ivar unsure: numbers that may be there or not: a list or dict that was
        removed by one request and changed by another stays as changed.
    :ivar ended: whether somebody ended, emptied or renewed it.
    """

    def __init__(self):
        self.stored = collections.defaultdict(set)
        self.gone = set()
        self.unsure = set()
        self.swept = False
        self.ended = False
        self.invalidated = False


class Change:
    """What a request did and has not stored yet."""

    def __init__(self):
        self.added = collections.defaultdict(set)
        self.removed = set()
        self.swept = set()
        self.idle_timeout = ...

    def copy(self):
        return copy.deepcopy(self)


class Listener:
    """Notes what a session tells."""

    def __init__(self):
        self.lost_it = False

    def created(self):
        pass

    def rejected(self, reason):
        pass

    def merged(self):
        pass

    def failed(self, error):
        pass

    def ended(self, handle, userid, how):
        pass

    def device(self):
        return None

    def lost(self):
        self.lost_it = True


class Request:
    """One request: a session, and what the model knows of it."""

    def __init__(self, kit, cookie, lineages):
        self.listener = Listener()
        self.saving = Saving(kit, self.listener, [cookie] if cookie else [])
        self.session = MySQLSession(self.saving)
        self.cookie = cookie
        self.change = Change()
        # whom to ask later: dicts of the session that the view holds
        self.held = []
        self.items = []
        self.ends = []
        name = self.session.get('name')
        self.lineage = lineages.get(name)
        self.name = name


class Sequence:
    """One random sequence; :meth:`run` raises a :class:`Fault`."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.trace = []
        self.numbers = 0
        self.store = MemoryStore(Clock())
        self.kit = make_kit(self.store, lock_timeout=1)
        self.lineages = {}
        self.cookie = None
        # messages that may be there more often than once
        self.twice = set()
        # what the application has, and puts into sessions
        self.foreign = [{'deep': {'list': [1]}}, [[2], {'x': 3}], {}]
        self.expected = copy.deepcopy(self.foreign)

    def run(self):
        with mock.patch.object(loop.time, 'sleep'):
            self.requests = [self.log_in()]
            self.respond(self.requests[0])
            for _ in range(REQUESTS - 1):
                self.requests.append(self.begin())
            for _ in range(self.random.randrange(1, 20)):
                self.step(self.random.choice(self.requests), 0)
            for request in self.random.sample(self.requests, REQUESTS):
                self.finish(request)
            self.check_rows()

    def number(self):
        self.numbers += 1
        return self.numbers

    def begin(self):
        request = Request(self.kit, self.cookie, self.lineages)
        if request.name is None:
            return self.log_in()
        return request

    def log_in(self):
        request = Request(self.kit, None, self.lineages)
        self.be_new(request)
        return request

    def be_new(self, request):
        request.name = f'session {self.number()}'
        request.lineage = self.lineages[request.name] = Lineage()
        request.session['name'] = request.name
        request.change = Change()

    # what requests do

    def step(self, request, depth):
        names = [*OPERATIONS]
        (name,) = self.random.choices(names, [*OPERATIONS.values()])
        if depth and (name == 'respond' or (depth > 2 and 'block' in name)):
            return
        who = self.requests.index(request)
        self.trace.append(f'{"  " * depth}{who}: {name}')
        try:
            getattr(self, name)(request, *([depth] if 'block' in name else []))
        except LockTimeout:
            # another request has locked the row; it may be saved later
            self.trace.append(f'{"  " * depth}{who}: has to wait')
        if self.foreign != self.expected:
            raise Fault(f'an object of the application is {self.foreign}')

    def set_key(self, request):
        number = self.number()
        request.session[f'k{number}'] = number
        request.change.added['key'].add(number)

    def delete_key(self, request):
        keys = [key for key in request.session if key[0] == 'k']
        if keys:
            number = request.session.pop(self.random.choice(keys))
            request.change.removed.add(number)

    def set_nested(self, request):
        number = self.number()
        nested = request.session.setdefault('nested', {})
        nested[f'n{number}'] = number
        request.change.added['nested'].add(number)

    def append(self, request):
        number = self.number()
        request.session.setdefault('list', []).append(number)
        request.change.added['list'].add(number)

    def flash(self, request):
        number = self.number()
        request.session.flash(number)
        request.change.added['flash'].add(number)

    def pop_flash(self, request):
        request.change.removed.update(request.session.pop_flash())

    def pop_and_flash_again(self, request):
        for number in request.session.pop_flash():
            # it looks the same, but is another message
            request.session.flash(number)
            self.twice.add(number)

    def share_nested(self, request):
        session = request.session
        if 'nested' in session:
            session[f'p{self.random.randrange(2)}'] = session['nested']
            session['within'] = {'it': [session['nested']]}

    def put_foreign(self, request):
        index = self.random.randrange(len(self.foreign))
        how = self.random.choice(['set', 'setdefault', 'update', 'or', 'in'])
        key, value = f'o{index}', self.foreign[index]
        if how == 'set':
            request.session[key] = value
        elif how == 'setdefault':
            request.session.setdefault(key, value)
        elif how == 'update':
            request.session.update({key: value})
        elif how == 'or':
            request.session |= {key: value}
        else:
            request.session[key] = {'in': [value]}

    def change_foreign(self, request):
        number = self.number()
        for objects in (self.foreign, self.expected):
            objects[2][str(number)] = number

    def change_held(self, request):
        if request.held and self.random.random() < 0.7:
            nested = self.random.choice(request.held)
            if nested is request.session.get('nested'):
                number = self.number()
                nested[f'n{number}'] = number
                request.change.added['nested'].add(number)
        elif 'nested' in request.session:
            request.held.append(request.session['nested'])

    def append_item(self, request):
        item = {'number': self.number(), 'state': 'new'}
        request.session.setdefault('items', []).append(item)
        request.items.append(item)

    def change_item(self, request):
        if request.items:
            item = self.random.choice(request.items)
            item['state'] = item['number']

    def remember(self, request):
        seconds = self.random.choice([None, 60, 600])
        request.session.remember(seconds)
        request.change.idle_timeout = seconds

    def clear(self, request):
        seen = self.numbers_in(request.session)
        request.session.clear()
        request.change.removed |= seen['key'] | seen['flash']
        request.change.swept |= seen['nested'] | seen['list']
        for numbers in request.change.added.values():
            request.change.swept |= numbers
        request.change.added.clear()
        if self.random.random() < 0.5:
            request.session['name'] = request.name
        elif request.lineage is not None:
            # nobody can tell any more whose row it is
            request.lineage.ended = True

    def save(self, request):
        request.session.save()
        if not self.in_block(request):
            self.note_stored(request)

    def renew(self, request):
        request.session.renew_id()

    def invalidate(self, request):
        if request.lineage is not None:
            request.ends.append(request.lineage)
        request.session.invalidate()
        request.name, request.lineage = None, None
        request.change = Change()
        request.listener.lost_it = False
        if self.random.random() < 0.7:
            self.be_new(request)

    def block(self, request, depth):
        outermost = not self.in_block(request)
        with request.session.locked():
            self.inside(request, depth)
        if outermost:
            self.note_stored(request)

    def failing_block(self, request, depth):
        self.undone(request, depth, Failure)

    def spoiled_block(self, request, depth):
        if not self.in_block(request):
            self.undone(request, depth, TypeError)

    def undone(self, request, depth, error):
        known = request.change, request.name, request.lineage, request.ends
        entered = []
        try:
            with request.session.locked():
                before = self.image(request)
                kept = request.change.copy()
                request.ends = [*request.ends]
                lost_it = request.listener.lost_it
                entered.append(True)
                self.inside(request, depth)
                if error is TypeError and not request.saving.closed:
                    request.session['bad'] = object()
                else:
                    raise Failure
        except (error, Failure):
            pass
        finally:
            if entered:
                _, request.name, request.lineage, request.ends = known
                request.change = kept
                request.listener.lost_it = lost_it
        if entered and before != self.image(request):
            raise Fault(f'{before} became {self.image(request)}')

    def inside(self, request, depth):
        for _ in range(self.random.randrange(4)):
            other = self.random.choice(self.requests)
            # the others may come in between, and find the row locked
            who = request if self.random.random() < 0.8 else other
            self.step(who, depth + 1)

    def respond(self, request):
        self.finish(request)
        if request in self.requests:
            self.requests[self.requests.index(request)] = self.begin()

    # what the model makes of it

    def in_block(self, request):
        return request.saving._block.entered

    def image(self, request):
        session, saving = request.session, request.saving
        return (
            json.dumps(session.copy()),
            saving.draft.idle_timeout,
            saving.draft.remembered,
            saving.session_id,
            saving._loop.at.status,
            saving._loop.at.ending,
        )

    def finish(self, request):
        """Let the response be sent."""
        saving = request.saving
        was = saving.session_id
        saving.conclude()
        for lineage in request.ends:
            lineage.ended = lineage.invalidated = True
        self.note_stored(request)
        now = saving.session_id
        if now != was or saving.ended:
            if request.lineage is not None and was is not None:
                # others that came with the old id are too late
                request.lineage.ended = True
            self.cookie = now
        saving.leave()
        if saving._loop.refreshed and was != now is not None:
            row = [
                json.loads(row.payload)
                for row in self.store.rows.values()
                if json.loads(row.payload).get('name') == request.name
            ]
            if request.name in request.session.values() and not row:
                raise Fault(f'{request.name} has a cookie and no row')

    def note_stored(self, request):
        lineage, change = request.lineage, request.change
        if request.listener.lost_it:
            if lineage is not None and not lineage.ended:
                raise Fault(f'{request.name} is lost, and nobody ended it')
            return
        at = request.saving._loop.at
        if lineage is None or (not at.stored and not request.saving.ended):
            return
        if not request.session:
            lineage.ended = True
        for kind, numbers in change.added.items():
            lineage.stored[kind] |= numbers
        lineage.gone |= change.removed
        lineage.unsure |= change.swept
        # who removes a dict or list removes what others add to it
        lineage.swept |= bool(change.swept)
        request.change = Change()

    def check_rows(self):
        rows = collections.defaultdict(list)
        for row in self.store.rows.values():
            data = json.loads(row.payload)
            rows[data.get('name')].append(data)
        for name, lineage in self.lineages.items():
            found = rows.get(name, [])
            if len(found) > 1:
                raise Fault(f'{name} has {len(found)} rows')
            if lineage.invalidated and found:
                raise Fault(f'{name} is back')
            if not found:
                if any(lineage.stored.values()) and not lineage.ended:
                    raise Fault(f'{name} is gone, and nobody ended it')
                continue
            self.check_data(name, lineage, found[0])

    def check_data(self, name, lineage, data):
        for item in data.get('items', []):
            if item['state'] not in ('new', item['number']):
                raise Fault(f'{name} has {item}')
        there = self.numbers_in(data)
        for kind, numbers in there.items():
            if lineage.swept and kind in ('list', 'nested'):
                continue
            if kind in ('list', 'flash'):
                values = data.get({'list': 'list', 'flash': '_f_'}[kind], [])
                values = [each for each in values if each not in self.twice]
                if len(values) != len(set(values)):
                    raise Fault(f'{name} has {kind} {values}')
            lost = lineage.stored[kind] - numbers
            lost -= lineage.gone | lineage.unsure
            if lost:
                raise Fault(f'{name} lost {kind} {sorted(lost)} of {data}')
            back = numbers & (lineage.gone - lineage.unsure)
            if kind == 'flash':
                back -= self.twice
            if back:
                raise Fault(f'{name} has {kind} {sorted(back)} again')

    @staticmethod
    def numbers_in(data):
        return {
            'key': {data[key] for key in data if key[0] == 'k'},
            'nested': set(data.get('nested', {}).values()),
            'list': set(data.get('list', [])),
            'flash': set(data.get('_f_', [])),
        }


def run(seeds):
    """Run a sequence for each seed; return the first fault, as text."""
    for seed in seeds:
        sequence = Sequence(seed)
        try:
            sequence.run()
        except Exception as exc:  # noqa: BLE001 whatever comes is a fault
            trace = '\n'.join(sequence.trace)
            return f'seed {seed}: {type(exc).__name__}: {exc}\n{trace}'
    return None


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--sequences', type=int, default=40_000)
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    fault = run(range(options.seed, options.seed + options.sequences))
    print(fault or f'{options.sequences} sequences, no fault')
    return fault is not None


if __name__ == '__main__':
    sys.exit(main())
