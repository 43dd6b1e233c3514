import hashlib
import re

import pytest

from pyramid_mysql_session.store import keys

SECOND = '655a1b2c'
FAMILY = SECOND + 'AZaz09-_' * 2 + 'family'
ID = FAMILY + 'AZaz09-_' * 2 + 'secret'
SHARDS = [0, 1, 2]

shard = pytest.mark.parametrize('shard_bytes', SHARDS)


def test_session_id_is_the_second_and_twice_128_random_bits(monkeypatch):
    monkeypatch.setattr(keys.time, 'time', lambda: 0x655A1B2C + 0.9)
    monkeypatch.setattr(
        keys.secrets, 'token_urlsafe', lambda size: f'<{size} bytes>'
    )

    assert keys.make_session_id() == f'{SECOND}<16 bytes><16 bytes>'


@pytest.mark.parametrize('now', [0, 0x655A1B2C, 2**32 + 5])
def test_session_id_has_one_form_at_any_time(monkeypatch, now):
    monkeypatch.setattr(keys.time, 'time', lambda: now)

    session_id = keys.make_session_id()

    for each in (session_id, keys.renew_session_id(session_id)):
        assert re.fullmatch('[0-9a-f]{8}[0-9A-Za-z_-]{44}', each)
        assert len(each) == keys.SESSION_ID_LENGTH
    assert session_id != keys.make_session_id()


@pytest.mark.parametrize('now', [-3, 0, 0x655A1B2C, 2**32 - 3, 2**32 + 5])
def test_session_id_is_young_for_some_seconds_at_any_time(monkeypatch, now):
    monkeypatch.setattr(keys.time, 'time', lambda: now)
    session_id = keys.make_session_id()

    for passed, young in ((-6, False), (-5, True), (5, True), (6, False)):
        monkeypatch.setattr(keys.time, 'time', lambda at=now + passed: at)
        assert keys.is_young(session_id) is young
        assert keys.is_young_handle(keys.handle(session_id)) is young


def test_stored_key_is_the_handle_and_16_bytes_of_a_hash_of_the_id():
    key = keys.stored_key(ID)

    assert key[:4] == bytes.fromhex(SECOND)
    assert key[4:16] == hashlib.sha256(FAMILY.encode()).digest()[:12]
    assert key[16:] == hashlib.sha256(ID.encode()).digest()[:16]
    assert len(key) == 32


def test_stored_keys_of_later_sessions_come_later():
    earlier, later = (f'{second:08x}' + 44 * 'x' for second in (0xFF, 0x100))

    assert keys.stored_key(earlier) < keys.stored_key(later)


@pytest.mark.parametrize('shard_bytes', [1, 2])
def test_shard_bytes_move_hashed_bytes_in_front_of_the_second(shard_bytes):
    plain, sharded = keys.stored_key(ID), keys.stored_key(ID, shard_bytes)

    hashed = plain[4:16]
    assert sharded[:shard_bytes] == hashed[:shard_bytes]
    assert sharded[shard_bytes:][:4] == bytes.fromhex(SECOND)
    assert sharded[shard_bytes + 4 : 16] == hashed[shard_bytes:]
    assert sharded[16:] == plain[16:]


@shard
def test_handle_is_the_first_half_of_the_stored_key(shard_bytes):
    key = keys.stored_key(ID, shard_bytes)

    assert keys.handle(ID, shard_bytes) == key[: keys.FAMILY_BYTES].hex()


def test_handle_opens_nothing():
    handle = keys.handle(ID)

    # it has only the second in common with the ids of the session
    assert handle.startswith(SECOND)
    assert ID[8:12] not in handle
    with pytest.raises(ValueError, match='this text has 32'):
        keys.stored_key(handle)


def test_label_is_the_end_of_the_handle_whatever_the_shard_bytes():
    assert [keys.handle(ID, number)[-8:] for number in SHARDS] == (
        3 * [keys.label(ID)]
    )
    assert keys.label(ID) == (
        hashlib.sha256(FAMILY.encode()).digest()[8:12].hex()
    )


class TestRenewal:
    def test_renewed_id_has_a_new_secret_part_only(self):
        renewed = keys.renew_session_id(ID)

        assert renewed[:30] == FAMILY
        assert renewed[30:] != ID[30:]
        assert renewed != keys.renew_session_id(ID)

    @shard
    def test_renewal_keeps_the_family_under_another_key(self, shard_bytes):
        one, other = ID, keys.renew_session_id(ID)

        for name in (keys.handle, keys.family_range):
            assert name(one, shard_bytes) == name(other, shard_bytes)
        assert keys.label(one) == keys.label(other)
        assert keys.stored_key(one, shard_bytes) != (
            keys.stored_key(other, shard_bytes)
        )


class TestFamilyRange:
    def test_bytes_are_moved_only_at_wish(self):
        assert keys.family_range(ID) == keys.family_range(ID, 0)
        assert keys.handle(ID) == keys.handle(ID, 0)

    @shard
    def test_range_has_all_keys_that_begin_with_the_handle(self, shard_bytes):
        least, greatest = keys.family_range(ID, shard_bytes)
        handle = bytes.fromhex(keys.handle(ID, shard_bytes))

        assert (least, greatest) == (
            handle + 16 * b'\0',
            handle + 16 * b'\xff',
        )
        for session_id in (ID, keys.renew_session_id(ID)):
            key = keys.stored_key(session_id, shard_bytes)
            assert least <= key <= greatest

    @shard
    @pytest.mark.parametrize(
        'other',
        [
            # of the same second, and of the same random family a second later
            SECOND + 'x' + ID[9:],
            '655a1b2d' + ID[8:],
        ],
    )
    def test_ranges_of_two_families_do_not_meet(self, other, shard_bytes):
        one, another = sorted(
            keys.family_range(each, shard_bytes) for each in (ID, other)
        )

        assert one[1] < another[0]


@pytest.mark.parametrize('text', ['', ID[:-1], ID + 'x', 'x' * 10_000])
@pytest.mark.parametrize(
    'use', [keys.stored_key, keys.family_range, keys.handle, keys.label]
)
def test_text_of_another_length_is_no_session_id(use, text):
    with pytest.raises(ValueError, match='characters') as caught:
        use(text)

    assert str(caught.value) == (
        f'a session id has 52 characters, this text has {len(text)}'
    )


@pytest.mark.parametrize('text', ['no digits' + ID[9:], ID[:-1] + 'é'])
def test_text_of_other_characters_is_no_session_id(text):
    with pytest.raises(ValueError, match='position') as caught:
        keys.stored_key(text)

    assert text[:8] not in str(caught.value)
