"""Runs the benchmarks: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import importlib
import json
import pathlib
import time

from . import instructions, summary
from .page import Page
from .servers import Bench, machine

#: In the order of the page.
PARTS = (
    'cost',
    'encrypted',
    'clusters',
    'express',
    'concurrency',
    'growth',
    'purge',
    'memory',
)
DOCS = pathlib.Path(__file__).parents[2] / 'docs'
#: Option -> its default, and that with ``--quick``.
SIZES = {
    'rounds': (100, 2),
    'requests': (25, 10),
    'burst': (2, 0.2),
    'sizes': ('10000,1000000,5000000', '1000,5000'),
    'dead': (1000000, 5000),
    'live': (10000, 100),
    'seconds': (20, 1),
}
INTRODUCTION = """\
.. This page is made by tests/benchmarks/run.sh; do not edit it.

All figures behind :doc:`benchmarks`: what a session costs, measured on one
small machine by ``sh tests/benchmarks/run.sh``. Absolute times are worth
little: on such a machine they drift by a factor of two. So all contestants
take turns in short blocks, and what counts are the ratios between neighbours.
A figure is the median over the rounds, the quartiles stand in brackets."""


def main():
    options = parse()
    results_file = options.output / 'benchmarks.json'
    options.output.mkdir(parents=True, exist_ok=True)
    results = (
        json.loads(results_file.read_text()) if results_file.exists() else {}
    )
    if not options.render:
        with Bench(options) as bench:
            for part in options.parts:
                bench.note(f'part {part}')
                results[part] = {
                    'date': time.strftime('%Y-%m-%d'),
                    'machine': machine(bench),
                    'flush': options.flush,
                    'data': module(part).measure(bench),
                }
                results_file.write_text(json.dumps(results, indent=1) + '\n')
    text = render(results, options.output)
    (options.output / 'benchmark_report.rst').write_text(text)
    if set(summary.PARTS) <= set(results):
        (options.output / 'benchmarks.rst').write_text(summary.render(results))
    print(text)


def parse():
    parser = argparse.ArgumentParser(
        prog='run.sh', description='Measure what sessions cost.'
    )
    parser.add_argument(
        'parts', nargs='*', metavar='PART', help=', '.join(PARTS)
    )
    parser.add_argument('--quick', action='store_true', help='try the code')
    parser.add_argument(
        '--rounds', type=int, help='(100; concurrency, express: 5)'
    )
    parser.add_argument('--requests', type=int, help='in a block (25)')
    parser.add_argument('--burst', type=float, help='seconds of a load (2)')
    parser.add_argument('--sizes', help='of growth (10000,1000000,5000000)')
    parser.add_argument('--dead', type=int, help='rows to purge (1000000)')
    parser.add_argument('--live', type=int, help='others (10000)')
    parser.add_argument('--seconds', type=float, help='idle, of purge (20)')
    parser.add_argument(
        '--flush',
        type=int,
        default=2,
        help='innodb_flush_log_at_trx_commit (2)',
    )
    parser.add_argument(
        '--output',
        type=pathlib.Path,
        default=DOCS,
        help='folder of both pages, benchmarks.json and _static (docs)',
    )
    parser.add_argument(
        '--render',
        action='store_true',
        help='measure nothing, make the page from benchmarks.json',
    )
    options = parser.parse_args()
    for name, (full, quick) in SIZES.items():
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else full)
    options.sizes = list(map(int, options.sizes.split(',')))
    options.parts = options.parts or [part for part in PARTS if exists(part)]
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f'no such part: {", ".join(sorted(unknown))}')
    if options.quick and options.output == DOCS:
        parser.error('--quick needs an --output of its own')
    return options


def exists(part):
    return pathlib.Path(__file__).with_name(f'{part}.py').exists()


def module(part):
    return importlib.import_module(f'.{part}', __package__)


def render(results, folder):
    """Return the page; its charts are written."""
    page = Page(folder)
    page.title('The laboratory report', '=')
    page.raw(INTRODUCTION)
    for part in PARTS:
        if part in results:
            result = results[part]
            module(part).report(result['data'], page)
            page.text(
                f'Measured on {result["date"]} with '
                f'``innodb_flush_log_at_trx_commit = {result["flush"]}``.'
            )
    instructions.report(page)
    if results:
        latest = max(results.values(), key=lambda result: result['date'])
        page.title('The machine')
        page.table(('what', 'which'), latest['machine'].items())
    return str(page)


if __name__ == '__main__':
    main()
