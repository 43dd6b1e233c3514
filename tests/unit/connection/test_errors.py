"""What each error of the driver means, in each phase."""

import itertools

import pytest

from pyramid_mysql_session.connection.errors import Again, Phase, judge
from pyramid_mysql_session.errors import (
    LockTimeout,
    SchemaError,
    StoreUnavailable,
    TransactionTooLarge,
)

LOST = 'The connection to MySQL was lost'
UNREACHABLE = 'MySQL cannot be reached'
READ_ONLY = 'The server is read-only'
LEFT = 'The node has left its cluster'
CONFLICT = 'Another node of the cluster changed the same row first'
FAILED = 'MySQL reported an error while it stored something'
UNKNOWN = 'MySQL reported an error that this package does not know'

# reason -> type, how it is done again, numbers
MEANINGS = {
    LOST: (
        StoreUnavailable,
        Again.AT_ONCE,
        (0, 1053, 1153, 1159, 1927, 2000, 2006, 2013, 2014, 2026, 2999, 4031),
    ),
    'MySQL refused the user': (
        StoreUnavailable,
        Again.NO,
        (1045, 1129, 1130, 1698, 1862, 2059, 2061, 3118, 4151),
    ),
    'The server takes encrypted connections only': (
        StoreUnavailable,
        Again.NO,
        (3159,),
    ),
    'The database does not exist': (StoreUnavailable, Again.NO, (1049,)),
    'The user may not use the database, or the database does not exist': (
        StoreUnavailable,
        Again.NO,
        (1044,),
    ),
    'MySQL accepts no more connections': (
        StoreUnavailable,
        Again.ELSEWHERE,
        (1040, 1203, 1226),
    ),
    'A privilege is missing': (
        StoreUnavailable,
        Again.NO,
        (1142, 1143, 1227, 1370, 1410),
    ),
    READ_ONLY: (
        StoreUnavailable,
        Again.ELSEWHERE,
        (1015, 1036, 1290, 1792, 1836),
    ),
    LEFT: (StoreUnavailable, Again.ELSEWHERE, (1047, 3032, 3100, 6400)),
    'The proxy found no server for the connection': (
        StoreUnavailable,
        Again.ELSEWHERE,
        (9001,),
    ),
    'MySQL resolved a deadlock at the cost of this statement': (
        LockTimeout,
        Again.AFTER_CONFLICT,
        (1213,),
    ),
    CONFLICT: (LockTimeout, Again.AFTER_CONFLICT, (1020, 1412, 3101)),
    "Somebody else kept the session's row locked": (
        LockTimeout,
        Again.AFTER_LOCK,
        (1205,),
    ),
    'The server ended the statement before it was done': (
        StoreUnavailable,
        Again.NO,
        (1317, 1969, 3024),
    ),
    'A data node behind the server cannot be reached': (
        StoreUnavailable,
        Again.NO,
        (1429, 12701),
    ),
    'MySQL ran out of space or memory': (
        StoreUnavailable,
        Again.NO,
        (3, 28, 1021, 1026, 1030, 1037, 1041, 1114, 1206),
    ),
    FAILED: (StoreUnavailable, Again.NO, (1105, 1180)),
    'The server refused a variable of the connection': (
        StoreUnavailable,
        Again.NO,
        (1193, 1231, 1232),
    ),
    'The character set is unknown': (StoreUnavailable, Again.NO, (2019,)),
    'The server logs statements, not rows, and refuses to write what READ '
    'COMMITTED reads': (StoreUnavailable, Again.NO, (1665,)),
    'A trigger of the session table refused the row': (
        StoreUnavailable,
        Again.NO,
        (1644,),
    ),
    'A foreign key between the session table and another refused the change': (
        StoreUnavailable,
        Again.NO,
        (1451, 1452),
    ),
    'The session table is damaged': (StoreUnavailable, Again.NO, (1194,)),
    'it is missing': (SchemaError, Again.NO, (1146,)),
    'it has changed since it was checked (MySQL error {})': (
        SchemaError,
        Again.NO,
        (1054, 1176),
    ),
    'it refuses the row (MySQL error {})': (
        SchemaError,
        Again.NO,
        (1048, 1062, 1364, 1366, 1406, 3140, 3819, 4025),
    ),
    'its row format has no room for the index on the user id (MySQL error {})': (  # noqa: E501
        SchemaError,
        Again.NO,
        (1709,),
    ),
    UNKNOWN: (StoreUnavailable, Again.NO, (1, 1064, 9999, None)),
}
CASES = [
    (code, reason, error, again)
    for reason, (error, again, codes) in MEANINGS.items()
    for code in codes
]
# of which nobody can tell whether the statement was done
DOUBTFUL = {
    *MEANINGS[LOST][2],
    *(1105, 1180, 1317, 1429, 1969, 3024, 3100, 12701),
    *MEANINGS[UNKNOWN][2],
}


