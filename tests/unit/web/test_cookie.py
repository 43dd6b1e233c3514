import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyramid.request import Request
from pyramid.response import Response
from pyramid.testing import DummyRequest

from pyramid_mysql_session.web import cookie
from pyramid_mysql_session.web.cookie import (
    CookieReader,
    CookieSigner,
    vary_on_cookie,
)
from tests import fuzz_cookies
from tests.unit.web.visitor import POLICY

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


OTHER = signer.sign(ID[:-1] + 'a')
FOREIGN = CookieSigner(['of somebody else']).sign(ID)


def read(header, name='session'):
    """Return the ids, the outdated among them, and whether all are forged."""
    request = Request.blank('/')
    if header is not None:
        request.environ['HTTP_COOKIE'] = header
    return tuple(CookieReader(name, signer).read(request))


class TestReader:
    @pytest.fixture
    def parsed(self, monkeypatch):
        """Return a list of the headers that are parsed."""
        headers = []
        parse = CookieReader._parse

        def note(self, header):
            headers.append(header)
            return parse(self, header)

        monkeypatch.setattr(CookieReader, '_parse', note)
        return headers

    @pytest.mark.parametrize(
        'header',
        [
            None,
            '',
            f'other={VALUE}',
            f'SESSION={VALUE}; Session={VALUE}',
            f'xsession={VALUE}; sessionx={VALUE}; x session={VALUE}',
            f'a=session={VALUE}',
            'session',
            ';;=;,=session',
        ],
    )
    def test_header_without_our_cookie_says_nothing(self, header):
        assert read(header) == ((), frozenset(), False)

    @pytest.mark.parametrize(
        'header',
        [
            f'session={VALUE}',
            f'a=b; session={VALUE}; c="d"',
            f'session="{VALUE}"',
            f'{VALUE}; session={VALUE}; path=/;',
            f'path=/x; domain=y; session={VALUE}',
            f'bad name=1; a b c; =; session={VALUE}',
            f'prefs={{"a":"b;c","d":[1,2]}}; session={VALUE}',
            f'foo=\xff\xfe; session={VALUE}',
            f'\xff=1; session={VALUE}',
            f'x="abc; session={VALUE}',
            f'session={VALUE}; x="abc',
            f'$Version=1; session={VALUE}; $Path=/',
            f'a=1;session={VALUE};b=2',
            f'a=1;\tsession = {VALUE}\t;',
            f'a=1, session={VALUE}, b=2',
            f'a=\\; session={VALUE}',
            f'{"k=" + "v" * 100 + "; "}' * 600 + f'session={VALUE}',
        ],
    )
    def test_nothing_beside_our_cookie_hides_it(self, header):
        assert read(header) == ((ID,), frozenset(), False)

    def test_cookies_of_a_dummy_request_count_whatever_its_environ_has(self):
        request = DummyRequest(
            cookies={'session': VALUE}, environ={'REQUEST_METHOD': 'GET'}
        )

        assert POLICY.reader.read(request).session_ids == (ID,)

    @pytest.mark.parametrize(
        'value',
        ['', f'{VALUE}x', 'é', '\xff', VALUE[1:], FOREIGN, f'"{VALUE}" "x"'],
    )
    def test_value_that_nobody_signed_is_forged(self, value):
        assert read(f'session={value}') == ((), frozenset(), True)

    @pytest.mark.parametrize(
        'values',
        [
            ['bad', VALUE],
            [VALUE, 'bad'],
            [FOREIGN, VALUE, FOREIGN],
            [VALUE, ''],
            ['a', '"', VALUE, 'b"'],
            [VALUE, VALUE],
            ['x' * LENGTH] * 300 + [VALUE],
        ],
    )
    def test_value_that_somebody_else_signed_hides_nothing(self, values):
        header = '; '.join(f'session={value}' for value in values)

        assert read(header) == ((ID,), frozenset(), False)

    def test_ids_come_in_the_order_sent(self):
        header = f'session={OTHER}; session={OLDER}; session={OTHER}'

        assert read(header) == ((ID[:-1] + 'a', ID), frozenset([ID]), False)

    @pytest.mark.parametrize('values', [(OLDER, VALUE), (VALUE, OLDER)])
    def test_id_that_is_signed_anew_already_is_not_outdated(self, values):
        header = '; '.join(f'session={value}' for value in values)

        assert read(header) == ((ID,), frozenset(), False)

    def test_number_of_ids_is_limited(self):
        values = [signer.sign(f'{number:052}') for number in range(2010)]
        header = '; '.join(f'session={value}' for value in values)

        ids, _, _ = read(header)
        assert ids == tuple(f'{number:052}' for number in range(2000))

    def test_name_is_no_pattern(self):
        assert read(f'a.b={VALUE}', 'a.b')[0] == (ID,)
        assert read(f'axb={VALUE}', 'a.b')[0] == ()
        assert read(f'|*+={VALUE}', '|*+')[0] == (ID,)

    def test_cookies_of_a_request_without_a_header_are_read(self):
        request = DummyRequest(cookies={'session': VALUE})

        assert CookieReader('session', signer).read(request)[0] == (ID,)

    def test_header_that_comes_again_is_not_parsed_again(self, parsed):
        reader = CookieReader('session', signer)
        for _ in range(3):
            assert reader.read(with_cookies(f'session={VALUE}'))[0] == (ID,)
            assert reader.read(with_cookies('other=1'))[0] == ()

        assert parsed == [f'session={VALUE}', 'other=1']

    def test_number_of_headers_in_memory_is_limited(self, parsed):
        reader = CookieReader('session', signer)
        for number in range(1025):
            reader.read(with_cookies(f'number={number}'))
        del parsed[:]

        reader.read(with_cookies('number=1024'))
        assert parsed == []
        reader.read(with_cookies('number=0'))
        assert parsed == ['number=0']

    def test_long_header_is_not_kept_in_memory(self, parsed):
        reader = CookieReader('session', signer)
        header = f'session={VALUE}; other='.ljust(4097, 'x')

        assert reader.read(with_cookies(header))[0] == (ID,)
        assert reader.read(with_cookies(header))[0] == (ID,)

        assert parsed == [header, header]

    @pytest.mark.parametrize(
        ('header', 'after'),
        [
            ('', 'session=new'),
            ('a=b', 'session=new; a=b'),
            ('session=x', 'session=new'),
            ('session=x; a=b; session=y, c=d', 'session=new; a=b, c=d'),
            ('xsession=1; session="a"', 'session=new; xsession=1'),
        ],
    )
    def test_cookie_is_put_in_the_place_of_all_of_its_name(
        self, header, after
    ):
        reader = CookieReader('session', signer)

        assert reader.replace(header, 'new') == after
        without = after.removeprefix('session=new').removeprefix('; ')
        assert reader.replace(header, None) == without


