"""A session ends under every id that it ever had; row and cookie agree."""

import random
import threading

import pytest
from pyramid.events import NewResponse
from pyramid.httpexceptions import HTTPFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid_retry import RetryableException

from pyramid_mysql_session import (
    PayloadNotSerializable,
    SessionError,
    SessionRejected,
    StoreUnavailable,
)
from tests.helpers import VIEW, connections, record, twin, wait_until


class AppError(Exception):
    """An error of the application."""


def read(request):
    return dict(request.session)


def log_in(request):
    request.session['auth.userid'] = 'ada'


def renew(request):
    request.session.renew_id()


def log_out(request):
    request.session.invalidate()


def fail_late(make_app, view, act=lambda request: None):
    """
    Have a response not sent, and return the application.

    :param view: of the request; who does not log in was logged in before.
    :param act: what a subscriber does before it fails.
    """

    def fail(event):
        if event.request.params.get('fail'):
            act(event.request)
            raise AppError

    app = make_app(
        configure=lambda config: config.add_subscriber(fail, NewResponse)
    )
    app.store.create_table()
    if view is not log_in:
        app.run(log_in)
    with pytest.raises(AppError):
        app.run(view, '/?fail=1')
    return app


def sorry(exc, request):
    """An exception view."""
    return Response('sorry', status=500)


@pytest.fixture
def apologetic(make_app):
    """Call it for an application with an exception view for all errors."""

    def make(**kwargs):
        def configure(config):
            for kind in (SessionError, AppError):
                config.add_exception_view(sorry, context=kind)

        return make_app(configure=configure, **kwargs)

    return make


