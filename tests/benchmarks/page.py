"""Makes the page of the documentation and its charts."""

from __future__ import annotations

import itertools
import math
import textwrap

import matplotlib
from matplotlib.ticker import LogLocator, NullLocator

matplotlib.use('svg')

from matplotlib import pyplot

pyplot.rcParams.update(
    {
        'axes.spines.right': False,
        'axes.spines.top': False,
        'figure.constrained_layout.use': True,
        'font.family': 'sans-serif',
        'font.size': 9,
        # the same data make the same file
        'svg.hashsalt': 'benchmarks',
    }
)
# of Okabe and Ito: told apart by colour-blind people, too
COLORS = ['#0072B2', '#56B4E9', '#009E73', '#E69F00', '#D55E00', '#CC79A7']
MARKERS = 'os^Dvx'


class Page:
    """
    A page in reStructuredText.

    :param folder: of the page; charts go to its folder ``_static``.
    """

    def __init__(self, folder):
        self._static = folder / '_static'
        self._static.mkdir(parents=True, exist_ok=True)
        self._blocks = []

    def __str__(self):
        return '\n\n'.join(self._blocks) + '\n'

    def title(self, text, line='-'):
        self._blocks.append(f'{text}\n{line * len(text)}')

    def text(self, text):
        self._blocks.append(textwrap.fill(text, 79))

    def raw(self, text):
        self._blocks.append(text)

    def table(self, header, rows):
        """Add a table; the first column is its row headers."""
        lines = [
            [str(cell) or '–' for cell in line] for line in [header, *rows]
        ]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        rule = '  '.join('=' * width for width in widths)
        text = [
            '  '.join(
                cell.ljust(width)
                for cell, width in zip(line, widths, strict=True)
            ).rstrip()
            for line in lines
        ]
        self._blocks.append('\n'.join([rule, text[0], rule, *text[1:], rule]))

    def bars(self, name, title, unit, groups, series):
        """
        Add a bar chart with a logarithmic scale.

        :param series: name -> one value for each of the groups, or ``None``.
        """
        figure, axes = pyplot.subplots(figsize=(8, 0.6 + len(groups) * 1.5))
        width = 0.85 / len(series)
        for number, (label, values) in enumerate(series.items()):
            shown = [
                (group + number * width, value)
                for group, value in enumerate(values)
                if value is not None
            ]
            bars = axes.barh(
                [place for place, _ in shown],
                [value for _, value in shown],
                width * 0.9,
                label=label,
                color=COLORS[number % len(COLORS)],
            )
            axes.bar_label(bars, fmt=' {:,.0f}', fontsize=7)
        axes.set_xscale('log')
        axes.xaxis.set_major_formatter('{x:,.0f}')
        least = min(filter(None, itertools.chain(*series.values())))
        axes.set_xlim(left=10 ** math.floor(math.log10(max(least, 1))))
        axes.set_yticks(
            [group + 0.425 - width / 2 for group in range(len(groups))], groups
        )
        axes.invert_yaxis()
        axes.set_xlabel(unit)
        figure.legend(loc='outside lower center', ncols=3, frameon=False)
        self._save(figure, name, title)

    def lines(self, name, title, panels, x_label, log=False, columns=2):
        """
        Add a chart of several panels that share their legend.

        :param panels: (title, unit, ticks, series) of each, where series is
            name -> one value for each tick.
        :param log: whether both scales are logarithmic.
        """
        rows = -(-len(panels) // columns)
        figure, grid = pyplot.subplots(
            rows, columns, figsize=(8, 2.6 * rows + 0.5), squeeze=False
        )
        for axes, panel in zip(grid.flat, panels, strict=False):
            heading, unit, ticks, series = panel
            places = ticks if log else range(len(ticks))
            for number, (label, values) in enumerate(series.items()):
                axes.plot(
                    places,
                    values,
                    marker=MARKERS[number % len(MARKERS)],
                    color=COLORS[number % len(COLORS)],
                    label=label,
                )
            if log:
                axes.loglog()
                axes.set_xticks(ticks)
                axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                for axis in (axes.xaxis, axes.yaxis):
                    axis.set_major_formatter('{x:,.0f}')
                    axis.set_minor_locator(NullLocator())
            else:
                axes.set_ylim(bottom=0)
                axes.set_xticks(places, ticks)
            axes.set_title(heading, fontsize=9)
            axes.set_ylabel(unit)
            axes.set_xlabel(x_label)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc='outside lower center',
            ncols=3,
            frameon=False,
        )
        self._save(figure, name, title)

    def _save(self, figure, name, title):
        path = self._static / f'benchmarks-{name}.svg'
        figure.savefig(path, metadata={'Date': None})
        pyplot.close(figure)
        self._blocks.append(
            f'.. figure:: _static/{path.name}\n   :alt: {title}\n\n   {title}'
        )
