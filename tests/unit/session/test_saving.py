"""What is saved before, without and after the response."""

import threading
from contextlib import suppress

import pytest

from pyramid_mysql_session.errors import (
    PayloadNotSerializable,
    PayloadTooLarge,
    SessionError,
)
from pyramid_mysql_session.session import loading
from tests.memory_store import MemoryStore
from tests.unit.conftest import conclude


class TestSaveBeforeTheResponse:
    """The browser has not learned of anything yet."""

    @pytest.fixture
    def store(self, clock):
        return MemoryStore(clock, max_payload_bytes=50)

    def test_new_session_is_only_measured(self, make_session, store):
        session = make_session()
        session['a'] = 1

        session.save()

        assert (store.calls, store.rows) == (['measure'], {})
        assert session.session_id is None

    @pytest.mark.parametrize(
        ('data', 'error'),
        [
            ({'a': object()}, PayloadNotSerializable),
            ({'a': 50 * 'x'}, PayloadTooLarge),
            ({'auth.userid': 256 * 'x'}, PayloadTooLarge),
        ],
    )
    @pytest.mark.parametrize('anew', [True, False])
    def test_new_session_that_cannot_be_stored_is_an_error(
        self, make_session, session_id, store, data, error, anew
    ):
        session = make_session(session_id if anew else None)
        session.invalidate()
        session.update(data)
        before = dict(store.rows)

        with pytest.raises(error):
            session.save()

        assert store.rows == before

    def test_emptied_session_keeps_its_record_until_the_response(
        self, session, session_id, make_session, store, listener
    ):
        session.clear()
        session.save()

        assert make_session(session_id) == {}
        assert store.calls == ['save', 'load']
        assert session.session_id == session_id
        assert not session._saving.ended

        conclude(session)
        assert store.rows == {}
        assert session._saving.ended
        assert listener.heard == []

    def test_emptied_session_that_is_filled_again_keeps_its_id(
        self, session, session_id, make_session
    ):
        session.clear()
        session.save()
        session['b'] = 2
        conclude(session)

        assert session.session_id == session_id
        assert make_session(session_id) == {'b': 2}

    def test_emptied_session_that_others_fill_keeps_its_id(
        self, session, session_id, make_session, change
    ):
        session.clear()
        session.save()
        change(b=2)
        conclude(session)

        assert make_session(session_id) == {'b': 2} == session

    def test_renewed_session_is_saved_under_the_id_that_it_has(
        self, session, session_id, make_session
    ):
        session.renew_id()
        session['b'] = 2
        session.save()

        assert session.session_id == session_id
        assert make_session(session_id)['b'] == 2

        conclude(session)
        assert session.session_id != session_id
        assert make_session(session.session_id)['b'] == 2

    @pytest.mark.parametrize('again', [False, True])
    def test_invalidated_session_is_there_until_the_response(
        self, session, session_id, make_session, store, again
    ):
        before = dict(store.rows)
        session.invalidate()
        if again:
            session['b'] = 2
        session.save()

        assert store.rows == before
        assert session.session_id is None

        conclude(session)
        assert make_session(session_id) == {}
        assert len(store.rows) == again


class TestAbandon:
    def test_abandoned_session_saves_nothing(self, session, store):
        session['b'] = 2
        session._saving.abandon()

        session.save()
        conclude(session)

        assert store.calls == []

    @pytest.mark.parametrize('late', [True, False])
    def test_abandoned_session_without_a_record_needs_none(
        self, make_session, store, late
    ):
        session = make_session()
        session['a'] = 1
        session._saving.abandon()
        if late:
            session._saving.leave()

        with session.locked():
            session['a'] = 2
        session.save()

        assert store.calls == []

    def test_abandoned_session_that_was_invalidated_ends(
        self, session, store, listener
    ):
        session.invalidate()
        session['b'] = 2
        session._saving.abandon()

        session.save()
        conclude(session)
        conclude(session)

        assert (store.calls, store.rows) == (['delete'], {})
        assert session._saving.ended
        assert not session._saving.discarded
        assert listener.heard == []

    def test_abandoned_session_ends_when_it_is_invalidated(
        self, session, store
    ):
        session._saving.abandon()
        session.invalidate()
        session['b'] = 2
        conclude(session)

        assert store.rows == {}

    def test_discarded_session_stays_as_it_was(self, session, store):
        before = dict(store.rows)
        session.invalidate()
        session['b'] = 2
        session._saving.discard()

        session.save()
        conclude(session)

        assert session._saving.discarded
        assert store.rows == before
        assert store.calls == []


