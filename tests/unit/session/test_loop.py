"""The save loop against a store that others use, too."""

import pytest

from pyramid_mysql_session.errors import LockTimeout
from pyramid_mysql_session.session import loop
from tests.memory_store import IDLE
from tests.unit.conftest import conclude

# a save by hand, and the one with the response
both = pytest.mark.parametrize('save', [lambda it: it.save(), conclude])


class TestConflict:
    @both
    def test_changes_of_both_survive(
        self, session, make_session, change, listener, save
    ):
        items = session['list']
        items.append('mine')
        session['mine'] = 1
        change(b=2, list=[1, 'theirs'])

        save(session)

        expected = {
            'a': 1,
            'list': [1, 'theirs', 'mine'],
            'b': 2,
            'mine': 1,
        }
        assert make_session(session.session_id) == session == expected
        assert session['list'] is items
        assert listener.heard == ['merged']

    @both
    def test_change_that_the_other_made_too_is_not_written(
        self, session, change, store, listener, save
    ):
        session['b'] = 2
        change(b=2)
        store.calls.clear()

        save(session)

        assert store.calls == ['save']
        assert listener.heard == ['merged']

    def test_own_idle_timeouts_are_merged(
        self, session, make_session, store, clock
    ):
        other = make_session(session.session_id)
        other.remember(7)
        other.save()
        session['b'] = 2

        session.save()

        assert session._draft.idle_timeout == 7
        assert store.load(session.session_id).expires == clock.now + 7

    def test_own_idle_timeout_is_merged_with_the_changes_of_others(
        self, session, make_session, change
    ):
        session.remember(7)
        session['mine'] = 1
        change(b=2)

        session.save()

        again = make_session(session.session_id)
        assert again == session == {'a': 1, 'list': [1], 'b': 2, 'mine': 1}
        assert again._draft.idle_timeout == session._draft.idle_timeout == 7

    @both
    def test_many_conflicts_end_in_a_lock(
        self, session, make_session, meanwhile, change, store, pauses, save
    ):
        conflicts = loop.MERGE_ATTEMPTS
        meanwhile(
            'save',
            *(
                lambda number=number: change(**{f'theirs{number}': number})
                for number in range(conflicts)
            ),
        )
        session['mine'] = 1

        save(session)

        assert store.calls[-1] == 'locked'
        assert len(pauses) == conflicts - 1
        assert all(pause <= 0.001 * 2**conflicts for pause in pauses)
        assert make_session(session.session_id) == {
            'a': 1,
            'list': [1],
            'mine': 1,
            **{f'theirs{number}': number for number in range(conflicts)},
        }

    def test_change_that_others_made_too_is_not_written_under_the_lock(
        self, session, meanwhile, change, store
    ):
        meanwhile(
            'save',
            *(
                lambda number=number: change(b=number)
                for number in range(loop.MERGE_ATTEMPTS)
            ),
        )
        rows = []

        def change_alike():
            change(b='same')
            rows.append(dict(store.rows))

        meanwhile('locked', change_alike)
        session['b'] = 'same'

        session.save()

        assert rows == [store.rows]

    def test_row_that_others_lock_then_is_waited_for_in_vain(
        self, session, session_id, make_session, meanwhile, change, store
    ):
        holder = store.locked(session_id)
        meanwhile(
            'save',
            *(
                lambda number=number: change(b=number)
                for number in range(loop.MERGE_ATTEMPTS)
            ),
        )
        meanwhile('locked', holder.__enter__)
        session['mine'] = 1

        with pytest.raises(LockTimeout):
            session.save()

        holder.__exit__(None, None, None)
        session.save()
        assert make_session(session_id) == session
        assert session['mine'] == 1

    def test_emptying_meets_a_change_which_stays(
        self, session, session_id, make_session, change, listener
    ):
        session.clear()
        change(b=2)

        conclude(session)

        assert make_session(session_id) == session == {'b': 2}
        assert not session._saving.ended
        assert listener.heard == ['merged']

    def test_emptying_meets_many_changes_which_stay(
        self, session, make_session, meanwhile, change, store
    ):
        conflicts = loop.MERGE_ATTEMPTS
        meanwhile(
            'delete',
            *(
                # not that there is something to keep each time
                lambda number=number: change(a=number + 2)
                for number in range(conflicts)
            ),
        )
        session.clear()

        conclude(session)

        assert store.rows == {}
        assert session._saving.ended
        assert store.calls[-1] == 'locked'

    def test_session_that_another_request_has_emptied_is_not_ended_by_a_look(
        self, session, session_id, make_session, store
    ):
        session.clear()
        session.save()
        other = make_session(session_id)
        assert other == {}

        conclude(other)

        assert len(store.rows) == 1
        assert not other._saving.ended

    def test_emptying_a_record_that_is_gone_is_a_loss(
        self, session, store, listener
    ):
        session.clear()
        # deleted, or renewed: then its cookie must not be deleted
        store.rows.clear()

        conclude(session)

        assert not session._saving.ended
        assert listener.heard == ['lost']

    def test_payload_that_nobody_can_read_is_replaced(
        self, session, make_session, store
    ):
        record = store.load(session.session_id)
        store.save(session.session_id, '{', record.revision, IDLE)
        session['b'] = 2

        session.save()

        assert make_session(session.session_id) == session
        assert session == {'a': 1, 'list': [1], 'b': 2}

    def test_listener_may_change_and_save_what_was_merged(
        self, session, make_session, change, listener, store, monkeypatch
    ):
        def merged():
            session['heard'] = True
            session.save()
            with session.locked():
                session['block'] = True

        monkeypatch.setattr(listener, 'merged', merged)
        session['mine'] = 1
        change(b=2)
        store.calls.clear()

        session.save()

        # what the listener does is a part of the save that is under way
        assert store.calls == ['save', 'save']
        assert make_session(session.session_id) == session
        assert session == {
            'a': 1,
            'list': [1],
            'b': 2,
            'mine': 1,
            'heard': True,
            'block': True,
        }


