"""The session as a mapping, its flash queues and CSRF tokens."""

import copy
import json
from collections.abc import Iterator, MappingView, MutableMapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.conftest import conclude

KEYS = st.sampled_from(['a', 'b', 'c', 'é'])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda values: (
        st.lists(values, max_size=2)
        | st.dictionaries(KEYS, values, max_size=2)
    ),
    max_leaves=4,
)
DICTS = st.dictionaries(KEYS, VALUES, max_size=3)


def mutate(mapping, key):
    """Change a value in place, at some depth."""
    value = mapping.get(key)
    if isinstance(value, list):
        value.append('more')
    elif isinstance(value, dict):
        value['more'] = [mapping.get('a') == value]


def mutate_all(mapping):
    for value in mapping.values():
        if isinstance(value, list):
            value.clear()


def mutate_items(mapping):
    for _, value in mapping.items():
        if isinstance(value, dict):
            value.clear()


def call(name, *strategies):
    return st.tuples(
        st.just(
            lambda mapping, *arguments: getattr(mapping, name)(*arguments)
        ),
        *strategies,
    )


def do(function, *strategies):
    return st.tuples(st.just(function), *strategies)


OPERATIONS = st.one_of(
    call('__getitem__', KEYS),
    call('__setitem__', KEYS, VALUES),
    call('__delitem__', KEYS),
    call('__contains__', KEYS),
    call('__len__'),
    call('__iter__'),
    call('__reversed__'),
    call('__eq__', DICTS),
    call('__ne__', DICTS),
    call('__or__', DICTS),
    call('__ror__', DICTS),
    call('__ior__', DICTS),
    call('get', KEYS),
    call('get', KEYS, VALUES),
    call('setdefault', KEYS),
    call('setdefault', KEYS, VALUES),
    call('pop', KEYS),
    call('pop', KEYS, VALUES),
    call('popitem'),
    call('clear'),
    call('update', DICTS),
    call('keys'),
    call('values'),
    call('items'),
    call('copy'),
    do(lambda mapping, pairs: mapping.update(pairs.items()), DICTS),
    do(lambda mapping, value: mapping.update(a=value, b=value), VALUES),
    do(lambda mapping: mapping == mapping.copy()),
    do(bool),
    do(dict),
    do(mutate, KEYS),
    do(mutate_all),
    do(mutate_items),
)


def outcome(operation, mapping):
    """Do something with a mapping; return what can be compared of it."""
    function, *arguments = copy.deepcopy(operation)
    try:
        result = function(mapping, *arguments)
    except KeyError as exc:
        return KeyError, exc.args
    if result is mapping:
        return 'itself'
    return (
        list(result) if isinstance(result, (Iterator, MappingView)) else result
    )


class TestMapping:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(OPERATIONS | st.sampled_from([None, 'save']), max_size=12))
    def test_session_behaves_as_a_dict_and_keeps_it(
        self, make_session, store, operations
    ):
        store.rows.clear()
        session, model = make_session(), {}

        for operation in [*operations, None]:
            if operation is None:
                # the next request
                conclude(session)
                session = make_session(session.session_id)
                model = json.loads(json.dumps(model))
                assert len(store.rows) == bool(model)
                # one object under two keys comes back as two
                model = {key: copy.deepcopy(model[key]) for key in model}
            elif operation == 'save':
                session.save()
            else:
                assert outcome(operation, session) == outcome(operation, model)
            assert session == model
            assert list(session) == list(model)
            assert len(session) == len(model)
            assert bool(session) == bool(model)

    def test_session_is_a_mutable_mapping_without_a_hash(self, make_session):
        session = make_session()

        assert isinstance(session, MutableMapping)
        with pytest.raises(TypeError, match='unhashable'):
            hash(session)

    def test_session_equals_another_with_the_same_data(self, make_session):
        one, other = make_session(), make_session()
        one['a'] = other['a'] = [1]

        assert one == other
        other['a'] = 2
        assert one != other
        assert one != 'something else'

    def test_popitem_of_an_empty_session_is_a_key_error(self, make_session):
        with pytest.raises(KeyError):
            make_session().popitem()

    def test_or_makes_a_dict_and_ior_keeps_the_session(self, make_session):
        session = same = make_session()
        same |= [('a', 1)]

        assert same is session
        assert type(session | {'b': 2}) is dict
        assert type({'b': 2} | session) is dict

    def test_key_that_is_no_text_can_be_removed(self, make_session):
        session = make_session()
        session.update({1: 'a', None: 'b'})

        assert session.pop(1) == 'a'
        assert session.popitem() == (None, 'b')

    def test_repr_does_not_show_data(self, make_session):
        session = make_session()
        session['password'] = 'hunter2'

        assert 'hunter2' not in repr(session) + str(session)

    def test_nonsense_attribute_is_refused(self, make_session):
        with pytest.raises(AttributeError):
            make_session().user = 'ada'


class TestFlash:
    def test_messages_are_returned_in_order_and_removed(self, make_session):
        session = make_session()
        session.flash('one')
        session.flash({'two': 2})
        session.flash('one')

        assert session.peek_flash() == ['one', {'two': 2}, 'one']
        assert session.pop_flash() == ['one', {'two': 2}, 'one']
        assert session.pop_flash() == session.peek_flash() == []
        assert not session

    def test_queues_are_separate(self, make_session):
        session = make_session()
        session.flash('default')
        session.flash('other', 'errors')
        session.flash('more', queue='errors')

        assert session.pop_flash('errors') == ['other', 'more']
        assert session.peek_flash() == ['default']
        assert session == {'_f_': ['default']}

    def test_duplicate_is_dropped_at_wish(self, make_session):
        session = make_session()
        session.flash('one', allow_duplicate=False)
        session.flash('two', '', False)
        session.flash('one', allow_duplicate=False)

        assert session.peek_flash() == ['one', 'two']

    def test_flash_after_a_flash_in_an_earlier_request(
        self, make_session, stored
    ):
        session_id = stored({'_f_': ['one']})

        session = make_session(session_id)
        session.flash('two')
        session.save()

        assert make_session(session_id).pop_flash() == ['one', 'two']


class TestCSRF:
    def test_token_is_made_when_it_is_needed(self, make_session):
        session = make_session()

        token = session.get_csrf_token()

        assert session == {'_csrft_': token}
        assert session.get_csrf_token() == token
        assert len(bytes.fromhex(token)) == 20

    def test_new_token_replaces_the_old_one(self, make_session):
        session = make_session()
        old = session.get_csrf_token()

        new = session.new_csrf_token()

        assert new != old
        assert session.get_csrf_token() == new
