"""What ``IMySQLSessionStore`` promises of lists, users and ends."""

from __future__ import annotations

import enum

import pytest

from pyramid_mysql_session import (
    LockTimeout,
    PayloadNotSerializable,
    PayloadTooLarge,
    UserIDError,
)
from pyramid_mysql_session.store.keys import handle, renew_session_id
from pyramid_mysql_session.store.results import Device, Ending
from tests.save_contract import IDLE, ONE, THREE, TWO, id_of

IPV4 = bytes([192, 0, 2, 7])
IPV6 = bytes.fromhex('20010db8' + 22 * '0' + '07')
#: What is no handle.
NO_HANDLES = [
    '',
    handle(ONE).upper(),
    f' {handle(ONE)}',
    f'{handle(ONE)}\n',
    handle(ONE)[:-1],
    f'{handle(ONE)}0',
    "' OR 1=1 --" + 21 * ' ',
    'ü' * 32,
    '٠' * 32,
    '\ud800' * 32,
    ONE,
    handle(ONE).encode(),
    bytes.fromhex(handle(ONE)),
    5,
    True,
    [handle(ONE)],
]
#: What names a user, and must be told from all others.
USERS = [
    'ada',
    'Ada',
    'ada ',
    ' ada',
    'àda',
    "ada' OR '1'='1",
    'a"d`a\\',
    'ada\0',
    '',
    '😀',
    '😀 ',
    '5',
    '05',
    '-5',
    'x' * 255,
    '😀' * 255,
]


def at(clock, seconds, number=1):
    """Return an id that is made so many seconds from now."""
    family = f'{clock.now + seconds:08x}{number:022}'
    return family + 22 * 'x'


def handles(listed):
    return [stored.handle for stored in listed]


def methods_of_a_user(store):
    """Return what takes a user id, each to be called with that alone."""
    return (
        store.for_user,
        store.delete_for_user,
        store.count,
        lambda userid: store.limit_for_user(userid, 0),
        lambda userid: store.end(handle(ONE), userid),
    )


