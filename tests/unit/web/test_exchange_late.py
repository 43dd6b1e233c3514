"""Sessions that are first used when the response is there already."""

import pytest
from pyramid.events import NewResponse

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
