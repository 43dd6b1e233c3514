import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webob.cookies import RequestCookies

from pyramid_mysql_session.web import cookie
from pyramid_mysql_session.web.cookie import CookieReader, CookieSigner

ID = '655a1b2c' + 'AZaz09-_' * 5 + 'wxyz'
LENGTH = 155

signer = CookieSigner(['first secret', 'sécond secret'])
VALUE = signer.sign(ID)
OLDER = CookieSigner(['sécond secret']).sign(ID)


def refuses(signer, value):
    with pytest.raises(ValueError, match='no secret signed this cookie'):
        signer.verify(value)
    return True


def test_cookie_value_is_plain_base64():
    assert len(VALUE) == LENGTH
    assert re.fullmatch('[0-9A-Za-z_-]*', VALUE)


def test_cookie_signed_with_an_older_secret_is_to_be_issued_anew():
    assert signer.verify(OLDER) == (ID, True)


def test_cookie_signed_with_a_dropped_secret_is_refused():
    assert refuses(CookieSigner(['sécond secret']), VALUE)


def test_cookie_of_another_purpose_is_refused(monkeypatch):
    monkeypatch.setattr(cookie, '_SALT', 'something else')

    assert refuses(CookieSigner(['first secret', 'sécond secret']), VALUE)


@pytest.mark.parametrize(
    'value',
    [
        '',
        'x',
        ID,
        VALUE[:-1],
        VALUE + 'A',
        VALUE + '=',
        'A' * LENGTH,
        '!' * LENGTH,
        'é' * LENGTH,
        '\ud800' * LENGTH,
        '\0' * LENGTH,
        VALUE[:-1] + 'é',
        ' ' + VALUE[:-1],
        VALUE * 1000,
    ],
)
def test_value_that_nobody_signed_is_refused(value):
    assert refuses(signer, value)


@given(st.integers(0, 115), st.integers(0, 7))
def test_cookie_with_one_bit_changed_is_refused(index, bit):
    signed = bytearray(urlsafe_b64decode(VALUE + '='))
    signed[index] ^= 1 << bit
    forged = urlsafe_b64encode(signed).rstrip(b'=').decode()

    assert len(forged) == LENGTH
    assert refuses(signer, forged)


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_is_refused_without_another_error(text):
    assert refuses(signer, text)
    assert refuses(signer, text.ljust(LENGTH)[:LENGTH])


class TestReader:
    @pytest.fixture
    def parsed(self, monkeypatch):
        """Return a list of the headers that are parsed."""
        headers = []

        def parse(environ):
            headers.append(environ['HTTP_COOKIE'])
            return RequestCookies(environ)

        monkeypatch.setattr(cookie, 'RequestCookies', parse)
        return headers

    @pytest.mark.parametrize(
        ('header', 'said'),
        [
            ('', (None, False, False)),
            (f'other={VALUE}', (None, False, False)),
            (f'session={VALUE}', (ID, False, False)),
            (f'a=b; session={VALUE}; c="d"', (ID, False, False)),
            (f'session={OLDER}', (ID, True, False)),
            ('session=', (None, False, True)),
            (f'session={VALUE}x', (None, False, True)),
            ('session=é', (None, False, True)),
            ('session=\xff', (None, False, True)),
        ],
    )
    def test_header_says_who_comes(self, header, said):
        assert CookieReader('session', signer).read(header) == said

    def test_header_that_comes_again_is_not_parsed_again(self, parsed):
        reader = CookieReader('session', signer)
        for _ in range(3):
            assert reader.read(f'session={VALUE}').session_id == ID
            assert reader.read('other=1').session_id is None

        assert parsed == [f'session={VALUE}', 'other=1']

    def test_number_of_headers_in_memory_is_limited(self, parsed):
        reader = CookieReader('session', signer)
        for number in range(1025):
            reader.read(f'number={number}')
        del parsed[:]

        reader.read('number=1024')
        assert parsed == []
        reader.read('number=0')
        assert parsed == ['number=0']

    def test_long_header_is_not_kept_in_memory(self, parsed):
        reader = CookieReader('session', signer)
        header = f'session={VALUE}; other='.ljust(4097, 'x')

        assert reader.read(header).session_id == ID
        assert reader.read(header).session_id == ID

        assert parsed == [header, header]
