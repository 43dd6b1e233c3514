"""Which dicts and lists are changed in place, and which never are."""

import copy
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_mysql_session.session.draft import Draft
from pyramid_mysql_session.session.merge import merge, same
from pyramid_mysql_session.session.serializers import JSONSerializer
from tests.unit.session.values import DATA, Box, extend


@pytest.fixture
def update(containers):
    """
    Call it to make data what a merge gave.

    :param mine: what would be stored of the data; the same by default.
    """

    def update(data, merged, mine=None):
        mine = copy.deepcopy(data) if mine is None else mine
        containers.update(data, mine, copy.deepcopy(merged))

    return update


class TestOwn:
    def test_dicts_and_lists_are_changed_in_place(self, own, update):
        data = own({'dict': {'x': {'y': 1}}, 'list': [1], 'same': [1]})
        objects = data['dict'], data['dict']['x'], data['list'], data['same']
        merged = {
            'new': {'z': 1},
            'dict': {'x': {'y': 2}, 'more': 3},
            'list': [2, 3],
            'same': [1],
        }

        update(data, merged)

        assert same(data, merged)
        assert list(data) == list(merged)
        assert [*map(id, objects)] == [
            *map(
                id,
                (data['dict'], data['dict']['x'], data['list'], data['same']),
            )
        ]

    def test_what_the_merge_added_is_our_own(self, containers, own, update):
        data = own({})

        update(data, {'a': {'b': [1]}})

        assert containers.made(data['a'])
        assert containers.made(data['a']['b'])

    def test_value_of_another_kind_replaces_the_object(self, own, update):
        data = own({'a': [1], 'b': {'x': 1}, 'c': 1})
        items, inner = data['a'], data['b']

        update(data, {'a': {'y': 2}, 'b': 7, 'c': [3]})

        assert same(data, {'a': {'y': 2}, 'b': 7, 'c': [3]})
        assert (items, inner) == ([1], {'x': 1})

    def test_object_that_is_no_longer_there_keeps_its_content(
        self, own, update
    ):
        data = own({'gone': [1], 'stays': 1})
        gone = data['gone']

        update(data, {'stays': 2})

        assert data == {'stays': 2}
        assert gone == [1]

    @pytest.mark.parametrize(
        'value', [1.0, True, pytest.param('1', id='text')]
    )
    def test_value_that_only_equals_the_other_is_taken_over(
        self, own, update, value
    ):
        data = own({'a': {'x': 1}})

        update(data, {'a': {'x': value}})

        assert same(data, {'a': {'x': value}})

    def test_alias_changed_under_one_key_changes_under_both(self, own, update):
        data = own({'a': [1]})
        data['b'] = data['a']

        update(data, {'a': [1, 2], 'b': [1]})

        assert data == {'a': [1, 2], 'b': [1, 2]}
        assert data['a'] is data['b']

    def test_alias_changed_under_both_keys_takes_both_changes(
        self, own, update
    ):
        data = own({'a': {'x': 1}, 'c': [1]})
        data['b'], data['d'] = data['a'], data['c']
        alias, items = data['a'], data['c']

        update(
            data,
            {
                'a': {'x': 2},
                'b': {'x': 1, 'y': 3},
                'c': [1, 2],
                'd': [1, 3],
            },
        )

        assert data['a'] is data['b'] is alias
        assert alias == {'x': 2, 'y': 3}
        assert data['c'] is data['d'] is items
        assert sorted(items) == [1, 2, 3]

    def test_list_in_an_alias_changed_under_both_keys_has_no_doubles(
        self, own, update
    ):
        data = own({'a': {'x': [1]}})
        data['b'] = data['a']

        update(data, {'a': {'x': [1, 2]}, 'b': {'x': [1, 3]}})

        assert sorted(data['a']['x']) == [1, 2, 3]

    def test_alias_replaced_under_one_key_changes_under_the_other(
        self, own, update
    ):
        data = own({'a': [1]})
        data['b'] = items = data['a']

        update(data, {'a': 7, 'b': [1, 2]})

        assert data == {'a': 7, 'b': [1, 2]}
        assert data['b'] is items

    def test_alias_that_is_gone_under_one_key_stays_under_the_other(
        self, own, update
    ):
        data = own({'a': [1]})
        data['b'] = items = data['a']

        update(data, {'b': [1, 2]})

        assert data == {'b': [1, 2]}
        assert data['b'] is items


