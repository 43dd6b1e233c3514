"""
What must have become of the sessions of a soak test.

An operation that was acknowledged must be there exactly once, one that ended
with an error at most once, and one that the session's end overtook at most
once; who was told that there is no such session has changed nothing.
"""

from __future__ import annotations

import collections
import itertools

LOSS = 'loss'
DUPLICATE = 'duplicate'
RESURRECTION = 'resurrection'


def check(operations, rows):
    """
    Compare the operations of one round with the rows that it left.

    :param operations: all of them, of all processes.
    :param rows: the data of all sessions in the table.
    :returns: a list of pairs: what kind of fault, and which.
    """
    by_session = collections.defaultdict(list)
    created = {}
    for operation in operations:
        by_session[operation.session].append(operation)
        if operation.created:
            created[operation.created] = operation
    # who logs in comes without a session
    by_session.pop('', None)
    found = collections.defaultdict(list)
    for data in rows:
        found[data['name']].append(data)
    faults = [
        (LOSS, f'{operation} of {operation.session}: {operation.seen}')
        for operation in operations
        if operation.outcome not in ('done', 'error', 'lost', 'gone')
    ]
    faults += [
        (RESURRECTION, f'session {name} that nobody created')
        for name in found.keys() - created.keys()
    ]
    for name, creation in created.items():
        others = [o for o in by_session[creation.session] if o is not creation]
        if (
            creation.outcome == 'error'
            and creation.ends
            and not any(tried(o) and (o.ends or o.moves) for o in others)
            and bool(found[name]) == bool(found[creation.session])
        ):
            faults.append((LOSS, f'{creation}: both sessions, or none'))
        history = History(name, creation, by_session[name], found[name])
        faults += history.check()
    return faults


