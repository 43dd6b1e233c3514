"""Judges what surrounds the rows of the table."""

from __future__ import annotations

from collections.abc import Iterable

from ..connection.driver import Connection, DriverError, error_code
from .catalogue import Catalogue, Kind, Reference
from .findings import Findings
from .quoting import quoted, text

# what a server says that can log statements only, and none of this isolation
_NOT_LOGGED = 1665
# these keep their rows in a file or in memory of the server, where an ALTER
# finds them; others may stand for a table somewhere else
_LOCAL = frozenset({'myisam', 'aria', 'memory', 'archive', 'csv'})
# what a foreign key does rather than refuse a change
_YIELDING = frozenset({'CASCADE', 'SET NULL'})
_ENGINE_ADVICE = {
    'spider': 'run the purge on its data nodes, which neither time limits of '
    'locks nor SKIP LOCKED reach; a renewal of an id may move the row from '
    'one node to another, which is not atomic by default',
}


def check_kind(kind: Kind, findings: Findings) -> None:
    """See whether it is a table, and whether the server can open it."""
    type_ = kind.type.upper()
    if type_ not in {'BASE TABLE', 'SYSTEM VERSIONED'}:
        findings.wrong(
            'it is a '
            + ('temporary table' if 'TEMPORARY' in type_ else type_.lower()),
            advice='Set mysql_session.table_name to the name of a table, or '
            'to a name that is free.',
        )
    elif kind.engine is None:
        findings.wrong(
            'the server cannot open it',
            advice='See what CHECK TABLE says, and the log of the server.',
        )


def check_engine(kind: Kind, catalogue: Catalogue, findings: Findings) -> None:
    """See whether saves can rely on transactions and row locks."""
    engine = kind.engine or ''
    if engine.lower() == 'innodb':
        return
    if catalogue.has_transactions(engine):
        advice = _ENGINE_ADVICE.get(
            engine.lower(),
            'see that it locks single rows, for as long as '
            'mysql_session.lock_timeout and with SKIP LOCKED',
        )
        findings.poor(
            f'{findings.table} has the engine {engine}, not InnoDB: {advice}.'
        )
    elif engine.lower() in _LOCAL:
        findings.wrong(
            f'its engine is {engine}, which has no transactions',
            # InnoDB does not know every row format of others
            'ENGINE=InnoDB ROW_FORMAT=DYNAMIC',
        )
    else:
        findings.wrong(
            f'its engine is {engine}, which has no transactions',
            advice='Set mysql_session.table_name to the name of a table of '
            'another engine.',
        )


def is_usual(kind: Kind) -> bool:
    """Tell whether it is a table as this package makes one."""
    return (kind.type.upper(), (kind.engine or '').lower()) == (
        'BASE TABLE',
        'innodb',
    )


def check_history(kind: Kind, findings: Findings) -> None:
    """See whether rows stay that were deleted."""
    if kind.type.upper() == 'SYSTEM VERSIONED':
        findings.poor(
            f'{findings.table} is system-versioned: each save adds a row '
            'that no purge deletes, and sessions stay readable after their '
            'end. Use a table without history.'
        )


def check_references(
    references: Iterable[Reference], findings: Findings
) -> None:
    """See whether foreign keys would refuse that a row goes or moves."""
    for reference in references:
        losses = [
            f'without ON {event} CASCADE {loss}'
            for event, rule, loss in (
                (
                    'DELETE',
                    reference.on_delete,
                    'neither a log-out nor a purge deletes its sessions',
                ),
                ('UPDATE', reference.on_update, 'their ids cannot be renewed'),
            )
            if rule not in _YIELDING
        ]
        if losses:
            findings.poor(
                f'{quoted(reference.table)} refers to {findings.table} by '
                f'the foreign key {quoted(reference.constraint)}: '
                f'{", and ".join(losses)} (MySQL error 1451).'
            )


def check_binary_log(connection: Connection, findings: Findings) -> None:
    """See whether the server can log what this connection writes."""
    # never an error, whichever variables the server has
    rows = connection.fetch("SHOW SESSION VARIABLES LIKE 'binlog_format'")
    if [text(value).upper() for _, value in rows] != ['STATEMENT']:
        return
    try:
        # whether the log is on, and for which databases, shows in a try
        connection.execute(f'DELETE FROM {findings.table} WHERE FALSE')
    except DriverError as exc:
        if error_code(exc) != _NOT_LOGGED:
            raise
        findings.wrong(
            "the server's binlog_format is STATEMENT, which logs no change "
            'under READ COMMITTED',
            advice='Set binlog_format to ROW or MIXED in the configuration '
            'of the server.',
        )
