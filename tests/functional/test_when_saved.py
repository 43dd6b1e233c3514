"""Which changes of a request are saved, whatever becomes of the request."""

import gc
import io

import pytest
from pyramid.events import NewResponse
from pyramid.httpexceptions import HTTPFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid_retry import RetryableException

from pyramid_mysql_session import (
    PayloadNotSerializable,
    SessionError,
    SessionLost,
    StoreUnavailable,
)
from tests.helpers import VIEW, record


class AppError(Exception):
    """An error of the application."""


def read(request):
    return dict(request.session)


def write(key='key'):
    return lambda request: request.session.update({key: 1})


def write_and_fail(request):
    request.session['lost'] = 1
    raise AppError('the text of the error')


def show_error(exc, request):
    """An exception view."""
    return Response(f'{type(exc).__name__}: {exc}', status=500)


def flash_error(exc, request):
    """An exception view that uses the session."""
    request.session.flash(str(exc))
    return Response(status=500)


def on_new_response(function):
    """Return what calls a function with each request that has a response."""
    return lambda config: config.add_subscriber(
        lambda event: function(event.request), NewResponse
    )


def exception_view(view, context):
    """Return what configures an exception view."""
    return lambda config: config.add_exception_view(view, context=context)


class TestCallbacks:
    @pytest.mark.parametrize('first', [True, False])
    def test_change_by_a_response_callback_is_saved(self, app, first):
        def view(request):
            if first:
                read(request)
            request.add_response_callback(
                lambda request, response: write('callback')(request)
            )
            write('view')(request)

        app.run(view)

        assert app.run(read).json == {'view': 1, 'callback': 1}

    def test_change_by_a_callback_of_a_callback_is_saved(self, app):
        def late(request, response):
            request.add_response_callback(
                lambda request, response: write('later')(request)
            )
            write('late')(request)

        def view(request):
            write('view')(request)
            request.add_response_callback(late)

        app.run(view)

        assert app.run(read).json == {'view': 1, 'late': 1, 'later': 1}

    def test_session_first_used_in_a_callback_is_saved(self, app):
        def view(request):
            request.add_response_callback(
                lambda request, response: write()(request)
            )

        assert 'Set-Cookie' in app.run(view).headers
        assert app.run(read).json == {'key': 1}

    def test_change_by_a_subscriber_to_new_response_is_saved(self, make_app):
        app = make_app(configure=on_new_response(write('late')))

        response = app.run(write())

        assert len(response.headers.getall('Set-Cookie')) == 1
        assert app.run(read).json == {'key': 1, 'late': 1}

    def test_subscriber_that_uses_the_session_first_saves_itself(
        self, make_app
    ):
        def save(request):
            request.session['late'] = 1
            request.session.save()

        app = make_app(configure=on_new_response(save))
        app.run(write())
        app.run(lambda request: request.session.pop('late'))

        app.run(lambda request: None)

        assert app.store.count() == 1
        assert app.run(read).json == {'key': 1, 'late': 1}

    @pytest.mark.parametrize('known', [True, False])
    def test_session_that_a_subscriber_uses_first_is_saved(
        self, make_app, known
    ):
        app = make_app(configure=on_new_response(write('late')))
        if known:
            app.run(write())

        response = app.run(lambda request: None)

        assert response.headers['Vary'] == 'Cookie'
        assert app.run(read).json['late'] == 1
        assert app.store.count() == 1

    def test_error_in_a_callback_saves_nothing(self, app):
        app.run(write())

        def view(request):
            request.session['lost'] = 1
            request.add_response_callback(
                lambda request, response: write_and_fail(request)
            )

        with pytest.raises(AppError):
            app.run(view)

        assert app.run(read).json == {'key': 1}