class History:
    """
    The life of one session.

    :param creation: the operation that created it.
    :param operations: what was done with it.
    :param rows: the data of each row that has its name.
    """

    def __init__(self, name, creation, operations, rows):
        self.name = name
        self.creation = creation
        self.operations = operations
        self.rows = rows
        self.faults = []
        self.ends = [o for o in operations if o.ends and tried(o)]
        self.moves = [o for o in operations if o.moves and tried(o)]

    def check(self):
        """Return the faults."""
        self._check_existence()
        self._check_absences()
        self._check_pops('pop_flash', 'pop_and_flash')
        self._check_pops('pop_once')
        self._check_counts()
        for operation in self._of('read'):
            if operation.outcome == 'done':
                self._check_read(operation)
        if len(self.rows) == 1:
            self._check_data(self.rows[0], None)
            self._check_flashes()
        return self.faults

    def _fault(self, kind, what):
        self.faults.append((kind, f'session {self.name}: {what}'))

    def _of(self, *kinds):
        return [o for o in self.operations if o.kind in kinds]

    def _check_existence(self):
        if len(self.rows) > 1:
            self._fault(DUPLICATE, f'it has {len(self.rows)} rows')
        if self.creation.outcome == 'done' and not self.ends and not self.rows:
            self._fault(LOSS, 'it is gone')
        for end in self.ends:
            if end.outcome != 'done' or self._moved_meanwhile(end):
                continue
            if self.rows:
                self._fault(RESURRECTION, f'it is there after {end}')
            for operation in self.operations:
                if operation.began > end.ended and operation.outcome == 'done':
                    self._fault(RESURRECTION, f'{operation} after {end}')

    def _moved_meanwhile(self, end):
        """Whether it may have got another id while somebody logged out."""
        return any(
            move.began < end.ended
            and (move.outcome == 'error' or move.ended > end.began)
            for move in self.moves
        )

    def _check_absences(self):
        """Only who came too late may be told that the session is gone."""
        for operation in self.operations:
            if operation.outcome in ('gone', 'lost') and not any(
                cause.began < operation.ended
                for cause in (*self.ends, *self.moves)
                if cause is not operation
            ):
                self._fault(LOSS, f'{operation}, but nobody ended it')

    def _check_pops(self, *kinds):
        """A message is shown once, or to two that overlap without a lock."""
        shown = collections.defaultdict(list)
        for pop in self._of(*kinds):
            if pop.outcome == 'done':
                for number in pop.seen:
                    shown[number].append(pop)
        for number, pops in shown.items():
            for one, other in itertools.combinations(pops, 2):
                apart = one.ended < other.began or other.ended < one.began
                if apart or 'pop_once' in kinds:
                    self._fault(
                        DUPLICATE, f'flash {number} in {one} and {other}'
                    )

    def _check_counts(self):
        values = [o.seen for o in self._of('increment') if tried(o, 'done')]
        if len(values) != len(set(values)):
            self._fault(LOSS, 'two increments have the same result')

    def _check_read(self, read):
        if read.seen['name'] != self.name:
            self._fault(LOSS, f'{read} saw {read.seen["name"]}')
        self._check_data(read.seen, read)

    def _check_data(self, data, read):
        """
        Look for the operations in data.

        :param read: who saw it; only what was over when it began must be
            there, and what it began after must not; ``None`` for the end.
        """
        log = collections.Counter(data['log'])
        counted = collections.Counter(data['counted'])
        nested = {key for branch in data['tree'].values() for key in branch}
        deleted = collections.defaultdict(list)
        for operation in self._of('delete_key'):
            deleted[operation.target].append(operation)
        for operation in self.operations:
            places = {
                'set_key': [operation.key in data],
                'renew': [operation.key in data],
                'set_nested': [operation.key in nested],
                'append': [log[operation.number]],
                'append_and_save': [
                    log[operation.number],
                    operation.key in data,
                ],
                'increment': [counted[operation.number]],
            }
            deletions = [
                o
                for o in deleted[operation.key]
                if tried(o) and (read is None or o.began < read.ended)
            ]
            for times in places.get(operation.kind, ()):
                self._compare(operation, times, read, deletions)
        for number, times in (log + counted).items():
            if times > 1:
                self._fault(DUPLICATE, f'{number} {times} times for {read}')
        if data['count'] != len(data['counted']):
            self._fault(LOSS, f'count {data["count"]} for {read}')

    def _compare(self, operation, times, read, deletions):
        over = read is None or operation.ended < read.began
        if operation.outcome == 'gone' and times:
            self._fault(RESURRECTION, f'{operation} for {read}')
        if operation.outcome == 'done' and over:
            if not times and not deletions:
                self._fault(LOSS, f'{operation} for {read}')
            if times and any(
                deletion.outcome == 'done'
                and deletion.began > operation.ended
                and (read is None or deletion.ended < read.began)
                for deletion in deletions
            ):
                self._fault(RESURRECTION, f'key of {operation} for {read}')

    def _check_flashes(self):
        (data,) = self.rows
        self._check_queue(
            data.get('_f_', []),
            self._of('flash', 'pop_and_flash'),
            self._of('pop_flash', 'pop_and_flash'),
        )
        self._check_queue(
            data.get('_f_once', []),
            self._of('flash_once'),
            self._of('pop_once'),
        )

    def _check_queue(self, left, flashes, pops):
        shown, taken = set(), set()
        for pop in pops:
            if tried(pop):
                taken.update(pop.seen or ())
            if pop.outcome == 'done':
                shown.update(pop.seen)
        if len(left) != len(set(left)):
            self._fault(DUPLICATE, f'flash queue {left}')
        for number in shown.intersection(left):
            self._fault(RESURRECTION, f'flash {number} was shown and is there')
        for flash in flashes:
            number = flash.number
            if flash.outcome == 'done' and number not in taken.union(left):
                self._fault(LOSS, f'flash {number}')
            if flash.outcome == 'gone' and number in shown.union(left):
                self._fault(RESURRECTION, f'flash {number} of {flash}')


def tried(operation, *outcomes):
    """Whether it was done, or may have been."""
    return operation.outcome in (outcomes or ('done', 'error', 'lost'))
