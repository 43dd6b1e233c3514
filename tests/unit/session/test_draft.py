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


def set_twice(session):
    session['new'] = {'list': []}


UNTOUCHED = [
    lambda session: session['dict'],
    lambda session: session.get('dict'),
    lambda session: session.setdefault('dict', {}),
    lambda session: dict(session),
    lambda session: session.copy(),
]

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

    @pytest.mark.parametrize('save', [lambda it: it.save(), conclude])
    @pytest.mark.parametrize('use', [*UNTOUCHED, set_twice])
    def test_what_is_handed_out_and_not_changed_is_not_serialized(
        self, session, monkeypatch, use, save
    ):
        use(session)
        if use is set_twice:
            session.save()
        monkeypatch.setattr(session._draft, '_serializer', None)

        save(session)
        save(session)

    @pytest.mark.parametrize('inner', [False, True])
    def test_key_that_is_put_back_behind_the_others_is_no_change(
        self, make_session, stored, store, inner
    ):
        session = make_session(stored({'a': 1, 'b': 2, 'c': {'a': 1, 'b': 2}}))
        where = session['c'] if inner else session

        where['a'] = where.pop('a')
        session.save()

        assert store.calls == ['load']

    def test_value_that_was_set_anew_in_a_json_column_is_no_change(
        self, session, store
    ):
        (key,) = store.rows
        row = store.rows[key]
        text = json.dumps({'quo"te': 1, **json.loads(row.payload)})
        store.rows[key] = row._replace(payload=text)

        session['one'] = 1
        session.save()

        assert store.calls == ['load']

    def test_change_that_comes_during_a_save_is_stored_by_the_next(
        self, session, make_session, meanwhile
    ):
        held = session['dict']

        def change():
            session['late'] = 1
            held['late'] = 1

        meanwhile('save', change)
        session['early'] = held['early'] = 1
        session.save()
        stored = make_session(session.session_id)
        assert 'early' in stored
        assert 'late' not in stored
        assert 'late' not in stored['dict']

        session.save()

        assert make_session(session.session_id) == session

    def test_change_of_what_others_have_added_is_seen_through_a_view(
        self, session, make_session
    ):
        values = session.values()
        other = make_session(session.session_id)
        other['theirs'] = {}
        other.save()
        session['mine'] = 1
        session.save()

        (theirs,) = (value for value in values if value == {})
        theirs['late'] = 1
        session.save()

        again = make_session(session.session_id)
        assert again['theirs'] == {'late': 1}

    def test_value_that_is_put_back_as_it_was_stays_compared(
        self, session, make_session
    ):
        value = session.pop('dict')
        session['dict'] = value
        session.save()

        value['late'] = 1
        session.save()

        assert make_session(session.session_id)['dict']['late'] == 1

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


def test_change_of_another_thread_in_what_is_being_handed_out_is_noticed(
    monkeypatch,
):
    """A thread is interrupted by one that gets the same list first."""
    draft = Draft(JSONSerializer(), 'auth.userid')
    draft.data = draft.decode('{"list":[1]}')
    look = draft_module._print

    def be_interrupted(value):
        monkeypatch.setattr(draft_module, '_print', look)
        draft.hand_out('list').append(2)
        return look(value)

    monkeypatch.setattr(draft_module, '_print', be_interrupted)
    draft.hand_out('list')

    assert draft.changed_payload() == '{"list":[1,2]}'


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
