"""What is stored besides the data, and what becomes of it."""

import pytest

from tests.memory_store import BEGINNING, IDLE
from tests.unit.conftest import conclude


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
        conclude(session)

        (row,) = store.rows.values()
        assert row.userid == expected

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
