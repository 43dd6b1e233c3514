"""Sessions that are first used when the response is there already."""

import threading
import weakref

import pytest
from pyramid import testing
from pyramid.config import Configurator
from pyramid.events import NewRequest, NewResponse
from pyramid.request import Request
from pyramid.response import Response
from pyramid.router import Router

from pyramid_mysql_session.errors import SessionError
from tests.unit.web.visitor import cookie, signer, write


@pytest.fixture
def use(visitor):
    """Call it for the session of a request, as ``request.session`` does."""
    return lambda request: visitor.exchange(request).session


@pytest.fixture
def request_(visitor):
    """A request whose session was not used by its view."""
    request = visitor.request()
    request.response_callbacks.clear()
    request.finished_callbacks.clear()
    return request


class TestFirstUse:
    def test_session_that_a_subscriber_uses_first_is_saved(
        self, visitor, use, request_
    ):
        sessions = []

        def use_it(event):
            sessions.append(use(event.request))
            write(sessions[0])

        visitor.registry.registerHandler(use_it, (NewResponse,))

        response = visitor.respond(request_)

        assert visitor.kit.store.calls == ['create']
        assert signer.sign(sessions[0].session_id) in cookie(response)
        assert response.headers['Vary'] == 'Cookie'
        assert visitor.users == [request_]

    def test_session_that_is_used_on_the_way_to_the_error_saves_nothing(
        self, visitor, use, request_
    ):
        def use_it_and_fail(event):
            write(use(event.request))
            raise ZeroDivisionError

        visitor.registry.registerHandler(use_it_and_fail, (NewResponse,))

        with pytest.raises(ZeroDivisionError):
            visitor.respond(request_)

        assert visitor.kit.store.rows == {}

    def test_stored_session_can_be_changed_after_the_response(
        self, visitor, use
    ):
        visitor.store(key='old')
        request = visitor.request()
        visitor.respond(request)

        session = use(request)
        write(session)
        session.save()

        assert visitor.kit.store.calls == ['load', 'save']

    def test_new_session_is_refused_after_the_response(
        self, visitor, use, request_
    ):
        visitor.respond(request_)

        session = use(request_)
        write(session)
        with pytest.raises(SessionError, match='The response is on its way'):
            session.save()

        session.clear()
        assert visitor.kit.store.rows == {}


def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def in_another_context(function):
    with testing.testConfig():
        function()


@pytest.fixture
def serve(visitor, use):
    """
    Call it for the response of a whole application.

    :param tween: called with the request and what handles it.
    :param policy: the execution policy, if it is not Pyramid's.
    """

    def serve(tween=None, policy=None):
        config = Configurator(registry=visitor.registry)
        config.setup_registry()
        config.set_session_factory(use)
        config.add_view(lambda request: Response())
        if tween is not None:
            config.add_tween(f'{__name__}.make_tween')
            visitor.registry['tween'] = tween
        if policy is not None:
            config.set_execution_policy(policy)
        return Request.blank('/').get_response(config.make_wsgi_app())

    return serve


def make_tween(handler, registry):
    return lambda request: registry['tween'](request, handler)


class TestBeforeTraversal:
    @pytest.mark.parametrize('somewhere', [in_thread, in_another_context])
    def test_session_that_is_first_used_elsewhere_is_saved(
        self, visitor, serve, somewhere
    ):
        def tween(request, handler):
            somewhere(lambda: write(request.session))
            return handler(request)

        response = serve(tween)

        assert len(visitor.kit.store.rows) == 1
        assert cookie(response)

    def test_session_that_a_subscriber_uses_in_a_thread_is_saved(
        self, visitor, serve
    ):
        visitor.registry.registerHandler(
            lambda event: in_thread(lambda: write(event.request.session)),
            (NewRequest,),
        )

        assert cookie(serve())
        assert len(visitor.kit.store.rows) == 1


class TestExecutionPolicy:
    def test_session_that_it_uses_first_after_the_response_is_late(
        self, visitor, serve
    ):
        def policy(environ, router):
            with router.request_context(environ) as request:
                response = router.invoke_request(request)
                write(request.session)
                with pytest.raises(SessionError, match='on its way'):
                    request.session.save()
                return response

        serve(policy=policy)

        assert visitor.kit.store.rows == {}

    def test_session_is_kept_if_it_answers_itself_while_another_error_is_known(
        self, visitor, serve
    ):
        def policy(environ, router):
            with router.request_context(environ) as request:
                write(request.session)
                response = router.handle_request(request)
                request._process_response_callbacks(response)
                router.finish_request(request)
                return response

        try:
            raise KeyError
        except KeyError:
            response = serve(policy=policy)

        assert len(visitor.kit.store.rows) == 1
        assert cookie(response)


class TestWrappedRouter:
    def test_method_whose_wrapper_takes_any_arguments_does_no_harm(
        self, visitor, serve, monkeypatch
    ):
        invoke = Router.invoke_request
        monkeypatch.setattr(
            Router,
            'invoke_request',
            lambda *args, **kwargs: invoke(*args, **kwargs),
        )

        def tween(request, handler):
            request.add_finished_callback(lambda each: write(each.session))
            return handler(request)

        response = serve(tween)

        assert len(visitor.kit.store.rows) == 1
        assert cookie(response)


def test_answered_request_leaves_no_cycle(visitor):
    request = visitor.request()
    saving = weakref.ref(visitor.session._saving)
    write(visitor.session)
    visitor.respond(request)

    visitor.session = request = None

    assert saving() is None
