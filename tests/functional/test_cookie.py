"""The session cookie as a browser sees it."""

import pytest
from pyramid.events import NewResponse
from pyramid.request import Request
from pyramid.response import Response

from pyramid_mysql_session import SessionRejected
from pyramid_mysql_session.store.keys import make_session_id, stored_key
from pyramid_mysql_session.web.cookie import CookieSigner
from tests.helpers import record, twin

SECRET = 'the-secret-of-the-cookie-tests-of-40-chars'


@pytest.fixture
def app(make_app):
    return make_app(secret=SECRET)


def write(request):
    request.session['key'] = 'value'


def read(request):
    return dict(request.session)


def ignore(request):
    pass


def log_out(request):
    request.session.invalidate()


def set_cookies(response):
    """Return name, value and attributes of each cookie that is set."""
    cookies = []
    for header in response.headers.getall('Set-Cookie'):
        pair, *attributes = header.split('; ')
        name, value = pair.split('=', 1)
        cookies.append((name, value, {text.lower() for text in attributes}))
    return cookies


def attributes(response):
    """Return the attributes of the session cookie, the only one set."""
    ((name, _, attributes),) = set_cookies(response)
    assert name == 'session'
    return attributes


class TestSigning:
    def test_cookie_carries_a_signed_id_whose_key_is_stored(
        self, app, database
    ):
        app.run(write)

        session_id, old = CookieSigner([SECRET]).verify(app.cookies['session'])
        assert not old
        assert database.query('SELECT session_id FROM sessions') == [
            (stored_key(session_id),)
        ]

    @pytest.mark.plain
    def test_table_holds_nothing_of_the_cookie(self, app, database):
        app.run(write)

        ((key, data),) = database.query(
            'SELECT session_id, data FROM sessions'
        )
        cookie = app.cookies['session'].encode()
        assert key not in cookie
        assert data == '{"key":"value"}'

    def test_older_secret_is_verified_and_the_cookie_issued_anew(
        self, make_app, rows
    ):
        old = make_app(secret='old')
        old.run(write)

        both = twin(old, make_app(secret='new\nold'))
        assert both.run(read).json == {'key': 'value'}
        assert both.cookies != old.cookies
        assert 'Set-Cookie' not in both.run(read).headers

        new = make_app(secret='new')
        assert twin(both, new).run(read).json == {'key': 'value'}
        assert twin(old, new).run(read).json == {}
        assert rows() == 1

    def test_cookie_is_not_issued_anew_when_the_session_is_not_used(
        self, make_app
    ):
        old = make_app(secret='old')
        old.run(write)
        both = twin(old, make_app(secret='new\nold'))

        assert 'Set-Cookie' not in both.run(lambda request: None).headers


class TestAttributes:
    def test_defaults(self, app):
        assert attributes(app.run(write)) == {
            'path=/',
            'httponly',
            'samesite=lax',
        }

    @pytest.mark.parametrize(
        ('settings', 'expected'),
        [
            (
                {'cookie_path': '/shop', 'cookie_httponly': False},
                {'path=/shop', 'samesite=lax'},
            ),
            (
                {'cookie_domain': 'localhost', 'cookie_samesite': 'Strict'},
                {
                    'path=/',
                    'domain=localhost',
                    'httponly',
                    'samesite=strict',
                },
            ),
            (
                {'cookie_samesite': 'None', 'cookie_secure': True},
                {'path=/', 'secure', 'httponly', 'samesite=none'},
            ),
        ],
    )
    def test_settings_make_the_attributes_of_setting_and_deleting(
        self, make_app, settings, expected
    ):
        app = make_app(**settings)
        response = app.run(write)
        assert attributes(response) == expected

        response = app.run(
            lambda request: request.session.invalidate(),
            headers={'Cookie': response.headers['Set-Cookie'].split(';')[0]},
        )

        ((_, value, deleting),) = set_cookies(response)
        assert value == ''
        assert deleting - expected == {
            'max-age=0',
            'expires=wed, 31-dec-97 23:59:59 gmt',
        }
        assert expected <= deleting

    @pytest.mark.parametrize('scheme', ['http', 'https'])
    def test_cookie_is_secure_when_the_request_is(self, app, scheme):
        response = app.run(write, f'{scheme}://localhost/')

        assert ('secure' in attributes(response)) == (scheme == 'https')

    def test_host_prefix_works_over_https(self, make_app):
        app = make_app(cookie_name='__Host-id', cookie_secure=True)
        response = app.run(write, 'https://localhost/')

        ((name, _, attributes),) = set_cookies(response)
        assert name == '__Host-id'
        assert attributes == {'path=/', 'secure', 'httponly', 'samesite=lax'}
        assert app.run(read, 'https://localhost/').json == {'key': 'value'}