class TestItems:
    """Items of a list are what they are by their content."""

    @pytest.fixture
    def data(self, own):
        return own({'list': [{'n': 1}, {'n': 2}, {'n': 2}]})

    @pytest.mark.parametrize(
        ('merged', 'places'),
        [
            # where the items of before are then; None for a new one
            ([0, 1, 2, 2], [None, 0, 1, 2]),
            ([1, 2, 2, 3], [0, 1, 2, None]),
            ([2, 2], [1, 2]),
            ([2, 1], [1, 0]),
            ([3, 2], [None, 1]),
            ([2, 2, 2], [1, 2, None]),
        ],
    )
    def test_item_stays_the_object_that_it_was_wherever_it_is(
        self, data, update, merged, places
    ):
        before = list(data['list'])

        update(data, {'list': [{'n': n} for n in merged]})

        assert data == {'list': [{'n': n} for n in merged]}
        for item, place in zip(data['list'], places, strict=True):
            if place is None:
                assert not any(item is other for other in before)
            else:
                assert item is before[place]
        assert before == [{'n': 1}, {'n': 2}, {'n': 2}]

    def test_item_that_is_no_plain_data_goes_by_its_content(self, own, update):
        data = own({'list': [Box(1), {'box': Box(2)}, {'box': Box(4)}]})
        inner, other = data['list'][1:]

        update(data, {'list': [0, Box(1), {'box': Box(3)}, {'box': Box(2)}]})

        assert data == {'list': [0, Box(1), {'box': Box(3)}, {'box': Box(2)}]}
        assert data['list'][3] is inner
        assert other == {'box': Box(4)}


class TestKeys:
    def test_key_that_json_makes_text_stays_the_number_that_it_is(
        self, own, update
    ):
        data = own({'dict': {1: [1], 2: 'b', None: 'c', 3: 'gone'}})
        inner, items = data['dict'], data['dict'][1]

        update(
            data,
            {'dict': {'1': [1, 2], '4': 'd', '2': 'x', 'null': 'c'}},
            json.loads(json.dumps(data)),
        )

        assert data['dict'] is inner
        assert inner == {1: [1, 2], '4': 'd', 2: 'x', None: 'c'}
        assert inner[1] is items

    def test_serializer_may_put_keys_in_another_order(self, own, update):
        data = own({'b': 1, 'a': 2})

        update(data, {'a': 9, 'b': 1}, {'a': 2, 'b': 1})

        assert data == {'a': 9, 'b': 1}

    def test_session_whose_keys_become_one_takes_what_was_merged(
        self, own, update
    ):
        data = own({1: 'a', '1': 'b'})

        update(data, {'1': 'b', 'theirs': 1}, json.loads(json.dumps(data)))

        assert data == {'1': 'b', 'theirs': 1}

    def test_dict_whose_keys_become_one_is_changed_in_place(self, own, update):
        data = own({'dict': {1: 'a', '1': 'b'}})
        before = data['dict']

        update(data, {'dict': {'1': 'x'}}, json.loads(json.dumps(data)))

        assert data == {'dict': {'1': 'x'}}
        assert before is data['dict']


