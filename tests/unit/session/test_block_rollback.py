"""An error takes back all that a block changed, and nothing else."""

import copy
import pickle
from contextlib import suppress

import pytest

from pyramid_mysql_session.errors import (
    LockTimeout,
    PayloadNotSerializable,
    PayloadTooLarge,
)
from pyramid_mysql_session.store.keys import stored_key
from tests.memory_store import MemoryStore
from tests.unit.conftest import conclude


@pytest.fixture
def session_id(stored):
    """The id of a session that is stored."""
    return stored({'number': 1, 'list': [1], '_f_': ['message']})


@pytest.fixture
def before():
    """What that session has."""
    return {'number': 1, 'list': [1], '_f_': ['message']}


class Failure(Exception):
    """What goes wrong in a block."""


def fail(session, use):
    """Do something in a block that fails."""
    with suppress(Failure), session.locked():
        use(session)
        raise Failure


USES = [
    lambda session: session.update(number=2, more=3),
    lambda session: session.clear(),
    lambda session: session.popitem(),
    lambda session: session['list'].append(2),
    lambda session: session.pop_flash(),
    lambda session: session.flash('more'),
    lambda session: (session.pop_flash(), session.flash('message')),
    lambda session: session.remember(5),
    lambda session: session.renew_id(),
    lambda session: session.invalidate(),
    lambda session: (session.invalidate(), session.update(a=1)),
    lambda session: (session.invalidate(), session.remember(5)),
]


@pytest.mark.parametrize('use', USES)
def test_error_takes_back_what_the_block_changed(
    session, session_id, before, store, use
):
    rows = dict(store.rows)

    fail(session, use)

    assert session == before
    assert session.session_id == session_id
    assert session._draft.idle_timeout is None
    assert not session._draft.remembered
    session.save()
    conclude(session)
    assert store.rows == rows
    assert not session._saving.ended


@pytest.mark.parametrize('use', USES)
def test_error_keeps_what_was_changed_before_the_block(
    session, before, make_session, store, use
):
    before |= {'before': [], 'list': [1, 'before']}
    session['before'] = []
    session['list'].append('before')
    session.remember(7)

    fail(session, use)

    assert session == before
    assert session._draft.idle_timeout == 7
    assert session._draft.remembered
    conclude(session)
    again = make_session(session.session_id)
    assert again == before
    assert again._draft.idle_timeout == 7
    assert list(store.rows) == [stored_key(session.session_id)]


@pytest.mark.parametrize('change', ['renew_id', 'invalidate'])
def test_error_keeps_what_was_to_become_of_the_id(
    session, session_id, store, change
):
    getattr(session, change)()
    session['before'] = 1

    fail(session, lambda session: session.clear())

    assert session['before'] == 1
    conclude(session)
    assert session.session_id not in (None, session_id)
    assert list(store.rows) == [stored_key(session.session_id)]


@pytest.mark.parametrize('use', USES)
def test_session_is_merged_as_ever_after_an_error(
    session, make_session, change, use
):
    fail(session, use)
    session['mine'] = 1
    change(theirs=2)

    session.save()

    assert make_session(session.session_id) == session
    assert session == {
        'number': 1,
        'list': [1],
        '_f_': ['message'],
        'mine': 1,
        'theirs': 2,
    }


class TestObjects:
    """Of which the application may hold any."""

    def test_list_that_was_loaded_is_changed_back(self, session):
        items = session['list']

        fail(session, lambda session: items.append(2))

        assert session['list'] is items
        assert items == [1]

    def test_list_that_was_loaded_is_ours_whatever_the_block_began(
        self, session, change
    ):
        items = session['list']

        fail(session, lambda session: (items.append(2), session.invalidate()))

        assert session['list'] is items
        assert items == [1]
        change(list=[1, 'theirs'])
        session['mine'] = 1
        session.save()
        assert items == [1, 'theirs']

    def test_list_that_was_loaded_is_still_looked_at(
        self, session, make_session
    ):
        items = session['list']
        fail(session, lambda session: session.invalidate())

        items.append(2)
        session.save()

        assert make_session(session.session_id)['list'] == [1, 2]

    def test_list_of_the_application_is_still_known_as_such(
        self, session, change
    ):
        session['mine'] = items = [1]
        session.save()
        fail(session, lambda session: session.invalidate())
        change(mine=[1, 'theirs'])
        session['number'] = 2

        session.save()

        assert session['mine'] == [1, 'theirs']
        assert items == [1]

    @pytest.mark.parametrize('saved', [False, True])
    def test_list_of_the_application_keeps_its_change(
        self, session, make_session, saved
    ):
        session['mine'] = items = [{'x': 1}]
        if saved:
            session.save()

        fail(session, lambda session: items[0].update(x=2))

        assert items == [{'x': 2}]
        assert session['mine'] == [{'x': 1}]
        items.append('not in the session any more')
        session['mine'].append('but this is')
        session.save()
        assert make_session(session.session_id)['mine'] == [
            {'x': 1},
            'but this is',
        ]

    def test_list_of_the_application_stays_if_it_was_not_changed(
        self, session, make_session
    ):
        session['mine'] = items = []

        fail(session, lambda session: session.clear())

        assert session['mine'] is items
        items.append(1)
        session.save()
        assert make_session(session.session_id)['mine'] == [1]

    def test_list_that_the_block_put_in_is_left_alone(self, session):
        items = []

        fail(session, lambda session: session.update(list=items, more=items))

        items.append(1)
        assert session['list'] == [1]
        assert 'more' not in session
        assert items == [1]

    def test_default_of_a_module_is_never_changed(self, make_session, stored):
        default = {'filters': [{'on': True}], 'nested': {'a': [1]}}
        before = copy.deepcopy(default)
        session = make_session(stored({'a': 1}))
        session['default'] = default
        session.save()
        other = make_session(session.session_id)
        other['default']['filters'][0]['on'] = False
        other['default']['nested']['a'].append(2)
        other.save()

        with session.locked():
            session['default']['nested']['a'].append(3)
        fail(session, lambda session: session['default'].clear())

        assert default == before
        assert make_session(session.session_id)['default'] == {
            'filters': [{'on': False}],
            'nested': {'a': [1, 2, 3]},
        }

    def test_object_that_pickle_stores_is_taken_back_as_it_was(
        self, make_session, store
    ):
        session = make_session(serializer=pickle)
        session['set'] = {1}
        conclude(session)
        session = make_session(session.session_id, serializer=pickle)

        fail(session, lambda session: session['set'].add(2))

        assert session['set'] == {1}
        conclude(session)
        again = make_session(session.session_id, serializer=pickle)
        assert again['set'] == {1}