class TestOneHeader:
    def test_cookie_is_set_once_and_not_again(self, app):
        assert len(set_cookies(app.run(write))) == 1
        assert set_cookies(app.run(read)) == []
        assert (
            set_cookies(app.run(lambda request: request.session.update(b=1)))
            == []
        )

    @pytest.mark.parametrize(
        'meddle',
        [
            lambda response: response.delete_cookie('session'),
            lambda response: response.set_cookie('session', 'mine'),
        ],
    )
    def test_view_that_meddles_gives_one_session_cookie(self, app, meddle):
        def view(request):
            write(request)
            response = Response()
            response.set_cookie('other', 'kept')
            meddle(response)
            request.add_response_callback(lambda _, late: meddle(late))
            return response

        response = app.run(view)

        names = [name for name, _, _ in set_cookies(response)]
        assert sorted(names) == ['other', 'session']
        assert app.run(read).json == {'key': 'value'}

    @pytest.mark.parametrize('action', [read, write, ignore, log_out])
    @pytest.mark.parametrize('late', [False, True])
    @pytest.mark.parametrize('existing', [False, True])
    @pytest.mark.parametrize(
        'other', [{'path': '/old'}, {'domain': 'example.com'}]
    )
    def test_cookie_of_another_path_or_domain_stays(
        self, app, action, late, existing, other
    ):
        if existing:
            app.run(write)

        def view(request):
            action(request)
            response = Response()
            if late:
                request.add_response_callback(
                    lambda _, response: response.delete_cookie(
                        'session', **other
                    )
                )
            else:
                response.delete_cookie('session', **other)
            return response

        response = app.run(view)

        ours, theirs = [], []
        for _, value, attributes in set_cookies(response):
            if attributes & {'path=/old', 'domain=example.com'}:
                theirs.append(value)
            else:
                ours.append(value)
        assert theirs == ['']
        changes = (action is write) != existing and action is not read
        assert len(ours) == (changes and action is not ignore)

    def test_view_that_deletes_the_cookie_at_logout_gives_one(self, app):
        app.run(write)

        def log_out(request):
            request.session.invalidate()
            response = Response()
            response.delete_cookie('session')
            return response

        assert 'max-age=0' in attributes(app.run(log_out))
        assert app.cookies == {}


