"""Sessions beside other add-ons of Pyramid."""

import pytest
import transaction
from pyramid.authentication import SessionAuthenticationHelper
from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import ISecurityPolicy
from pyramid.response import Response
from pyramid_retry import RetryableException
from pyramid_session_multi import register_session_factory

from pyramid_mysql_session import (
    SessionCreated,
    session_factory_from_settings,
)
from tests.helpers import record


class AppError(Exception):
    """An error that is not worth another attempt."""


class SecurityPolicy(SessionAuthenticationHelper):
    """The session tells who is logged in."""

    def permits(self, request, context, permission):
        return True


def read(request):
    return dict(request.session)


def write(request):
    request.session['key'] = 1


def show_error(exc, request):
    """An exception view that uses the session."""
    request.session['seen'] = type(exc).__name__
    return Response(status=500)


class TestTransaction:
    @pytest.fixture
    def app(self, make_app):
        def configure(config):
            config.add_settings(
                {'tm.commit_veto': 'pyramid_tm.default_commit_veto'}
            )
            config.include('pyramid_tm')
            config.set_security_policy(SecurityPolicy())

        return make_app(configure=configure)

    @pytest.mark.parametrize('method', ['abort', 'doom', 'commit'])
    def test_neither_abort_nor_doom_undoes_a_save(self, app, method):
        def view(request):
            write(request)
            getattr(request.tm, method)()

        app.run(view)

        assert app.run(read).json == {'key': 1}

    def test_commit_veto_does_not_undo_a_save(self, app):
        def view(request):
            write(request)
            request.response.status = 400

        app.run(view, status=400)

        assert app.run(read).json == {'key': 1}

    def test_failing_commit_saves_nothing(self, app, rows):
        app.store.create_table()

        def fail():
            raise AppError

        def view(request):
            write(request)
            request.tm.get().addBeforeCommitHook(fail)

        with pytest.raises(AppError):
            app.run(view)

        assert rows() == 0

    def test_transaction_is_annotated_with_the_user_of_the_session(self, app):
        def log_in(request):
            security = request.registry.getUtility(ISecurityPolicy)
            security.remember(request, 'ada')

        def who(request):
            return [request.authenticated_userid, request.tm.get().user]

        assert app.run(who).json == [None, '']
        app.run(log_in)

        assert app.run(who).json == ['ada', 'ada']
        assert len(app.store.for_user('ada')) == 1


@pytest.mark.parametrize('with_view', [False, True])
class TestRetry:
    @pytest.fixture
    def app(self, make_app, with_view):
        def configure(config):
            config.include('pyramid_retry')
            config.include('pyramid_tm')
            if with_view:
                config.add_exception_view(show_error)

        return make_app(configure=configure)

    def failing(self, failures, error=RetryableException):
        """Return a view whose first attempts fail."""

        def view(request):
            attempt = request.environ['retry.attempt']
            request.session.flash(f'attempt {attempt}')
            if attempt < failures:
                raise error

        return view

    @pytest.mark.parametrize('existing', [False, True])
    @pytest.mark.parametrize(
        'error', [RetryableException, transaction.interfaces.TransientError]
    )
    def test_only_the_last_attempt_is_saved(self, app, rows, existing, error):
        if existing:
            app.run(write)
        events = record(app, SessionCreated)

        app.run(self.failing(2, error))

        data = app.run(read).json
        assert data.pop('key', None) == (1 if existing else None)
        assert data == {'_f_': ['attempt 2']}
        assert rows() == 1
        assert len(events) == (0 if existing else 1)

    def test_failing_commit_is_retried_with_a_fresh_session(self, app):
        def fail():
            raise transaction.interfaces.TransientError

        def view(request):
            attempt = request.environ['retry.attempt']
            request.session.flash(f'attempt {attempt}')
            if attempt < 2:
                request.tm.get().addBeforeCommitHook(fail)

        app.run(write)
        app.run(view)

        assert app.run(read).json == {'key': 1, '_f_': ['attempt 2']}

    def test_when_all_attempts_fail_the_exception_view_decides(
        self, app, with_view
    ):
        app.run(write)

        if with_view:
            app.run(self.failing(3), status=500)
        else:
            with pytest.raises(RetryableException):
                app.run(self.failing(3))

        saved = {'_f_': ['attempt 2'], 'seen': 'RetryableException'}
        assert app.run(read).json == {'key': 1, **(saved if with_view else {})}

    def test_renewal_of_a_discarded_attempt_does_not_happen(self, app, rows):
        app.run(write)
        cookie = app.cookies['session']

        def view(request):
            if request.environ['retry.attempt'] == 0:
                request.session.renew_id()
                raise RetryableException
            return dict(request.session)

        assert app.run(view).json == {'key': 1}
        assert app.cookies['session'] == cookie
        assert rows() == 1


class TestDebugToolbar:
    """Its session panel reads the session, if it is switched on."""

    @pytest.fixture
    def app(self, make_app):
        def configure(config):
            config.include('pyramid_debugtoolbar')

        app = make_app(configure=configure)
        # the toolbar is for those near by
        app.extra_environ['REMOTE_ADDR'] = '127.0.0.1'
        app.run(write)
        return app

    @pytest.mark.parametrize(('panels', 'reads'), [('', 0), ('session', 1)])
    def test_untouched_session_is_read_by_the_panel_alone(
        self, app, statements, panels, reads
    ):
        app.set_cookie('pdtb_active', panels)

        with statements() as log:
            app.run(lambda request: Response('a page'))

        assert [each.split()[0] for each in log] == ['SELECT'] * reads

    def test_panel_changes_nothing(self, app):
        app.set_cookie('pdtb_active', 'session')

        assert app.run(read).json == {'key': 1}
        app.run(lambda request: request.session.update(more=[1]))
        assert app.run(read).json == {'key': 1, 'more': [1]}


class TestSessionMulti:
    """Several factories, each with a cookie of its own."""

    @pytest.fixture
    def make(self, database):
        made = []

        def make(name):
            made.append(
                session_factory_from_settings(
                    database.settings(cookie_name=name, purge_expired=False)
                )
            )
            return made[-1]

        yield make
        for factory in made:
            factory.close()

    def test_each_namespace_has_its_session(self, make_app, make, rows):
        def configure(config):
            config.include('pyramid_session_multi')
            for name in ('one', 'two'):
                register_session_factory(config, name, make(name))

        app = make_app(configure=configure)

        def put(request):
            request.session_multi['one']['a'] = 1
            request.session_multi['two']['b'] = 2

        app.run(put)

        assert rows() == 2
        assert sorted(app.cookies) == ['one', 'two']
        assert app.run(
            lambda request: [
                dict(request.session_multi[name]) for name in ('one', 'two')
            ]
        ).json == [{'a': 1}, {'b': 2}]

    def test_two_with_the_same_cookie_are_refused(self, make_app, make):
        def configure(config):
            config.include('pyramid_session_multi')
            for name in ('one', 'two'):
                register_session_factory(config, name, make('same'))

        with pytest.raises(ConfigurationError, match='another cookie'):
            make_app(configure=configure)