class TestInner:
    def test_error_in_the_inner_block_takes_back_the_inner_one(
        self, session, make_session
    ):
        with session.locked():
            session['outer'] = [True]
            session['list'].append('outer')
            with suppress(Failure), session.locked():
                session['number'] = 3
                session['list'].append('inner')
                session.renew_id()
                raise Failure

        conclude(session)
        assert make_session(session.session_id) == {
            'number': 1,
            'list': [1, 'outer'],
            '_f_': ['message'],
            'outer': [True],
        }

    def test_error_in_the_outer_block_takes_back_both(
        self, session, before, store
    ):
        rows = dict(store.rows)

        with suppress(Failure), session.locked():
            session['list'].append('outer')
            with session.locked():
                session['list'].append('inner')
            raise Failure

        assert session == before
        conclude(session)
        assert store.rows == rows


class TestWithoutARecord:
    def test_error_takes_back_a_new_session(self, make_session, store):
        session = make_session()

        fail(session, lambda session: session.update(number=1))

        assert session == {}
        conclude(session)
        assert store.rows == {}

    def test_error_keeps_what_was_there_before(self, make_session):
        session = make_session()
        session['before'] = 1

        fail(session, lambda session: session.invalidate())

        assert session == {'before': 1}
        conclude(session)
        assert make_session(session.session_id) == {'before': 1}

    def test_block_that_leaves_what_cannot_be_stored_is_taken_back(
        self, clock, make_session
    ):
        small = MemoryStore(clock, max_payload_bytes=50)
        session = make_session(store=small)
        session['before'] = 1

        for value, error in (
            (object(), PayloadNotSerializable),
            (60 * 'x', PayloadTooLarge),
        ):
            with pytest.raises(error), session.locked():
                session['value'] = value
            assert session == {'before': 1}

        conclude(session)
        assert len(small.rows) == 1


class TestAtTheEnd:
    """An error when the block is saved."""

    @pytest.fixture
    def store(self, clock):
        return MemoryStore(clock, max_payload_bytes=80)

    @pytest.mark.parametrize(
        ('value', 'error'),
        [
            (object(), PayloadNotSerializable),
            (80 * 'x', PayloadTooLarge),
        ],
    )
    @pytest.mark.parametrize('begin', ['changed', 'invalidate'])
    def test_block_that_cannot_be_stored_is_taken_back(
        self, session, session_id, before, store, value, error, begin
    ):
        rows = dict(store.rows)

        def run():
            with session.locked():
                getattr(session, begin)()
                session['value'] = value

        with pytest.raises(error):
            run()

        assert session == before
        assert session.session_id == session_id
        conclude(session)
        assert store.rows == rows

    def test_error_on_the_way_to_the_block_keeps_the_changes(
        self, session, before, make_session, store
    ):
        session['mine'] = 1

        with (
            store.locked(session.session_id),
            pytest.raises(LockTimeout),
            session.locked(),
        ):
            raise AssertionError

        assert session == before | {'mine': 1}
        session.save()
        assert make_session(session.session_id) == session

    def test_data_that_cannot_be_merged_is_kept(
        self, session, before, change, make_session
    ):
        session['mine'] = value = object()
        change(number=7)

        with pytest.raises(PayloadNotSerializable), session.locked():
            raise AssertionError

        assert session == before | {'mine': value}
        del session['mine']
        session.save()
        assert make_session(session.session_id)['number'] == 7


def test_session_found_gone_stays_lost_whatever_a_block_made_of_it(
    session, store, listener
):
    session['mine'] = 1
    store.rows.clear()

    fail(session, lambda session: (session.invalidate(), session.update(a=1)))

    assert session['mine'] == 1
    assert 'a' not in session
    assert session.session_id is None
    session.save()
    conclude(session)
    assert store.rows == {}
    assert not session._saving.ended
    assert listener.heard == ['lost']


def test_session_found_gone_may_still_begin_anew(
    session, store, listener, make_session
):
    store.rows.clear()
    fail(session, lambda session: session.invalidate())

    session.invalidate()
    session['new'] = 1
    conclude(session)

    assert make_session(session.session_id) == {'new': 1}
    assert listener.heard == ['lost', 'created']
