"""Judges the columns of the table."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .catalogue import Catalogue, Column
from .findings import Findings
from .layout import OPTIONAL_COLUMNS, Layout
from .programs import owner
from .quoting import quoted


def check_owner(
    layout: Layout, columns: Mapping[str, Column], findings: Findings
) -> None:
    """See whether another program made the table."""
    key = columns.get(layout.key('session_id'))
    if (
        key is not None
        and key.base in {'binary', 'varbinary'}
        and (
            str(key) == 'binary(32)'
            or {layout.key('created'), layout.key('revision')} & columns.keys()
        )
    ):
        return
    signs = [
        f'no {layout.quoted(name)}'
        for name in ('session_id', 'created', 'revision')
        if layout.key(name) not in columns
    ]
    if key is not None:
        if not signs:
            return
        signs.insert(0, f'{quoted(key.name)} as {key}')
    elif len(signs) == 1:
        # a table of ours from which the key was taken
        return
    findings.wrong(
        f'it is a table of {owner(columns)}, with {", ".join(signs)}',
        advice='It must stay as it is: set mysql_session.table_name to a '
        'name that is free.',
    )


def check_ours(
    layout: Layout,
    columns: Mapping[str, Column],
    catalogue: Catalogue,
    findings: Findings,
) -> set[str]:
    """
    See whether the columns of ours have types that do and can be set.

    :param columns: by their names in lower case.
    :returns: those that will not do and have to stay as they are.
    """
    staying = set()
    for name in layout.names:
        column = columns.get(layout.key(name))
        change: str | None
        advice = None
        if column is None:
            deviations = [f'column {layout.quoted(name)} is missing']
            change = f'ADD COLUMN {layout.definition(name)}'
        else:
            deviations = _deviations(layout, name, column)
            if not deviations:
                continue
            change, advice = _remedy(layout, name, column, catalogue)
            if change is None:
                staying.add(layout.key(name))
        for deviation in deviations:
            findings.wrong(deviation, change, advice)
        if name == 'userid' and change and catalogue.has_short_indexes():
            findings.also('ROW_FORMAT=DYNAMIC')
    return staying


def _deviations(layout: Layout, name: str, column: Column) -> list[str]:
    deviations = []
    if not layout.fits(name, column):
        deviations.append(f'column {quoted(column.name)} is {column}')
    if column.generated:
        deviations.append(f'column {quoted(column.name)} is generated')
    return deviations


def _remedy(
    layout: Layout, name: str, column: Column, catalogue: Catalogue
) -> tuple[str | None, str | None]:
    """Return a clause that makes a column fit, or advice."""
    if column.generated == 'VIRTUAL':
        # the servers refuse to make an ordinary column of it
        return None, (
            f'Drop the virtual column {quoted(column.name)} and add it as '
            f'{layout.definition(name)}.'
        )
    widened = layout.widened(name, column)
    foreign_keys = catalogue.foreign_keys(column.name) if widened else []
    if foreign_keys:
        return None, (
            f'The foreign key {", ".join(map(quoted, foreign_keys))} needs '
            f'{quoted(column.name)} as it is: drop it, or set '
            f'mysql_session.column_{name} to another name.'
        )
    if widened:
        return f'MODIFY COLUMN {widened}', None
    return None, (
        f'What {quoted(column.name)} holds may not survive another type: set '
        f'mysql_session.column_{name} or mysql_session.table_name to another '
        'name.'
    )


def check_null(
    layout: Layout,
    columns: Mapping[str, Column],
    primary: Collection[str],
    catalogue: Catalogue,
    findings: Findings,
) -> None:
    """
    See whether a session can be stored that has no user, nor more columns.

    :param columns: by their names in lower case.
    :param primary: the columns of the primary key, likewise.
    """
    ours = {layout.key(name): name for name in layout.names}
    for key, column in columns.items():
        name = quoted(column.name)
        optional = ours.get(key) in OPTIONAL_COLUMNS
        if optional and not column.nullable and not column.generated:
            deviation, otherwise = f'column {name} is NOT NULL', ''
        elif key not in ours and column.required:
            deviation = f'column {name} is NOT NULL and has no default'
            otherwise = ', or give it a default'
        else:
            continue
        if key in primary:
            findings.wrong(
                deviation,
                advice=f'Take {name} out of the primary key{otherwise}.',
            )
        elif optional and not layout.fits(ours[key], column):
            # what makes it fit makes it NULL as well
            findings.wrong(deviation)
        elif definition := catalogue.relaxed(column):
            findings.wrong(deviation, f'MODIFY COLUMN {definition}')
        else:
            findings.wrong(deviation, advice=f'Let {name} be NULL by default.')
