"""What sessions of other packages do, these do, too, but for three things."""

import pytest
from pyramid.csrf import (
    CookieCSRFStoragePolicy,
    LegacySessionCSRFStoragePolicy,
    SessionCSRFStoragePolicy,
    get_csrf_token,
)
from pyramid.httpexceptions import HTTPFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.scripting import prepare

from pyramid_mysql_session.store.keys import make_session_id, stored_key
from pyramid_mysql_session.web.cookie import CookieSigner
from tests.helpers import SECRET

CHOSEN_ID = make_session_id()
SIGNED_ID = CookieSigner([SECRET]).sign(CHOSEN_ID)
DATA = {'one': 1, 'dict': {'list': [1]}, '_f_': ['hi'], '_csrft_': 'token'}


def read(request):
    return dict(request.session)


def write(request):
    request.session['key'] = 1


def change(function):
    """Return a view that calls a function with the session."""
    return lambda request: function(request.session)


def look(session):
    """Return what a session tells about itself."""
    return [dict(session), session.new, session.session_id, session.handle]


def cookies(response):
    """Tell of each cookie in a response whether it is set or deleted."""
    return [
        'deleted' if 'max-age=0' in header.lower() else 'set'
        for header in response.headers.getall('Set-Cookie')
    ]


class TestReading:
    @pytest.mark.parametrize(
        'use',
        [
            lambda session: session['one'],
            lambda session: session.get('none', 'default'),
            lambda session: 'one' in session and 'none' not in session,
            lambda session: [*session, *session.keys(), *session.values()],
            lambda session: session.pop('none', default='default'),
            lambda session: session.setdefault('one', 2),
            lambda session: session.update(),
            lambda session: session.peek_flash(),
            lambda session: session.pop_flash('none'),
            lambda session: session.flash('hi', allow_duplicate=False),
            lambda session: session.get_csrf_token(),
            lambda session: session.save(),
            look,
        ],
    )
    def test_use_that_changes_nothing_writes_nothing(
        self, app, statements, use
    ):
        app.run(change(lambda session: session.update(DATA)))

        with statements() as log:
            response = app.run(change(lambda session: repr(use(session))))

        assert {text.split()[0] for text in log} <= {'SELECT'}
        assert cookies(response) == []
        assert app.run(read).json == DATA

    @pytest.mark.parametrize('data', [{}, {'key': 1}])
    @pytest.mark.parametrize('method', ['__getitem__', '__delitem__', 'pop'])
    def test_key_that_is_missing_is_an_error_and_no_change(
        self, app, data, method
    ):
        app.run(change(lambda session: session.update(data)))

        def view(request):
            with pytest.raises(KeyError, match="'none'"):
                getattr(request.session, method)('none')

        assert cookies(app.run(view)) == []
        assert app.run(read).json == data

    @pytest.mark.parametrize(
        'name', ['session_id', 'handle', 'created', 'new']
    )
    def test_attribute_is_read_only(self, app, name):
        app.run(write)

        def view(request):
            found = getattr(request.session, name)
            with pytest.raises(AttributeError):
                setattr(request.session, name, found)
            return found

        assert app.run(view).json == app.run(view).json


class TestKeys:
    """The application may look for what Pyramid's own session has there."""

    @pytest.mark.parametrize(
        ('queue', 'key'), [('', '_f_'), ('error', '_f_error')]
    )
    def test_flash_queue_is_a_list_under_its_key(self, app, queue, key):
        app.run(change(lambda session: session.update({key: ['one']})))
        app.run(change(lambda session: session.flash('two', queue, False)))
        app.run(change(lambda session: session.flash('two', 'other', False)))
        assert app.run(read).json == {key: ['one', 'two'], '_f_other': ['two']}

        pop = change(lambda session: session.pop_flash(queue))
        assert app.run(pop).json == ['one', 'two']
        assert app.run(read).json == {'_f_other': ['two']}

    def test_csrf_token_is_text_under_its_key(self, app):
        get = change(lambda session: session.get_csrf_token())
        token = app.run(get).json
        assert isinstance(token, str)
        assert app.run(read).json == {'_csrft_': token}

        app.run(change(lambda session: session.update(_csrft_='mine')))
        assert app.run(get).json == 'mine'