class UsersContract:
    """
    What lists and ends of every store do; a part of ``StoreContract``.

    A subclass has, besides those of ``SaveContract``, the fixture
    ``endings``: what was told of the sessions that a store has ended. Its
    ``make_store`` takes ``track_devices``.
    """

    @pytest.fixture
    def five(self, store, clock):
        """The handles of five sessions of a user, the newest first."""
        found = []
        for number in range(5):
            # two in one second
            clock.move(number % 2)
            session_id = at(clock, 0, number)
            store.create(session_id, '{}', IDLE, 'ada')
            store.create(at(clock, 0, number + 50), '{}', IDLE, 'bob')
            found.append((clock.now, handle(session_id)))
        return [each for _, each in sorted(found, reverse=True)]

    # lists

    def test_count_omits_the_expired(self, store, expired):
        store.create(TWO, '{}', IDLE)
        store.create(THREE, '{}', IDLE)

        assert store.count() == 2

    def test_count_of_a_user_omits_others_and_the_expired(
        self, store, expired
    ):
        for number, userid in enumerate(('ada', 'Ada', 'ada ', None, 5), 2):
            store.create(id_of(number), '{}', IDLE, userid)

        assert store.count('ada') == 1
        assert store.count(5) == store.count('5') == 1
        assert store.count('') == 0

    @pytest.mark.parametrize('batch', [1, 2, 1000])
    def test_iter_sessions_gives_the_live_ones(self, store, expired, batch):
        store.create(TWO, '{"b":2}', IDLE, 'bob')
        store.create(THREE, '{"c":3}', IDLE)

        assert [
            (each.handle, each.userid, each.data())
            for each in store.iter_sessions(batch)
        ] == [
            (handle(TWO), 'bob', {'b': 2}),
            (handle(THREE), None, {'c': 3}),
        ]

    @pytest.mark.parametrize('batch', [0, -1, True, 1.0, '5', None])
    def test_batch_of_another_size_is_refused(self, store, batch):
        with pytest.raises(ValueError, match=r'batch = .*from 1 on'):
            list(store.iter_sessions(batch))

    def test_list_tells_of_each_session(self, store, revision, clock):
        clock.move(7)
        store.save(ONE, '{"u":"\xfc"}', revision, IDLE, 'ada')

        (found,) = store.for_user('ada')

        assert found.handle == handle(ONE)
        assert found.userid == 'ada'
        assert found.created == clock.now - 7
        assert found.expires == clock.now + IDLE
        assert found.size == 10
        assert (found.seen, found.ip, found.agent) == (None, None, None)
        assert found.current is False
        assert found.data() == {'u': 'ü'}
        assert repr(found) == (
            f'<StoredSession {handle(ONE)[-8:]} of 10 bytes, '
            f'expires {found.expires}>'
        )

    def test_list_caps_expiry_at_the_absolute_deadline(
        self, make_store, clock
    ):
        make_store().create(ONE, '{}', IDLE, 'ada')
        store = make_store(absolute_timeout=30)

        (found,) = store.for_user('ada')
        assert found.expires == clock.now + 30
        (found,) = store.iter_sessions()
        assert found.expires == clock.now + 30
        clock.move(31)
        assert store.for_user('ada') == list(store.iter_sessions()) == []
        assert store.count() == store.count('ada') == 0
        assert store.end(handle(ONE)) is False
        assert store.delete_for_user('ada') == 0

    def test_data_is_that_of_the_session_when_it_is_asked_for(
        self, store, revision
    ):
        (found,) = store.for_user('ada')
        renewed = renew_session_id(ONE)
        store.save(ONE, '{"b":2}', revision, IDLE, 'bob', renewed)

        assert found.data() == {'b': 2}
        store.delete(ONE)
        assert found.data() is None

    def test_data_of_a_session_that_expired_is_none(
        self, store, revision, clock
    ):
        (found,) = store.for_user('ada')
        clock.move(IDLE + 1)

        assert found.data() is None

    def test_for_user_gives_the_newest_first(self, store, five):
        assert handles(store.for_user('ada')) == five

    @pytest.mark.parametrize('size', [1, 2, 3, 5, 9])
    def test_list_of_a_user_comes_in_parts(self, store, five, size):
        found, after = [], None
        while part := store.for_user('ada', size, after):
            assert len(part) <= size
            found += handles(part)
            after = found[-1]

        assert found == five

    @pytest.mark.parametrize('gone', range(5))
    def test_list_goes_on_after_one_that_has_ended(self, store, five, gone):
        assert store.end(five[gone])

        found = handles(store.for_user('ada', after=five[gone]))

        older = five[gone + 1 :]
        # some may come twice, but none is left out
        assert [each for each in found if each in older] == older

    def test_list_that_is_ended_one_by_one_comes_to_its_end(self, store, five):
        found, after = [], None
        while part := store.for_user('ada', 1, after):
            (after,) = handles(part)
            assert store.end(after, 'ada')
            found.append(after)

        assert found == five

    def test_list_goes_on_where_the_hosts_clock_was_behind(self, store, clock):
        # its id was made by a host whose clock is behind
        store.create(at(clock, -3), '{}', IDLE, 'ada')
        store.create(at(clock, -9), '{}', IDLE, 'ada')
        first, second = handles(store.for_user('ada'))

        store.end(first)

        assert handles(store.for_user('ada', after=first)) == [second]

    def test_list_goes_on_after_one_that_was_renewed(self, store, five, clock):
        (session_id,) = (
            each
            for each in (at(clock, 0, 3), at(clock, 0, 4))
            if handle(each) == five[0]
        )
        revision = store.load(session_id).revision
        renewed = renew_session_id(session_id)
        store.save(session_id, None, revision, IDLE, None, renewed)

        assert handles(store.for_user('ada')) == five
        assert handles(store.for_user('ada', after=five[0])) == five[1:]

    @pytest.mark.parametrize('after', NO_HANDLES)
    def test_list_after_what_is_no_handle_is_refused(self, store, after):
        with pytest.raises(ValueError, match='after: expected the handle'):
            store.for_user('ada', after=after)

    @pytest.mark.parametrize('limit', [0, -1, True, 1.0, '5'])
    def test_list_of_another_length_is_refused(self, store, limit):
        with pytest.raises(ValueError, match=r'limit = .*from 1 on'):
            store.for_user('ada', limit)

    def test_list_may_be_of_any_length(self, store, five):
        assert len(store.for_user('ada', 10**30)) == 5
        assert len(store.newest(10**30)) == store.count()
        assert len(list(store.iter_sessions(10**30))) == store.count()
        assert store.limit_for_user('ada', 10**30) == 0

    def test_handle_may_be_text_of_another_class(self, store, five):
        class Kind(str, enum.Enum):
            HANDLE = five[1]

        found = store.for_user('ada', after=Kind.HANDLE)

        assert handles(found) == five[2:]

    # user ids

    def test_users_are_told_apart_exactly(self, store, endings):
        for number, userid in enumerate(USERS):
            store.create(id_of(number), '{}', IDLE, userid)
        store.create(id_of(77), '{}', IDLE)

        for number, userid in enumerate(USERS):
            (found,) = store.for_user(userid)
            assert (found.handle, found.userid) == (
                handle(id_of(number)),
                userid,
            )
            assert store.count(userid) == 1
        for number, userid in enumerate(USERS):
            others = [each for each in USERS if each != userid]
            assert not any(
                store.end(handle(id_of(number)), other) for other in others
            )
            assert store.end(handle(id_of(number)), userid)
        assert store.count() == 1
        assert [ending.userid for ending in endings] == USERS

    @pytest.mark.parametrize('userid', [5, '5'])
    def test_user_may_be_a_number_and_is_the_same_as_text(
        self, store, revision, endings, userid
    ):
        store.create(TWO, '{}', IDLE, 5)
        store.create(THREE, '{}', IDLE, '5')
        store.save(ONE, '{}', revision, IDLE, 5)

        assert [found.userid for found in store.for_user(userid)] == ['5'] * 3
        assert store.delete_for_user(userid, keep=TWO) == 2
        assert store.end(handle(TWO), userid)
        assert [ending.userid for ending in endings] == ['5'] * 3

    @pytest.mark.parametrize(
        'userid', [None, True, False, 5.0, b'5', ('5',), ['5'], object()]
    )
    def test_user_of_another_type_is_refused_before_anything_happens(
        self, store, endings, userid
    ):
        for number, name in enumerate(('None', 'True', '5', None, 1)):
            store.create(id_of(number), '{}', IDLE, name)

        with pytest.raises(UserIDError, match='A user id is text or a whole'):
            store.for_user(userid)
        with pytest.raises(UserIDError):
            store.delete_for_user(userid)
        with pytest.raises(UserIDError):
            store.delete_for_user(userid, keep=id_of(0))
        with pytest.raises(UserIDError):
            store.limit_for_user(userid, 0)
        for number in range(5):
            with pytest.raises(UserIDError):
                store.end(handle(id_of(number)), userid)
            with pytest.raises(UserIDError):
                store.end(handle(id_of(number)), userid=userid)
        if userid is not None:
            with pytest.raises(UserIDError):
                store.create(id_of(7), '{}', IDLE, userid)
            with pytest.raises(UserIDError):
                store.measure('{}', userid)
            with pytest.raises(UserIDError):
                store.count(userid)

        assert store.count() == 5
        assert endings == []

    @pytest.mark.parametrize('userid', ['x' * 256, 10**255, -(10**4000)])
    def test_user_id_that_is_too_long_is_refused(self, store, userid):
        for method in methods_of_a_user(store):
            with pytest.raises(PayloadTooLarge):
                method(userid)

    def test_user_id_with_a_lone_surrogate_is_refused(self, store):
        for method in methods_of_a_user(store):
            with pytest.raises(PayloadNotSerializable, match='surrogate'):
                method('ada\ud800')

    # end

    @pytest.mark.parametrize('userid', ['ada', None])
    def test_end_ends_one_session_and_tells_of_it_once(
        self, store, endings, userid
    ):
        store.create(ONE, '{}', IDLE, userid)
        store.create(TWO, '{}', IDLE, userid)

        assert store.end(handle(ONE)) is True
        assert store.end(handle(ONE)) is False

        assert store.load(ONE) is None
        assert store.load(TWO) is not None
        assert endings == [Ending(None, handle(ONE), userid, 'end')]

    def test_end_ends_a_session_whatever_its_id_is(
        self, store, renewed, endings
    ):
        assert store.end(handle(ONE), 'ada') is True

        assert store.load(renewed) is None
        assert endings == [Ending(None, handle(ONE), 'ada', 'end')]

    def test_session_that_was_ended_stays_dead(self, store, revision):
        store.end(handle(ONE))

        assert store.save(ONE, '{}', revision, IDLE) == (None, None)
        assert store.touch(ONE, IDLE) is False
        assert store.load(ONE) is None

    @pytest.mark.parametrize('userid', ['bob', 'Ada', 'ada ', '', 5])
    def test_end_for_somebody_else_leaves_a_session(
        self, store, revision, endings, userid
    ):
        assert store.end(handle(ONE), userid) is False

        assert store.load(ONE) is not None
        assert endings == []

    def test_end_for_a_user_leaves_a_session_without_one(self, store):
        store.create(ONE, '{}', IDLE)

        assert store.end(handle(ONE), 'None') is False
        assert store.end(handle(ONE), '') is False

    def test_end_of_an_expired_session_is_not_done(
        self, store, expired, endings
    ):
        assert store.end(handle(ONE)) is False
        assert store.end(handle(ONE), 'ada') is False

        assert endings == []

    @pytest.mark.parametrize('wrong', NO_HANDLES)
    def test_end_of_what_is_no_handle_ends_nothing(
        self, store, revision, endings, wrong
    ):
        assert store.end(wrong) is False
        assert store.end(wrong, 'ada') is False

        assert store.count() == 1
        assert endings == []

    def test_end_of_a_locked_session_says_so(self, store, revision, endings):
        with store.locked(ONE), pytest.raises(LockTimeout):
            store.end(handle(ONE))

        assert endings == []
        assert store.end(handle(ONE))

    # delete_for_user

    def test_delete_for_user_does_not_wait_for_the_one_that_stays(
        self, store, revision
    ):
        store.save(ONE, '{}', revision, IDLE, 'ada')
        store.create(TWO, '{}', IDLE, 'ada')
        store.create(THREE, '{}', IDLE, 'ada')

        with store.locked(ONE) as row:
            assert store.delete_for_user('ada', keep=ONE) == 2
            assert row.save('{"a":2}', IDLE, 'ada')

        assert store.load(ONE).payload == '{"a":2}'
        assert store.count() == 1

    def test_delete_for_user_leaves_all_others(self, store, expired, endings):
        for number, userid in enumerate(('ada', 'bob', 'ada'), start=2):
            store.create(id_of(number), '{}', IDLE, userid)

        assert store.delete_for_user('ada') == 2

        assert [stored.userid for stored in store.iter_sessions()] == ['bob']
        assert sorted(endings) == sorted(
            Ending(None, handle(id_of(number)), 'ada', 'delete_for_user')
            for number in (2, 4)
        )

    @pytest.mark.parametrize('name', [lambda each: each, handle])
    def test_delete_for_user_keeps_one_at_wish(self, store, revision, name):
        store.create(TWO, '{}', IDLE, 'ada')

        assert store.delete_for_user('ada', keep=name(TWO)) == 1

        assert handles(store.for_user('ada')) == [handle(TWO)]

    @pytest.mark.parametrize('name', [lambda each: each, handle])
    def test_delete_for_user_keeps_one_by_an_id_that_it_had(
        self, store, renewed, name
    ):
        store.create(TWO, '{}', IDLE, 'ada')

        assert store.delete_for_user('ada', keep=name(ONE)) == 1

        assert handles(store.for_user('ada')) == [handle(renewed)]

    @pytest.mark.parametrize(
        'keep',
        [each for each in NO_HANDLES if each != ONE]
        + [f'{ONE} ', ONE.replace('x', 'ü'), '12 34 5 ' + ONE[8:]],
    )
    def test_keeping_what_is_neither_handle_nor_id_is_refused(
        self, store, revision, keep
    ):
        with pytest.raises(ValueError, match='keep: expected the handle'):
            store.delete_for_user('ada', keep)
        with pytest.raises(ValueError, match='keep: expected the handle'):
            store.limit_for_user('ada', 0, keep)

        assert store.count() == 1

    # limit_for_user

    @pytest.mark.parametrize('most', range(7))
    def test_limit_for_user_ends_the_oldest(self, store, five, endings, most):
        assert store.limit_for_user('ada', most) == max(5 - most, 0)

        assert handles(store.for_user('ada')) == five[:most]
        assert store.count('bob') == 5
        assert sorted(endings) == sorted(
            Ending(None, each, 'ada', 'limit_for_user') for each in five[most:]
        )
        assert store.limit_for_user('ada', most) == 0

    @pytest.mark.parametrize('most', range(5))
    @pytest.mark.parametrize('kept', range(5))
    def test_limit_for_user_keeps_one_besides(self, store, five, most, kept):
        others = [each for each in five if each != five[kept]]

        assert store.limit_for_user('ada', most, five[kept]) == 4 - most

        left = [*others[:most], five[kept]]
        assert set(handles(store.for_user('ada'))) == set(left)

    def test_limit_for_user_may_keep_one_that_has_no_user_yet(
        self, store, five
    ):
        store.create(ONE, '{}', IDLE)

        assert store.limit_for_user('ada', 1, ONE) == 4

        assert store.load(ONE) is not None

    @pytest.mark.parametrize('most', [-1, None, True, 1.0, '5'])
    def test_limit_of_another_kind_is_refused(self, store, five, most):
        with pytest.raises(ValueError, match=r'most = .*from 0 on'):
            store.limit_for_user('ada', most)

        assert store.count('ada') == 5

    # devices

    @pytest.fixture
    def tracking(self, make_store):
        return make_store(track_devices=True)

    def device(self, store):
        (found,) = store.for_user('ada')
        (same,) = store.iter_sessions()
        assert (found.seen, found.ip, found.agent) == (
            same.seen,
            same.ip,
            same.agent,
        )
        return found.seen, found.ip, found.agent

    @pytest.mark.parametrize(
        ('noted', 'shown'),
        [
            (Device(IPV4, 'Firefox'), ('192.0.2.7', 'Firefox')),
            (Device(IPV6, None), ('2001:db8::7', None)),
            (Device(None, '\';"\\\0%s'), (None, '\';"\\\0%s')),
            (Device(IPV4, '😀' * 255), ('192.0.2.7', '😀' * 255)),
            (Device(None, ''), (None, '')),
            (Device(None, 'trailing '), (None, 'trailing ')),
            (Device(), (None, None)),
            (None, (None, None)),
        ],
    )
    @pytest.mark.parametrize('replaces', [(), (TWO,)], ids=['', 'replaces'])
    def test_device_is_noted_with_a_new_session(
        self, tracking, clock, noted, shown, replaces
    ):
        for each in replaces:
            tracking.create(each, '{}', IDLE, 'ada', (), Device(IPV6, 'Lynx'))
            clock.move(7)

        tracking.create(ONE, '{}', IDLE, 'ada', replaces, device=noted)

        assert self.device(tracking) == (clock.now, *shown)

    @pytest.mark.parametrize('action', ['save', 'renew', 'touch', 'locked'])
    def test_device_is_noted_with_each_use(self, tracking, clock, action):
        revision = tracking.create(
            ONE, '{}', IDLE, 'ada', device=Device(IPV4, 'Firefox')
        )
        noted = Device(IPV6, 'Lynx')
        clock.move(7)
        if action == 'save':
            tracking.save(ONE, '{}', revision, IDLE, 'ada', device=noted)
        elif action == 'renew':
            tracking.save(ONE, None, revision, IDLE, None, TWO, device=noted)
        elif action == 'touch':
            tracking.touch(ONE, IDLE, device=noted)
        else:
            with tracking.locked(ONE) as row:
                row.save('{}', IDLE, 'ada', device=noted)

        assert self.device(tracking) == (clock.now, '2001:db8::7', 'Lynx')

    @pytest.mark.parametrize('action', ['save', 'touch'])
    def test_use_without_a_device_keeps_the_one_that_was_noted(
        self, tracking, clock, action
    ):
        revision = tracking.create(
            ONE, '{}', IDLE, 'ada', device=Device(IPV4, 'Firefox')
        )
        clock.move(7)
        if action == 'save':
            tracking.save(ONE, '{}', revision, IDLE, 'ada')
        else:
            tracking.touch(ONE, IDLE)

        assert self.device(tracking) == (clock.now, '192.0.2.7', 'Firefox')

    def test_use_that_comes_too_late_notes_nothing(self, tracking, clock):
        revision = tracking.create(ONE, '{}', IDLE, 'ada')
        tracking.save(ONE, '{}', revision, IDLE, 'ada')
        before = self.device(tracking)
        clock.move(7)

        tracking.save(ONE, '{}', revision, IDLE, 'ada', device=Device(IPV4))
        tracking.touch(ONE, IDLE, revision, Device(IPV4))

        assert self.device(tracking) == before

    def test_device_is_not_noted_unless_that_is_wanted(self, store):
        revision = store.create(
            ONE, '{}', IDLE, 'ada', device=Device(IPV4, 'Firefox')
        )
        store.save(ONE, '{}', revision, IDLE, 'ada', device=Device(IPV4))
        store.touch(ONE, IDLE, device=Device(IPV4))

        assert self.device(store) == (None, None, None)

    # stats

    def test_stats_of_an_empty_table(self, store):
        store.create_table()

        found = store.stats()

        assert found[:4] == (0, 0, 0, 0)
        assert found.oldest is None
        assert found.ages == dict.fromkeys(found.ages, 0)
        assert list(found.ages) == ['hour', 'day', 'week', 'month', 'older']
        assert found.exact is True

    def test_stats_tell_live_sessions_from_the_dead(
        self, make_store, clock, revision
    ):
        store = make_store(absolute_timeout=10_000_000)
        ages = (2_592_000, 2_591_999, 604_800, 86_400, 3_600, 3_599, 0)
        for number, age in enumerate(ages):
            # as many as there are seconds to the next one
            clock.move((ages[number - 1] - age) if number else 0)
            userid = ('ada', 'ada ', None)[number % 3]
            store.create(at(clock, 0), '{}', None, userid)

        found = store.stats()

        assert found[:4] == (7, 1, 2, 2)
        assert found.oldest == clock.now - 2_592_000
        assert found.ages == {
            'hour': 2,
            'day': 1,
            'week': 1,
            'month': 2,
            'older': 1,
        }
        assert found.bytes > 0
        assert found.exact is True

    def test_stats_bear_a_session_from_the_future(self, store, clock):
        store.create(ONE, '{}', IDLE)
        clock.move(-50)

        found = store.stats()

        assert found.live == found.ages['hour'] == 1
        assert found.oldest == clock.now + 50

    def test_ping_tells_that_the_store_can_be_used(self, store):
        assert store.ping() is True
