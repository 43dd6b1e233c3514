"""What holds for all data, whatever it is."""

import copy
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_mysql_session.session.merge import (
    POPPED_KEY,
    clone,
    fingerprint,
    merge,
    same,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(st.text(max_size=2), values, max_size=3)
    ),
    max_leaves=6,
)
# few different keys and values, so that the three versions often meet
VALUES = st.sampled_from([0, 0.0, -0.0, 1, 1.0, True, None, '', 'x']) | JSON
QUEUE_KEYS = ['_f_', '_f_q']
KEYS = st.sampled_from(['a', 'b', *QUEUE_KEYS])
SMALL = st.recursive(
    VALUES,
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(KEYS, values, max_size=2)
    ),
    max_leaves=5,
)


def with_counts(data, counts):
    """Add how many messages were popped of the queues that are there."""
    counts = {key: count for key, count in counts.items() if data.get(key)}
    return data | ({POPPED_KEY: counts} if counts else {})


def without_counts(data):
    return {key: data[key] for key in data if key != POPPED_KEY}


DATA = st.dictionaries(KEYS, SMALL, max_size=3)
QUEUED = st.builds(
    with_counts,
    st.dictionaries(
        st.sampled_from(QUEUE_KEYS),
        st.lists(st.sampled_from('ab'), min_size=1, max_size=3),
    ),
    st.dictionaries(st.sampled_from(QUEUE_KEYS), st.integers(1, 3)),
)


def mutable_objects(value):
    """Return the identities of all dicts and lists in a value."""
    if isinstance(value, dict):
        children = value.values()
    elif isinstance(value, list):
        children = value
    else:
        return set()
    return {id(value)}.union(*map(mutable_objects, children))


class TestLaws:
    @given(DATA, DATA)
    @example({'_f_': [1]}, {'_f_': []})
    @example({'_f_': [1]}, {'_f_': 0})
    @example({'_f_': []}, {})
    def test_side_without_changes_yields(self, base, changed):
        assert same(merge(base, base, changed), changed)
        merged = merge(base, changed, base)
        # what this side popped may be counted from now on
        assert same(without_counts(merged), without_counts(changed))

    @given(QUEUED, QUEUED)
    def test_side_whose_queues_did_not_change_yields(self, base, changed):
        assert same(merge(base, base, changed), changed)
        assert same(
            without_counts(merge(base, changed, base)), without_counts(changed)
        )

    @given(DATA, DATA, DATA, st.none() | KEYS)
    def test_merge_leaves_its_arguments_and_shares_nothing(
        self, base, mine, theirs, userid_key
    ):
        before = copy.deepcopy((base, mine, theirs))

        merged = merge(base, mine, theirs, userid_key)

        assert same((base, mine, theirs), before)
        assert not mutable_objects(merged) & (
            mutable_objects(base)
            | mutable_objects(mine)
            | mutable_objects(theirs)
        )

    @given(DATA, DATA, DATA)
    def test_key_that_nobody_else_changed_is_mine(self, base, mine, theirs):
        merged = merge(base, mine, theirs)

        for key in {*base, *mine} - {*QUEUE_KEYS, POPPED_KEY}:
            if same(base.get(key), theirs.get(key)) and (
                (key in base) == (key in theirs)
            ):
                assert same(merged.get(key), mine.get(key))
                assert (key in merged) == (key in mine)

    @given(DATA | QUEUED, DATA | QUEUED, DATA | QUEUED)
    def test_save_that_meets_nobody_again_changes_nothing(
        self, base, mine, theirs
    ):
        merged = merge(base, mine, theirs)

        # what is merged is mine from now on, and theirs is what was loaded
        assert same(merge(theirs, merged, theirs), merged)
        assert same(merge(merged, merged, merged), merged)

    @given(*3 * [st.dictionaries(st.text(max_size=2), JSON, max_size=3)])
    def test_merge_of_anything_is_data_that_can_be_stored(
        self, base, mine, theirs
    ):
        merged = merge(base, mine, theirs)

        assert same(json.loads(json.dumps(merged)), merged)


class TestSame:
    @pytest.mark.parametrize(
        ('one', 'other'),
        [
            (1, 1.0),
            (1, True),
            (0, False),
            (0.0, -0.0),
            (0, None),
            ('', None),
            ([], {}),
            ([1], (1,)),
            ([1], [True]),
            ([1], [1, 1]),
            ({'a': 1}, {'a': 1.0}),
            ({'a': None}, {'b': None}),
            ({'a': None}, {}),
            ('a', 'A'),
        ],
    )
    def test_values_that_are_stored_differently_are_not_the_same(
        self, one, other
    ):
        assert not same(one, other)
        assert not same(other, one)

    @given(JSON)
    def test_value_is_the_same_as_its_copy(self, value):
        assert same(value, copy.deepcopy(value))

    def test_order_of_keys_is_the_same(self):
        assert same({'a': 1, 'b': 2}, {'b': 2, 'a': 1})

    def test_nan_is_the_same_as_itself(self):
        assert same(float('nan'), float('nan'))

    @given(JSON)
    def test_clone_is_the_same_and_shares_nothing(self, value):
        cloned = clone(value)

        assert same(cloned, value)
        assert not mutable_objects(cloned) & mutable_objects(value)

    @given(JSON, JSON)
    def test_fingerprints_of_values_that_differ_differ(self, one, other):
        assert fingerprint(one) == fingerprint(copy.deepcopy(one))
        if fingerprint(one) == fingerprint(other):
            assert same(one, other)

    def test_what_is_no_plain_data_has_no_fingerprint(self):
        assert fingerprint([1, {2: lambda: None}]) is None

    def test_tuples_and_other_objects_are_compared(self):
        assert same((1, {2}), (1, {2}))
        assert not same((1, {2}), (1, {3}))