class TestFamilies:
    @pytest.fixture(params=[0, 1, 2], ids='shard_bytes={}'.format)
    def app(self, make_app, request):
        app = make_app(shard_bytes=request.param)
        app.run(log_in)
        return app

    @pytest.mark.parametrize('renewals', [1, 3])
    @pytest.mark.parametrize('looks', [True, False])
    def test_log_out_with_an_old_id_ends_the_session(
        self, app, rows, renewals, looks
    ):
        other = twin(app)
        for _ in range(renewals):
            other.run(renew)

        def view(request):
            if looks:
                assert dict(request.session) == {}
            request.session.invalidate()

        app.run(view)

        assert rows() == 0
        assert other.run(read).json == {}
        assert app.cookies == {}

    def test_log_out_ends_what_was_renewed_while_the_view_ran(self, app, rows):
        other = twin(app)

        def view(request):
            assert request.session['auth.userid'] == 'ada'
            other.run(renew)
            request.session.invalidate()
            request.session['bye'] = 1

        app.run(view)

        assert rows() == 1
        assert app.run(read).json == {'bye': 1}
        assert other.run(read).json == {}

    def test_other_sessions_of_the_same_second_live_on(self, app, rows):
        others = [app.browser() for _ in range(5)]
        for other in others:
            other.run(log_in)

        app.run(log_out)

        assert rows() == 5
        for other in others:
            assert other.run(read).json == {'auth.userid': 'ada'}

    def test_old_id_is_rejected_as_renewed(self, app):
        other = twin(app)
        other.run(renew)
        rejected = record(app, SessionRejected)

        assert app.run(read).json == {}
        other.run(log_out)
        assert app.run(read).json == {}

        assert [event.reason for event in rejected] == ['renewed', 'unknown']

    def test_handle_stays_and_names_the_row(self, app, database):
        def handle(request):
            return request.session.handle

        assert app.browser().run(handle).json is None
        before = app.run(handle).json
        app.run(renew)

        assert app.run(handle).json == before
        ((key,),) = database.query('SELECT session_id FROM sessions')
        assert key[:16].hex() == before
        (found,) = app.store.for_user('ada')
        assert found.handle == before

    def test_kept_session_may_have_been_renewed_since(self, app, rows):
        app.browser().run(log_in)
        other = twin(app)

        def view(request):
            old = request.session.session_id
            other.run(renew)
            return app.store.delete_for_user('ada', keep=old)

        assert app.run(view).json == 1
        assert rows() == 1
        assert other.run(read).json == {'auth.userid': 'ada'}

    @pytest.mark.parametrize('secret_part', ['00' * 16, 'ff' * 16])
    @pytest.mark.parametrize('follows', [True, False])
    def test_log_out_that_waits_for_a_renewal_finds_what_it_renewed(
        self, app, database, rows, secret_part, follows
    ):
        def log_out_and_go_on(request):
            request.session.invalidate()
            if follows:
                request.session['bye'] = 1

        with database.connect() as other:
            other.query('BEGIN')
            other.query('UPDATE sessions SET revision = revision')
            thread = threading.Thread(target=app.run, args=[log_out_and_go_on])
            thread.start()
            wait_until(
                lambda: any(
                    info and info.startswith('UPDATE' if follows else 'DELETE')
                    for info in connections(database).values()
                )
            )
            other.query(
                'UPDATE sessions SET session_id = '
                f"CONCAT(LEFT(session_id, 16), x'{secret_part}')"
            )
            other.commit()
            thread.join()

        assert rows() == follows
        assert app.run(read).json == ({'bye': 1} if follows else {})

    def test_log_out_that_races_with_renewals_leaves_nothing(self, app, rows):
        app.run(log_out)
        for _ in range(12):
            app.cookiejar.clear()
            app.run(log_in)
            barrier = threading.Barrier(3)

            def race(browser, view, barrier=barrier):
                barrier.wait(30)
                for _ in range(random.randrange(1, 3)):
                    browser.run(view)

            threads = [
                threading.Thread(target=race, args=(twin(app), view))
                for view in (renew, renew, log_out)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

            assert rows() == 0


class TestIdAndCookie:
    """The id changes only with a response that tells the browser."""

    @pytest.fixture(params=['save', 'locked', 'nothing'])
    def early(self, request):
        """Store something before the response, in one way or another."""

        def store(session, change):
            if request.param == 'locked':
                with session.locked():
                    change(session)
            else:
                change(session)
            if request.param == 'save':
                session.save()

        return store

    def test_renewal_before_a_save_that_fails_is_none(
        self, apologetic, rows, early
    ):
        app = apologetic()
        app.run(log_in)

        def view(request):
            early(request.session, lambda session: session.renew_id())
            request.session['bad'] = object()

        response = app.run(view, status=500)

        assert 'Set-Cookie' not in response.headers
        assert rows() == 1
        assert app.run(read).json == {'auth.userid': 'ada'}

    def test_new_session_before_a_save_that_fails_is_none(
        self, apologetic, rows, early
    ):
        app = apologetic()
        app.store.create_table()

        def view(request):
            early(request.session, lambda session: session.update(cart=1))
            request.session['bad'] = object()

        response = app.run(view, status=500)

        assert 'Set-Cookie' not in response.headers
        assert rows() == 0

    @pytest.mark.parametrize('new', [True, False])
    def test_unhandled_exception_leaves_the_id_as_it_was(
        self, app, rows, early, new
    ):
        app.store.create_table()
        if not new:
            app.run(log_in)

        def view(request):
            early(request.session, lambda session: session.renew_id())
            early(request.session, lambda session: session.update(a=1))
            raise AppError

        with pytest.raises(AppError):
            app.run(view)

        assert rows() == (0 if new else 1)
        seen = app.run(read).json
        assert seen.get('auth.userid') == (None if new else 'ada')

    @pytest.mark.parametrize('new', [True, False])
    def test_discarded_attempt_leaves_the_id_as_it_was(
        self, make_app, rows, early, new
    ):
        def configure(config):
            config.add_settings({'retry.attempts': 3})
            config.include('pyramid_retry')

        app = make_app(configure=configure)
        if not new:
            app.run(log_in)
        attempts = []

        def view(request):
            attempts.append(dict(request.session))
            early(request.session, lambda session: session.renew_id())
            early(request.session, lambda session: session.update(a=1))
            if len(attempts) < 3:
                raise RetryableException

        app.run(view)

        for seen in attempts:
            assert seen.get('auth.userid') == (None if new else 'ada')
        assert rows() == 1
        assert app.run(read).json['a'] == 1

    def test_subscriber_that_spoils_the_session_leaves_the_new_id(
        self, apologetic, rows
    ):
        app = apologetic()
        app.run(log_in)
        old = app.cookies['session']

        def view(request):
            request.session.renew_id()
            request.add_finished_callback(
                lambda request: request.session.update(bad=object())
            )

        app.run(view, status=500)

        assert app.cookies['session'] != old
        assert rows() == 1
        assert app.run(read).json == {'auth.userid': 'ada'}

    def test_late_change_that_is_refused_is_logged_if_the_id_is_new(
        self, app, caplog
    ):
        def view(request):
            log_in(request)
            request.add_finished_callback(
                lambda request: request.session.update(bad=object())
            )

        app.run(view)

        assert 'came after the session had been saved is lost' in caplog.text
        assert app.run(read).json == {'auth.userid': 'ada'}
        with pytest.raises(PayloadNotSerializable):
            app.run(
                lambda request: request.add_finished_callback(
                    lambda request: request.session.update(bad=object())
                )
            )

    @pytest.mark.parametrize('view', [log_in, renew, log_out])
    def test_response_that_is_not_sent_leaves_the_id_as_it_was(
        self, make_app, rows, view
    ):
        app = fail_late(make_app, view)

        # who logged out stays logged out
        assert rows() == (1 if view is renew else 0)
        expected = {'auth.userid': 'ada'} if view is renew else {}
        assert app.run(read).json == expected

    @pytest.mark.parametrize('view', [log_in, renew])
    @pytest.mark.parametrize('message', [True, False])
    @pytest.mark.parametrize('times', [1, 2])
    def test_session_that_ends_in_vain_has_the_id_of_the_browser(
        self, make_app, rows, view, message, times
    ):
        def end(request):
            for _ in range(times):
                log_out(request)
            if message:
                request.session.flash('Goodbye')

        app = fail_late(make_app, view, end)

        assert rows() == (1 if view is renew else 0)
        expected = {'auth.userid': 'ada'} if view is renew else {}
        assert app.run(read).json == expected

    def test_server_that_goes_away_before_the_response_changes_nothing(
        self, apologetic, database, rows
    ):
        app = apologetic()
        app.run(log_in)

        def view(request):
            with request.session.locked():
                request.session.renew_id()
                request.session['a'] = 1
            database.query('RENAME TABLE sessions TO elsewhere')
            request.session['b'] = 1

        response = app.run(view, status=500)
        database.query('RENAME TABLE elsewhere TO sessions')

        assert 'Set-Cookie' not in response.headers
        assert app.run(read).json == {'auth.userid': 'ada', 'a': 1}
        assert rows() == 1

    @pytest.mark.parametrize('tweens', [True, False])
    @pytest.mark.parametrize('view', [renew, log_in, log_out])
    def test_cookie_of_a_dropped_subrequest_reaches_the_browser(
        self, app, rows, view, tweens
    ):
        app.store.create_table()
        if view is not log_in:
            app.run(log_in)

        def outer(request):
            subrequest = Request.blank('/', cookies=dict(request.cookies))
            subrequest.environ[VIEW] = view
            request.invoke_subrequest(subrequest, use_tweens=tweens)
            return 'something else'

        app.run(outer)

        if view is log_out:
            assert rows() == 0
            assert app.cookies == {}
        else:
            assert rows() == 1
            assert app.run(read).json == {'auth.userid': 'ada'}

    @pytest.mark.parametrize('view', [renew, log_in])
    @pytest.mark.parametrize('end', ['error', 'retry', 'inner'])
    def test_subrequest_of_a_request_that_fails_leaves_the_id_as_it_was(
        self, make_app, rows, view, end
    ):
        def configure(config):
            config.add_settings({'retry.attempts': 2})
            config.include('pyramid_retry')
            # with it pyramid_retry has a response to throw away
            config.add_exception_view(sorry, context=RetryableException)

        app = make_app(configure=configure)
        app.store.create_table()
        if view is not log_in:
            app.run(log_in)
        attempts = []

        def invoke(request, view):
            subrequest = Request.blank('/', cookies=dict(request.cookies))
            subrequest.environ[VIEW] = view
            return request.invoke_subrequest(subrequest, use_tweens=True)

        def outer(request):
            attempts.append(request)
            if end == 'inner':
                invoke(request, lambda inner: invoke(inner, view) and 'x')
            else:
                invoke(request, view)
            if end == 'error' or len(attempts) == 1:
                raise RetryableException if end == 'retry' else AppError
            return dict(request.session)

        if end == 'retry':
            app.run(outer)
            assert len(attempts) == 2
            assert rows() == 1
            assert app.run(read).json == {'auth.userid': 'ada'}
        else:
            with pytest.raises(AppError):
                app.run(outer)
            assert rows() == (0 if view is log_in else 1)
            expected = {} if view is log_in else {'auth.userid': 'ada'}
            assert app.run(read).json == expected

    def test_of_two_new_sessions_that_of_the_outer_request_stays(
        self, app, rows
    ):
        def outer(request):
            subrequest = Request.blank('/')
            subrequest.environ[VIEW] = log_in
            request.session['outer'] = 1
            request.invoke_subrequest(subrequest)

        app.run(outer)

        assert rows() == 1
        assert app.run(read).json == {'outer': 1}

    def test_cookie_goes_through_subrequests_of_subrequests(self, app, rows):
        app.run(log_in)

        def invoke(view):
            def outer(request):
                subrequest = Request.blank('/', cookies=dict(request.cookies))
                subrequest.environ[VIEW] = view
                request.invoke_subrequest(subrequest)
                return 'x'

            return outer

        response = app.run(invoke(invoke(invoke(renew))))

        assert response.headers['Vary'] == 'Cookie'
        assert rows() == 1
        assert app.run(read).json == {'auth.userid': 'ada'}

    def test_response_varies_if_a_subrequest_has_read_the_session(self, app):
        def outer(request):
            subrequest = Request.blank('/', cookies=dict(request.cookies))
            subrequest.environ[VIEW] = read
            return request.invoke_subrequest(subrequest).json

        app.run(log_in)
        response = app.run(outer)

        assert response.json == {'auth.userid': 'ada'}
        assert response.headers['Vary'] == 'Cookie'

    def test_request_to_the_own_application_is_no_subrequest(self, app):
        app.run(log_in)
        other = twin(app)
        old = app.cookies['session']

        app.run(lambda request: other.run(renew) and None)

        assert app.cookies['session'] == old

    def test_old_secret_does_not_overwrite_what_a_subrequest_renewed(
        self, make_app, database
    ):
        old, new = 2 * ('old' * 20,), 'new' * 20
        first = make_app(secret=old[0])
        first.run(log_in)
        app = twin(first, make_app(secret=f'{new}\n{old[0]}'))

        def outer(request):
            assert request.session['auth.userid'] == 'ada'
            subrequest = Request.blank('/', cookies=dict(request.cookies))
            subrequest.environ[VIEW] = renew
            request.invoke_subrequest(subrequest)

        app.run(outer)

        assert app.run(read).json == {'auth.userid': 'ada'}


class TestLogOutCounts:
    @pytest.mark.parametrize('save', [True, False])
    def test_exception_view_does_not_undo_it(self, apologetic, rows, save):
        app = apologetic(set_on_exception=save)
        app.run(log_in)

        def view(request):
            request.session.invalidate()
            request.session['new'] = 1
            raise AppError

        app.run(view, status=500)

        assert rows() == (1 if save else 0)
        assert app.run(read).json == ({'new': 1} if save else {})

    @pytest.mark.parametrize('save', [True, False])
    def test_raised_redirect_does_not_undo_it(self, make_app, rows, save):
        app = make_app(set_on_exception=save)
        app.run(log_in)

        def view(request):
            request.session.invalidate()
            raise HTTPFound('/')

        app.run(view, status=302)

        assert rows() == 0
        assert app.cookies == {}

    def test_what_follows_it_may_be_refused(self, apologetic, rows):
        app = apologetic()
        app.run(log_in)

        def view(request):
            request.session.invalidate()
            request.session['bad'] = object()

        app.run(view, status=500)

        assert rows() == 0
        assert app.cookies == {}

    def test_remember_of_a_session_that_is_not_saved_sets_no_cookie(
        self, apologetic
    ):
        app = apologetic(set_on_exception=False)
        app.run(log_in)

        def view(request):
            request.session.remember(777)
            raise AppError

        response = app.run(view, status=500)

        assert 'Set-Cookie' not in response.headers

    def test_streamed_body_may_log_out(self, app, rows):
        app.run(log_in)

        def view(request):
            def body(session):
                yield b'first'
                session.invalidate()
                session.save()

            return Response(app_iter=body(request.session))

        app.run(view)

        assert rows() == 0


class TestOnce:
    """A fault of the store that is over at the next try."""

    def fail_once(self, store, monkeypatch, name):
        method, calls = getattr(store, name), []

        def unanswered(*args, **kwargs):
            calls.append(method(*args, **kwargs))
            if len(calls) == 1:
                raise StoreUnavailable('lost', '', outcome_unknown=True)
            return calls[-1]

        monkeypatch.setattr(store, name, unanswered)
        return calls

    def test_creation_of_unknown_outcome_gives_one_row(
        self, app, rows, monkeypatch
    ):
        app.store.create_table()
        calls = self.fail_once(app.store, monkeypatch, 'create')

        app.run(log_in)

        assert len(calls) == 2
        assert rows() == 1
        assert app.run(read).json == {'auth.userid': 'ada'}

    def test_deletion_of_unknown_outcome_removes_row_and_cookie(
        self, app, rows, monkeypatch
    ):
        app.run(log_in)
        calls = self.fail_once(app.store, monkeypatch, 'delete')

        app.run(lambda request: request.session.clear())

        assert len(calls) == 2
        assert rows() == 0
        assert app.cookies == {}
