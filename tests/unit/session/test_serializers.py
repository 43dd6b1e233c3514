import json
import pickle
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_mysql_session.errors import PayloadNotSerializable
from pyramid_mysql_session.session.merge import MOST_LEVELS
from pyramid_mysql_session.session.serializers import (
    JSONSerializer,
    dump,
    freeze,
    load,
    thaw,
)

serializer = JSONSerializer()

TOO_DEEP = 'has more than 100 levels of dicts and lists, or contains itself'
ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))


def joined(text):
    """Return text with each pair of surrogates as the character it makes."""
    return text.encode('utf-16', 'surrogatepass').decode(
        'utf-16', 'surrogatepass'
    )


def nested(levels, make=lambda value: [value]):
    """Return what has some levels of lists, or what is made otherwise."""
    value = make(0)
    for _ in range(levels - 1):
        value = make(value)
    return value


class Picky:
    """A serializer that has no room for numbers."""

    def dumps(self, data):
        if '1' in repr(data):
            raise KeyError('no numbers, please')
        return repr(data).encode()

    def loads(self, payload):
        raise KeyError(payload)


@given(ANY_TEXT)
def test_any_text_comes_back_as_it_was(text):
    payload = dump(serializer, {text: text})

    assert payload.isascii()
    assert load(serializer, payload) == {joined(text): joined(text)}


@pytest.mark.parametrize(
    'text', ['😀', 'a\0b', '\ud83d', '\ude00\ud83d', '\\']
)
def test_odd_text_comes_back_as_it_was(text):
    assert load(serializer, dump(serializer, {'key': text})) == {'key': text}


def test_payload_is_compact():
    data = {'list': [1, 2.5, None, True], 'dict': {'é': ''}}

    assert dump(serializer, data) == (
        '{"list":[1,2.5,null,true],"dict":{"\\u00e9":""}}'
    )


@pytest.mark.parametrize(
    ('payload', 'data'),
    [('{"a":1}', {'a': 1}), (b'{"a":"\xc3\xa9"}', {'a': 'é'})],
)
def test_payload_may_come_as_bytes(payload, data):
    # as a binary column gives it
    assert load(serializer, payload) == data


@pytest.mark.parametrize(
    ('value', 'path', 'problem'),
    [
        (date(2000, 1, 1), 'key', 'has a value of type date'),
        ({1, 2}, 'key', 'has a value of type set'),
        (b'bytes', 'key', 'has a value of type bytes'),
        ([0, [1, object()]], 'key[1][1]', 'has a value of type object'),
        ({'a': ({'b': 1j},)}, 'key.a[0].b', 'has a value of type complex'),
        ({7: 1j}, 'key.7', 'has a value of type complex'),
        (float('nan'), 'key', 'is no finite number'),
        ([float('inf')], 'key[0]', 'is no finite number'),
        ({'x': float('-inf')}, 'key.x', 'is no finite number'),
        ({(1, 2): 3}, 'key.<tuple>', 'is a key of type tuple'),
        ([{b'x': 3}], 'key[0].<bytes>', 'is a key of type bytes'),
        ({float('nan'): 3}, 'key.nan', 'is a key of type float'),
        pytest.param(
            10**5000, 'key', 'is a number of too many digits', id='huge'
        ),
        pytest.param(
            {10**5000: 1}, 'key.<int>', 'is a key of type int', id='huge key'
        ),
    ],
)
def test_refused_value_is_named_by_its_path(value, path, problem):
    with pytest.raises(PayloadNotSerializable) as caught:
        dump(serializer, {'fine': [1, {'a': 2}], 'key': value, 'also': 3})

    assert caught.value.path == path
    assert str(caught.value).startswith(
        f'The session cannot be stored: {path} {problem}. '
    )
    assert isinstance(caught.value.__cause__, (TypeError, ValueError))


def test_refused_key_of_the_session_is_named():
    with pytest.raises(PayloadNotSerializable) as caught:
        dump(serializer, {(1, 2): 3})

    assert str(caught.value).startswith(
        'The session cannot be stored: <tuple> is a key of type tuple.'
    )


@pytest.mark.parametrize(
    ('key', 'name'),
    [
        (1, '1'),
        (-20, '-20'),
        (True, 'true'),
        (False, 'false'),
        (None, 'null'),
        (1.5, '1.5'),
        (1e300, '1e+300'),
        (-0.0, '-0.0'),
        (10**40, '1' + '0' * 40),
    ],
)
class TestKeysThatAreNoText:
    @pytest.mark.parametrize('place', ['top', 'dict', 'list'])
    def test_key_comes_back_as_it_was(self, key, name, place):
        data = {
            'top': {key: 'a', 'other': 1},
            'dict': {'cart': {key: {key: 'a'}}},
            'list': {'cart': [[{key: 'a'}], ({key: []},)]},
        }[place]

        found = load(serializer, dump(serializer, data))

        assert repr(found) == repr(data).replace('(', '[').replace(',)', ']')

    def test_text_that_reads_alike_stays_text(self, key, name):
        data = {name: {name: 1, '~': 2, f'~{name}': 3, '~"x"': 4}}

        assert load(serializer, dump(serializer, data)) == data

    @pytest.mark.parametrize('nested', [True, False])
    def test_key_beside_the_text_that_reads_alike_is_refused(
        self, key, name, nested
    ):
        data = {key: 'a', name: 'b'}

        with pytest.raises(PayloadNotSerializable) as caught:
            dump(serializer, {'cart': [data]} if nested else data)

        assert caught.value.path == f'cart[0].{key}' if nested else str(key)
        assert f'is a key beside the text {name!r}' in str(caught.value)


