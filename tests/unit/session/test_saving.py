"""The save loop against a store that others use, too."""

import pytest

from pyramid_mysql_session.session import saving
from tests.memory_store import IDLE


class TestCreate:
    def test_new_session_with_data_is_created_once(
        self, make_session, store, listener
    ):
        session = make_session()
        session['a'] = 1
        session.save()
        session.save()

        assert store.calls == ['create']
        assert listener.heard == ['created']
        assert session.new
        assert not session.ended
        assert make_session(session.session_id) == {'a': 1}

    @pytest.mark.parametrize(
        'use',
        [
            len,
            lambda session: (session.update(a=1), session.clear()),
            lambda session: (session.flash('x'), session.pop_flash()),
            lambda session: session.invalidate(),
            lambda session: session.renew_id(),
        ],
    )
    def test_session_that_stays_empty_is_not_created(
        self, make_session, store, listener, use
    ):
        session = make_session()
        use(session)
        session.save()

        assert (store.calls, store.rows, listener.heard) == ([], {}, [])
        assert not session.ended

    def test_change_after_the_creation_is_an_update(self, make_session, store):
        session = make_session()
        session['a'] = 1
        session.save()
        session['a'] = 2
        session.save()

        assert store.calls == ['create', 'save']
        assert make_session(session.session_id) == {'a': 2}


class TestDelete:
    def test_emptied_session_loses_its_record(self, session, store, listener):
        session.clear()
        session.save()
        session.save()

        assert (store.calls, store.rows) == (['delete'], {})
        assert session.ended
        assert session.session_id is None
        assert listener.heard == []

    def test_data_after_that_goes_under_a_fresh_id(
        self, session, session_id, store, listener
    ):
        session.clear()
        session.save()
        session['b'] = 2
        session.save()

        assert store.calls == ['delete', 'create']
        assert session.session_id not in (None, session_id)
        assert listener.heard == ['created']


class TestConflict:
    def test_changes_of_both_survive(
        self, session, make_session, change, store, listener
    ):
        items = session['list']
        items.append('mine')
        session['mine'] = 1
        change(b=2, list=[1, 'theirs'])

        session.save()

        expected = {
            'a': 1,
            'list': [1, 'theirs', 'mine'],
            'b': 2,
            'mine': 1,
        }
        assert make_session(session.session_id) == session == expected
        assert session['list'] is items
        assert listener.heard == ['merged']

    def test_change_that_the_other_made_too_is_not_written(
        self, session, change, store, listener
    ):
        session['b'] = 2
        change(b=2)
        store.calls.clear()

        session.save()

        assert store.calls == ['save']

    def test_own_idle_timeouts_are_merged(
        self, session, make_session, change, clock
    ):
        other = make_session(session.session_id)
        other.remember(7)
        other.save()
        session['b'] = 2

        session.save()

        assert session.own_idle_timeout == 7
        assert session._kit.store.load(session.session_id).expires == (
            clock.now + 7
        )

    def test_many_conflicts_end_in_a_lock(
        self, session, make_session, meanwhile, change, store, pauses
    ):
        conflicts = saving.MERGE_ATTEMPTS
        meanwhile(
            'save',
            *(
                lambda number=number: change(**{f'theirs{number}': number})
                for number in range(conflicts)
            ),
        )
        session['mine'] = 1

        session.save()

        assert store.calls[-1] == 'locked'
        assert len(pauses) == conflicts - 1
        assert all(pause <= 0.001 * 2**conflicts for pause in pauses)
        assert make_session(session.session_id) == {
            'a': 1,
            'list': [1],
            'mine': 1,
            **{f'theirs{number}': number for number in range(conflicts)},
        }

    def test_emptying_meets_a_change_which_stays(
        self, session, make_session, change, listener
    ):
        session.clear()
        change(b=2)

        session.save()

        assert make_session(session.session_id) == session == {'b': 2}
        assert not session.ended
        assert listener.heard == ['merged']

    def test_emptying_a_record_that_is_gone_is_a_loss(
        self, session, store, listener
    ):
        session.clear()
        # deleted, or renewed: then its cookie must not be deleted
        store.rows.clear()

        session.save()

        assert not session.ended
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


class TestLoss:
    @pytest.mark.parametrize(
        'end',
        [
            lambda store, clock, other: store.rows.clear(),
            lambda store, clock, other: clock.move(IDLE + 1),
            lambda store, clock, other: (other.renew_id(), other.save()),
            lambda store, clock, other: (other.invalidate(), other.save()),
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

        session.save()
        session['c'] = 3
        session.save()

        assert store.rows == before
        assert 'locked' not in store.calls
        assert listener.heard == ['lost']
        assert session.session_id is None
        assert not session.ended

    def test_session_that_is_gone_after_a_conflict_is_lost(
        self, session, meanwhile, change, store, listener
    ):
        meanwhile('save', lambda: change(b=2), lambda: change(b=3))
        meanwhile('load', lambda: None, lambda: None, store.rows.clear)
        session['mine'] = 1

        session.save()

        assert store.rows == {}
        assert listener.heard == ['merged', 'lost']

    def test_touch_of_a_session_that_is_gone_loses_it(
        self, make_session, session_id, clock, store, listener
    ):
        clock.move(IDLE)
        session = make_session(session_id)
        assert session
        store.rows.clear()

        session.save()
        session.save()

        assert store.calls == ['load', 'touch']
        assert store.rows == {}
        assert listener.heard == ['lost']
        assert not session.refreshed

    def test_lost_session_may_begin_anew(self, session, store, listener):
        store.rows.clear()
        session['b'] = 2
        session.save()

        session.invalidate()
        session['c'] = 3
        session.save()

        assert len(store.rows) == 1
        assert listener.heard == ['lost', 'created']

    def test_abandoned_session_saves_nothing(self, session, store):
        session['b'] = 2
        session.abandon()

        session.save()

        assert store.calls == []
