import hashlib
import re

import pytest

from pyramid_mysql_session.store import keys

ID = '655a1b2c' + 'AZaz09-_' * 5 + 'xyz'


def test_session_id_is_the_second_and_256_random_bits(monkeypatch):
    monkeypatch.setattr(keys.time, 'time', lambda: 0x655A1B2C + 0.9)
    monkeypatch.setattr(
        keys.secrets, 'token_urlsafe', lambda size: f'<{size} bytes>'
    )

    assert keys.make_session_id() == '655a1b2c<32 bytes>'


@pytest.mark.parametrize('now', [0, 0x655A1B2C, 2**32 + 5])
def test_session_id_has_one_form_at_any_time(monkeypatch, now):
    monkeypatch.setattr(keys.time, 'time', lambda: now)

    session_id = keys.make_session_id()

    assert re.fullmatch('[0-9a-f]{8}[0-9A-Za-z_-]{43}', session_id)
    assert len(session_id) == keys.SESSION_ID_LENGTH
    assert session_id != keys.make_session_id()


def test_stored_key_is_the_second_and_a_sha224():
    key = keys.stored_key(ID)

    assert key[:4] == 0x655A1B2C.to_bytes(4, 'big')
    assert key[4:] == hashlib.sha224(ID.encode()).digest()
    assert len(key) == 32


def test_stored_keys_of_later_sessions_come_later():
    earlier, later = (f'{second:08x}' + 43 * 'x' for second in (0xFF, 0x100))

    assert keys.stored_key(earlier) < keys.stored_key(later)


@pytest.mark.parametrize('text', ['', ID[:-1], ID + 'x', 'x' * 10_000])
def test_text_of_another_length_is_no_session_id(text):
    with pytest.raises(ValueError, match='characters') as caught:
        keys.stored_key(text)

    assert str(caught.value) == (
        f'a session id has 51 characters, this text has {len(text)}'
    )


@pytest.mark.parametrize('text', ['no digits' + ID[9:], ID[:-1] + 'é'])
def test_text_of_other_characters_is_no_session_id(text):
    with pytest.raises(ValueError, match='position') as caught:
        keys.stored_key(text)

    assert text[:8] not in str(caught.value)


def test_label_is_the_beginning_of_the_hashed_part():
    assert keys.label(ID) == hashlib.sha224(ID.encode()).hexdigest()[:8]
