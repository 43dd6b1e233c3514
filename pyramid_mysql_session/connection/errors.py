"""Classifies the driver's error numbers; no other module knows them.

The numbers are those of the MySQL and MariaDB manuals ("Server Error Message
Reference", "Client Error Message Reference", "MariaDB Error Code Reference").
"""

from __future__ import annotations

from ..errors import (
    LockTimeout,
    SchemaError,
    SessionError,
    StoreUnavailable,
)

DUPLICATE_KEY = 1062
DEADLOCK = 1213
LOCK_WAIT = 1205
NO_SUCH_TABLE = 1146

# the connection is of no more use. 0 is what mysqlclient says of a closed
# one; the server closes it after a packet that is too large (1153), too
_BROKEN = frozenset({0, 1053, 1153, 1927, 4031})
# what the client library itself says: over TLS it has one number for all
# that becomes of a connection
_CLIENT = range(2000, 3000)

_REFUSED = frozenset(
    {
        *(1045, 1129, 1130, 1251, 1698, 1820, 1862, 2054, 2059, 2061, 3118),
        *(3955, 4151),
    }
)
_FULL = frozenset({1040, 1203, 1226})
_PRIVILEGE = frozenset({1044, 1142, 1143, 1227, 1370, 1410})
_READ_ONLY = frozenset({1036, 1290, 1792, 1836, 3100})
_DISK = frozenset({3, 28, 1021, 1026, 1030, 1037, 1041, 1114, 1206})
_TABLE = frozenset({1054, 1364, 1366, 1406, 3140, 3819, 4025})


def is_broken(code: int | None) -> bool:
    """Tell whether the connection of an error is of no more use."""
    return code in _BROKEN or code in _CLIENT


def translate(code: int | None, connecting: bool = False) -> SessionError:
    """
    Return the exception for a driver error, with advice for its reader.

    The driver's own text is not repeated: it may quote the statement.

    :param connecting: whether a connection was to be made: then nothing was
        sent that could have been executed. Of a statement that was under way
        when the connection broke nobody knows what became.
    """
    if code in _REFUSED:
        return StoreUnavailable(
            'MySQL refused the user',
            'Check mysql_session.user, mysql_session.password and from '
            'which host the user may connect.',
            code,
        )
    if connecting and is_broken(code):
        return StoreUnavailable(
            'MySQL cannot be reached',
            'Check mysql_session.host, mysql_session.port, '
            'mysql_session.unix_socket and the ssl settings, and that the '
            'server runs.',
            code,
        )
    if is_broken(code):
        return StoreUnavailable(
            'The connection to MySQL was lost',
            'Check that the server runs and look at its log; '
            'mysql_session.connect_timeout and mysql_session.read_timeout '
            'limit how long an answer may take.',
            code,
            outcome_unknown=True,
        )
    if code == DEADLOCK:
        return LockTimeout(
            'MySQL resolved a deadlock at the cost of this statement',
            'It was tried several times; look for long transactions that '
            'lock rows of the session table.',
            code,
        )
    if code in {LOCK_WAIT, 3572}:
        return LockTimeout(
            "Somebody else kept the session's row locked",
            'mysql_session.lock_timeout limits the wait.',
            code,
        )
    if code == 1049:
        return StoreUnavailable(
            'The database does not exist',
            'Create it or check mysql_session.database.',
            code,
        )
    if code in _FULL:
        return StoreUnavailable(
            'MySQL accepts no more connections',
            "Lower mysql_session.connection_limit or raise the server's "
            'max_connections.',
            code,
        )
    if code in _PRIVILEGE:
        return StoreUnavailable(
            'A privilege is missing',
            'GRANT SELECT, INSERT, UPDATE, DELETE on the session table, and '
            'CREATE unless mysql_session.create_table is false, to '
            'mysql_session.user.',
            code,
        )
    if code in _READ_ONLY:
        return StoreUnavailable(
            'The server is read-only',
            'Check that mysql_session.host names the primary server.',
            code,
        )
    if code in _DISK:
        return StoreUnavailable(
            'MySQL ran out of space or memory',
            'Free disk space on the server; mysql_session.purge_interval '
            'says how often expired sessions are deleted.',
            code,
        )
    if code == NO_SUCH_TABLE:
        return SchemaError(
            'the session table',
            ['it is missing'],
            'Create it, or set mysql_session.create_table = true.',
        )
    if code in _TABLE:
        return SchemaError(
            'the session table',
            [f'it refuses the row (MySQL error {code})'],
            'Call check_table() of the store: it names what differs.',
        )
    return StoreUnavailable(
        'MySQL reported an error',
        'Look the number up in its manual.',
        code,
    )
