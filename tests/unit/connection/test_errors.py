"""Each kind of driver error: its type, text and advice."""

import pytest

from pyramid_mysql_session.connection.errors import translate
from pyramid_mysql_session.errors import (
    LockTimeout,
    SchemaError,
    StoreUnavailable,
)

LOST = 'The connection to MySQL was lost'
UNREACHABLE = 'MySQL cannot be reached'

# reason, advice -> numbers
UNAVAILABLE = {
    (
        LOST,
        'Check that the server runs and look at its log; '
        'mysql_session.connect_timeout and mysql_session.read_timeout limit '
        'how long an answer may take.',
    ): (0, 1053, 1153, 1927, 2000, 2006, 2013, 2014, 2026, 2999, 4031),
    (
        UNREACHABLE,
        'Check mysql_session.host, mysql_session.port, '
        'mysql_session.unix_socket and the ssl settings, and that the server '
        'runs.',
    ): (0, 1053, 2001, 2002, 2003, 2005, 2012, 2013, 2026),
    (
        'MySQL refused the user',
        'Check mysql_session.user, mysql_session.password and from which '
        'host the user may connect.',
    ): (1045, 1129, 1130, 1251, 1698, 1820, 1862, 2054, 2059, 2061),
    (
        'The database does not exist',
        'Create it or check mysql_session.database.',
    ): (1049,),
    (
        'MySQL accepts no more connections',
        "Lower mysql_session.connection_limit or raise the server's "
        'max_connections.',
    ): (1040, 1203, 1226),
    (
        'A privilege is missing',
        'GRANT SELECT, INSERT, UPDATE, DELETE on the session table, and '
        'CREATE unless mysql_session.create_table is false, to '
        'mysql_session.user.',
    ): (1044, 1142, 1143, 1227, 1370, 1410),
    (
        'The server is read-only',
        'Check that mysql_session.host names the primary server.',
    ): (1036, 1290, 1792, 1836, 3100),
    (
        'MySQL ran out of space or memory',
        'Free disk space on the server; mysql_session.purge_interval says '
        'how often expired sessions are deleted.',
    ): (3, 28, 1021, 1026, 1030, 1037, 1041, 1114, 1206),
    (
        'MySQL reported an error',
        'Look the number up in its manual.',
    ): (1, 1064, 9999, None),
}
LOCKED = {
    (
        "Somebody else kept the session's row locked",
        'mysql_session.lock_timeout limits the wait.',
    ): (1205, 3572),
    (
        'MySQL resolved a deadlock at the cost of this statement',
        'It was tried several times; look for long transactions that lock '
        'rows of the session table.',
    ): (1213,),
}
CASES = [
    (type_, *text, code)
    for type_, kinds in (
        (StoreUnavailable, UNAVAILABLE),
        (LockTimeout, LOCKED),
    )
    for text, codes in kinds.items()
    for code in codes
]


@pytest.mark.parametrize(('type_', 'reason', 'advice', 'code'), CASES)
def test_number_is_translated(type_, reason, advice, code):
    error = translate(code, connecting=reason == UNREACHABLE)

    assert type(error) is type_
    number = '' if code is None else f' (MySQL error {code})'
    assert str(error) == f'{reason}. {advice}{number}'
    assert error.code == code
    assert error.outcome_unknown is (reason == LOST)


def test_missing_table_is_a_schema_error():
    error = translate(1146)

    assert type(error) is SchemaError
    assert str(error) == (
        'the session table cannot hold sessions: it is missing. Create it, '
        'or set mysql_session.create_table = true.'
    )


@pytest.mark.parametrize('code', [1054, 1364, 1366, 1406, 3140, 3819, 4025])
def test_refused_row_is_a_schema_error(code):
    error = translate(code)

    assert type(error) is SchemaError
    assert str(error) == (
        'the session table cannot hold sessions: it refuses the row (MySQL '
        f'error {code}). Call check_table() of the store: it names what '
        'differs.'
    )
