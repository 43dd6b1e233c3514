"""Saving under a new id, after a lost answer, after the response."""

import pytest

from pyramid_mysql_session.errors import (
    PayloadNotSerializable,
    SessionError,
    StoreUnavailable,
)
from pyramid_mysql_session.store import revisions
from pyramid_mysql_session.store.keys import stored_key
from tests.memory_store import BEGINNING, in_doubt


class TestRenewal:
    def test_data_moves_to_a_fresh_id_and_the_old_one_is_dead(
        self, session, session_id, make_session, store, clock
    ):
        clock.move(5)
        session.renew_id()
        assert session.session_id == session_id
        session.save()
        session.save()

        assert store.calls == ['save']
        assert session.session_id not in (None, session_id)
        assert list(store.rows) == [stored_key(session.session_id)]
        again = make_session(session.session_id)
        assert again == session == {'a': 1, 'list': [1]}
        assert again.created == BEGINNING

    def test_change_goes_with_it(self, session, make_session, store):
        session.renew_id()
        session['b'] = 2
        session.save()

        assert store.calls == ['save']
        assert make_session(session.session_id)['b'] == 2

    def test_conflict_is_merged_under_the_fresh_id(
        self, session, session_id, make_session, change, store, listener
    ):
        session.renew_id()
        change(b=2)
        session.save()

        assert session.session_id != session_id
        assert list(store.rows) == [stored_key(session.session_id)]
        assert make_session(session.session_id)['b'] == 2
        assert listener.heard == []

    def test_renewed_session_that_is_emptied_is_deleted(self, session, store):
        session.renew_id()
        session.clear()
        session.save()
        session.save()

        assert (store.calls, store.rows) == (['delete'], {})
        session['b'] = 2
        session.save()
        session.save()
        assert store.calls == ['delete', 'create']


class TestInvalidation:
    @pytest.mark.parametrize('times', [1, 2])
    def test_record_is_deleted_when_nothing_follows(
        self, make_session, session_id, store, times
    ):
        session = make_session(session_id)
        for _ in range(times):
            session.invalidate()
        assert session.used
        assert session.new
        assert session == {}
        session.save()
        session.save()

        assert (store.calls, store.rows) == (['delete'], {})
        assert session.ended

    def test_what_follows_is_created_in_its_place(
        self, session, session_id, make_session, store, clock
    ):
        clock.move(5)
        session.remember(77)
        session.invalidate()
        session['b'] = 2
        session.save()

        assert store.calls == ['create']
        assert session.new
        assert session.session_id != session_id
        assert list(store.rows) == [stored_key(session.session_id)]
        again = make_session(session.session_id)
        assert again == {'b': 2}
        assert again.created == session.created == BEGINNING + 5
        assert again.own_idle_timeout is None

    def test_old_record_stays_when_the_new_one_is_refused(
        self, session, session_id, store
    ):
        session.invalidate()
        session['b'] = object()

        with pytest.raises(PayloadNotSerializable):
            session.save()

        assert list(store.rows) == [stored_key(session_id)]
        session['b'] = 2
        session.save()
        assert list(store.rows) == [stored_key(session.session_id)]


