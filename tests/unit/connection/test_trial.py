"""How often, and how long, work is done again."""

import logging

import pytest

from pyramid_mysql_session.connection import trial as trial_module
from pyramid_mysql_session.connection.errors import Phase, judge
from pyramid_mysql_session.connection.trial import (
    BROKEN_ATTEMPTS,
    CONFLICT_ATTEMPTS,
    Limits,
    Outage,
    Trial,
)
from pyramid_mysql_session.errors import (
    LockTimeout,
    PayloadTooLarge,
    SchemaError,
    StoreUnavailable,
)

LIMITS = Limits(wait=10, lock=5, patience=3)
LOST = judge(2013, '', Phase.COMMITTING)
UNREACHABLE = judge(2002, '', Phase.CONNECTING)
READ_ONLY = judge(1290, '', Phase.COMMITTING)
DEADLOCK = judge(1213, '', Phase.COMMITTING)
LOCKED = judge(1205, '', Phase.COMMITTING)
REFUSED = judge(1045, '', Phase.CONNECTING)


class Time:
    """Time that passes only when somebody sleeps or a test moves it."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def time(monkeypatch):
    time = Time()
    monkeypatch.setattr(trial_module, 'time', time)
    return time


@pytest.fixture
def outage(time):
    return Outage(LIMITS.wait)


def a_trial(outage):
    return Trial(LIMITS, outage, trial_module.time.monotonic())


def attempts(trial, verdict, time=None, takes=0.0, idle_for=0.0, known=True):
    """Return how often work is tried that always meets the same error."""
    for number in range(1, 1000):
        if time is not None:
            time.now += takes
        if not trial.again(verdict, idle_for, known):
            return number
        trial.pause()
    raise AssertionError('it never ends')


class TestAttempts:
    @pytest.mark.parametrize(
        ('verdict', 'number'),
        [
            (REFUSED, 1),
            (LOST, BROKEN_ATTEMPTS),
            (DEADLOCK, CONFLICT_ATTEMPTS),
        ],
    )
    def test_number_is_bounded(self, outage, verdict, number):
        assert attempts(a_trial(outage), verdict) == number

    def test_answer_that_took_too_long_is_not_waited_for_again(
        self, outage, time
    ):
        assert attempts(a_trial(outage), LOST, time, takes=3) == 1

    def test_idle_connection_may_have_been_dropped_and_is_tried_again_once(
        self, outage, time
    ):
        trial = a_trial(outage)

        assert attempts(trial, LOST, time, takes=3, idle_for=2) == 2

    def test_lock_is_waited_for_so_long(self, outage, time):
        began = time.now

        assert attempts(a_trial(outage), LOCKED, time, takes=1) > 1
        assert LIMITS.lock <= time.now - began < LIMITS.lock + 1.1

    @pytest.mark.parametrize('verdict', [UNREACHABLE, READ_ONLY])
    def test_server_is_waited_for_so_long(self, outage, time, verdict):
        began = time.now

        assert attempts(a_trial(outage), verdict, time) > 5
        assert LIMITS.wait <= time.now - began < LIMITS.wait + 1

    def test_attempts_that_take_longer_than_the_wait_end(self, outage, time):
        assert attempts(a_trial(outage), UNREACHABLE, time, 11) == 1
        assert attempts(a_trial(outage), UNREACHABLE, time, 11) == 1

    def test_server_that_was_never_reached_is_not_waited_for(self, outage):
        trial = a_trial(outage)

        assert attempts(trial, UNREACHABLE, known=False) == 1


class TestOutage:
    def test_all_wait_for_the_same_moment_and_then_try_once(
        self, outage, time
    ):
        began = time.now
        attempts(a_trial(outage), READ_ONLY, time)
        waited = time.now - began

        for _ in range(3):
            assert attempts(a_trial(outage), READ_ONLY, time) == 1
        assert time.now - began == waited

    def test_write_ends_one_of_writes_and_a_read_does_not(self, outage, time):
        attempts(a_trial(outage), READ_ONLY, time)

        outage.over(False)
        assert attempts(a_trial(outage), READ_ONLY, time) == 1
        outage.over(True)
        assert attempts(a_trial(outage), READ_ONLY, time) > 1

    def test_read_ends_one_without_any_server(self, outage, time):
        attempts(a_trial(outage), UNREACHABLE, time)

        outage.over(False)

        assert attempts(a_trial(outage), UNREACHABLE, time) > 1

    def test_one_long_after_another_is_a_new_one(self, outage, time):
        attempts(a_trial(outage), READ_ONLY, time)
        time.now += 10 * LIMITS.wait + 1

        assert attempts(a_trial(outage), READ_ONLY, time) > 1

    def test_thread_that_finds_it_over_disturbs_nobody_who_notices_it(
        self, outage, monkeypatch
    ):
        monkeypatch.setattr(
            trial_module.log, 'warning', lambda *args: outage.over(True)
        )

        assert a_trial(outage).again(READ_ONLY, 0, True)
        assert not outage.lasts

    def test_beginning_and_end_are_a_line_each(self, outage, time, caplog):
        caplog.set_level(logging.INFO)
        for _ in range(3):
            attempts(a_trial(outage), READ_ONLY, time)
        for _ in range(2):
            outage.over(True)

        assert [record.levelname for record in caplog.records] == [
            'WARNING',
            'INFO',
        ]


class TestDoubt:
    def in_doubt(self, outage):
        trial = a_trial(outage)
        trial.again(LOST, 0, True)
        return trial

    @pytest.mark.parametrize('last', [UNREACHABLE, LOCKED, DEADLOCK, REFUSED])
    def test_later_error_does_not_hide_the_doubt(self, outage, last):
        trial = self.in_doubt(outage)
        trial.again(last, 0, True)

        error = trial.error(last.error())

        assert isinstance(error, StoreUnavailable)
        assert error.outcome_unknown
        assert error.code == last.code

    def test_error_that_knows_no_doubt_gives_way_to_the_first(self, outage):
        trial = self.in_doubt(outage)

        error = trial.error(SchemaError('It', [], ''))

        assert error.outcome_unknown
        assert error.code == 2013

    def test_statement_that_is_too_large_was_not_executed(self, outage):
        error = PayloadTooLarge('It', 2, 1, '')

        assert self.in_doubt(outage).error(error) is error

    @pytest.mark.parametrize('verdict', [UNREACHABLE, LOCKED, DEADLOCK])
    def test_certain_failure_is_no_doubt(self, outage, verdict):
        trial = a_trial(outage)
        trial.again(verdict, 0, True)

        error = trial.error(verdict.error())

        assert not error.outcome_unknown

    def test_deadlock_is_for_pyramid_retry(self):
        interfaces = pytest.importorskip('pyramid_retry')

        assert interfaces.IRetryableError.providedBy(DEADLOCK.error())
        assert isinstance(DEADLOCK.error(), LockTimeout)
        for verdict in (LOST, UNREACHABLE, READ_ONLY, LOCKED, REFUSED):
            assert not interfaces.IRetryableError.providedBy(verdict.error())
