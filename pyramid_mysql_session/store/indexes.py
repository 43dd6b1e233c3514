"""Judges the indexes of the table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from .catalogue import Catalogue, Column, Index, Part
from .findings import Findings
from .layout import Layout
from .quoting import quoted

_PRIMARY = 'PRIMARY'
# bytes of each column in an index, by row format
_LONGEST = 3072
_LONGEST_COMPACT = 767


def primary_columns(layout: Layout, indexes: Sequence[Index]) -> set[str]:
    """Return the columns of the primary key if it may stay."""
    return {
        part.column
        for index in indexes
        if index.name == _PRIMARY and not _refuses(layout, index)
        for part in index.parts
    }


def check_key(
    layout: Layout,
    indexes: Sequence[Index],
    staying: Collection[str],
    catalogue: Catalogue,
    findings: Findings,
) -> str:
    """
    Return the quoted name of the index on the key, if there is one.

    :param staying: columns that have to stay as they are, indexes included.
    """
    column = layout.quoted('session_id')
    unique = [
        index
        for index in indexes
        if index.unique
        and index.parts == [Part(layout.key('session_id'), True)]
    ]
    for index in unique:
        if not index.show:
            return quoted(index.name)
    if unique:
        name = quoted(unique[0].name)
        findings.wrong(
            f'the unique index {name} on {column} is not used by the server',
            f'ALTER INDEX {name} {unique[0].show}',
        )
        return name
    deviation = f'column {column} has no unique index'
    if layout.key('session_id') in staying:
        findings.wrong(deviation)
    elif catalogue.partitioned_by() - {layout.key('session_id')}:
        findings.wrong(
            deviation,
            advice='A unique index has to hold what the table is partitioned '
            f'by: partition it by {column} alone, or not at all.',
        )
    else:
        kind = 'UNIQUE' if primary_columns(layout, indexes) else 'PRIMARY'
        findings.wrong(deviation, f'ADD {kind} KEY ({column})')
    return quoted(_PRIMARY)


def check_unique(
    layout: Layout,
    indexes: Sequence[Index],
    staying: Collection[str],
    findings: Findings,
) -> None:
    """
    See whether a unique index would refuse a session.

    :param staying: as for :func:`check_key`.
    """
    for index in indexes:
        if not _refuses(layout, index):
            continue
        primary = index.name == _PRIMARY
        drop = f'DROP KEY {quoted(index.name)}'
        if primary:
            drop = 'DROP PRIMARY KEY'
        findings.wrong(
            f'{"primary key" if primary else "unique index"} '
            f'{"" if primary else quoted(index.name) + " "}'
            'lets no two sessions have the same '
            + ' and '.join(
                ('' if part.whole else 'beginning of ') + quoted(part.column)
                for part in index.parts
            ),
            None if _involves(index, staying) else drop,
        )


def leading(indexes: Iterable[Index], column: str) -> list[Index]:
    """
    Return the indexes that find rows by what a column has.

    :param column: its name in lower case.
    """
    return [
        index
        for index in indexes
        if index.parts[0].column == column
        # others serve no comparison
        and index.type not in {'FULLTEXT', 'SPATIAL'}
    ]


def check_leading(
    layout: Layout,
    columns: Mapping[str, Column],
    indexes: Sequence[Index],
    staying: Collection[str],
    catalogue: Catalogue,
    findings: Findings,
) -> None:
    """
    See whether rows are found by what is asked for.

    :param columns: by their names in lower case.
    :param staying: as for :func:`check_key`.
    """
    for name, loss in (
        ('expires', 'a purge reads the whole table'),
        ('userid', 'finding a user reads the whole table'),
    ):
        found = [
            index
            for index in leading(indexes, layout.key(name))
            if not _refuses(layout, index)
        ]
        if (
            any(not index.show for index in found)
            or layout.key(name) in staying
        ):
            continue
        column = layout.quoted(name)
        if found:
            index = found[0]
            findings.poor(
                f'{findings.table} has an index on {column} that the server '
                f'does not use: {loss}.',
                f'ALTER INDEX {quoted(index.name)} {index.show}',
            )
        else:
            indexed = columns.get(layout.key(name))
            prefix = ''
            if indexed and _too_long(layout, indexed, catalogue):
                # what is longest in every row format, in utf8mb4
                prefix = '(191)'
            findings.poor(
                f'{findings.table} has no index on {column}: {loss}.',
                f'ADD KEY ({column}{prefix})',
            )


def _involves(index: Index, columns: Collection[str]) -> bool:
    return any(part.column in columns for part in index.parts)


def _too_long(layout: Layout, column: Column, catalogue: Catalogue) -> bool:
    """Tell whether an index would hold a beginning of a column only."""
    size = column.octets or 0
    return size > _LONGEST or (
        size > _LONGEST_COMPACT
        # a column that does not fit makes it another format
        and layout.fits('userid', column)
        and catalogue.has_short_indexes()
    )


def _refuses(layout: Layout, index: Index) -> bool:
    """
    Tell whether a unique index would refuse a session.

    One with a column that is not ours may never do so: that column may be
    NULL, or count, or a trigger may fill it.
    """
    ours = {layout.key(name) for name in layout.names}
    return (
        index.unique
        and Part(layout.key('session_id'), True) not in index.parts
        and all(part.column in ours for part in index.parts)
    )
