"""The soak test, and tests that its model notices what it looks for."""

import pytest

from tests.faults import soak_model
from tests.faults.soak import Soak
from tests.faults.soak_worker import Operation

BEGINNING = {'name': 'by 0', 'tree': {}, 'log': [], 'count': 0, 'counted': []}


@pytest.mark.soak
def test_every_acknowledged_change_is_there_exactly_once(database, request):
    soak = Soak(database)
    soak.run(request.config.getoption('--soak-seconds', default=10))

    print(f'\n{database.server.kind}\n{soak.report()}')
    assert soak.faults == [], soak.report()
    assert soak.figures['operations'] > 100
    assert soak.figures['conflicts merged'] > 0
    assert soak.figures['kills'] > 0


def operation(kind, began, outcome='done', seen=None, target=None):
    """Return one that took a second; its number is when it began."""
    name = '' if kind == 'log_in' else 'by 0'
    made = Operation(began, name, kind, target)
    made.began, made.ended = began, began + 1
    made.outcome, made.seen = outcome, seen
    return made


LOG_IN = operation('log_in', 0)
SET = operation('set_key', 2)
DELETE = operation('delete_key', 4, target='k2')
APPEND = operation('append', 2)
FLASH = operation('flash', 2)
POP = operation('pop_flash', 4, seen=[2])
LOG_OUT = operation('log_out', 2)
AGAIN = operation('log_in_again', 2, 'error')

FAULTLESS = {
    'nothing': ([], {}),
    'set': ([SET], {'k2': True}),
    'set and deleted': ([SET, DELETE], {}),
    'appended': ([APPEND], {'log': [2]}),
    'flashed': ([FLASH], {'_f_': [2]}),
    'flashed and popped': ([FLASH, POP], {}),
    'error, not done': ([operation('append', 2, 'error')], {}),
    'error, done': ([operation('append', 2, 'error')], {'log': [2]}),
    'logged out': ([LOG_OUT], None),
    'gone after the log-out': ([LOG_OUT, operation('read', 4, 'gone')], None),
    'nobody told about the log-in': ([AGAIN], {}),
    'seen': (
        [SET, operation('read', 4, seen={**BEGINNING, 'k2': True})],
        {'k2': True},
    ),
    'renewed and logged out at once': (
        [operation('renew', 1.5), LOG_OUT],
        {'k1.5': True},
    ),
}
FAULTS = {
    'session is gone': ([], None, soak_model.LOSS),
    'key is gone': ([SET], {}, soak_model.LOSS),
    'nested key is gone': ([operation('set_nested', 2)], {}, soak_model.LOSS),
    'append is gone': ([APPEND], {}, soak_model.LOSS),
    'second half is gone': (
        [operation('append_and_save', 2)],
        {'log': [2]},
        soak_model.LOSS,
    ),
    'increment is gone': (
        [operation('increment', 2, seen=1)],
        {},
        soak_model.LOSS,
    ),
    'increments had the same result': (
        [operation('increment', n, seen=1) for n in (2, 4)],
        {'count': 2, 'counted': [2, 4]},
        soak_model.LOSS,
    ),
    'count is wrong': ([], {'count': 1}, soak_model.LOSS),
    'flash is gone': ([FLASH], {}, soak_model.LOSS),
    'gone without a reason': (
        [operation('read', 2, 'gone')],
        {},
        soak_model.LOSS,
    ),
    'lost without a reason': (
        [operation('append', 2, 'lost')],
        {},
        soak_model.LOSS,
    ),
    'not seen': (
        [SET, operation('read', 4, seen=BEGINNING)],
        {'k2': True},
        soak_model.LOSS,
    ),
    "somebody else's session": (
        [operation('read', 2, 'alien')],
        {},
        soak_model.LOSS,
    ),
    'no typed error': (
        [operation('set_key', 2, 'crash')],
        {},
        soak_model.LOSS,
    ),
    'neither old nor new session': ([AGAIN], None, soak_model.LOSS),
    'appended twice': ([APPEND], {'log': [2, 2]}, soak_model.DUPLICATE),
    'flashed twice': ([FLASH], {'_f_': [2, 2]}, soak_model.DUPLICATE),
    'popped twice': (
        [FLASH, POP, operation('pop_flash', 6, seen=[2])],
        {},
        soak_model.DUPLICATE,
    ),
    'popped twice under the lock': (
        [
            operation('flash_once', 2),
            operation('pop_once', 4, seen=[2]),
            operation('pop_once', 4.5, seen=[2]),
        ],
        {},
        soak_model.DUPLICATE,
    ),
    'popped and there': ([FLASH, POP], {'_f_': [2]}, soak_model.RESURRECTION),
    'deleted key is there': (
        [SET, DELETE],
        {'k2': True},
        soak_model.RESURRECTION,
    ),
    'logged out and there': ([LOG_OUT], {}, soak_model.RESURRECTION),
    'used after the log-out': (
        [LOG_OUT, operation('append', 4)],
        None,
        soak_model.RESURRECTION,
    ),
    'change of one who found no session': (
        [LOG_OUT, operation('append', 1.5, 'gone')],
        {'log': [1.5]},
        soak_model.RESURRECTION,
    ),
    'nobody created it': ([], {'name': 'by 9'}, soak_model.RESURRECTION),
}


def check(operations, data):
    rows = [] if data is None else [{**BEGINNING, **data}]
    return {kind for kind, _ in soak_model.check([LOG_IN, *operations], rows)}


@pytest.mark.parametrize('case', FAULTLESS)
def test_model_of_a_right_history_finds_nothing(case):
    assert check(*FAULTLESS[case]) == set()


@pytest.mark.parametrize('case', FAULTS)
def test_model_of_a_wrong_history_finds_the_fault(case):
    *history, fault = FAULTS[case]

    assert fault in check(*history)


def test_model_of_two_rows_of_one_session_finds_a_duplicate():
    faults = soak_model.check([LOG_IN], [BEGINNING, BEGINNING])

    assert {kind for kind, _ in faults} == {soak_model.DUPLICATE}