class TestForeign:
    """What the application put into a session is never changed."""

    @pytest.fixture
    def data(self, own):
        return own({'own': [1]})

    def test_foreign_object_is_replaced_where_it_was_changed(
        self, containers, data, update
    ):
        data['foreign'] = foreign = {'x': 1}

        update(data, {'own': [1], 'foreign': {'x': 2}})

        assert data == {'own': [1], 'foreign': {'x': 2}}
        assert foreign == {'x': 1}
        assert data['foreign'] is not foreign
        assert containers.made(data['foreign'])

    def test_foreign_object_stays_where_nothing_was_changed(
        self, data, update
    ):
        data['foreign'] = foreign = {'x': [1]}

        update(data, {'own': [1, 2], 'foreign': {'x': [1]}})

        assert data['own'] == [1, 2]
        assert data['foreign'] is foreign

    def test_nested_parts_stay_as_far_as_they_are_equal(
        self, containers, data, update
    ):
        foreign = {'a': [1, {'x': 1}], 'b': {'c': [2]}, 'd': [{'e': 3}]}
        before = copy.deepcopy(foreign)
        data['foreign'] = foreign
        merged = copy.deepcopy(data)
        merged['foreign']['a'].append(2)
        merged['foreign']['d'][0]['e'] = 4

        update(data, merged)

        assert same(data, merged)
        assert same(foreign, before)
        assert data['foreign']['b'] is foreign['b']
        assert data['foreign']['a'][1] is foreign['a'][1]
        assert data['foreign']['d'][0] is not foreign['d'][0]
        assert containers.made(data['foreign'])
        assert containers.made(data['foreign']['d'][0])

    def test_foreign_alias_is_replaced_under_one_key_only(self, data, update):
        data['a'] = data['b'] = foreign = [1]

        update(data, {'own': [1], 'a': [1, 2], 'b': [1]})

        assert data == {'own': [1], 'a': [1, 2], 'b': [1]}
        assert data['b'] is foreign

    def test_foreign_alias_changed_under_both_keys_becomes_two(
        self, data, update
    ):
        data['a'] = data['b'] = foreign = [1]

        update(data, {'own': [1], 'a': [1, 2], 'b': [1, 3]})

        assert data == {'own': [1], 'a': [1, 2], 'b': [1, 3]}
        assert foreign == [1]

    def test_foreign_item_of_our_own_list_is_replaced(self, data, update):
        foreign = {'x': [1]}
        data['own'].append(foreign)
        items = data['own']

        update(data, {'own': [1, {'x': [2]}]})

        assert data == {'own': [1, {'x': [2]}]}
        assert data['own'] is items
        assert foreign == {'x': [1]}

    def test_our_own_in_a_foreign_object_is_changed_in_place(
        self, data, update
    ):
        items = data['own']
        data['foreign'] = foreign = {'inner': items, 'x': 1}

        update(
            data, {'own': [1], 'foreign': {'inner': [1, 2], 'x': 1, 'y': 2}}
        )

        assert data['own'] is data['foreign']['inner'] is items
        assert items == [1, 2]
        assert data['foreign'] is not foreign
        assert 'y' not in foreign

    def test_tuple_that_json_makes_a_list_keeps_what_is_in_it(
        self, data, update
    ):
        data['tuple'] = value = (data['own'], {'x': 1}, 2)
        mine = json.loads(json.dumps(data))

        update(data, {'own': [1], 'tuple': [[1], {'x': 1}, 2, 3]}, mine)

        assert data['tuple'] == [[1], {'x': 1}, 2, 3]
        assert data['tuple'][0] is data['own']
        assert data['tuple'][1] is value[1]

    def test_dict_of_another_class_stays_one(self, data, update):
        data['foreign'] = foreign = Counter(a=1)

        update(data, {'own': [1], 'foreign': Counter(a=1, b=2)})

        assert data['foreign'] == Counter(a=1, b=2)
        assert type(data['foreign']) is Counter
        assert foreign == Counter(a=1)

    @given(DATA, DATA, DATA, st.booleans())
    def test_update_gives_what_was_merged_and_leaves_the_foreign(
        self, base, put, theirs, change_own
    ):
        draft = Draft(JSONSerializer(), 'userid')
        draft.data = draft.decode(json.dumps(base))
        draft.hand_out_all()
        if change_own:
            extend(draft.data)
        for key, value in put.items():
            draft.put_in(key, value)
        before = copy.deepcopy(put)
        mine = copy.deepcopy(draft.data)

        draft.update(json.dumps(theirs))

        assert same(draft.data, merge(base, mine, theirs))
        assert same(put, before)