class TestAfterTheResponse:
    @pytest.fixture
    def session(self, session):
        session._saving.leave()
        yield session
        session._saving.discard()

    @pytest.mark.parametrize('locked', [True, False])
    def test_change_of_a_stored_session_is_saved(
        self, session, make_session, locked
    ):
        if locked:
            with session.locked():
                session['b'] = 2
        else:
            session['b'] = 2
            session.save()

        assert make_session(session.session_id)['b'] == 2

    @pytest.mark.parametrize(
        'change',
        [
            lambda session: session.renew_id(),
            lambda session: (session.renew_id(), session.update(b=2)),
        ],
    )
    @pytest.mark.parametrize('locked', [True, False])
    def test_id_that_the_browser_cannot_learn_is_refused(
        self, session, store, change, locked
    ):
        before = dict(store.rows)

        def save():
            if locked:
                with session.locked():
                    change(session)
            else:
                change(session)
                session.save()

        with pytest.raises(SessionError) as caught:
            save()

        assert str(caught.value) == (
            'The response is on its way: the browser cannot learn the id of '
            'a new session any more. Create or renew a session before the '
            'response is returned.'
        )
        assert store.rows == before
        if locked:
            assert session == {'a': 1, 'list': [1]}
            session.save()

    def test_session_that_begins_anew_is_refused_but_the_old_one_ends(
        self, session, store
    ):
        session.invalidate()
        session['b'] = 2

        with pytest.raises(SessionError, match='The response is on its way'):
            session.save()

        assert store.rows == {}

    def test_new_session_is_refused_before_it_is_measured(
        self, make_session, store
    ):
        session = make_session()
        session['a'] = 1
        session._saving.leave()

        with pytest.raises(SessionError, match='The response is on its way'):
            session.save()

        assert store.calls == []
        session._saving.discard()

    @pytest.mark.parametrize('locked', [True, False])
    def test_invalidated_session_ends(self, session, store, locked):
        if locked:
            with session.locked():
                session.invalidate()
        else:
            session.invalidate()
            session.save()

        assert store.rows == {}

    def test_session_that_an_inner_block_ends_stays_if_the_outer_one_fails(
        self, session, store
    ):
        before = dict(store.rows)

        with suppress(ZeroDivisionError), session.locked():
            with session.locked():
                session.invalidate()
            raise ZeroDivisionError

        session.save()
        assert store.rows == before

    def test_emptied_session_stays_without_data(
        self, session, session_id, make_session
    ):
        # the cookie stays, too
        session.clear()
        session.save()

        assert session.session_id == session_id
        again = make_session(session_id)
        assert again == {}
        assert not again.new


class Gate:
    """A lock that tells when somebody waits for it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.waiting = threading.Event()

    def __enter__(self):
        if not self.lock.acquire(blocking=False):
            self.waiting.set()
            self.lock.acquire()

    def __exit__(self, *exc_info):
        self.lock.release()


class TestThreads:
    """Two threads of a request use its session first."""

    @pytest.fixture
    def session(self, make_session, session_id):
        return make_session(session_id)

    @pytest.fixture
    def gate(self, session):
        session._saving._loading = Gate()
        return session._saving._loading

    def test_session_is_loaded_once(self, session, gate, store, monkeypatch):
        load = store.load
        other = threading.Thread(target=session.get, args=('a',))

        def load_while_another_waits(session_id):
            other.start()
            assert gate.waiting.wait(10)
            return load(session_id)

        monkeypatch.setattr(store, 'load', load_while_another_waits)

        assert session['a'] == 1

        other.join(10)
        assert store.calls == ['load']

    def test_save_of_one_while_the_other_loads_is_stored(
        self, session, gate, store, monkeypatch
    ):
        due = loading.due

        def save():
            session['b'] = 2
            session.save()
            gate.waiting.set()

        other = threading.Thread(target=save)

        def let_the_other_save(*args):
            other.start()
            assert gate.waiting.wait(10)
            return due(*args)

        monkeypatch.setattr(loading, 'due', let_the_other_save)

        assert session

        other.join(10)
        (row,) = store.rows.values()
        assert row.payload == '{"a":1,"list":[1],"b":2}'
