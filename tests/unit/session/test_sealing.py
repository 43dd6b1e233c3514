"""Payloads that only who has the cookie can read or make."""

import os
import pickle
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_mysql_session.errors import PayloadTooLarge, SessionError
from pyramid_mysql_session.session.sealing import (
    NoSeal,
    SessionSeal,
    is_sealed,
    see_that_it_is_open,
)
from pyramid_mysql_session.store.keys import (
    make_session_id,
    renew_session_id,
    stored_key,
)
from tests.memory_store import MemoryStore
from tests.unit.conftest import conclude

SECRETS = ['the first secret', 'the second']
seal = SessionSeal(stored_key, SECRETS, text=True)
binary = SessionSeal(stored_key, SECRETS, text=False)
starting = SessionSeal(stored_key, SECRETS, text=True, reads_plain=True)
ending = SessionSeal(
    stored_key, SECRETS, text=True, seals=False, reads_plain=True
)
ONE, TWO = make_session_id(), make_session_id()


@given(st.text(alphabet=st.characters(exclude_categories=['Cs'])))
def test_text_comes_back_under_its_id(text):
    sealed = seal.close(text, ONE)

    assert seal.open(sealed, ONE) == (text, True)
    assert is_sealed(sealed)


@given(st.binary())
def test_bytes_come_back_under_their_id(payload):
    assert binary.open(binary.close(payload, ONE), ONE) == (payload, True)


def test_same_payload_is_sealed_otherwise_each_time():
    assert len({seal.close('{}', ONE) for _ in range(100)}) == 100


def test_seal_shows_nothing_but_the_length():
    sealed = seal.close('{"secret":"word"}' * 50, ONE)

    assert b'secret' not in sealed
    assert len(sealed) == 17 * 50 + 32


@pytest.mark.parametrize(
    'other', [TWO, renew_session_id(ONE)], ids=['another', 'renewed']
)
def test_payload_of_another_id_is_refused(other):
    with pytest.raises(ValueError, match='was not sealed by us'):
        seal.open(seal.close('{}', other), ONE)


def test_payload_of_another_stored_key_is_refused():
    sharded = SessionSeal(
        partial(stored_key, shard_bytes=1), SECRETS, text=True
    )

    with pytest.raises(ValueError, match='was not sealed by us'):
        seal.open(sharded.close('{}', ONE), ONE)


def test_visitor_who_knows_the_id_cannot_make_a_payload_for_it():
    forger = SessionSeal(stored_key, ['a guess'], text=True)

    with pytest.raises(ValueError, match='was not sealed by us'):
        seal.open(forger.close('{"auth.userid":"root"}', ONE), ONE)


def test_older_secret_opens_what_is_sealed_anew_then():
    older = SessionSeal(stored_key, SECRETS[1:], text=True)

    assert seal.open(older.close('{}', ONE), ONE) == ('{}', False)
    with pytest.raises(ValueError, match='was not sealed by us'):
        older.open(seal.close('{}', ONE), ONE)


