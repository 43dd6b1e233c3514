"""What counts as a change, and what else a session knows."""

import json

import pytest

from pyramid_mysql_session.errors import PayloadNotSerializable
from pyramid_mysql_session.session.state import adopt
from tests.memory_store import BEGINNING, IDLE


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

    @pytest.mark.parametrize('change', CHANGES)
    def test_change_is_saved_once(self, session, make_session, store, change):
        change(session)
        session.save()
        session.save()

        assert store.calls == ['load', 'save']
        again = make_session(session.session_id)
        assert again == session
        assert again.own_idle_timeout == session.own_idle_timeout

    @pytest.mark.parametrize('use', NO_CHANGES)
    def test_use_without_a_change_writes_nothing(self, session, store, use):
        use(session)
        session.save()

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

    def test_value_that_cannot_be_stored_is_named(self, session, store):
        before = dict(store.rows)
        session['dict']['list'].append(object())

        with pytest.raises(PayloadNotSerializable, match=r'dict\.list\[2\]'):
            session.save()

        assert store.rows == before
        assert store.calls == ['load']

    def test_key_of_remember_cannot_be_stored(self, session):
        session['_idle_timeout_'] = 1

        with pytest.raises(PayloadNotSerializable) as caught:
            session.save()

        assert caught.value.path == '_idle_timeout_'
        assert 'is a key that remember() uses' in str(caught.value)


class TestTouch:
    @pytest.mark.parametrize(
        ('interval', 'due_after'),
        [('auto', IDLE // 10), (0, 1), (1, 1), (30, 30), (IDLE, IDLE)],
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
            assert session.refreshed == ('touch' in calls)
        assert session._kit.store.load(session_id).expires == clock.now + IDLE

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
        self, make_session, stored, store, clock
    ):
        session = make_session()
        session['a'] = 1
        session.remember(50)
        session.save()
        clock.move(5)
        store.calls.clear()

        session = make_session(session.session_id)
        assert session
        session.save()

        assert store.calls == ['load', 'touch']
        assert store.load(session.session_id).expires == clock.now + 50

    def test_touch_is_not_due_when_the_absolute_deadline_is_near(
        self, make_session, stored, store, clock
    ):
        session_id = stored({'a': 1})
        clock.move(500)

        session = make_session(session_id, absolute_timeout=IDLE + 99)
        assert session
        session.save()

        assert store.calls == ['load']

    def test_save_moves_the_deadline_without_a_touch(
        self, make_session, stored, store, clock
    ):
        session_id = stored({'a': 1})
        clock.move(500)

        session = make_session(session_id)
        session['a'] = 2
        session.save()
        session.save()

        assert session.refreshed
        assert store.calls == ['load', 'save']
        assert store.load(session_id).expires == clock.now + IDLE


class TestRemember:
    def test_own_idle_timeout_is_kept_until_it_is_taken_back(
        self, make_session, store, clock
    ):
        session = make_session()
        session['a'] = 1
        session.remember(5000)
        assert session.remembered
        session.save()
        assert store.load(session.session_id).expires == BEGINNING + 5000

        session = make_session(session.session_id)
        assert session == {'a': 1}
        assert session.own_idle_timeout == 5000
        assert not session.remembered
        session.remember(None)
        session.save()

        assert store.load(session.session_id).expires == BEGINNING + IDLE
        session = make_session(session.session_id)
        assert session == {'a': 1}
        assert session.own_idle_timeout is None

    def test_one_second_is_enough(self, make_session, store):
        session = make_session()
        session['a'] = 1
        session.remember(1)
        session.save()

        assert store.load(session.session_id).expires == BEGINNING + 1

    def test_empty_session_is_not_stored_by_remember(
        self, make_session, store
    ):
        session = make_session()
        session.remember(10)
        session.save()

        assert store.rows == {}

    @pytest.mark.parametrize('seconds', [0, -1, 1.5, '10', True])
    def test_anything_but_whole_seconds_is_refused(
        self, make_session, seconds
    ):
        with pytest.raises(ValueError, match='seconds') as caught:
            make_session().remember(seconds)

        assert str(caught.value) == (
            f'seconds = {seconds!r}: expected whole seconds above 0, or None'
        )


class TestUserId:
    @pytest.mark.parametrize(
        ('value', 'expected'),
        [
            ('ada', 'ada'),
            (7, '7'),
            ('', ''),
            (None, None),
            (True, None),
            (['ada'], None),
            ({'id': 7}, None),
        ],
    )
    def test_user_id_is_copied_when_it_is_plain(
        self, make_session, store, value, expected
    ):
        session = make_session(userid_key='who')
        session['who'] = value
        session.save()

        (row,) = store.rows.values()
        assert row.userid == expected

    def test_user_id_follows_the_data(self, make_session, stored, store):
        session = make_session(stored({'auth.userid': 'ada', 'a': 1}))
        del session['auth.userid']
        session.save()

        (row,) = store.rows.values()
        assert row.userid is None


class TestLateChange:
    """A change after the last save is never silent."""

    @pytest.fixture
    def messages(self, make_session, stored, caplog):
        """Call it, with a late change, for what is logged in the end."""

        def finish(change):
            session = make_session(stored({'list': []}))
            assert session['list'] == []
            session.save()
            session.finish()
            change(session)
            del session
            return [record.getMessage() for record in caplog.records]

        return finish

    @pytest.mark.parametrize(
        'change',
        [
            lambda session: session['list'].append(1),
            lambda session: session['list'].append(object()),
            lambda session: session.update(_idle_timeout_=1),
            lambda session: (session.invalidate(), session.update(a=1)),
        ],
    )
    def test_late_change_is_logged(self, messages, change):
        assert messages(change) == [
            'a session was changed after it had been saved, and the change '
            'is lost: call save() after it'
        ]

    @pytest.mark.parametrize(
        'change',
        [
            lambda session: session['list'],
            lambda session: (session['list'].append(1), session.save()),
            lambda session: (session['list'].append(1), session.abandon()),
            lambda session: session.invalidate(),
        ],
    )
    def test_nothing_is_logged_without_one(self, messages, change):
        assert messages(change) == []


class TestAdopt:
    def test_objects_are_kept_as_far_as_possible(self):
        inner, items = {'x': 1, 'old': 2}, [1, {'y': 1}, 3]
        mine = {'inner': inner, 'items': items, 'old': 1, 'kind': {}}

        adopt(
            mine,
            {
                'inner': {'x': 9, 'new': 8},
                'items': [7, {'y': 6}],
                'kind': [],
                'new': 5,
            },
        )

        assert mine == {
            'inner': {'x': 9, 'new': 8},
            'items': [7, {'y': 6}],
            'kind': [],
            'new': 5,
        }
        assert mine['inner'] is inner
        assert mine['items'] is items

    def test_longer_list_is_taken_over(self):
        items = [1]

        assert adopt(items, [2, 3, 4]) is items
        assert items == [2, 3, 4]
