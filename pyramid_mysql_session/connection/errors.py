"""Decides what an error of the driver means, by its number and its phase.

The numbers are those of the MySQL and MariaDB manuals ("Server Error Message
Reference", "Client Error Message Reference", "MariaDB Error Code Reference");
no other module knows them.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto
from typing import Any, NamedTuple

from ..errors import (
    LockTimeout,
    SchemaError,
    SessionError,
    StoreUnavailable,
    TransactionTooLarge,
)

DUPLICATE_KEY = 1062


class Phase(Enum):
    """What a connection was doing when an error came."""

    #: It was being made: nothing was sent that could have been executed.
    CONNECTING = auto()
    #: A statement that stores nothing.
    READING = auto()
    #: A statement of a transaction, which ends with the connection.
    WRITING = auto()
    #: A COMMIT, or a statement that commits itself.
    COMMITTING = auto()


class Again(Enum):
    """How work is done again after an error, if it is."""

    NO = auto()
    #: A few times, with another connection.
    AT_ONCE = auto()
    #: As long as a lock may be waited for.
    AFTER_LOCK = auto()
    #: After a moment, for somebody else was first.
    AFTER_CONFLICT = auto()
    #: Until a server does it, or has room for another connection, or the
    #: wait is over.
    ELSEWHERE = auto()


class Meaning(NamedTuple):
    """What a kind of error means, whenever it comes."""

    reason: str
    advice: str
    error: Any = StoreUnavailable
    again: Again = Again.NO
    #: Whether the connection is of no more use.
    breaks: bool = False
    #: Whether no other that is open by now is of use, either.
    spreads: bool = False
    #: Whether a statement that commits may have done so.
    doubtful: bool = False
    #: Whether it is only of some of the rows that a statement changes.
    of_rows: bool = False


class Verdict(NamedTuple):
    """What one error means."""

    meaning: Meaning
    code: int | None
    phase: Phase

    @property
    def in_doubt(self) -> bool:
        """Whether nobody knows if something was stored."""
        return self.phase is Phase.COMMITTING and self.meaning.doubtful

    def error(self) -> SessionError:
        """
        Return the exception, with advice for its reader.

        The driver's own text is not repeated: it may quote the statement.
        """
        meaning = self.meaning
        if meaning.error is SchemaError:
            found = meaning.reason.format(self.code)
            return SchemaError('the session table', [found], meaning.advice)
        error: StoreUnavailable = meaning.error(
            meaning.reason, meaning.advice, self.code, self.in_doubt
        )
        error.repeatable = meaning.again is not Again.NO
        if meaning.again is Again.AFTER_CONFLICT:
            error.allow_retry()
        return error


_LOST = Meaning(
    'The connection to MySQL was lost',
    'Check that the server runs and look at its log; '
    'mysql_session.connect_timeout and mysql_session.read_timeout limit how '
    'long an answer may take.',
    again=Again.AT_ONCE,
    breaks=True,
    doubtful=True,
)
_UNREACHABLE = Meaning(
    'MySQL cannot be reached',
    'Check mysql_session.host, mysql_session.port, mysql_session.unix_socket '
    'and the ssl settings, and that the server runs.',
    again=Again.ELSEWHERE,
    breaks=True,
)
_TOO_LARGE = Meaning(
    'The transaction is larger than the cluster replicates at once',
    'Keep less in the session, or raise wsrep_max_ws_size and '
    'wsrep_max_ws_rows.',
    TransactionTooLarge,
    of_rows=True,
)
_NOT_PRIMARY = Meaning(
    'The node has left its cluster',
    'Look at its log; a health check that asks the database lets a proxy '
    'choose another node.',
    again=Again.ELSEWHERE,
    breaks=True,
    spreads=True,
)
_CONFLICT = Meaning(
    'Another node of the cluster changed the same row first',
    'It was tried several times; let the application write to one node only.',
    LockTimeout,
    again=Again.AFTER_CONFLICT,
)
_READ_WAITED = Meaning(
    'A read waited too long: the table is locked, or the node lags behind '
    'its cluster',
    'Look for ALTER TABLE and LOCK TABLES, and at how far the node is '
    'behind; mysql_session.lock_timeout limits the wait.',
    LockTimeout,
    again=Again.AFTER_LOCK,
)
_LOCKED = Meaning(
    "Somebody else kept the session's row locked",
    'mysql_session.lock_timeout limits the wait.',
    LockTimeout,
    again=Again.AFTER_LOCK,
)
_FAILED = Meaning(
    'MySQL reported an error while it stored something',
    "Look at the server's log.",
    doubtful=True,
)
_UNKNOWN = Meaning(
    'MySQL reported an error that this package does not know',
    'The error from which this one was raised has the text of the server.',
    doubtful=True,
    of_rows=True,
)

_MEANINGS: dict[int, Meaning] = {}


def _mean(numbers: Iterable[int], meaning: Meaning) -> None:
    _MEANINGS.update(dict.fromkeys(numbers, meaning))


# 0 is what mysqlclient says of a connection that was closed; the server hangs
# up after a packet that is too large (1153), too
_mean((0, 1053, 1077, 1079, 1152, 1153, 1184, 1927, 4031), _LOST)
_mean((1158, 1159, 1160, 1161), _LOST)
# what the client library itself says: over TLS it has one number for all that
# becomes of a connection
_mean(range(2000, 3000), _LOST)
_mean(
    (
        *(1045, 1129, 1130, 1251, 1698, 1820, 1862, 2054, 2059, 2061),
        *(3118, 3955, 4151),
    ),
    Meaning(
        'MySQL refused the user',
        'Check mysql_session.user, mysql_session.password and from which host '
        'the user may connect.',
        breaks=True,
    ),
)
_mean(
    (3159,),
    Meaning(
        'The server takes encrypted connections only',
        'Set mysql_session.ssl_mode = REQUIRED, or what trusts fewer.',
        breaks=True,
    ),
)
_mean(
    (2019, 1115),
    Meaning(
        'The character set is unknown',
        'Check mysql_session.charset.',
        breaks=True,
    ),
)
_mean(
    (1193, 1210, 1231, 1232, 1238),
    Meaning(
        'The server refused a variable of the connection',
        'Check mysql_session.session_variables and mysql_session.charset.',
        breaks=True,
    ),
)
_mean(
    (1049, 1046),
    Meaning(
        'The database does not exist',
        'Create it or check mysql_session.database.',
    ),
)
_mean(
    (1044,),
    Meaning(
        'The user may not use the database, or the database does not exist',
        'Check mysql_session.database; GRANT SELECT, INSERT, UPDATE, DELETE'
        ' on the session table to mysql_session.user.',
    ),
)
_mean(
    (1040, 1203, 1226),
    Meaning(
        'MySQL accepts no more connections',
        "Lower mysql_session.connection_limit or raise the server's "
        'max_connections.',
        again=Again.ELSEWHERE,
    ),
)
_mean(
    (1142, 1143, 1227, 1370, 1410),
    Meaning(
        'A privilege is missing',
        'GRANT SELECT, INSERT, UPDATE, DELETE on the session table, and '
        'CREATE unless mysql_session.create_table is false, to '
        'mysql_session.user.',
    ),
)
_mean(
    (1015, 1036, 1290, 1792, 1836),
    Meaning(
        'The server is read-only',
        'Check that mysql_session.host names the primary server.',
        again=Again.ELSEWHERE,
        breaks=True,
        spreads=True,
    ),
)
_mean((1047, 3032, 6400), _NOT_PRIMARY)
# whose transaction the rest of the group may have applied
_mean((3100,), _NOT_PRIMARY._replace(doubtful=True))
_mean(
    (9001,),
    Meaning(
        'The proxy found no server for the connection',
        'Check that the servers run, and which of them the proxy takes for '
        'healthy.',
        again=Again.ELSEWHERE,
        breaks=True,
    ),
)
_mean(
    (1213,),
    Meaning(
        'MySQL resolved a deadlock at the cost of this statement',
        'It was tried several times; look for long transactions that lock '
        'rows of the session table.',
        LockTimeout,
        again=Again.AFTER_CONFLICT,
    ),
)
# 1020: innodb_snapshot_isolation; 1412: an ALTER TABLE came between
_mean((1020, 1412, 3101), _CONFLICT)
_mean((1205,), _LOCKED)
_mean((3572,), _LOCKED._replace(again=Again.NO))
_mean(
    (1317, 1969, 3024),
    Meaning(
        'The server ended the statement before it was done',
        'Look for KILL QUERY, and at max_execution_time or '
        'max_statement_time.',
        doubtful=True,
    ),
)
_mean(
    (1429, 12701, 1477),
    Meaning(
        'A data node behind the server cannot be reached',
        'Look at the nodes that the server of the table shards to.',
        doubtful=True,
    ),
)
_mean(
    (3, 28, 1021, 1026, 1030, 1037, 1038, 1041, 1114, 1206, 1637),
    Meaning(
        'MySQL ran out of space or memory',
        'Free disk space on the server; mysql_session.purge_interval says how '
        'often expired sessions are deleted.',
    ),
)
_mean((1105, 1180), _FAILED)
_mean(
    (1665,),
    Meaning(
        'The server logs statements, not rows, and refuses to write what '
        'READ COMMITTED reads',
        'SET GLOBAL binlog_format = ROW, or MIXED.',
    ),
)
_mean(
    (1644,),
    Meaning(
        'A trigger of the session table refused the row',
        'SHOW TRIGGERS names it.',
        of_rows=True,
    ),
)
_mean(
    (
        *(1099, 1100, 1118, 1175, 1242, 1305, 1356, 1442, 1449, 1526, 1690),
        *(1748, 3098),
    ),
    Meaning(
        'The server refused the statement',
        'The error from which this one was raised says why: look for '
        'triggers and partitions of the session table, and for variables of'
        ' the connection.',
        of_rows=True,
    ),
)
_mean(
    (1451, 1452, 1216, 1217),
    Meaning(
        'A foreign key between the session table and another refused the '
        'change',
        'Let it say ON DELETE CASCADE ON UPDATE CASCADE, or drop it.',
        of_rows=True,
    ),
)
_mean(
    (1146,),
    Meaning(
        'it is missing',
        'Create it, or set mysql_session.create_table = true.',
        SchemaError,
    ),
)
_mean(
    (1709, 1071),
    Meaning(
        'its row format has no room for the index on the user id (MySQL '
        'error {})',
        'Create it with ROW_FORMAT=DYNAMIC.',
        SchemaError,
    ),
)
_mean(
    (
        *(1048, 1264, 1265, 1292, 1364, 1366, 1406, 1906, 3105, 3140, 3144),
        *(3151, 3819, 4025, DUPLICATE_KEY),
    ),
    Meaning(
        'it refuses the row (MySQL error {})',
        'Call check_table() of the store: it names what differs.',
        SchemaError,
        of_rows=True,
    ),
)
_mean(
    (1054, 1072, 1136, 1176, 1288, 1347, 1348, 1471),
    Meaning(
        'it has changed since it was checked (MySQL error {})',
        'Call check_table() of the store: it names what differs.',
        SchemaError,
    ),
)
_mean(
    (126, 127, 134, 144, 145, 1034, 1035, 1194, 1195, 1877, 1932),
    Meaning(
        'The session table is damaged',
        "Look at the server's log, and CHECK TABLE.",
    ),
)


def judge(code: int | None, text: str, phase: Phase) -> Verdict:
    """
    Return what an error of the driver means.

    :param code: its number, ``None`` without one.
    :param text: what the server says: some numbers stand for several things.
    :param phase: what the connection was doing.
    """
    meaning = _MEANINGS.get(code or 0) if code is not None else None
    if code in (1180, 1105):
        meaning = _of_text(text) or meaning
    elif code == 1205 and phase is Phase.READING:
        meaning = _READ_WAITED
    elif phase is Phase.CONNECTING and meaning is _LOST:
        meaning = _UNREACHABLE
    return Verdict(meaning or _UNKNOWN, code, phase)


def _of_text(text: str) -> Meaning | None:
    """Tell apart what clusters report with one number."""
    if 'wsrep_max_ws' in text or 'writeset size exceeded' in text:
        return _TOO_LARGE
    if 'Not connected to Primary Component' in text:
        # others may have what it could still send
        return _NOT_PRIMARY._replace(doubtful=True)
    # InnoDB's deadlock, found at the commit
    if 'error 149' in text:
        return _CONFLICT
    return None
