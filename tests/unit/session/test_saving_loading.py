"""When a session is loaded, and what it is then."""

import pytest

from pyramid_mysql_session.errors import StoreUnavailable
from pyramid_mysql_session.store.keys import renew_session_id
from tests.memory_store import BEGINNING, IDLE, MemoryStore
from tests.save_contract import id_of
from tests.unit.conftest import conclude


class TestLoading:
    def test_nothing_is_loaded_before_it_is_needed(
        self, make_session, stored, store
    ):
        session_id = stored({'a': 1})

        session = make_session(session_id)
        assert session.session_id == session_id
        session.save()
        conclude(session)
        session._saving.abandon()
        session._saving.leave()

        assert not session._saving.used
        assert store.calls == []

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
            lambda session: session.handle,
            lambda session: session.changed(),
            lambda session: session.renew_id(),
            lambda session: session.remember(None),
            lambda session: session.peek_flash(),
            lambda session: session == {},
        ],
    )
    def test_data_is_loaded_once(self, make_session, stored, store, use):
        session = make_session(stored({'a': 1}))

        use(session)
        use(session)

        assert session._saving.used
        assert store.calls == ['load']

    def test_data_is_loaded_again_after_an_error(
        self, make_session, stored, meanwhile
    ):
        def fail():
            raise StoreUnavailable('MySQL stopped', '')

        session = make_session(stored({'a': 1}))
        meanwhile('load', fail)

        with pytest.raises(StoreUnavailable):
            bool(session)

        assert session == {'a': 1}

    def test_new_session_loads_nothing(self, make_session, store):
        session = make_session()

        assert session == {}
        assert session.new
        assert session.session_id is None
        assert session.handle is None
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

    def test_session_lives_in_the_last_second(
        self, make_session, stored, clock
    ):
        session_id = stored({'a': 1})
        clock.move(IDLE)

        assert make_session(session_id) == {'a': 1}

    def test_abandoned_session_can_be_read(self, make_session, stored, store):
        session = make_session(stored({'a': 1}))
        session._saving.abandon()

        assert session == {'a': 1}
        session['b'] = 2
        conclude(session)

        assert store.calls == ['load']


class TestRejection:
    """A cookie that leads to no session is a new one."""

    @pytest.mark.parametrize(
        ('end', 'reason'),
        [
            (lambda store, clock, other: store.rows.clear(), 'unknown'),
            (lambda store, clock, other: clock.move(IDLE + 1), 'expired'),
            (lambda store, clock, other: other.renew_id(), 'renewed'),
            (lambda store, clock, other: other.invalidate(), 'unknown'),
            (lambda store, clock, other: other.clear(), 'unknown'),
        ],
    )
    def test_session_that_is_gone_is_a_new_one_under_a_new_id(
        self, make_session, stored, store, clock, listener, end, reason
    ):
        session_id = stored({'a': 1})
        other = make_session(session_id)
        end(store, clock, other)
        conclude(other)
        listener.heard.clear()

        session = make_session(session_id)

        assert session == {}
        assert session.new
        assert session.session_id is None
        assert session.handle is None
        assert session.created == clock.now
        assert listener.heard == [reason]
        session['b'] = 2
        conclude(session)
        assert session.session_id not in (
            None,
            session_id,
            other.session_id,
        )

    def test_renewed_id_leads_nowhere_though_it_is_of_the_family(
        self, make_session, stored, store, listener
    ):
        session_id = stored({'a': 1})

        assert make_session(renew_session_id(session_id)) == {}

        assert listener.heard == ['renewed']
        # a server that lags may know the older id only
        assert store.calls == ['load', 'is_renewed', 'load']

    @pytest.mark.parametrize('payload', ['{', '[]', ''])
    def test_undecodable_payload_is_a_new_session(
        self, make_session, store, listener, payload
    ):
        session_id = id_of(77)
        store.create(session_id, payload, 100)

        session = make_session(session_id)

        assert session == {}
        assert session.new
        assert session.session_id is None
        assert listener.heard == ['undecodable']

    def test_bug_of_a_serializer_is_no_reason_to_begin_anew(
        self, make_session, stored, listener
    ):
        class Broken:
            def loads(self, payload):
                raise ZeroDivisionError

        session_id = stored({'a': 1})

        with pytest.raises(ZeroDivisionError):
            bool(make_session(session_id, serializer=Broken()))

        assert listener.heard == []
        assert make_session(session_id) == {'a': 1}

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
        session = make_session(id_of(77))

        assert session == {'reason': 'unknown'}
        conclude(session)
        assert listener.heard == ['created']