class TestExceptions:
    def test_unhandled_exception_saves_nothing(self, app, rows, caplog):
        with pytest.raises(AppError):
            app.run(write_and_fail)
        app.run(write())

        def view(request):
            request.session.renew_id()
            write_and_fail(request)

        with pytest.raises(AppError):
            app.run(view)

        assert app.run(read).json == {'key': 1}
        assert rows() == 1
        gc.collect()
        assert 'the change is lost' not in caplog.text

    def test_unhandled_exception_leaves_an_invalidated_session(self, app):
        app.run(write())

        def view(request):
            request.session.invalidate()
            write_and_fail(request)

        with pytest.raises(AppError):
            app.run(view)

        assert app.run(read).json == {'key': 1}

    @pytest.mark.parametrize('save', [True, False])
    def test_set_on_exception_decides_what_an_exception_view_saves(
        self, make_app, save
    ):
        app = make_app(
            configure=exception_view(flash_error, AppError),
            set_on_exception=save,
        )
        app.run(write())

        app.run(write_and_fail, status=500)

        flash = {'lost': 1, '_f_': ['the text of the error']}
        assert app.run(read).json == {'key': 1, **(flash if save else {})}

    @pytest.mark.parametrize('save', [True, False])
    def test_raised_redirect_counts_as_an_exception(self, make_app, save):
        app = make_app(set_on_exception=save)

        def view(request):
            write()(request)
            raise HTTPFound('/')

        response = app.run(view, status=302)

        assert ('Set-Cookie' in response.headers) == save
        assert app.run(read).json == ({'key': 1} if save else {})


class TestErrorInTheSave:
    """Pyramid's router no longer looks for exception views by then."""

    def test_exception_view_answers(self, make_app, database):
        app = make_app(configure=exception_view(show_error, SessionError))
        app.run(write())

        def view(request):
            write('more')(request)
            database.query('RENAME TABLE sessions TO elsewhere')
            return Response('not shown', headers={'X-View': 'not kept'})

        response = app.run(view, status=500)

        assert response.text == (
            'SchemaError: the session table cannot hold sessions: it is '
            'missing. Create it, or set mysql_session.create_table = true.'
        )
        assert 'X-View' not in response.headers
        assert response.content_length == len(response.body)
        database.query('RENAME TABLE elsewhere TO sessions')
        assert app.run(read).json == {'key': 1}

    def test_body_that_is_not_shown_is_closed(self, make_app):
        app = make_app(configure=exception_view(show_error, SessionError))
        body = io.BytesIO(b'not shown')

        def view(request):
            request.session['bad'] = object()
            return Response(app_iter=body)

        app.run(view, status=500)

        assert body.closed

    def test_store_unavailable_has_a_view_of_its_own(self, make_app, database):
        app = make_app(
            configure=exception_view(show_error, StoreUnavailable),
            lock_timeout=1,
        )
        app.run(write())
        with database.connect() as stranger:
            stranger.query('BEGIN')
            stranger.query('UPDATE sessions SET userid = NULL')
            response = app.run(write('more'), status=500)

        assert response.text.startswith('LockTimeout: Somebody else kept ')

    def test_without_a_view_the_error_is_raised(self, app):
        app.run(write())

        def view(request):
            request.session['object'] = [object()]

        with pytest.raises(PayloadNotSerializable) as info:
            app.run(view)

        assert info.value.path == 'object[0]'
        assert app.run(read).json == {'key': 1}

    def test_view_may_look_at_the_session(self, make_app):
        def view(exc, request):
            request.session.flash('not saved')
            return Response(','.join(request.session), status=500)

        app = make_app(configure=exception_view(view, SessionError))
        app.run(write())

        response = app.run(
            lambda request: request.session.update(bad=object()), status=500
        )

        assert response.text == 'key,bad,_f_'
        assert 'Set-Cookie' not in response.headers
        assert app.run(read).json == {'key': 1}

    def test_change_by_a_subscriber_that_cannot_be_saved(self, make_app):
        def spoil(request):
            request.session['bad'] = object()

        def configure(config):
            exception_view(show_error, SessionError)(config)
            on_new_response(spoil)(config)

        app = make_app(configure=configure)

        response = app.run(write(), status=500)

        assert response.text.startswith('PayloadNotSerializable: ')
        assert 'bad has a value of type object' in response.text


