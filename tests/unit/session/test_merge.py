"""What the documentation says of a merge, case by case."""

import pytest

from pyramid_mysql_session.session.merge import (
    MOST_LEVELS,
    POPPED_KEY,
    clone,
    combine,
    merge,
    popped,
    same,
)

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

    merged = merge(*versions)
    # it may count what was popped
    merged.pop(POPPED_KEY, None)
    assert same(merged, expected)


def test_merge_keeps_the_stored_order_of_keys():
    merged = merge({'a': 1}, {'mine': 2, 'a': 1}, {'b': 3, 'a': 1})

    assert list(merged) == ['b', 'a', 'mine']


def test_merge_of_keys_that_are_no_text_works():
    assert merge({1: 'a'}, {1: 'b'}, {1: 'a', 2: 'c'}) == {1: 'b', 2: 'c'}


def test_versions_of_one_value_are_combined_like_those_of_a_key():
    assert combine([1], [1, 'mine'], [1, 'theirs']) == [1, 'theirs', 'mine']
    assert combine({}, {'a': 1}, {'b': 2}) == {'a': 1, 'b': 2}
    assert combine(0, 1, 2) == 1


# base, mine, theirs, merged; a side that popped all of the base and filled
# the queue again is underlined
REFILLED = {
    'here, while others pushed': ('a', 'a_', 'at', 'ta'),
    'there, while we pushed': ('a', 'am', 'a_', 'am'),
    'here, while others popped': ('a', 'a_', '', 'a'),
    'there, while we popped': ('a', '', 'a_', 'a'),
    'here, while others popped a part': ('ab', 'ab_', 'b', 'ab'),
    'here and there': ('a', 'a_', 'a_', 'aa'),
    'here only': ('ab', 'ab_', 'ab', 'ab'),
    'there only': ('ab', 'ab', 'ab_', 'ab'),
    'here with more': ('a', 'abm_', 'at', 'tabm'),
    'here with less': ('ab', 'b_', 'abt', 'tb'),
}


@pytest.mark.parametrize('case', REFILLED)
@pytest.mark.parametrize('key', ['_f_', '_f_errors'])
@pytest.mark.parametrize('before', [0, 3])
def test_flash_queue_that_was_popped_and_filled_again_is_merged(
    case, key, before
):
    *versions, expected = REFILLED[case]

    def data(letters):
        if not letters:
            return {}
        queue = {key: [*letters.rstrip('_')]}
        count = before + letters.endswith('_') * len(versions[0])
        return queue | ({POPPED_KEY: {key: count}} if count else {})

    assert merge(*map(data, versions))[key] == [*expected]


def test_count_of_a_queue_that_is_empty_is_kept():
    base = {'_f_': ['a'], POPPED_KEY: {'_f_': 3}}
    mine = {'m': 1, POPPED_KEY: {'_f_': 4}}

    assert merge(base, mine, base | {'t': 1}) == {**mine, 't': 1}


@pytest.mark.parametrize(
    ('base', 'queue', 'count'),
    [
        ('', '', 0),
        ('ab', 'ab', 0),
        ('ab', 'abc', 0),
        ('ab', 'b', 1),
        ('ab', 'bc', 1),
        ('ab', '', 2),
        ('ab', 'c', 2),
        ('ab', 'ba', 1),
        ('aa', 'a', 1),
    ],
)
def test_messages_that_are_missing_at_the_head_were_popped(base, queue, count):
    assert popped([*base], [*queue]) == count


def test_dict_of_a_class_with_arguments_is_merged():
    class Cart(dict):
        def __init__(self, owner):
            self.owner = owner

    cart = Cart('ada')

    merged = merge({'cart': cart}, {'cart': cart, 'm': 1}, {'cart': cart})

    assert merged['cart'].owner == 'ada'


class TestUsers:
    """Whose data a merge gives."""

    @staticmethod
    def merged(*users):
        """Merge data of three users, ``None`` for nobody."""
        versions = [
            {name: True} | ({} if user is None else {'who': user})
            for name, user in zip(
                ('base', 'mine', 'theirs'), users, strict=True
            )
        ]
        versions[1]['base'] = versions[2]['base'] = True
        return merge(*versions, 'who')

    @pytest.mark.parametrize(
        'users',
        [
            (None, 'ada', 'bob'),
            ('eve', 'ada', 'bob'),
            ('ada', None, 'bob'),
            ('ada', 'bob', None),
            ('1', 1, 1.0),
        ],
    )
    def test_two_log_ins_that_differ_do_not_mix(self, users):
        expected = {'base': True, 'mine': True}
        if users[1] is not None:
            expected['who'] = users[1]

        assert same(self.merged(*users), expected)

    @pytest.mark.parametrize(
        ('users', 'user'),
        [
            ((None, None, None), None),
            ((None, 'ada', None), 'ada'),
            ((None, None, 'bob'), 'bob'),
            ((None, 'ada', 'ada'), 'ada'),
            (('eve', 'ada', 'ada'), 'ada'),
            (('ada', 'ada', None), None),
            (('ada', None, 'ada'), None),
            (('ada', None, None), None),
        ],
    )
    def test_log_ins_that_do_not_contradict_are_merged(self, users, user):
        merged = self.merged(*users)

        assert merged.pop('who', None) == user
        assert merged == {'base': True, 'mine': True, 'theirs': True}

    def test_user_id_is_a_key_like_any_other_without_its_name(self):
        versions = {}, {'who': 'ada', 'm': 1}, {'who': 'bob', 't': 2}

        assert merge(*versions) == {'who': 'ada', 'm': 1, 't': 2}


class TestDepth:
    """Data of more levels than Python's stack has."""

    LEVELS = 3000

    def nested(self, marks=(), leaf=0):
        """Return dicts that are nested, and the levels of some keys."""
        value = {'leaf': [leaf]}
        for level in reversed(range(self.LEVELS)):
            value = {'x': value} | {
                name: 1 for name, at in marks if at == level
            }
        return value

    def test_deep_values_are_compared_and_copied(self):
        one, other = self.nested(), self.nested()

        assert same(one, other)
        assert same(clone(one), other)
        assert not same(one, self.nested(leaf=1))
        assert not same(clone(one), self.nested([('m', 7)]))

    def test_deep_values_are_merged_down_to_the_limit(self):
        within, below = MOST_LEVELS - 2, MOST_LEVELS + 2
        mine = [('m', within), ('also', below)]

        merged = merge(
            self.nested(),
            self.nested(mine),
            self.nested([('t', within), ('lost', below)], leaf=1),
        )

        assert same(merged, self.nested([*mine, ('t', within)]))

    def test_deep_values_in_a_flash_queue_are_merged(self):
        deep = self.nested()

        merged = merge({'_f_': [deep]}, {}, {'_f_': [self.nested(), deep]})

        assert same(merged['_f_'], [deep])