class TestTouch:
    @pytest.mark.parametrize(
        ('interval', 'due_after'),
        [
            ('auto', IDLE // 10),
            (0, 1),
            (1, 1),
            (30, 30),
            (IDLE // 2, IDLE // 2),
            # who comes back after this time must find it
            (IDLE - 30, 30),
            (IDLE, 1),
            (IDLE * 10, 1),
        ],
    )
    def test_touch_is_due_after_its_interval(
        self, make_session, stored, store, clock, interval, due_after
    ):
        session_id = stored({'a': 1})

        for seconds, calls in (
            (due_after - 1, ['load']),
            (1, ['load', 'touch']),
        ):
            store.calls.clear()
            clock.move(seconds)
            session = make_session(session_id, touch_interval=interval)
            assert session['a'] == 1
            session.save()
            session.save()
            assert store.calls == calls
            assert session._saving._loop.refreshed == ('touch' in calls)
        assert store.load(session_id).expires == clock.now + IDLE

    def test_touch_never_happens_at_wish(
        self, make_session, stored, store, clock
    ):
        session_id = stored({'a': 1})
        clock.move(IDLE)

        session = make_session(session_id, touch_interval='never')
        assert session
        session.save()

        assert store.calls == ['load']

    def test_auto_is_a_tenth_of_the_own_idle_timeout(
        self, make_session, store, clock
    ):
        session = make_session()
        session['a'] = 1
        session.remember(50)
        conclude(session)

        for seconds, calls in ((4, ['load']), (1, ['load', 'touch'])):
            store.calls.clear()
            clock.move(seconds)
            session = make_session(session.session_id)
            assert session
            session.save()
            assert store.calls == calls
        assert store.load(session.session_id).expires == clock.now + 50

    def test_session_lives_to_its_absolute_deadline_and_is_touched_once(
        self, make_session, stored, clock
    ):
        store = MemoryStore(clock, absolute_timeout=IDLE + 99)
        session_id = stored({'a': 1}, store=store)
        store.calls.clear()

        for _ in range(2):
            clock.move(500)
            session = make_session(
                session_id, store=store, absolute_timeout=IDLE + 99
            )
            assert session
            session.save()

        assert store.calls == ['load', 'touch', 'load']
        assert store.load(session_id).expires == BEGINNING + IDLE + 99

    @pytest.mark.parametrize(
        ('limit', 'expected'), [(IDLE + 99, IDLE + 99), (9999, IDLE + 500)]
    )
    def test_touch_never_passes_the_absolute_deadline(
        self, make_session, stored, clock, limit, expected
    ):
        store = MemoryStore(clock, absolute_timeout=limit)
        session_id = stored({'a': 1}, store=store)
        clock.move(500)

        session = make_session(
            session_id, store=store, absolute_timeout=limit, touch_interval=99
        )
        assert session
        session.save()

        assert store.load(session_id).expires == BEGINNING + expected

    @pytest.mark.parametrize('save', [lambda it: it.save(), conclude])
    def test_save_moves_the_deadline_without_a_touch(
        self, make_session, stored, store, clock, save
    ):
        session_id = stored({'a': 1})
        clock.move(500)

        session = make_session(session_id)
        session['a'] = 2
        save(session)
        save(session)

        assert session._saving._loop.refreshed
        assert store.calls == ['load', 'save']
        assert store.load(session_id).expires == clock.now + IDLE

    def test_touch_of_a_session_that_is_gone_loses_it(
        self, make_session, session_id, clock, store, listener
    ):
        clock.move(IDLE)
        session = make_session(session_id)
        assert session
        store.rows.clear()

        session.save()
        conclude(session)

        assert store.calls == ['load', 'touch', 'touch']
        assert store.rows == {}
        assert listener.heard == ['lost']
        assert not session._saving._loop.refreshed