def test_text_keys_are_stored_as_they_are():
    data = {'a': 1, '1st': 2, 'true:': 3, 'x': ['~1', {'"1":': '1'}]}

    assert json.loads(dump(serializer, data)) == data


@pytest.mark.parametrize('key', ['~', '~x', '~[1]', '~{"a":1}', '~1 2'])
def test_key_that_nobody_escaped_is_left_as_it_is(key):
    assert load(serializer, json.dumps({key: 1})) == {key: 1}


def test_key_of_a_foreign_serializer_that_takes_all_is_no_matter():
    data = {1: 'a', '1': 'b', (1, 2): 'c'}

    assert load(pickle, dump(pickle, data)) == data


def test_value_that_contains_itself_is_named_by_its_path():
    circle = {'me': []}
    circle['me'].append(circle)

    with pytest.raises(PayloadNotSerializable) as caught:
        dump(serializer, {'fine': 1, 'circle': circle})

    assert caught.value.path == 'circle'
    assert TOO_DEEP in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize('times', [1, 2])
def test_value_that_pickle_could_store_must_not_contain_itself(times):
    circle = []
    circle += times * [circle]

    with pytest.raises(PayloadNotSerializable) as caught:
        dump(pickle, {'fine': 1, 'circle': circle})

    assert caught.value.path == 'circle'
    assert TOO_DEEP in str(caught.value)


@pytest.mark.parametrize(
    'make',
    [
        lambda value: [value],
        lambda value: {'x': value},
        lambda value: (value,),
    ],
)
@pytest.mark.parametrize('foreign', [serializer, pickle])
def test_levels_are_limited_for_every_serializer(foreign, make):
    data = {'fine': [1], 'deep': nested(MOST_LEVELS - 1, make)}
    assert load(foreign, dump(foreign, data))
    data['deep'] = nested(MOST_LEVELS, make)

    with pytest.raises(PayloadNotSerializable) as caught:
        dump(foreign, data)

    assert caught.value.path == 'deep'
    assert TOO_DEEP in str(caught.value)


def test_value_nested_too_deeply_to_be_looked_at_is_named():
    deep = nested(100_000)

    with pytest.raises(PayloadNotSerializable) as caught:
        dump(serializer, {'fine': 1, 'deep': deep})

    assert caught.value.path == 'deep'
    assert TOO_DEEP in str(caught.value)
    assert isinstance(caught.value.__cause__, RecursionError)


def test_many_containers_of_few_levels_can_be_stored():
    data = {'list': [{} for _ in range(2 * MOST_LEVELS)]}

    assert load(serializer, dump(serializer, data)) == data


@pytest.mark.parametrize('foreign', [json, pickle])
def test_serializer_may_be_anybody_s(foreign):
    data = {'key': [1, 'two', None]}

    assert load(foreign, dump(foreign, data)) == data


def test_refusal_of_a_foreign_serializer_is_translated():
    with pytest.raises(PayloadNotSerializable) as caught:
        dump(Picky(), {'a': [0, {'b': 1}], 'c': 0})

    assert caught.value.path == 'a[1].b'
    assert 'has a value of type int' in str(caught.value)
    assert isinstance(caught.value.__cause__, KeyError)


def test_refusal_of_a_lambda_by_pickle_is_translated():
    with pytest.raises(PayloadNotSerializable) as caught:
        dump(pickle, {'a': {'b': lambda: 1}})

    assert caught.value.path == 'a.b'
    assert 'has a value of type function' in str(caught.value)


@pytest.mark.parametrize('payload', ['', '{', '{"a":1}x', '\0', b'\xff'])
def test_undecodable_payload_is_a_value_error(payload):
    with pytest.raises(ValueError, match='the payload cannot be decoded'):
        load(serializer, payload)


@pytest.mark.parametrize('payload', [b'', b'x', b'\x80', b'(', b'."'])
def test_what_pickle_cannot_decode_is_a_value_error(payload):
    with pytest.raises(ValueError, match='the payload cannot be decoded'):
        load(pickle, payload)


def test_bug_of_a_foreign_serializer_is_no_malformed_payload():
    with pytest.raises(KeyError):
        load(Picky(), 'anything')


def test_payload_nested_too_deeply_is_no_malformed_one():
    # another process of the application may have room for it
    with pytest.raises(RecursionError):
        load(serializer, '{"a":' * 100_000)


def test_lack_of_memory_is_passed_on():
    class Large:
        def dumps(self, data):
            raise MemoryError

        loads = dumps

    with pytest.raises(MemoryError):
        dump(Large(), {})
    with pytest.raises(MemoryError):
        load(Large(), '{}')


@pytest.mark.parametrize('foreign', [serializer, pickle])
@pytest.mark.parametrize('value', [[1], {'a': None}, 'text'])
def test_value_that_is_frozen_can_be_thawed(foreign, value):
    assert thaw(foreign, freeze(foreign, value)) == value


def test_value_that_is_refused_cannot_be_frozen():
    assert freeze(serializer, object()) is None
    assert freeze(Picky(), 1) is None


@pytest.mark.parametrize('payload', ['[]', 'null', '1', '"text"', 'NaN'])
def test_payload_that_holds_no_dict_is_a_value_error(payload):
    with pytest.raises(ValueError, match='the payload holds no dict'):
        load(serializer, payload)


def test_errors_do_not_repeat_data():
    with pytest.raises(PayloadNotSerializable) as not_stored:
        dump(serializer, {'key': {'hunter2'}})
    with pytest.raises(ValueError, match='payload') as not_read:
        load(serializer, '"hunter2"')

    assert 'hunter2' not in str(not_stored.value) + str(not_read.value)