class TestSeveral:
    """Several cookies have our name."""

    @pytest.fixture
    def sign(self):
        return CookieSigner([SECRET]).sign

    def send(self, app, view, *values):
        header = '; '.join(f'session={value}' for value in values)
        return app.browser().run(view, headers={'Cookie': header})

    def test_first_that_lives_is_ours_and_nothing_is_rejected(self, app, sign):
        events = record(app, SessionRejected)
        one, two = app.browser(), app.browser()
        one.run(lambda request: request.session.update(me=1))
        two.run(lambda request: request.session.update(me=2))
        unknown = sign(make_session_id())
        values = (unknown, two.cookies['session'], 'x', one.cookies['session'])

        assert self.send(app, read, *values).json == {'me': 2}
        assert self.send(app, read, *reversed(values)).json == {'me': 1}
        assert events == []

    def test_change_goes_to_the_one_that_lives(self, app, sign):
        app.run(write)
        live, dead = app.cookies['session'], sign(make_session_id())

        response = self.send(
            app, lambda request: request.session.update(a=1), dead, live
        )

        assert set_cookies(response) == []
        assert app.run(read).json == {'key': 'value', 'a': 1}

    def test_all_dead_are_rejected_once_and_a_new_session_begins(
        self, app, sign, rows
    ):
        events = record(app, SessionRejected)
        dead = [sign(make_session_id()) for _ in range(3)]

        response = self.send(app, write, *dead)

        assert [event.reason for event in events] == ['unknown']
        ((_, value, _),) = set_cookies(response)
        assert value not in dead
        assert rows() == 1

    def test_log_out_ends_all_that_live(self, app, rows):
        one, two = app.browser(), app.browser()
        one.run(write)
        two.run(write)
        values = one.cookies['session'], two.cookies['session']

        response = self.send(app, log_out, *values)

        ((_, value, _),) = set_cookies(response)
        assert value == ''
        assert rows() == 0
        assert self.send(app, read, *values).json == {}

    @pytest.mark.parametrize('lives', [True, False])
    def test_log_out_ends_what_another_request_has_renewed(
        self, app, rows, sign, lives
    ):
        app.run(write)
        old = app.cookies['session']
        elsewhere = twin(app)
        elsewhere.run(lambda request: request.session.renew_id())
        other = app.browser()
        other.run(write)
        first = other.cookies['session'] if lives else sign(make_session_id())

        self.send(app, log_out, first, old)

        assert elsewhere.run(read).json == {}
        assert rows() == (0 if lives else 1)

    def test_session_that_cannot_be_read_hides_no_other(self, app, database):
        one, two = app.browser(), app.browser()
        one.run(write)
        database.query("UPDATE sessions SET data = '{'")
        two.run(lambda request: request.session.update(me=2))
        values = one.cookies['session'], two.cookies['session']

        assert self.send(app, read, *values).json == {'me': 2}

    def test_id_and_handle_are_those_of_the_one_that_lives(self, app, sign):
        app.run(write)

        def view(request):
            return [request.session.session_id, request.session.handle]

        known = app.run(view).json
        values = sign(make_session_id()), app.cookies['session']
        assert self.send(app, view, *values).json == known

    def test_cookie_of_an_older_secret_is_issued_anew(self, make_app, app):
        app.run(write)
        both = make_app(secret=f'the-newer-secret-of-the-tests-40\n{SECRET}')
        dead = CookieSigner([SECRET]).sign(make_session_id())

        response = self.send(both, read, dead, app.cookies['session'])

        assert len(set_cookies(response)) == 1

    def test_subrequest_after_log_in_sees_the_new_session(self, app, sign):
        app.run(write)
        values = sign(make_session_id()), app.cookies['session'], 'x'

        def view(request):
            if request.query_string == 'inner':
                return read(request)
            if request.query_string == 'renew':
                request.session.renew_id()
                request.session['renewed'] = True
                return {}
            for query in ('renew', 'inner'):
                inner = Request.blank(f'/?{query}')
                inner.environ = {
                    **request.environ,
                    'QUERY_STRING': query,
                }
                inner.registry = request.registry
                response = request.invoke_subrequest(inner)
            return response.json

        response = self.send(app, view, *values)

        assert response.json == {'key': 'value', 'renewed': True}

    def test_neighbour_and_an_old_path_hide_nothing_in_a_browser(
        self, make_app, app
    ):
        # as a browser sends them: of the longest path first
        app.run(write)
        old = app.cookies['session']
        moved = make_app(secret=SECRET, cookie_path='/shop')
        neighbour = 'eyJfcGVybWFuZW50Ijp0cnVlfQ.abc.def'

        assert self.send(moved, read, neighbour, old).json == {'key': 'value'}
        response = self.send(
            moved,
            lambda request: request.session.renew_id(),
            old,
            neighbour,
        )
        ((_, new, attributes),) = set_cookies(response)
        assert 'path=/shop' in attributes
        for values in ((new, old, neighbour), (neighbour, old, new)):
            assert self.send(moved, read, *values).json == {'key': 'value'}


class TestSubscribers:
    @pytest.mark.parametrize('value', ['mine', ''])
    def test_cookie_of_a_subscriber_does_not_replace_ours(
        self, make_app, value
    ):
        def meddle(event):
            event.response.set_cookie('session', value)

        app = make_app(
            configure=lambda config: config.add_subscriber(meddle, NewResponse)
        )

        app.run(write)

        assert app.run(read).json == {'key': 'value'}


class TestCaching:
    @pytest.mark.parametrize(
        ('vary', 'expected'),
        [
            (None, 'Cookie'),
            ('Accept', 'Accept, Cookie'),
            ('accept, cookie', 'accept, cookie'),
            ('*', '*'),
        ],
    )
    @pytest.mark.parametrize('action', [read, write])
    def test_response_varies_with_the_cookie(
        self, app, vary, expected, action
    ):
        def view(request):
            action(request)
            return Response(headerlist=[('Vary', vary)] if vary else [])

        assert app.run(view).headers['Vary'] == expected

    def test_response_that_did_not_use_the_session_does_not_vary(self, app):
        app.run(write)

        def view(request):
            assert request.session is not None

        assert 'Vary' not in app.run(view).headers

    def test_response_that_sets_the_cookie_is_not_stored(self, app):
        assert app.run(write).headers['Cache-Control'] == 'no-store'
        assert 'Cache-Control' not in app.run(read).headers
        response = app.run(lambda request: request.session.invalidate())
        assert response.headers['Cache-Control'] == 'no-store'

    def test_cache_control_of_the_application_stays(self, app):
        def view(request):
            write(request)
            return Response(cache_control='private')

        assert app.run(view).headers['Cache-Control'] == 'private'


