"""How data comes back as it was, whoever holds parts of it."""

import copy
import pickle
from collections import namedtuple
from functools import partial

import pytest
from hypothesis import given

from pyramid_mysql_session.session.containers import Containers
from pyramid_mysql_session.session.merge import same
from pyramid_mysql_session.session.serializers import freeze, thaw
from pyramid_mysql_session.session.snapshot import Snapshot
from tests.unit.session.values import DATA, Box, extend

Point = namedtuple('Point', 'x y')


@pytest.fixture
def snapshot():
    return lambda data: Snapshot(data, partial(freeze, pickle))


@pytest.fixture
def restore(containers):
    return lambda snapshot: snapshot.restore(containers, partial(thaw, pickle))


def test_our_own_is_changed_back_in_place(own, snapshot, restore):
    data = own({'list': [1, {'x': 1}], 'dict': {'a': 1}, 'gone': [2]})
    objects = data, data['list'], data['list'][1], data['dict']
    before = copy.deepcopy(data)
    taken = snapshot(data)
    extend(data)
    del data['gone'], data['list'][0]
    data['new'] = 1

    restored = restore(taken)

    assert same(restored, before)
    assert [*map(id, objects)] == [
        *map(
            id,
            (
                restored,
                restored['list'],
                restored['list'][1],
                restored['dict'],
            ),
        )
    ]


def test_foreign_object_that_was_changed_is_replaced(
    containers, own, snapshot, restore
):
    data = own({})
    data['changed'], data['same'] = changed, unchanged = [1], [2]
    taken = snapshot(data)
    changed.append('theirs')

    restored = restore(taken)

    assert restored == {'changed': [1], 'same': [2]}
    assert restored is data
    assert changed == [1, 'theirs']
    assert restored['same'] is unchanged
    assert containers.made(restored['changed'])


def test_foreign_object_stays_one_in_all_its_places(own, snapshot, restore):
    data = own({'own': []})
    foreign = {}
    data['own'].append(foreign)
    data['a'] = data['b'] = {'inner': foreign}
    taken = snapshot(data)
    foreign['x'] = 1

    restored = restore(taken)

    assert restored == {
        'own': [{}],
        'a': {'inner': {}},
        'b': {'inner': {}},
    }
    assert restored['a'] is restored['b']
    assert restored['a']['inner'] is restored['own'][0]
    assert foreign == {'x': 1}


def test_foreign_object_around_our_own_stays(own, snapshot, restore):
    data = own({'own': [1]})
    data['foreign'] = foreign = {'inner': data['own']}
    taken = snapshot(data)
    data['own'].append(2)

    restored = restore(taken)

    assert restored == {'own': [1], 'foreign': {'inner': [1]}}
    assert restored['foreign'] is foreign


def test_foreign_root_is_replaced(containers, snapshot, restore):
    root = {'a': 1}
    taken = snapshot(root)
    root['a'] = 2

    restored = restore(taken)

    assert (restored, root) == ({'a': 1}, {'a': 2})


def test_tuple_is_replaced_for_what_is_in_it(own, snapshot, restore):
    data = own({'own': [1]})
    foreign = [2]
    data['changed'] = changed = (data['own'], (foreign, 3))
    data['same'] = unchanged = (data['own'], 4)
    taken = snapshot(data)
    foreign.append(5)
    data['own'].append(6)

    restored = restore(taken)

    assert restored['changed'] == ([1], ([2], 3))
    assert restored['changed'][0] is restored['own']
    assert restored['same'] is unchanged
    assert changed[1][0] is foreign
    assert foreign == [2, 5]


def test_tuple_of_another_class_stays_one(own, snapshot, restore):
    foreign = [1]
    data = own({})
    data['point'] = Point(foreign, 2)
    taken = snapshot(data)
    foreign.append(3)

    assert restore(taken) == {'point': Point([1], 2)}
    assert type(data['point']) is Point


@pytest.mark.parametrize('ours', [True, False])
def test_value_that_contains_itself_does_so_again(
    own, snapshot, restore, ours
):
    circle = []
    circle.append({'back': circle})
    data = own({'circle': circle} if ours else {})
    data['circle'] = circle
    taken = snapshot(data)
    circle.append(1)

    restored = restore(taken)['circle']

    assert len(restored) == 1
    assert restored[0]['back'] is restored
    assert (restored is circle) == ours


def test_other_object_is_replaced_if_it_was_changed(own, snapshot, restore):
    data = own({'changed': Box(1), 'same': Box(2), 'set': {1}})
    data['foreign'] = foreign = {'box': data['changed']}
    changed, unchanged = data['changed'], data['same']
    taken = snapshot(data)
    changed.content = 7
    data['set'].add(2)

    restored = restore(taken)

    assert restored == {
        'changed': Box(1),
        'same': Box(2),
        'set': {1},
        'foreign': {'box': Box(1)},
    }
    assert restored['same'] is unchanged
    assert restored['foreign']['box'] is restored['changed']
    assert foreign['box'] is changed
    assert changed == Box(7)


def test_object_that_cannot_be_stored_stays(own, snapshot, restore):
    data = own({'a': lambda: 1, 'b': 1})
    unstorable = data['a']
    taken = snapshot(data)
    data.clear()

    assert restore(taken) == {'a': unstorable, 'b': 1}


def test_key_that_equals_another_comes_back_as_it_was(own, snapshot, restore):
    data = own({'dict': {1: 'a', 'b': 'c'}})
    taken = snapshot(data)
    value = data['dict'].pop(1)
    data['dict'] |= {True: value, 'b': data['dict'].pop('b')}

    restored = restore(taken)['dict']

    assert [*map(repr, restored)] == ['1', "'b'"]


def test_nothing_changed_is_nothing_replaced(own, snapshot, restore):
    data = own({'own': [1], 'box': Box(1)})
    data['foreign'] = foreign = ({}, [1])
    box = data['box']

    assert restore(snapshot(data)) is data
    assert data['box'] is box
    assert data['foreign'] is foreign


@given(DATA, DATA, DATA)
def test_restored_data_is_as_before_and_the_foreign_is_left(
    data, foreign, later
):
    containers = Containers()
    containers.note(data)
    data['foreign'], data['again'] = foreign, [*foreign.values()]
    before = copy.deepcopy(data)
    taken = Snapshot(data, partial(freeze, pickle))
    extend(data)
    data.update(later)
    foreign_then = copy.deepcopy(foreign)

    restored = taken.restore(containers, partial(thaw, pickle))

    assert restored is data
    assert same(restored, before)
    assert same(foreign, foreign_then)
