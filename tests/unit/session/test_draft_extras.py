"""What is stored besides the data, and what becomes of it."""

import enum

import pytest

from pyramid_mysql_session.errors import PayloadTooLarge, UserIDError
from tests.memory_store import BEGINNING, IDLE
from tests.unit.conftest import conclude


class Letter(str, enum.Enum):
    """Prints itself otherwise than it is stored."""

    A = 'a'


class Number(enum.IntEnum):
    ONE = 1


class TestRemember:
    def test_own_idle_timeout_is_kept_until_it_is_taken_back(
        self, make_session, store
    ):
        session = make_session()
        session['a'] = 1
        session.remember(5000)
        assert session._draft.remembered
        conclude(session)
        assert store.load(session.session_id).expires == BEGINNING + 5000

        session = make_session(session.session_id)
        assert session == {'a': 1}
        assert session._draft.idle_timeout == 5000
        assert not session._draft.remembered
        session.remember(None)
        session.save()

        assert store.load(session.session_id).expires == BEGINNING + IDLE
        session = make_session(session.session_id)
        assert session == {'a': 1}
        assert session._draft.idle_timeout is None

    def test_one_second_is_enough(self, make_session, store):
        session = make_session()
        session['a'] = 1
        session.remember(1)
        conclude(session)

        assert store.load(session.session_id).expires == BEGINNING + 1

    def test_empty_session_is_not_stored_by_remember(
        self, make_session, store
    ):
        session = make_session()
        session.remember(10)
        conclude(session)

        assert store.rows == {}

    @pytest.mark.parametrize(
        'seconds', [0, -1, 1.5, '10', True, 34_560_001, 10**12, 10**4000]
    )
    def test_anything_but_whole_seconds_is_refused(
        self, make_session, seconds
    ):
        with pytest.raises(ValueError, match='seconds') as caught:
            make_session().remember(seconds)

        assert str(caught.value) == (
            f'seconds = {seconds!r}: expected whole seconds from 1 to '
            '34560000, or None'
        )


class TestUserId:
    @pytest.mark.parametrize(
        ('value', 'expected'),
        [
            ('ada', 'ada'),
            (7, '7'),
            ('', ''),
            (None, None),
            (Letter.A, 'a'),
            (Number.ONE, '1'),
            (-(10**30), '-1' + '0' * 30),
        ],
    )
    def test_user_id_is_copied(self, make_session, store, value, expected):
        session = make_session(userid_key='who')
        session['who'] = value
        conclude(session)

        (row,) = store.rows.values()
        assert row.userid == expected

    @pytest.mark.parametrize('value', [Letter.A, Number.ONE, 7, '7'])
    def test_user_id_stays_when_the_same_value_is_saved_again(
        self, make_session, store, value
    ):
        session = make_session(userid_key='who')
        session['who'] = value
        conclude(session)
        (before,) = store.rows.values()
        session = make_session(session.session_id, userid_key='who')
        session['other'] = 1
        conclude(session)

        (row,) = store.rows.values()
        assert row.payload != before.payload
        assert row.userid == before.userid

    @pytest.mark.parametrize(
        'value', [True, False, ['ada'], {'id': 7}, (), 1.0, 0.5]
    )
    @pytest.mark.parametrize('existing', [False, True])
    def test_anything_else_is_refused_and_nothing_stored(
        self, make_session, stored, store, value, existing
    ):
        session = make_session(stored({'a': 1}) if existing else None)
        before = dict(store.rows)
        session['auth.userid'] = value

        with pytest.raises(UserIDError) as caught:
            conclude(session)

        assert str(caught.value) == (
            'A user id is text or a whole number, not of type '
            f'{type(value).__name__}. Use a text that names the user.'
        )
        assert store.rows == before

    def test_number_of_thousands_of_digits_is_too_large(
        self, make_session, stored
    ):
        session = make_session(stored({'a': 1}))
        session['auth.userid'] = 10**4000

        with pytest.raises(PayloadTooLarge):
            conclude(session)

    def test_user_id_follows_the_data(self, make_session, stored, store):
        session = make_session(stored({'auth.userid': 'ada', 'a': 1}))
        del session['auth.userid']
        session.save()

        (row,) = store.rows.values()
        assert row.userid is None

    def test_users_of_two_log_ins_do_not_mix(
        self, session, make_session, change, store
    ):
        session.update({'auth.userid': 'ada', 'mine': 1})
        change(**{'auth.userid': 'bob', 'theirs': 2})

        session.save()

        (row,) = store.rows.values()
        assert row.userid == 'ada'
        assert make_session(session.session_id) == session
        assert session == {
            'a': 1,
            'list': [1],
            'auth.userid': 'ada',
            'mine': 1,
        }
