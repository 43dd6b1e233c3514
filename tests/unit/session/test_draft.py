"""What counts as a change of the data."""

import json

import pytest

from pyramid_mysql_session.errors import PayloadNotSerializable
from pyramid_mysql_session.session import draft as draft_module
from pyramid_mysql_session.session.draft import Draft
from pyramid_mysql_session.session.merge import POPPED_KEY
from pyramid_mysql_session.session.serializers import JSONSerializer
from tests.unit.conftest import conclude


def change_nested(session):
    session['dict']['list'].append(3)


def change_value_of_get(session):
    session.get('dict')['x'] = 1


def change_value_of_values(session):
    next(iter(session.values()))['x'] = 1


def change_value_of_items(session):
    dict(session.items())['dict']['x'] = 1


def change_value_of_copy(session):
    session.copy()['dict']['x'] = 1


def change_value_of_setdefault(session):
    session.setdefault('dict', {})['x'] = 1


def change_value_given_before(session):
    value = session['new'] = []
    value.append(1)


def set_a_number_of_another_type(session):
    session['one'] = 1.0


def remember(session):
    session.remember(7)


CHANGES = [
    change_nested,
    change_value_of_get,
    change_value_of_values,
    change_value_of_items,
    change_value_of_copy,
    change_value_of_setdefault,
    change_value_given_before,
    set_a_number_of_another_type,
    remember,
    lambda session: session.flash('x'),
    lambda session: session.pop('one'),
    lambda session: session.popitem(),
]
NO_CHANGES = [
    bool,
    lambda session: session['dict']['list'],
    lambda session: session.values(),
    lambda session: session.changed(),
    lambda session: session.setdefault('one', 2),
    lambda session: session.update(one=1),
    lambda session: session.update(dict={'list': [1, 2]}),
    lambda session: session.peek_flash(),
    lambda session: session.pop_flash(),
    lambda session: (session.flash('x'), session.pop_flash()),
    lambda session: session['dict'].update(list=[1, 2]),
    lambda session: session.update(one=session.pop('one')),
    lambda session: session.remember(None),
    lambda session: (session.remember(7), session.remember(None)),
]


class TestChanges:
    @pytest.fixture
    def session(self, make_session, stored):
        return make_session(stored({'dict': {'list': [1, 2]}, 'one': 1}))

    @pytest.mark.parametrize('save', [lambda it: it.save(), conclude])
    @pytest.mark.parametrize('change', CHANGES)
    def test_change_is_saved_once(
        self, session, make_session, store, change, save
    ):
        change(session)
        save(session)
        save(session)

        assert store.calls == ['load', 'save']
        again = make_session(session.session_id)
        assert again == session
        assert again._draft.idle_timeout == session._draft.idle_timeout

    @pytest.mark.parametrize('save', [lambda it: it.save(), conclude])
    @pytest.mark.parametrize('use', NO_CHANGES)
    def test_use_without_a_change_writes_nothing(
        self, session, store, use, save
    ):
        use(session)
        save(session)

        assert store.calls == ['load']

    def test_value_that_looks_otherwise_in_the_column_is_no_change(
        self, session, stored, store
    ):
        # a JSON column puts spaces and keys in an order of its own
        (key,) = store.rows
        row = store.rows[key]
        data = dict(reversed(json.loads(row.payload).items()))
        store.rows[key] = row._replace(payload=json.dumps(data, indent=1))

        session['dict']['list'].reverse()
        session['dict']['list'].reverse()
        session.save()
        session.save()

        assert store.calls == ['load']

    def test_value_that_cannot_be_stored_is_named(self, session, store):
        before = dict(store.rows)
        session['dict']['list'].append(object())

        with pytest.raises(PayloadNotSerializable, match=r'dict\.list\[2\]'):
            session.save()

        assert store.rows == before
        assert store.calls == ['load']

    @pytest.mark.parametrize(
        ('key', 'user'),
        [('_idle_timeout_', 'remember()'), (POPPED_KEY, 'pop_flash()')],
    )
    @pytest.mark.parametrize('value', [1, {}, None])
    def test_key_of_our_own_cannot_be_stored(self, session, key, user, value):
        session[key] = value

        with pytest.raises(PayloadNotSerializable) as caught:
            session.save()

        assert caught.value.path == key
        assert f'is a key that {user} uses' in str(caught.value)


def test_error_in_a_merge_leaves_the_draft_as_it_was(monkeypatch):
    def fail(*args):
        raise MemoryError

    mine = Draft(JSONSerializer(), 'auth.userid')
    mine.data = mine.decode('{"a":1,"b":1}')
    mine.data['a'] = 2
    mine.write()
    monkeypatch.setattr(draft_module, 'merge', fail)
    with pytest.raises(MemoryError):
        mine.update('{"a":1,"b":2}')
    monkeypatch.undo()

    mine.update('{"a":1,"b":2}')

    assert mine.data == {'a': 2, 'b': 2}


class TestHeld:
    """Whether somebody could change the data unseen."""

    @pytest.fixture
    def draft(self):
        draft = Draft(JSONSerializer(), 'auth.userid')
        draft.data = draft.decode('{"list":[[]],"number":1}')
        return draft

    def test_nothing_is_held_before_it_was_handed_out(self, draft):
        assert not draft.is_held()
        draft.hand_out('number')

        assert not draft.is_held()

    @pytest.mark.parametrize('inner', [False, True])
    def test_list_is_held_until_the_application_drops_it(self, draft, inner):
        held = draft.hand_out('list')
        if inner:
            held = held[0]
        assert draft.is_held()

        del held

        assert not draft.is_held()

    def test_list_that_is_no_longer_in_the_data_does_not_count(self, draft):
        held = 2 * [draft.hand_out('list')]
        del draft.data['list']

        assert held == 2 * [[[]]]
        assert not draft.is_held()

    def test_list_that_stands_in_two_places_is_not_held_by_that(self, draft):
        draft.put_in('again', draft.hand_out('list'))

        assert not draft.is_held()
        held = draft.data['again']
        assert draft.is_held()
        assert held == [[]]

    def test_what_is_held_when_it_is_let_go_is_still_compared(self, draft):
        held = draft.hand_out('list')
        draft.let_go()

        held.append(1)

        assert draft.is_unsaved()

    def test_what_nobody_holds_is_not_serialized_again(
        self, draft, monkeypatch
    ):
        draft.hand_out('list')
        draft.let_go()
        monkeypatch.setattr(draft, '_serializer', None)

        assert not draft.is_unsaved()

    def test_what_the_application_put_in_is_always_compared(self, draft):
        draft.put_in('mine', [])
        draft.saved(draft.payload())
        draft.let_go()

        draft.data['mine'].append(1)

        assert draft.is_unsaved()