class TestDoubt:
    """The answer to a save was lost."""

    @pytest.fixture(params=[True, False], ids=['executed', 'not executed'])
    def line_cut(self, request, store, monkeypatch):
        """Call it to let the next save be executed or not, and not answer."""
        save = store.save

        def cut(session_id, payload, revision, *args):
            monkeypatch.setattr(store, 'save', save)
            attempted = revisions.following(revision)
            if request.param:
                args = (*args[:3], attempted)
                save(session_id, payload, revision, *args)
            raise in_doubt(attempted)

        return lambda: monkeypatch.setattr(store, 'save', cut)

    def fail_to_save(self, session):
        with pytest.raises(StoreUnavailable, match='The line was cut'):
            session.save()

    def test_saving_again_applies_it_once(
        self, session, make_session, line_cut, listener
    ):
        session['list'].append('mine')
        line_cut()
        self.fail_to_save(session)

        session.save()
        session.save()

        assert make_session(session.session_id) == session
        assert session == {'a': 1, 'list': [1, 'mine']}
        assert listener.heard == []

    def test_changes_made_since_are_saved_too(
        self, session, make_session, line_cut
    ):
        session['list'].append('mine')
        line_cut()
        self.fail_to_save(session)
        session['list'].append('more')
        session['b'] = 2

        session.save()

        assert make_session(session.session_id) == session
        assert session == {'a': 1, 'list': [1, 'mine', 'more'], 'b': 2}

    def test_key_that_is_set_since_is_saved_too(
        self, session, make_session, line_cut
    ):
        session['b'] = 2
        line_cut()
        self.fail_to_save(session)
        session['c'] = 3

        session.save()

        assert make_session(session.session_id) == session

    def test_locked_block_after_it_applies_it_once(
        self, session, make_session, line_cut
    ):
        session['list'].append('mine')
        line_cut()
        self.fail_to_save(session)

        with session.locked():
            session['list'].append('more')

        assert make_session(session.session_id)['list'] == [1, 'mine', 'more']

    def test_changes_that_others_made_since_are_kept(
        self, session, make_session, line_cut
    ):
        session['list'].append('mine')
        line_cut()
        self.fail_to_save(session)
        other = make_session(session.session_id)
        other['list'].append('theirs')
        other.save()

        session.save()

        items = make_session(session.session_id)['list']
        assert items[0] == 1
        assert sorted(items[1:]) == ['mine', 'theirs']

    def test_renewal_leads_to_one_record(
        self, session, make_session, line_cut, store
    ):
        session.renew_id()
        line_cut()
        self.fail_to_save(session)

        session.save()

        assert list(store.rows) == [stored_key(session.session_id)]
        assert make_session(session.session_id) == {'a': 1, 'list': [1]}

    def test_session_that_is_gone_since_is_lost(
        self, session, line_cut, store, listener
    ):
        session['b'] = 2
        line_cut()
        self.fail_to_save(session)
        store.rows.clear()

        session.save()

        assert store.rows == {}
        assert listener.heard == ['lost']

    def test_session_that_is_emptied_since_is_deleted(
        self, session, line_cut, store, listener
    ):
        session['b'] = 2
        line_cut()
        self.fail_to_save(session)
        session.clear()

        session.save()

        assert store.rows == {}
        assert session.ended

    def test_invalidation_ends_the_doubt(self, session, line_cut, store):
        session['b'] = 2
        line_cut()
        self.fail_to_save(session)

        session.invalidate()
        session.save()

        assert store.rows == {}

    def test_error_before_anything_was_sent_leaves_no_doubt(
        self, session, make_session, meanwhile
    ):
        def refuse():
            raise StoreUnavailable('The line was cut', '')

        meanwhile('save', refuse)
        session['list'].append('mine')
        self.fail_to_save(session)

        session.save()

        assert make_session(session.session_id)['list'] == [1, 'mine']


class TestAfterTheResponse:
    def test_change_of_a_stored_session_is_saved(self, session, make_session):
        session.finish()
        session['b'] = 2
        session.save()

        assert make_session(session.session_id)['b'] == 2

    @pytest.mark.parametrize(
        'change',
        [
            lambda session: session.renew_id(),
            lambda session: (session.invalidate(), session.update(b=2)),
        ],
    )
    def test_id_that_the_browser_cannot_learn_is_refused(
        self, session, store, change
    ):
        session.finish()
        change(session)

        with pytest.raises(SessionError) as caught:
            session.save()

        assert str(caught.value) == (
            'The response is on its way: the browser cannot learn the id of '
            'a new session any more. Create or renew a session before the '
            'response is returned.'
        )
        assert store.calls == []
        session.abandon()