class TestSubrequests:
    def run(self, request, view):
        """Run a view in a subrequest with the cookies of the request."""
        subrequest = Request.blank(
            '/', headers={'Cookie': request.headers.get('Cookie', '')}
        )
        subrequest.environ[VIEW] = view
        return request.invoke_subrequest(subrequest, use_tweens=True)

    def test_changes_of_both_are_saved(self, app):
        app.run(write())

        def view(request):
            write('before')(request)
            self.run(request, write('sub'))
            write('after')(request)

        app.run(view)

        assert app.run(read).json == dict.fromkeys(
            ('key', 'sub', 'before', 'after'), 1
        )

    def test_subrequest_does_not_see_what_is_not_saved_yet(self, app):
        app.run(write())

        def view(request):
            request.session['key'] = 2
            seen = [self.run(request, read).json]
            request.session.save()
            return [*seen, self.run(request, read).json]

        assert app.run(view).json == [{'key': 1}, {'key': 2}]

    def test_id_renewed_by_the_subrequest_wins(self, app, rows):
        app.run(write())
        events = record(app, SessionLost)

        def view(request):
            write('lost')(request)
            return self.run(
                request, lambda request: request.session.renew_id()
            )

        app.run(view)

        assert len(events) == rows() == 1
        assert app.run(read).json == {'key': 1}


def test_object_from_the_view_that_a_subscriber_changes_is_saved(make_app):
    kept = []

    def view(request):
        kept.append(request.session.setdefault('list', []))

    app = make_app(
        configure=lambda config: config.add_subscriber(
            lambda event: kept and kept.pop().append('late'), NewResponse
        )
    )
    app.run(view)
    app.run(view)

    assert app.run(lambda request: dict(request.session)).json == {
        'list': ['late', 'late']
    }


class TestFirstUsedLate:
    """By a subscriber of NewResponse."""

    def test_thrown_away_attempt_leaves_no_row(self, make_app, rows):
        def configure(config):
            config.add_settings({'retry.attempts': 2})
            config.include('pyramid_retry')
            config.add_exception_view(show_error, context=RetryableException)
            on_new_response(write('late'))(config)

        app = make_app(configure=configure)
        attempts = []

        def view(request):
            attempts.append(request)
            if len(attempts) == 1:
                raise RetryableException

        app.run(view)

        assert rows() == 1
        assert app.run(read).json == {'late': 1}

    def test_set_on_exception_counts(self, make_app, rows):
        def configure(config):
            exception_view(show_error, AppError)(config)
            on_new_response(write('late'))(config)

        app = make_app(configure=configure, set_on_exception=False)
        app.store.create_table()

        response = app.run(write_and_fail, status=500)

        assert 'Set-Cookie' not in response.headers
        assert rows() == 0

    def test_session_that_is_emptied_takes_its_cookie_along(
        self, make_app, rows
    ):
        app = make_app(
            configure=on_new_response(lambda request: request.session.clear())
        )

        app.run(write())

        assert rows() == 0
        assert app.cookies == {}


@pytest.mark.parametrize(
    ('vary', 'expected'),
    [
        (None, 'Cookie'),
        ('Accept', 'Accept, Cookie'),
        ('X-Cookie-Consent', 'X-Cookie-Consent, Cookie'),
        ('Cookie2', 'Cookie2, Cookie'),
        ('Accept, cookie', 'Accept, cookie'),
        ('*', '*'),
    ],
)
def test_response_varies_on_the_cookie(app, vary, expected):
    def view(request):
        response = Response(repr(dict(request.session)))
        if vary:
            response.headers['Vary'] = vary
        return response

    assert app.run(view).headers.getall('Vary') == [expected]
