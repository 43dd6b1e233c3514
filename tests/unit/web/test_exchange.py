"""The cookie and the headers that go with it."""

import pytest
from pyramid.response import Response

from pyramid_mysql_session.web.cookie import CookieSigner
from tests.memory_store import IDLE
from tests.unit.web.visitor import POLICY, cookie, ignore, signer, write


class TestHeaders:
    def test_unused_session_leaves_the_response_alone(self, visitor):
        visitor.store(key='value')
        before = Response().headerlist

        response = visitor.visit(ignore)

        assert response.headerlist == before
        assert visitor.kit.store.calls == []
        assert visitor.users == []

    @pytest.mark.parametrize('stored', [True, False])
    def test_read_makes_the_response_vary_only(self, visitor, stored):
        if stored:
            visitor.store(key='value')
        before = Response().headerlist

        response = visitor.visit(dict)

        assert response.headerlist == [*before, ('Vary', 'Cookie')]
        # without a cookie nothing was loaded
        assert len(visitor.users) == stored

    def test_new_session_sets_one_cookie(self, visitor):
        response = visitor.visit(write)

        assert cookie(response) == (
            f'session={signer.sign(visitor.session.session_id)}; Path=/; '
            'HttpOnly; SameSite=Lax'
        )
        assert response.headers['Vary'] == 'Cookie'
        assert response.headers['Cache-Control'] == 'no-store'

    def test_cookie_is_not_set_again(self, visitor):
        visitor.store(key='old')

        response = visitor.visit(write)

        assert 'Set-Cookie' not in response.headers
        assert 'Cache-Control' not in response.headers
        assert response.headers['Vary'] == 'Cookie'

    @pytest.mark.parametrize(
        ('vary', 'expected'),
        [
            ('Accept', 'Accept, Cookie'),
            ('Accept, cookie', 'Accept, cookie'),
            ('*', '*'),
        ],
    )
    def test_vary_of_the_application_is_kept(self, visitor, vary, expected):
        response = visitor.visit(dict, Response(headers={'vary': vary}))

        assert response.headers.getall('Vary') == [expected]

    def test_cache_control_of_the_application_is_kept(self, visitor):
        response = visitor.visit(write, Response(cache_control='private'))

        assert response.headers.getall('Cache-Control') == ['private']

    @pytest.mark.parametrize(
        'meddle',
        [
            lambda response: response.set_cookie('session', 'mine'),
            lambda response: response.delete_cookie('session'),
        ],
    )
    def test_cookies_of_the_application_are_kept_but_for_ours(
        self, visitor, meddle
    ):
        response = Response()
        response.set_cookie('sessions', 'another')
        meddle(response)

        visitor.visit(write, response)

        other, ours = response.headers.getall('Set-Cookie')
        assert other.startswith('sessions=another;')
        assert ours.startswith(
            f'session={signer.sign(visitor.session.session_id)};'
        )

    @pytest.mark.parametrize(
        ('url', 'secure', 'expected'),
        [
            ('http://example.com/', 'auto', False),
            ('https://example.com/', 'auto', True),
            ('http://example.com/', True, True),
            ('https://example.com/', False, False),
        ],
    )
    def test_cookie_is_secure_as_the_policy_says(
        self, visitor, url, secure, expected
    ):
        visitor.policy = POLICY._replace(secure=secure)

        response = visitor.visit(write, url=url)

        assert ('; secure' in cookie(response)) == expected

    def test_cookie_is_deleted_with_the_attributes_it_was_set_with(
        self, visitor
    ):
        visitor.kit = visitor.kit._replace(cookie_max_age=60)
        visitor.policy = POLICY._replace(
            path='/shop',
            domain='example.com',
            httponly=False,
            samesite='Strict',
        )

        response = visitor.visit(write)

        attributes = (
            'Domain=example.com; Max-Age={}; Path=/shop; expires=<date>; '
            'SameSite=Strict'
        )
        value = signer.sign(visitor.session.session_id)
        assert cookie(response) == (
            f'session={value}; {attributes.format(60)}'
        )
        response = visitor.visit(lambda session: session.clear())
        assert cookie(response) == f'session=; {attributes.format(0)}'
        assert response.headers['Cache-Control'] == 'no-store'

    def test_session_that_never_had_a_cookie_deletes_none(self, visitor):
        def come_and_go(session):
            write(session)
            session.save()
            session.clear()

        response = visitor.visit(come_and_go)

        assert 'Set-Cookie' not in response.headers
        assert visitor.kit.store.rows == {}

    def test_renewal_sets_the_new_cookie(self, visitor):
        session_id = visitor.store(key='value')

        response = visitor.visit(lambda session: session.renew_id())

        assert visitor.session.session_id != session_id
        assert signer.sign(visitor.session.session_id) in cookie(response)

    @pytest.mark.parametrize('use', [dict, ignore])
    def test_cookie_of_an_older_secret_is_issued_anew_when_used(
        self, visitor, use
    ):
        session_id = visitor.store(key='value')
        visitor.cookie = CookieSigner(['second secret']).sign(session_id)

        response = visitor.visit(use)

        cookies = response.headers.getall('Set-Cookie')
        assert [signer.sign(session_id) in each for each in cookies] == (
            [] if use is ignore else [True]
        )


class TestMaxAge:
    def test_persistent_cookie_slides_with_touch_and_save(
        self, visitor, clock
    ):
        visitor.kit = visitor.kit._replace(cookie_max_age=60)
        assert 'Max-Age=60;' in cookie(visitor.visit(write))

        assert 'Set-Cookie' not in visitor.visit(dict).headers
        clock.move(IDLE // 10)
        assert 'Max-Age=60;' in cookie(visitor.visit(dict))
        assert 'Max-Age=60;' in cookie(
            visitor.visit(lambda session: session.update(more=1))
        )

    def test_remembered_session_has_a_persistent_cookie_of_its_own(
        self, visitor, clock
    ):
        visitor.store(key='value')

        response = visitor.visit(lambda session: session.remember(5000))
        assert 'Max-Age=5000;' in cookie(response)

        assert 'Set-Cookie' not in visitor.visit(dict).headers
        clock.move(500)
        assert 'Max-Age=5000;' in cookie(visitor.visit(dict))

        response = visitor.visit(lambda session: session.remember(None))
        assert 'Max-Age' not in cookie(response)
