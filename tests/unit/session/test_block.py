"""``locked()`` against a store that others use, too."""

import pytest

from pyramid_mysql_session.errors import LockTimeout
from tests.memory_store import IDLE
from tests.unit.conftest import conclude


@pytest.fixture
def session_id(stored):
    """The id of a session that is stored."""
    return stored({'number': 1})


class TestBlock:
    def test_block_sees_the_latest_data_and_is_saved(
        self, session, make_session, change, store, listener
    ):
        change(number=5)
        store.calls.clear()

        with session.locked():
            session['number'] += 1
            assert make_session(session.session_id) == {'number': 5}

        assert make_session(session.session_id) == {'number': 6}
        assert store.calls == ['locked', 'load', 'load']
        assert listener.heard == []

    def test_session_that_was_not_used_before_is_loaded(
        self, make_session, session_id
    ):
        session = make_session(session_id)

        with session.locked():
            session['number'] += 1

        assert make_session(session_id) == {'number': 2}

    def test_session_lives_in_its_last_second(self, session, clock, listener):
        clock.move(IDLE)

        with session.locked():
            session['number'] = 2

        assert listener.heard == []

    def test_block_without_a_change_writes_nothing(
        self, session, store, listener
    ):
        rows = dict(store.rows)

        with session.locked():
            assert session['number'] == 1

        assert store.rows == rows
        assert store.calls == ['locked']
        assert listener.heard == []

    def test_block_moves_the_idle_deadline(self, session, store, clock):
        clock.move(5)

        with session.locked():
            session['number'] = 2

        assert store.load(session.session_id).expires == clock.now + IDLE
        assert session._saving._loop.refreshed

    def test_change_before_the_block_is_merged_and_saved(
        self, session, make_session, change, listener
    ):
        session['mine'] = 1
        change(theirs=2)

        with session.locked():
            assert session == {'number': 1, 'mine': 1, 'theirs': 2}

        assert make_session(session.session_id) == session
        assert listener.heard == ['merged']

    def test_list_that_the_application_holds_is_brought_up_to_date(
        self, make_session, stored
    ):
        session = make_session(stored({'list': [1]}))
        items = session['list']
        other = make_session(session.session_id)
        other['list'].append(2)
        other.save()

        with session.locked():
            items.append(3)

        assert make_session(session.session_id) == {'list': [1, 2, 3]}

    def test_others_wait_in_vain_while_the_block_lasts(
        self, session, make_session
    ):
        other = make_session(session.session_id)
        other['number'] = 2

        with session.locked():
            with pytest.raises(LockTimeout):
                other.save()
            with pytest.raises(LockTimeout), other.locked():
                raise AssertionError
            session['number'] = 3

        assert make_session(session.session_id) == {'number': 3}
        other.save()
        assert make_session(session.session_id) == {'number': 2}

    @pytest.mark.parametrize('save', [lambda it: it.save(), conclude])
    def test_change_after_the_block_is_saved_later(
        self, session, make_session, save
    ):
        with session.locked():
            session['number'] = 2
        session['number'] += 1

        save(session)

        assert make_session(session.session_id) == {'number': 3}


class TestInside:
    """What a block does not do itself."""

    def test_save_in_the_block_is_left_to_its_end(self, session, make_session):
        with session.locked():
            session['number'] = 2
            session.save()
            assert make_session(session.session_id)['number'] == 1

        assert make_session(session.session_id)['number'] == 2

    def test_inner_block_is_part_of_the_outer_one(
        self, session, make_session, store
    ):
        with session.locked():
            session['number'] = 2
            with session.locked():
                session['number'] = 3
            assert make_session(session.session_id)['number'] == 1

        assert make_session(session.session_id)['number'] == 3
        assert store.calls.count('locked') == 1

    def test_block_after_another_locks_again(
        self, session, make_session, change, store
    ):
        for _ in range(2):
            with session.locked():
                session['number'] += 1
            change(number=session['number'] + 10)
        assert store.calls.count('locked') == 2

        assert make_session(session.session_id) == {'number': 23}

    def test_block_of_a_listener_during_a_block_is_part_of_it(
        self, session, make_session, change, listener, store, monkeypatch
    ):
        def merged():
            with session.locked():
                session['heard'] = True

        monkeypatch.setattr(listener, 'merged', merged)
        session['mine'] = 1
        change(theirs=2)

        with session.locked():
            assert session['heard']

        assert make_session(session.session_id) == session
        assert store.calls.count('locked') == 1


class TestIds:
    """They begin, change and end with the response, not with the block."""

    def test_new_session_needs_no_lock(self, make_session, store):
        session = make_session()

        with session.locked():
            session['number'] = 1

        assert store.calls == ['measure']
        assert session.session_id is None
        conclude(session)
        assert make_session(session.session_id) == {'number': 1}

    def test_empty_session_is_not_even_measured(self, make_session, store):
        with make_session().locked():
            pass

        assert store.calls == []

    def test_emptied_session_loses_its_record_with_the_response(
        self, session, session_id, make_session, store, listener
    ):
        with session.locked():
            session.clear()

        assert make_session(session_id) == {}
        assert session.session_id == session_id
        conclude(session)
        assert store.rows == {}
        assert session._saving.ended
        assert listener.heard == []

    def test_renewal_takes_place_with_the_response(
        self, session, session_id, make_session
    ):
        with session.locked():
            session.renew_id()
            session['number'] = 2

        assert make_session(session_id) == {'number': 2}
        assert session.session_id == session_id
        conclude(session)
        assert session.session_id != session_id
        assert make_session(session.session_id) == {'number': 2}
        assert make_session(session_id) == {}

    def test_invalidation_takes_place_with_the_response(
        self, session, session_id, make_session, store
    ):
        with session.locked():
            session.invalidate()
            session['new'] = 1

        assert make_session(session_id) == {'number': 1}
        conclude(session)
        assert session.session_id != session_id
        assert len(store.rows) == 1
        assert make_session(session.session_id) == {'new': 1}


class TestLoss:
    def test_session_that_is_gone_is_lost_but_the_block_runs(
        self, session, store, listener
    ):
        store.rows.clear()

        with session.locked():
            session['number'] = 2
        with session.locked():
            session['number'] = 3

        assert session == {'number': 3}
        assert store.rows == {}
        assert listener.heard == ['lost']

    def test_session_that_expires_in_the_block_is_lost(
        self, session, clock, store, listener
    ):
        with session.locked():
            session['number'] = 2
            rows = dict(store.rows)
            clock.move(IDLE + 1)

        assert store.rows == rows
        assert listener.heard == ['lost']
        assert not session._saving._loop.refreshed

    def test_session_that_is_gone_may_begin_anew_in_the_block(
        self, session, make_session, store, listener
    ):
        store.rows.clear()

        with session.locked():
            session.invalidate()
            session['new'] = 1
        conclude(session)

        assert make_session(session.session_id) == {'new': 1}
        assert listener.heard == ['lost', 'created']
