from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_mysql_session.store import revisions

MARKS = 2**48
COUNTS = 2**16

# any count: it wraps around
REVISIONS = st.integers(0, 2**64 - 1) | st.integers(1, 2**50).map(
    lambda number: 2**64 - number
)
# no two of them equal: equal ones, a chance of 2 ** -16, may mislead
DIFFERENT_NUMBERS = st.lists(
    st.integers(0, 2**16 - 1), min_size=11, max_size=11, unique=True
)
OTHERS = st.integers(0, 6)


def chain(revision, numbers):
    """Let one save after the other replace a revision; return the last."""
    for number in numbers:
        with mock.patch.object(
            revisions.secrets, 'randbits', return_value=number
        ):
            revision = revisions.following(revision)
    return revision


def what_happened(start, numbers, others, applied):
    """Return the arguments of ``was_written`` after some saves."""
    loaded = chain(start, numbers[:4])
    attempted = chain(loaded, numbers[4:5])
    stored = chain(attempted if applied else loaded, numbers[5 : 5 + others])
    return attempted, stored


class TestWasWritten:
    @given(REVISIONS, DIFFERENT_NUMBERS, OTHERS)
    def test_save_that_was_applied_is_known_below_two_others(
        self, start, numbers, others
    ):
        known = revisions.was_written(
            *what_happened(start, numbers, others, True)
        )

        assert known is (True if others <= 2 else None)

    @given(REVISIONS, DIFFERENT_NUMBERS, OTHERS)
    def test_save_that_was_not_applied_is_known_below_three_others(
        self, start, numbers, others
    ):
        known = revisions.was_written(
            *what_happened(start, numbers, others, False)
        )

        assert known is (False if others <= 3 else None)

    @given(REVISIONS, DIFFERENT_NUMBERS, st.integers(1, 3))
    def test_nothing_is_told_by_what_is_older_than_what_was_loaded(
        self, start, numbers, lag
    ):
        loaded = chain(start, numbers[:lag])
        attempted = chain(loaded, numbers[4:5])

        assert revisions.was_written(attempted, start) is None

    def test_equal_number_of_another_save_is_mistaken_for_ours(self):
        # the stated chance: the random number of the other save is ours
        attempted = chain(0x1111222233334444, [0x5555])
        stored = chain(0x1111222233334444, [0x5555])

        assert revisions.was_written(attempted, stored)


class TestPrecedes:
    @given(REVISIONS, st.integers(0, 6))
    def test_revision_precedes_those_that_replaced_it(self, start, saves):
        later = chain(start, range(saves))

        assert revisions.precedes(start, later) == (saves > 0)
        assert not revisions.precedes(later, start)

    @pytest.mark.parametrize('count', [0, 1, COUNTS // 2, COUNTS - 1])
    @pytest.mark.parametrize(
        ('distance', 'expected'),
        [
            (0, False),
            (1, True),
            (COUNTS // 2 - 1, True),
            # as far in both directions: RFC 1982 leaves it open
            (COUNTS // 2, False),
            (COUNTS // 2 + 1, False),
            (COUNTS - 1, False),
        ],
    )
    def test_order_is_that_of_serial_numbers(self, count, distance, expected):
        one, other = (
            each % COUNTS * MARKS for each in (count, count + distance)
        )

        assert revisions.precedes(one, other) is expected

    @given(st.integers(0, MARKS - 1), st.integers(0, MARKS - 1))
    def test_marks_do_not_tell_which_is_newer(self, one, other):
        assert not revisions.precedes(one, other)
        assert revisions.precedes(one, MARKS + other)


class TestFollowing:
    def test_following_counts_and_keeps_the_three_latest_numbers(self):
        assert chain(0x1111222233334444, [0x5555]) == 0x1112333344445555

    def test_count_wraps_around(self):
        assert chain(0xFFFF222233334444, [0x5555]) == 0x0000333344445555

    @given(REVISIONS)
    def test_following_fits_the_column(self, revision):
        assert 0 <= revisions.following(revision) < 2**64

    def test_first_counts_nothing_and_has_random_marks(self):
        with mock.patch.object(
            revisions.secrets, 'randbits', side_effect=lambda bits: 2**bits - 1
        ) as randbits:
            first = revisions.first()
            revisions.following(first)

        assert first == MARKS - 1
        assert randbits.call_args_list == [mock.call(48), mock.call(16)]