def with_cookies(header):
    request = Request.blank('/')
    request.environ['HTTP_COOKIE'] = header
    return request


def test_random_headers_are_read_right():
    assert fuzz_cookies.run(2000) is None


class TestSetCookie:
    """What tells a Set-Cookie line of ours from those of others."""

    @pytest.mark.parametrize(
        ('line', 'ours'),
        [
            ('session=x; Path=/shop; Domain=example.com', True),
            ('session=; path=/shop ;DOMAIN=.Example.com; Max-Age=0', True),
            ('session=x; Path=/shop', False),
            ('session=x; Domain=example.com', False),
            ('session=x; Path=/; Domain=example.com', False),
            ('session=x; Path=/shop/; Domain=example.com', False),
            ('session=x; Path=/shop; Domain=www.example.com', False),
            ('session=x', False),
            ('sessions=x; Path=/shop; Domain=example.com', False),
            ('Session=x; Path=/shop; Domain=example.com', False),
            ('a=session=x; Path=/shop; Domain=example.com', False),
        ],
    )
    def test_line_with_name_path_and_domain_of_ours_is_replaced(
        self, line, ours
    ):
        policy = POLICY._replace(path='/shop', domain='example.com')
        response = Response(headerlist=[('Set-Cookie', line), ('A', 'b')])

        assert policy.is_set_by(response, VALUE) is False
        policy.add(response, 'session=new')

        expected = [] if ours else [line]
        assert response.headers.getall('Set-Cookie') == [
            *expected,
            'session=new',
        ]

    @pytest.mark.parametrize(
        ('lines', 'value', 'expected'),
        [
            ([], VALUE, False),
            ([f'session={VALUE}; Path=/'], VALUE, True),
            ([f'session={OTHER}; Path=/'], VALUE, True),
            ([f'session={FOREIGN}; Path=/'], VALUE, False),
            (['session=; Max-Age=0; Path=/'], VALUE, False),
            (['session=; Max-Age=0; Path=/'], None, True),
            (['session=x; Path=/'], None, False),
            ([f'session={VALUE}; Path=/', 'session=x; Path=/'], VALUE, False),
            ([f'session={VALUE}; Path=/', 'session=x; Path=/x'], VALUE, True),
            (['session=x; Path=/', f'session={VALUE}; Path=/'], VALUE, True),
        ],
    )
    def test_only_a_cookie_of_ours_counts_as_set(self, lines, value, expected):
        response = Response(
            headerlist=[('Set-Cookie', line) for line in lines]
        )

        assert POLICY.is_set_by(response, value) == expected

    def test_policy_shows_no_secret(self):
        assert repr(POLICY) == '<CookiePolicy of session>'


class TestDoubt:
    @pytest.mark.parametrize(
        ('attributes', 'scheme', 'host', 'word'),
        [
            ({'secure': True}, 'http', 'localhost', 'cookie_secure'),
            ({'secure': True}, 'https', 'localhost', None),
            ({'secure': 'auto'}, 'http', 'localhost', None),
            ({'secure': False}, 'http', 'localhost', None),
            (
                {'domain': 'example.com'},
                'http',
                'localhost:6543',
                'cookie_domain',
            ),
            ({'domain': 'example.com'}, 'http', '[::1]:6543', 'cookie_domain'),
            (
                {'domain': 'example.com'},
                'http',
                'anexample.com',
                'cookie_domain',
            ),
            ({'domain': 'example.com'}, 'http', '', 'cookie_domain'),
            ({'domain': '.Example.com'}, 'http', 'example.COM:80', None),
            ({'domain': 'example.com'}, 'http', 'www.example.com', None),
        ],
    )
    def test_cookie_that_browsers_may_drop_is_told_of_once(
        self, attributes, scheme, host, word
    ):
        policy = POLICY._replace(doubted=set(), **attributes)
        request = DummyRequest(host=host)

        told = policy.doubt(scheme, request)

        assert (told is None) == (word is None)
        assert word is None or told.startswith(f'mysql_session.{word} ')
        assert policy.doubt(scheme, request) is None


class TestVary:
    @pytest.mark.parametrize(
        ('before', 'after'),
        [
            ('Cookie2', 'Cookie2, Cookie'),
            ('X-Cookie-Consent', 'X-Cookie-Consent, Cookie'),
            ('Accept,COOKIE', 'Accept,COOKIE'),
            ('Accept, *', 'Accept, *'),
            ('', 'Cookie'),
        ],
    )
    def test_only_the_cookie_header_is_the_cookie_header(self, before, after):
        response = Response(headerlist=[('Vary', before)])

        vary_on_cookie(response)

        assert response.headers.getall('Vary') == [after]