class TestInvalidate:
    @pytest.mark.parametrize('fails', [True, False])
    @pytest.mark.parametrize('known', [True, False])
    @pytest.mark.parametrize(
        'steps', [[], ['end'], ['write', 'end'], ['look'], ['look', 'write']]
    )
    def test_last_step_decides_what_becomes_of_row_and_cookie(
        self, make_app, rows, fails, known, steps
    ):
        app = make_app(set_on_exception=False)
        app.store.create_table()
        if known:
            app.run(change(lambda session: session.update(old=1)))

        def view(request):
            request.session['lost'] = 1
            request.session.invalidate()
            for step in steps:
                if step == 'end':
                    request.session.invalidate()
                elif step == 'look':
                    assert look(request.session) == [{}, True, None, None]
                else:
                    write(request)
            if fails:
                raise HTTPFound('/')

        response = app.run(view, status=302 if fails else 200)

        stays = 'write' in steps[-1:] and not fails
        gone = ['deleted'] if known else []
        assert rows() == stays
        assert cookies(response) == (['set'] if stays else gone)
        assert response.headers['Vary'] == 'Cookie'
        assert app.run(read).json == ({'key': 1} if stays else {})


class TestSaving:
    def test_save_in_the_view_makes_no_second_session(self, app, rows):
        def view(request):
            for number in range(3):
                request.session['key'] = number
                request.session.save()

        assert cookies(app.run(view)) == ['set']
        assert rows() == 1
        assert app.run(read).json == {'key': 2}

    @pytest.mark.parametrize('status', [302, 404, 500])
    def test_status_of_the_response_does_not_matter(self, app, status):
        def view(request):
            write(request)
            return Response(status=status)

        assert cookies(app.run(view, status=status)) == ['set']
        assert app.run(read).json == {'key': 1}

    def test_session_used_before_the_request_is_run_is_saved(self, make_app):
        app = make_app(view=write)
        request = Request.blank('/', environ=app.extra_environ)
        with prepare(request=request, registry=app.registry):
            request.session['script'] = 1
            response = app.app.invoke_request(request)

        cookie = response.headers['Set-Cookie'].split(';')[0]
        found = app.run(read, headers={'Cookie': cookie}).json
        assert found == {'script': 1, 'key': 1}


class TestOnPurpose:
    """Where some of the others do something else."""

    def test_session_has_no_id_before_its_first_save(self, app):
        ids = []

        def note(request):
            ids.append(request.session.session_id)

        def view(request):
            request.add_finished_callback(note)
            for use in (read, write, change(lambda s: s.save())):
                use(request)
                note(request)

        app.run(view)
        app.run(note)

        *before, after, later = ids
        assert before == [None] * 3
        assert after == later is not None

    @pytest.mark.parametrize(
        'cookie',
        ['my-own-id', CHOSEN_ID, CHOSEN_ID * 20, SIGNED_ID],
        ids=['text', 'unsigned', 'long', 'signed'],
    )
    def test_id_chosen_by_the_client_is_never_adopted(
        self, make_app, database, rows, cookie
    ):
        app = make_app(secret=SECRET)
        app.store.create_table()
        headers = {'Cookie': f'session={cookie}'}
        seen = app.run(change(look), headers=headers).json
        assert seen == [{}, True, None, None]
        assert rows() == 0

        app.run(write, headers=headers)

        assert app.cookies['session'] != cookie
        session_id = app.run(change(lambda s: s.session_id)).json
        assert session_id != CHOSEN_ID
        assert database.query('SELECT session_id FROM sessions') == [
            (stored_key(session_id),)
        ]

    @pytest.mark.parametrize('known', [True, False])
    def test_empty_session_has_neither_cookie_nor_row(self, app, rows, known):
        app.store.create_table()
        if known:
            app.run(write)

        def view(request):
            write(request)
            del request.session['key']
            request.session.flash('message', 'queue')
            request.session.pop_flash('queue')
            request.session.save()
            assert look(request.session)[:2] == [{}, not known]

        assert cookies(app.run(view)) == (['deleted'] if known else [])
        assert rows() == 0


class TestCSRF:
    @pytest.fixture(
        params=[
            LegacySessionCSRFStoragePolicy,
            SessionCSRFStoragePolicy,
            CookieCSRFStoragePolicy,
        ]
    )
    def policy(self, request):
        return request.param

    @pytest.fixture
    def app(self, make_app, policy):
        def configure(config):
            config.set_csrf_storage_policy(policy())
            config.set_default_csrf_options(require_csrf=True)

        app = make_app(configure=configure)
        app.store.create_table()
        return app

    def test_token_in_a_header_is_as_good_as_in_the_form(self, app):
        token = app.run(get_csrf_token).json

        for sent, status in ((token, 200), (token[:-1], 400), ('', 400)):
            headers = {'X-CSRF-Token': sent}
            app.run(read, method='POST', headers=headers, status=status)

    def test_token_kept_elsewhere_makes_no_session(self, app, rows, policy):
        app.run(get_csrf_token)

        kept_here = policy is not CookieCSRFStoragePolicy
        assert rows() == kept_here
        assert ('session' in app.cookies) == kept_here
