from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from pyramid_mysql_session.store import revisions

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


def what_happened(numbers, others, applied):
    """Return the arguments of ``was_written`` after some saves."""
    loaded = chain(0, numbers[:4])
    attempted = chain(loaded, numbers[4:5])
    stored = chain(attempted if applied else loaded, numbers[5 : 5 + others])
    return attempted, loaded, stored


@given(DIFFERENT_NUMBERS, OTHERS)
def test_save_that_was_applied_is_known_below_three_others(numbers, others):
    written = revisions.was_written(*what_happened(numbers, others, True))

    assert written is (True if others <= 3 else None)


@given(DIFFERENT_NUMBERS, OTHERS)
def test_save_that_was_not_applied_is_known_below_three_others(
    numbers, others
):
    written = revisions.was_written(*what_happened(numbers, others, False))

    assert written is (False if others <= 3 else None)


def test_equal_number_of_another_save_is_mistaken_for_ours():
    # the stated chance: the random number of the other save is ours
    attempted = chain(0x1111222233334444, [0x5555])
    stored = chain(0x1111222233334444, [0x5555])

    assert revisions.was_written(attempted, 0x1111222233334444, stored)


def test_following_keeps_the_three_latest_numbers():
    assert chain(0x1111222233334444, [0x5555]) == 0x2222333344445555


def test_first_and_following_fit_the_column():
    with mock.patch.object(
        revisions.secrets, 'randbits', side_effect=lambda bits: 2**bits - 1
    ) as randbits:
        first = revisions.first()
        following = revisions.following(first)

    assert first == following == 2**64 - 1
    assert randbits.call_args_list == [mock.call(64), mock.call(16)]