class TestLoss:
    @pytest.mark.parametrize(
        'end',
        [
            lambda store, clock, other: store.rows.clear(),
            lambda store, clock, other: clock.move(IDLE + 1),
            lambda store, clock, other: (other.renew_id(), conclude(other)),
            lambda store, clock, other: (other.invalidate(), conclude(other)),
        ],
    )
    @pytest.mark.parametrize(
        'use',
        [
            lambda session: session.update(b=2),
            lambda session: session['list'].append(2),
            lambda session: session.renew_id(),
            lambda session: session.remember(5),
        ],
    )
    def test_session_that_is_gone_is_not_brought_back(
        self, session, make_session, store, clock, listener, end, use
    ):
        end(store, clock, make_session(session.session_id))
        before = dict(store.rows)
        use(session)

        conclude(session)
        session['c'] = 3
        session.save()
        conclude(session)

        assert store.rows == before
        assert 'locked' not in store.calls
        assert listener.heard == ['lost']
        assert session.session_id is None
        assert not session._saving.ended

    def test_session_that_is_gone_after_a_conflict_is_lost(
        self, session, meanwhile, change, store, listener
    ):
        meanwhile('save', lambda: change(b=2), lambda: change(b=3))
        meanwhile('load', lambda: None, lambda: None, store.rows.clear)
        session['mine'] = 1

        session.save()

        assert store.rows == {}
        assert listener.heard == ['merged', 'lost']

    def test_session_that_expires_after_a_conflict_is_lost(
        self, session, meanwhile, change, store, clock, listener
    ):
        meanwhile('save', lambda: change(b=2), lambda: change(b=3))
        meanwhile(
            'load', lambda: None, lambda: None, lambda: clock.move(IDLE + 1)
        )
        session['mine'] = 1

        session.save()

        assert store.calls[-1] == 'load'
        assert listener.heard == ['merged', 'lost']

    def test_session_that_is_gone_when_it_is_locked_is_lost(
        self, session, meanwhile, change, store, listener
    ):
        meanwhile(
            'save',
            *(
                lambda number=number: change(b=number)
                for number in range(loop.MERGE_ATTEMPTS)
            ),
        )
        meanwhile('locked', store.rows.clear)
        session['mine'] = 1

        session.save()

        assert store.rows == {}
        assert listener.heard == [*5 * ['merged'], 'lost']

    def test_session_that_expires_under_the_lock_is_lost(
        self, session, meanwhile, change, store, clock, listener, monkeypatch
    ):
        def merged():
            if store.calls[-1] == 'locked':
                clock.move(IDLE + 1)

        monkeypatch.setattr(listener, 'merged', merged)
        meanwhile(
            'save',
            *(
                lambda number=number: change(b=number)
                for number in range(loop.MERGE_ATTEMPTS)
            ),
        )
        meanwhile('locked', lambda: change(b='last'))
        session['mine'] = 1

        session.save()

        (row,) = store.rows.values()
        assert 'mine' not in row.payload
        assert listener.heard == ['lost']
        assert not session._saving._loop.refreshed

    def test_lost_session_may_begin_anew(self, session, store, listener):
        store.rows.clear()
        session['b'] = 2
        session.save()

        session.invalidate()
        session['c'] = 3
        conclude(session)

        assert len(store.rows) == 1
        assert listener.heard == ['lost', 'created']
