"""When a session is loaded, and what it is then."""

import pytest

from tests.memory_store import BEGINNING


class TestLoading:
    def test_nothing_is_loaded_before_it_is_needed(self, make_session, stored):
        session_id = stored({'a': 1})

        session = make_session(session_id)
        session.abandon()
        session.finish()

        assert not session.used
        assert session._kit.store.calls == []

    @pytest.mark.parametrize(
        'use',
        [
            lambda session: session['a'],
            lambda session: session.get('b'),
            lambda session: 'a' in session,
            bool,
            list,
            len,
            lambda session: session.created,
            lambda session: session.new,
            lambda session: session.changed(),
            lambda session: session.renew_id(),
            lambda session: session.peek_flash(),
            lambda session: session == {},
        ],
    )
    def test_data_is_loaded_once(self, make_session, stored, store, use):
        session = make_session(stored({'a': 1}))

        use(session)
        use(session)

        assert session.used
        assert store.calls == ['load']

    def test_new_session_loads_nothing(self, make_session, store):
        session = make_session()

        assert session == {}
        assert session.new
        assert session.session_id is None
        assert store.calls == []

    def test_new_session_was_created_now(self, make_session, clock):
        session = make_session()

        assert session.created == BEGINNING
        clock.move(10)
        assert session.created == BEGINNING

    def test_stored_session_tells_when_it_was_created(
        self, make_session, stored, clock
    ):
        session_id = stored({'a': 1})
        clock.move(10)

        session = make_session(session_id)

        assert session.created == BEGINNING
        assert not session.new

    def test_unknown_id_is_a_new_session_under_a_new_id(
        self, make_session, listener
    ):
        unknown = 'f' * 51
        session = make_session(unknown)

        assert session == {}
        assert session.new
        assert listener.heard == ['unknown']
        session['a'] = 1
        session.save()
        assert session.session_id not in (None, unknown)

    def test_expired_id_is_a_new_session_under_a_new_id(
        self, make_session, stored, clock, listener
    ):
        session_id = stored({'a': 1})
        clock.move(1001)

        session = make_session(session_id)

        assert session == {}
        assert session.new
        assert session.session_id is None
        assert session.created == BEGINNING + 1001
        assert listener.heard == ['expired']

    def test_session_lives_in_the_last_second(
        self, make_session, stored, clock
    ):
        session_id = stored({'a': 1})
        clock.move(1000)

        assert make_session(session_id) == {'a': 1}

    @pytest.mark.parametrize('payload', ['{', '[]', ''])
    def test_undecodable_payload_is_a_new_session(
        self, make_session, store, listener, payload
    ):
        session_id = '00000001'.ljust(51, 'y')
        store.create(session_id, payload, 100)

        session = make_session(session_id)

        assert session == {}
        assert session.new
        assert session.session_id is None
        assert listener.heard == ['undecodable']

    def test_forged_cookie_is_a_new_session(
        self, make_session, store, listener
    ):
        session = make_session(forged=True)
        assert listener.heard == []

        assert session == {}
        assert session.new
        assert session == {}
        assert listener.heard == ['signature']
        assert store.calls == []

    def test_listener_may_use_the_new_session_already(
        self, make_session, listener, monkeypatch
    ):
        def rejected(reason):
            session['reason'] = reason

        monkeypatch.setattr(listener, 'rejected', rejected)
        session = make_session('f' * 51)

        assert session == {'reason': 'unknown'}
        session.save()
        assert listener.heard == ['created']
