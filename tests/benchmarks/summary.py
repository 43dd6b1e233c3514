"""Makes the first page on benchmarks: a chart, and what it comes to."""

from __future__ import annotations

import string
import textwrap
from statistics import median

#: What has to be measured before there is a page.
PARTS = ('cost', 'express', 'concurrency', 'growth', 'purge', 'memory')
PAGE = """\
Benchmarks
==========

.. This page is made by tests/benchmarks/run.sh; do not edit it.

What a session costs, in short. The figures are medians, measured on {date}
on one small machine, with MariaDB on its socket unless something else is said;
on another the times differ, and to a lesser degree their ratios.
:doc:`benchmark_report` has all figures with their spread, those of MySQL, how
they were measured, and the machine; :doc:`statements` has what is sent to the
server.

.. figure:: _static/benchmarks-cost.svg
   :alt: What a session adds to a request, on sockets

   What a session adds to a request, on sockets

{lines}
"""


def render(results):
    """Return the page; it needs all of :data:`PARTS`."""
    figures = Figures(results)
    return PAGE.format(
        date=results['cost']['date'],
        lines='\n'.join(
            textwrap.fill(
                line.format(**figures),
                79,
                initial_indent='* ',
                subsequent_indent='  ',
            )
            for line in LINES
            # of what was measured
            if fields(line) <= set(figures)
        ),
    )


def fields(line):
    return {name for _, name, _, _ in string.Formatter().parse(line) if name}


LINES = (
    'A request that does not look at its session takes '
    '{ours_untouched:,.0f} µs longer than one of an application without '
    'sessions.',
    'To **read** a session takes {ours_read:,.0f} µs more: one SELECT. It '
    'takes {redis_read:,.0f} with pyramid_session_redis, '
    "{django_read:,.0f} with Django's database sessions, "
    "{beaker_read:,.0f} with pyramid_beaker's.",
    'To **change** one takes {ours_write:,.0f} µs: a SELECT and an UPDATE. '
    'pyramid_session_redis takes {redis_write:,.0f}, Django '
    '{django_write:,.0f}, pyramid_beaker {beaker_write:,.0f}.',
    'A block of ``locked()`` that changes it takes {ours_locked:,.0f} µs, by '
    'cursor {cursor_locked:,.0f}.',
    'A **new** session takes {ours_new:,.0f} µs, with Redis '
    '{redis_new:,.0f}; a **log-in**, which renews the id, '
    '{ours_login:,.0f} and {redis_login:,.0f}.',
    'The driver alone, with a cursor in the same view, takes '
    '{cursor_read:,.0f} µs to read, {cursor_write:,.0f} to change and '
    '{cursor_new:,.0f} for a new one.',
    '**Sealed** by ``mysql_session.encrypt``, a session takes '
    '{sealed_read:.2f} times as long to read, {sealed_write:.2f} times to '
    'change, and {sealed_new:.2f} times for a new one.',
    '**Galera**, three nodes behind HAProxy, takes {galera_read:.2f} times as '
    'long to read as a lone server behind it, and {galera_write:.2f} times to '
    'change; **Group Replication** of MySQL {group_read:.2f} and '
    '{group_write:.2f} times.',
    '**Over HTTP**, one process and one connection: {http_read:,.0f} reads '
    'and {http_write:,.0f} changes a second; with express-mysql-session '
    '{express_read:,.0f} and {express_write:,.0f}.',
    '**Threads**: one process with 16 of them reads {many_read:,.0f} sessions '
    'a second, or changes {many_write:,.0f}, with a single one '
    '{one_read:,.0f} and {one_write:,.0f}.',
    '**Growth**: with {rows:,} sessions, far more than fit into the buffer '
    'pool, to read one that is in use takes {growth_read:.2f} times as long '
    'as with {few:,}, and to create one {growth_create:.2f} times.',
    '**Purge**: {purge_rate:,.0f} expired sessions a second, while 99 of 100 '
    'log-ins and touches are done in {purge_busy:.1f} ms, instead of '
    '{purge_idle:.1f}. One DELETE without a limit makes that '
    '{delete_busy:.1f} ms.',
    '**Memory**: a request keeps {memory:.1f} KiB of a session that it has '
    'read, besides the data.',
)


class Figures(dict):
    """What stands in the lines, by name."""

    def __init__(self, results):
        data = {part: result['data'] for part, result in results.items()}
        self._add_costs(data['cost']['times'])
        self._add_rates(data['express']['rates'], data['concurrency'])
        self._add_table(data['growth']['mariadb'], data['purge']['mariadb'])
        if 'encrypted' in data:
            self._add_sealed(data['encrypted']['times'])
        for kind, times in data.get('clusters', {}).items():
            self._add_cluster(kind, times)
        self['memory'] = data['memory']['mariadb']['held']['a small session']

    def _add_costs(self, times):
        for prefix, name in CONTESTANTS.items():
            bare = times[
                'Django, no sessions' if prefix == 'django' else 'no sessions'
            ]['untouched']
            for action, taken in times[name].items():
                self[f'{prefix}_{action}'] = median(
                    one - other for one, other in zip(taken, bare, strict=True)
                )

    def _add_sealed(self, times):
        for action in 'read', 'write', 'new':
            self[f'sealed_{action}'] = quotient(
                times, 'sealed, MariaDB', 'plain, MariaDB', action
            )

    def _add_cluster(self, kind, times):
        prefix, name = CLUSTERS[kind]
        for action in 'read', 'write':
            self[f'{prefix}_{action}'] = quotient(
                times,
                f'{name}, through HAProxy',
                'a lone server, through HAProxy',
                action,
            )

    def _add_rates(self, over_http, loads):
        for action in 'read', 'write':
            for prefix, name in SERVED.items():
                self[f'{prefix}_{action}'] = median(
                    over_http[f'{name}, MariaDB'][action]['1']
                )
            one, _, many, *_ = loads['ours, MariaDB'][action]
            self[f'one_{action}'] = median(rate for rate, *_ in one)
            self[f'many_{action}'] = median(rate for rate, *_ in many)

    def _add_table(self, by_key, ways):
        few, *_, many = by_key['time, then hash']
        self['few'], self['rows'] = few['rows'], many['rows']
        for name in 'read', 'create':
            self[f'growth_{name}'] = median(many[name]) / median(few[name])
        ours, _, unbounded = ways
        self['purge_rate'] = ours['dead'] / ours['seconds']
        self['purge_idle'] = ours['idle']['p99']
        self['purge_busy'] = ours['meanwhile']['p99']
        self['delete_busy'] = unbounded['meanwhile']['p99']


def quotient(times, one, other, action):
    """Return the median of what two add to a page, divided."""
    bare = times['no sessions']['untouched']
    return median(
        (mine - page) / (theirs - page)
        for mine, theirs, page in zip(
            times[one][action], times[other][action], bare, strict=True
        )
    )


CONTESTANTS = {
    'ours': 'ours, MariaDB, socket',
    'redis': 'pyramid_session_redis',
    'beaker': 'pyramid_beaker ext:database',
    'django': 'Django db',
    'cursor': 'cursor in a view, MariaDB, socket',
}
CLUSTERS = {
    'mariadb': ('galera', 'Galera'),
    'mysql': ('group', 'Group Replication'),
}
SERVED = {'http': 'ours', 'express': 'express-mysql-session'}
