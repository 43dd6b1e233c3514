"""The laws of the merge, and the cases that the documentation lists."""

import copy
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_mysql_session.session.merge import merge, same

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
KEYS = st.sampled_from(['a', 'b', '_f_', '_f_q'])
SMALL = st.recursive(
    VALUES,
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(KEYS, values, max_size=2)
    ),
    max_leaves=5,
)
DATA = st.dictionaries(KEYS, SMALL, max_size=3)


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
        assert same(merge(base, changed, base), changed)

    @given(DATA, DATA, DATA)
    def test_merge_leaves_its_arguments_and_shares_nothing(
        self, base, mine, theirs
    ):
        before = copy.deepcopy((base, mine, theirs))

        merged = merge(base, mine, theirs)

        assert same((base, mine, theirs), before)
        assert not mutable_objects(merged) & (
            mutable_objects(base)
            | mutable_objects(mine)
            | mutable_objects(theirs)
        )

    @given(DATA, DATA, DATA)
    def test_key_that_nobody_else_changed_is_mine(self, base, mine, theirs):
        merged = merge(base, mine, theirs)

        for key in {*base, *mine} - {'_f_', '_f_q'}:
            if same(base.get(key), theirs.get(key)) and (
                (key in base) == (key in theirs)
            ):
                assert same(merged.get(key), mine.get(key))
                assert (key in merged) == (key in mine)

    @given(DATA, DATA, DATA)
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

    def test_tuples_and_other_objects_are_compared(self):
        assert same((1, {2}), (1, {2}))
        assert not same((1, {2}), (1, {3}))


# base, mine, theirs, merged; without a value the key is missing
CASES = {
    'nobody changed it': ([1], [1], [1], [1]),
    'only I changed it': ([1], [2], [1], [2]),
    'only they changed it': ([1], [1], [2], [2]),
    'both changed it alike': ([1], [2], [2], [2]),
    'both changed it: the later save wins': ([1], [2], [3], [2]),
    'only I added it': ([], [2], [], [2]),
    'only they added it': ([], [], [3], [3]),
    'both added it: the later save wins': ([], [2], [3], [2]),
    'only I deleted it': ([1], [], [1], []),
    'only they deleted it': ([1], [1], [], []),
    'both deleted it': ([1], [], [], []),
    'deleted here, changed there': ([1], [], [3], []),
    'changed here, deleted there': ([1], [2], [], [2]),
    'both appended': ([[1]], [[1, 2]], [[1, 3]], [[1, 3, 2]]),
    'both appended to nothing': ([], [[2]], [[3]], [[3, 2]]),
    'both appended the same': ([[]], [[2]], [[2]], [[2, 2]]),
    'only one appended': ([[1]], [[1]], [[1, 3]], [[1, 3]]),
    'appended here, removed there': ([[1]], [[1, 2]], [[]], [[1, 2]]),
    'removed here, appended there': ([[1]], [[]], [[1, 3]], [[]]),
    'both inserted at the front': ([[1]], [[2, 1]], [[3, 1]], [[2, 1]]),
    'list here, other thing there': ([[1]], [[1, 2]], ['x'], [[1, 2]]),
    'two keys of a dict': (
        [{'x': 1, 'y': 1}],
        [{'x': 2, 'y': 1}],
        [{'x': 1, 'y': 3}],
        [{'x': 2, 'y': 3}],
    ),
    'keys at any depth': (
        [{'d': {'x': {}}}],
        [{'d': {'x': {'mine': 2}}}],
        [{'d': {'x': {'theirs': 3}}}],
        [{'d': {'x': {'theirs': 3, 'mine': 2}}}],
    ),
    'two new dicts': (
        [],
        [{'mine': 2}],
        [{'theirs': 3}],
        [{'theirs': 3, 'mine': 2}],
    ),
    'a value that became two dicts': (
        ['x'],
        [{'mine': 2}],
        [{'theirs': 3}],
        [{'theirs': 3, 'mine': 2}],
    ),
    'a dict here, other thing there': ([{}], [{'x': 1}], ['x'], [{'x': 1}]),
    'one and true are two values': ([1], [True], [1.0], [True]),
}

# the same for a flash queue
QUEUES = {
    'both pushed': ([['a']], [['a', 'm']], [['a', 't']], [['a', 't', 'm']]),
    'both pushed the first': ([], [['m']], [['t']], [['t', 'm']]),
    'popped here, pushed there': ([['a']], [], [['a', 't']], [['t']]),
    'pushed here, popped there': ([['a']], [['a', 'm']], [], [['m']]),
    'popped and pushed here, pushed there': (
        [['a']],
        [['m']],
        [['a', 't']],
        [['t', 'm']],
    ),
    'pushed here, popped and pushed there': (
        [['a']],
        [['a', 'm']],
        [['t']],
        [['t', 'm']],
    ),
    'both popped and pushed': ([['a']], [['m']], [['t']], [['t', 'm']]),
    'both popped': ([['a']], [], [], []),
    # as after a first merge: mine has what others had pushed meanwhile
    'popped a part here, all there': ([['a', 'b']], [['b', 'm']], [], [['m']]),
    'popped a part here and there': (
        [['a', 'b', 'c']],
        [['b', 'c', 'm']],
        [['c', 't']],
        [['c', 't', 'm']],
    ),
    'popped all there, a part here': ([['a', 'b']], [['b']], [], []),
    'popped here only': ([['a', 'b']], [], [['a', 'b']], []),
    'popped there only': ([['a', 'b']], [['a', 'b']], [], []),
    'no queue at all': (['x'], [0], [['t']], [0]),
}


def as_data(values, key):
    """Return session data; ``values`` has no more than one."""
    return dict.fromkeys(['other']) | dict(zip([key], values, strict=False))


@pytest.mark.parametrize('case', CASES)
def test_key_is_merged(case):
    *versions, expected = (as_data(values, 'key') for values in CASES[case])

    assert same(merge(*versions), expected)


@pytest.mark.parametrize('case', QUEUES)
@pytest.mark.parametrize('key', ['_f_', '_f_errors'])
def test_flash_queue_is_merged(case, key):
    *versions, expected = (as_data(values, key) for values in QUEUES[case])

    assert same(merge(*versions), expected)


def test_merge_keeps_the_stored_order_of_keys():
    merged = merge({'a': 1}, {'mine': 2, 'a': 1}, {'b': 3, 'a': 1})

    assert list(merged) == ['b', 'a', 'mine']


def test_merge_of_keys_that_are_no_text_works():
    assert merge({1: 'a'}, {1: 'b'}, {1: 'a', 2: 'c'}) == {1: 'b', 2: 'c'}
