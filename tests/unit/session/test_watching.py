"""A change that nobody saves any more is never silent."""

import copy
import gc
import pickle

import pytest

from pyramid_mysql_session.session import watching
from pyramid_mysql_session.session.saving import Saving
from tests.unit.conftest import conclude

WARNING = (
    'a session was changed after it had been saved, and the change is lost: '
    'call save() after it'
)


@pytest.fixture(autouse=True)
def only_ours():
    """See that nothing is watched but what a test makes."""

    def forget():
        watching._watched.clear()
        while watching._look in gc.callbacks:
            gc.callbacks.remove(watching._look)

    forget()
    # what earlier tests have left in cycles does not end in this one
    gc.freeze()
    yield
    gc.unfreeze()
    forget()


@pytest.fixture
def depart(make_session, stored):
    """Call it for a session whose response is on its way."""

    def depart():
        session = make_session(stored({'list': [], 'inner': {'x': []}}))
        assert session
        conclude(session)
        session._saving.leave()
        session._saving.draft.let_go()
        return session

    return depart


class TestAtTheEnd:
    """The session itself is not used any more."""

    @pytest.mark.parametrize(
        'change',
        [
            lambda session: session.invalidate(),
            lambda session: (session.invalidate(), session.update(a=1)),
        ],
    )
    def test_late_end_that_nobody_carries_out_is_logged(
        self, depart, caplog, change
    ):
        session = depart()
        change(session)

        del session

        assert caplog.messages == [
            'a session was to be ended after the response, and is not: call '
            'save() after invalidate()'
        ]

    @pytest.mark.parametrize(
        'change',
        [
            lambda session: session['list'].append(1),
            lambda session: session['list'].append(object()),
            lambda session: session['inner']['x'].append(1),
            lambda session: session.update(a=1),
            lambda session: session.remember(5),
            lambda session: session.update(_idle_timeout_=1),
            lambda session: session.clear(),
        ],
    )
    def test_late_change_is_logged(self, depart, caplog, change):
        session = depart()
        change(session)

        del session

        assert caplog.messages == [WARNING]

    @pytest.mark.parametrize(
        'change',
        [
            lambda session: session['list'],
            lambda session: session.changed(),
            lambda session: (session['list'].append(1), session.save()),
            lambda session: (session['list'].append(1), session['list'].pop()),
            lambda session: (
                session['list'].append(1),
                session._saving.abandon(),
            ),
        ],
    )
    def test_nothing_is_logged_without_one(self, depart, caplog, change):
        session = depart()
        change(session)

        del session

        assert caplog.messages == []
        assert watching._look not in gc.callbacks

    def test_late_data_of_a_session_without_a_record_is_logged(
        self, make_session, caplog
    ):
        session = make_session()
        session._saving.leave()
        session['a'] = 1

        del session

        assert caplog.messages == [WARNING]

    def test_session_that_was_lost_is_not_warned_of_again(
        self, depart, store, caplog
    ):
        session = depart()
        store.rows.clear()
        session['a'] = 1
        session.save()

        del session

        assert caplog.messages == []

    def test_session_whose_response_is_not_on_its_way_is_not_looked_at(
        self, session, caplog
    ):
        session['a'] = 1
        del session

        assert caplog.messages == []

    def test_session_that_was_never_used_is_not_looked_at(
        self, make_session, session_id, store, caplog
    ):
        session = make_session(session_id)
        session._saving.leave()
        store.calls.clear()

        del session

        assert (store.calls, caplog.messages) == ([], [])

    def test_object_that_was_not_initialized_can_be_dropped(self, caplog):
        saving = Saving.__new__(Saving)

        del saving

        assert caplog.messages == []