@pytest.mark.parametrize(('code', 'reason', 'type_', 'again'), CASES)
def test_number_has_a_type_a_reason_and_advice(code, reason, type_, again):
    verdict = judge(code, '', Phase.WRITING)
    error = verdict.error()

    assert type(error) is type_
    assert verdict.meaning.again is again
    assert reason.format(code) in str(error)
    assert verdict.meaning.advice in str(error)
    assert 'number up' not in str(error)
    if type_ is not SchemaError:
        number = '' if code is None else f' (MySQL error {code})'
        assert str(error) == f'{reason}. {verdict.meaning.advice}{number}'
        assert error.code == code
        assert error.repeatable is (again is not Again.NO)


@pytest.mark.parametrize(
    ('phase', 'code'),
    [
        (phase, code)
        for phase, (code, *_) in itertools.product(Phase, CASES)
        if code not in {1054, 1062, 1146, 1176, 1709}
    ],
)
def test_outcome_is_unknown_only_of_what_may_have_been_committed(phase, code):
    verdict = judge(code, '', phase)

    assert verdict.in_doubt is (phase is Phase.COMMITTING and code in DOUBTFUL)
    error = verdict.error()
    if isinstance(error, StoreUnavailable):
        assert error.outcome_unknown is verdict.in_doubt


@pytest.mark.parametrize(
    'code', [0, 1053, 2001, 2002, 2003, 2005, 2006, 2012, 2013, 2026]
)
def test_connection_that_cannot_be_made_was_never_in_doubt(code):
    verdict = judge(code, '', Phase.CONNECTING)

    assert str(verdict.error()) == (
        f'{UNREACHABLE}. Check mysql_session.host, mysql_session.port, '
        'mysql_session.unix_socket and the ssl settings, and that the server '
        f'runs. (MySQL error {code})'
    )
    assert verdict.meaning.again is Again.ELSEWHERE
    assert not verdict.in_doubt


@pytest.mark.parametrize(
    ('code', 'text', 'reason', 'error', 'again', 'in_doubt'),
    [
        (
            1180,
            'Got error 90 "Message too long" during COMMIT, wsrep_max_ws_rows',
            'The transaction is larger than the cluster replicates at once',
            TransactionTooLarge,
            Again.NO,
            False,
        ),
        (
            1105,
            'Maximum writeset size exceeded',
            'The transaction is larger than the cluster replicates at once',
            TransactionTooLarge,
            Again.NO,
            False,
        ),
        (
            1180,
            'Got error 6 "No such device or address" during COMMIT: Not '
            'connected to Primary Component',
            LEFT,
            StoreUnavailable,
            Again.ELSEWHERE,
            True,
        ),
        (
            1180,
            'Got error 149 during COMMIT',
            CONFLICT,
            LockTimeout,
            Again.AFTER_CONFLICT,
            False,
        ),
        (
            1180,
            'Got error 5 during COMMIT',
            FAILED,
            StoreUnavailable,
            Again.NO,
            True,
        ),
    ],
)
def test_number_of_several_meanings_is_told_by_its_text(
    code, text, reason, error, again, in_doubt
):
    verdict = judge(code, text, Phase.COMMITTING)

    assert verdict.meaning.reason == reason
    assert type(verdict.error()) is error
    assert verdict.meaning.again is again
    assert verdict.in_doubt is in_doubt


def test_read_that_waits_too_long_is_not_told_of_a_row():
    reasons = {phase: judge(1205, '', phase).meaning.reason for phase in Phase}

    assert 'lags behind' in reasons.pop(Phase.READING)
    assert set(reasons.values()) == {
        "Somebody else kept the session's row locked"
    }


@pytest.mark.parametrize('code', [1015, 1036, 1290, 1792, 1836, 1047, 3100])
def test_wrong_server_makes_its_other_connections_useless(code):
    meaning = judge(code, '', Phase.COMMITTING).meaning

    assert meaning.breaks
    assert meaning.spreads