class TestPersistence:
    def test_cookie_max_age_slides_with_each_touch(self, make_app, database):
        app = make_app(cookie_max_age=3000)
        assert 'max-age=3000' in attributes(app.run(write))
        assert set_cookies(app.run(read)) == []

        database.query('UPDATE sessions SET expires = expires - 80000')
        assert 'max-age=3000' in attributes(app.run(read))

    def test_remember_makes_the_cookie_persistent(self, app, database):
        app.run(write)
        response = app.run(lambda request: request.session.remember(500))
        assert 'max-age=500' in attributes(response)
        assert set_cookies(app.run(read)) == []

        database.query('UPDATE sessions SET expires = expires - 400')
        assert 'max-age=500' in attributes(app.run(read))

    def test_remember_none_returns_to_a_browser_session(self, app):
        app.run(write)
        app.run(lambda request: request.session.remember(500))

        response = app.run(lambda request: request.session.remember(None))

        assert attributes(response) == {'path=/', 'httponly', 'samesite=lax'}


class TestRejected:
    """What leads to no session is a new one, and never becomes one."""

    @pytest.mark.parametrize(
        'cookie',
        [
            '',
            'x',
            '"',
            'x' * 154,
            'x' * 100_000,
            '\xff\xfe',
            '\xc3\xa4' * 77,
            CookieSigner(['another secret']).sign(make_session_id()),
            CookieSigner([SECRET]).sign(make_session_id())[:-1],
            CookieSigner([SECRET]).sign(make_session_id()) + 'A',
            CookieSigner([SECRET]).sign('a' * 51)[:-1] + '=',
        ],
        ids=range(11),
    )
    def test_forged_cookie_is_a_new_session(self, app, cookie):
        events = record(app, SessionRejected)

        response = app.run(read, headers={'Cookie': f'session={cookie}'})

        assert response.json == {}
        assert [event.reason for event in events] == ['signature']
        assert 'Set-Cookie' not in response.headers

    def test_unknown_id_is_not_adopted(self, app, database):
        events = record(app, SessionRejected)
        session_id = make_session_id()
        cookie = CookieSigner([SECRET]).sign(session_id)

        app.run(write, headers={'Cookie': f'session={cookie}'})

        assert [event.reason for event in events] == ['unknown']
        ((key,),) = database.query('SELECT session_id FROM sessions')
        assert key != stored_key(session_id)
        assert app.run(read).json == {'key': 'value'}

    def test_expired_id_is_not_adopted(self, app, database, rows):
        events = record(app, SessionRejected)
        app.run(write)
        cookie = app.cookies['session']
        database.query('UPDATE sessions SET expires = UNIX_TIMESTAMP() - 1')

        app.run(lambda request: request.session.update(other='value'))

        assert [event.reason for event in events] == ['expired']
        assert app.cookies['session'] != cookie
        assert app.run(read).json == {'other': 'value'}
        assert rows() == 2

    @pytest.mark.parametrize('payload', ['', '{', '[1]', '"text"', 'null'])
    def test_undecodable_payload_is_a_new_session(
        self, app, database, payload
    ):
        events = record(app, SessionRejected)
        app.run(write)
        cookie = app.cookies['session']
        database.query('UPDATE sessions SET data = %s', (payload,))

        app.run(lambda request: request.session.update(other='value'))

        assert [event.reason for event in events] == ['undecodable']
        assert app.cookies['session'] != cookie
        assert app.run(read).json == {'other': 'value'}

    def test_event_leads_to_the_new_session(self, app):
        events = record(app, SessionRejected)
        cookie = CookieSigner([SECRET]).sign(make_session_id())

        def view(request):
            request.session['key'] = 'value'
            (event,) = events
            assert event.request is request
            assert event.request.session['key'] == 'value'

        app.run(view, headers={'Cookie': f'session={cookie}'})