class TestHeld:
    """Somebody holds a part of the data when the session is gone."""

    def test_nested_change_is_logged_at_the_next_collection(
        self, make_session, stored, caplog
    ):
        session = make_session(stored({'inner': {'list': []}}))
        items = session['inner']['list']
        conclude(session)
        session._saving.leave()
        session._saving.draft.let_go()
        del session
        gc.collect()
        assert caplog.messages == []

        items.append(1)
        assert caplog.messages == []
        gc.collect()

        assert caplog.messages == [WARNING]
        gc.collect()
        assert len(caplog.messages) == 1
        assert watching._watched == []

    @pytest.fixture
    def hold(self, depart):
        """Call it for a list of a session that is gone."""

        def hold():
            session = depart()
            return session['list']

        return hold

    def test_change_that_is_taken_back_in_time_is_not_logged(
        self, hold, caplog
    ):
        items = hold()
        items.append(1)
        items.pop()
        gc.collect()

        assert caplog.messages == []
        assert watching._look in gc.callbacks

    def test_list_that_is_dropped_is_watched_no_longer(self, hold, caplog):
        items = hold()
        gc.collect()
        assert watching._look in gc.callbacks

        del items
        gc.collect()

        assert watching._watched == []
        assert caplog.messages == []

    def test_copy_of_the_data_is_not_watched(self, depart):
        session = depart()
        held = copy.deepcopy(session['list'])
        del session

        held.append(1)

        assert watching._look not in gc.callbacks

    def test_each_session_is_watched_for_itself(self, hold, caplog):
        one, other = hold(), hold()
        one.append(1)
        gc.collect()
        assert caplog.messages == [WARNING]

        other.append(1)
        gc.collect()

        assert caplog.messages == 2 * [WARNING]
        assert watching._watched == []

    def test_number_of_sessions_that_are_watched_is_limited(
        self, hold, caplog, monkeypatch
    ):
        monkeypatch.setattr(watching, '_MOST', 2)
        held = [hold() for _ in range(3)]
        assert gc.callbacks.count(watching._look) == 1
        for items in held:
            items.append(1)

        gc.collect()

        assert caplog.messages == 2 * [WARNING]

    def test_collection_while_another_thread_looks_does_nothing(
        self, hold, caplog
    ):
        items = hold()
        items.append(1)
        with watching._lock:
            gc.collect()
        assert caplog.messages == []

        gc.collect()

        assert caplog.messages == [WARNING]

    def test_callbacks_of_others_are_called_when_nothing_is_left(self, hold):
        items, phases = hold(), []

        def note(phase, info):
            phases.append(phase)

        gc.callbacks.append(note)
        try:
            del items
            gc.collect()
        finally:
            gc.callbacks.remove(note)

        assert watching._watched == []
        assert phases == ['start', 'stop']

    def test_warning_may_end_another_session(self, hold, depart, monkeypatch):
        class Lock:
            """A lock that tells when its holder would wait for itself."""

            held = stuck = False

            def acquire(self, blocking=True):
                self.stuck |= self.held and blocking
                free, self.held = not self.held, True
                return free

            def release(self):
                self.held = False

            __enter__ = acquire

            def __exit__(self, *exc_info):
                self.release()

        lock = Lock()
        monkeypatch.setattr(watching, '_lock', lock)
        items, others = hold(), [depart()]
        assert others[0]['list'] is not items
        other_items = others[0]['list']
        items.append(1)
        # a handler that keeps the last records may drop a frame that has one
        monkeypatch.setattr(
            watching.log, 'warning', lambda *args: others.clear()
        )

        gc.collect()

        assert other_items == []
        assert not others
        assert not lock.stuck

    def test_start_of_a_collection_is_not_looked_at(self, hold, caplog):
        items = hold()
        items.append(1)

        watching._look('start', {})

        assert caplog.messages == []


class TestOtherSerializers:
    def test_late_change_of_a_set_that_was_only_read_is_logged(
        self, make_session, caplog
    ):
        session = make_session(serializer=pickle)
        session['set'] = {1}
        conclude(session)
        session = make_session(session.session_id, serializer=pickle)
        numbers = session['set']
        conclude(session)
        session._saving.leave()

        numbers.add(2)
        del session

        assert caplog.messages == [WARNING]