def test_each_bit_is_authenticated():
    sealed = seal.close('{"a":1}', ONE)

    for at in range(len(sealed) * 8):
        forged = bytearray(sealed)
        forged[at // 8] ^= 1 << at % 8
        with pytest.raises(ValueError, match='the payload'):
            seal.open(bytes(forged), ONE)


@given(st.integers(0, 45), st.binary(max_size=45))
def test_piece_of_a_payload_is_refused(kept, more):
    sealed = seal.close('{"a":1}', ONE)
    forged = sealed[:kept] + more

    if forged != sealed:
        with pytest.raises(ValueError, match='the payload'):
            seal.open(forged, ONE)


@pytest.mark.parametrize(
    ('payload', 'text', 'made'),
    [
        ('{}', True, '{}'),
        # from a binary column
        (b'{}', True, '{}'),
        (b'{}', False, b'{}'),
        (b'', False, b''),
        (pickle.dumps({}), False, pickle.dumps({})),
    ],
)
def test_plain_payload_is_refused_unless_sealing_has_just_started(
    payload, text, made
):
    kind = partial(SessionSeal, stored_key, SECRETS, text=text)
    starting = kind(reads_plain=True)
    ending = kind(seals=False, reads_plain=True)

    with pytest.raises(ValueError, match='is not sealed'):
        kind().open(payload, ONE)
    assert starting.open(payload, ONE) == (made, False)
    assert ending.open(payload, ONE) == (made, True)
    assert NoSeal(text).open(payload, ONE) == (made, True)


@pytest.mark.parametrize('each', [starting, ending, NoSeal(text=True)])
def test_bytes_that_are_no_text_are_refused_where_text_is_made(each):
    with pytest.raises(ValueError, match='utf-8'):
        each.open(b'\x80', ONE)


def test_seal_that_is_to_end_is_read_and_not_made():
    assert ending.close('{}', ONE) == '{}'
    assert ending.open(seal.close('{}', ONE), ONE) == ('{}', False)


def test_transition_accepts_no_forged_seal():
    for each in (starting, ending):
        with pytest.raises(ValueError, match='was not sealed by us'):
            each.open(seal.close('{}', TWO), ONE)


def test_nothing_shows_what_was_opened():
    assert repr(seal.open(seal.close('{"a":1}', ONE), ONE)) == (
        '<Opened of 7 bytes>'
    )


def test_sealed_payload_is_not_decoded_without_its_cookie():
    assert see_that_it_is_open('{}') == '{}'
    with pytest.raises(SessionError, match='only its own cookie opens it'):
        see_that_it_is_open(seal.close('{}', ONE))


class TestSessions:
    """Sessions over a store that never sees what is in them."""

    @pytest.fixture
    def make_kit(self, make_kit):
        return partial(make_kit, seal=seal)

    @pytest.fixture
    def session_id(self, stored):
        return stored({'auth.userid': 'ada', 'list': [1]})

    def payload(self, store):
        (row,) = store.rows.values()
        return row.payload

    def test_store_gets_sealed_payloads_only(
        self, make_session, session_id, store
    ):
        before = self.payload(store)
        session = make_session(session_id)
        session['list'].append(2)
        conclude(session)

        assert is_sealed(before)
        assert is_sealed(self.payload(store))
        assert self.payload(store) != before
        assert make_session(session_id)['list'] == [1, 2]
        assert len(store.for_user('ada')) == 1

    def test_equal_data_is_not_written(self, make_session, session_id, store):
        session = make_session(session_id)
        session['list'] = [1]
        conclude(session)

        assert store.calls == ['load']

    def test_conflict_is_merged(self, make_session, session_id):
        one, other = make_session(session_id), make_session(session_id)
        one['list'].append('one')
        other['list'].append('other')
        conclude(one)
        conclude(other)

        assert make_session(session_id)['list'] == [1, 'one', 'other']

    def test_block_merges_and_saves(self, make_session, session_id):
        one, other = make_session(session_id), make_session(session_id)
        one['list'].append('one')
        assert other['list'] == [1]
        conclude(one)
        with other.locked():
            other['list'].append(len(other['list']))

        assert make_session(session_id)['list'] == [1, 'one', 2]

    def test_renewal_seals_anew(self, make_session, session_id, store):
        before = self.payload(store)
        session = make_session(session_id)
        session.renew_id()
        conclude(session)

        sealed = self.payload(store)
        with pytest.raises(ValueError, match='was not sealed by us'):
            seal.open(sealed, session_id)
        assert sealed != before
        assert make_session(session.session_id)['list'] == [1]
        assert store.calls.count('save') == 1
        assert len(store.for_user('ada')) == 1

    def test_renewal_that_is_taken_back_seals_for_the_old_id(
        self, make_session, session_id, store
    ):
        session = make_session(session_id)
        session.renew_id()
        session['more'] = 1
        conclude(session)
        session._saving.retract()

        assert make_session(session_id) == {
            'auth.userid': 'ada',
            'list': [1],
            'more': 1,
        }
        assert len(store.for_user('ada')) == 1

    @pytest.mark.parametrize(
        'forge',
        [
            lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]),
            lambda sealed: '{"auth.userid":"eve"}',
            lambda sealed: b'{"auth.userid":"eve"}',
            lambda sealed: seal.close('{"auth.userid":"eve"}', TWO),
            lambda sealed: b'',
        ],
    )
    def test_forged_payload_is_rejected(
        self, make_session, session_id, store, listener, forge
    ):
        ((key, row),) = store.rows.items()
        store.rows[key] = row._replace(payload=forge(row.payload))

        assert make_session(session_id) == {}
        assert listener.heard == ['undecodable']

    def test_payload_that_is_forged_between_load_and_save_is_replaced(
        self, make_session, session_id, store
    ):
        session = make_session(session_id)
        session['mine'] = 1
        ((key, row),) = store.rows.items()
        store.rows[key] = row._replace(
            payload='{"eve":1}', revision=row.revision + (1 << 48)
        )
        conclude(session)

        assert make_session(session_id)['mine'] == 1
        assert 'eve' not in make_session(session_id)

    def test_size_is_that_of_the_sealed_payload(
        self, make_session, make_kit, clock
    ):
        store = MemoryStore(clock, max_payload_bytes=50)
        session = make_session(store=store)
        session['a'] = 'x' * 20
        with pytest.raises(PayloadTooLarge):
            session.save()
        with pytest.raises(PayloadTooLarge):
            conclude(session)

    @pytest.mark.parametrize(
        ('before', 'after', 'is_sealed_then'),
        [
            (NoSeal(), starting, True),
            (seal, ending, False),
            (ending, starting, True),
            (starting, ending, False),
        ],
    )
    def test_session_is_stored_in_the_new_form_when_it_is_used(
        self,
        make_session,
        stored,
        store,
        before,
        after,
        is_sealed_then,
    ):
        session = make_session(seal=before)
        session['list'] = [1]
        conclude(session)
        session_id = session.session_id
        assert is_sealed(self.payload(store)) is not is_sealed_then

        for _ in range(2):
            session = make_session(session_id, seal=after)
            assert session['list'] == [1]
            conclude(session)

        assert is_sealed(self.payload(store)) is is_sealed_then
        assert store.calls.count('save') == 1

    def test_two_that_store_it_in_the_new_form_lose_nothing(
        self, make_session, stored, store
    ):
        session = make_session(seal=NoSeal())
        session['list'] = [1]
        conclude(session)
        session_id = session.session_id

        one, other = (
            make_session(session_id, seal=starting) for _ in range(2)
        )
        one['list'].append('one')
        assert other['list'] == [1]
        conclude(one)
        conclude(other)

        assert make_session(session_id)['list'] == [1, 'one']


def test_random_bytes_are_never_accepted():
    for _ in range(1000):
        forged = b'\x00\xffS1' + os.urandom(40)
        with pytest.raises(ValueError, match='was not sealed by us'):
            seal.open(forged, ONE)
