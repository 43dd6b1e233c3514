"""What becomes of request, session and cookie after an error."""

import pytest
from pyramid.events import NewResponse
from pyramid.response import Response

from pyramid_mysql_session.errors import (
    PayloadNotSerializable,
    SessionError,
    StoreUnavailable,
)
from tests.unit.web.visitor import cookie, fail, signer, write


class TestErrors:
    def test_error_without_a_view_for_it_is_raised(self, visitor):
        with pytest.raises(PayloadNotSerializable):
            visitor.visit(fail)

        visitor.session.save()
        assert visitor.kit.store.rows == {}

    def test_exception_view_answers_in_place_of_the_response(
        self, visitor, config
    ):
        def apologise(exc, request):
            return Response(
                f'{type(exc).__name__}', status=503, headers={'X': 'y'}
            )

        config.add_exception_view(apologise, context=SessionError)
        closed = []

        class Body(list):
            def close(self):
                closed.append(True)

        response = visitor.visit(fail, Response(app_iter=Body([b'fine'])))

        assert response.status == '503 Service Unavailable'
        assert response.body == b'PayloadNotSerializable'
        assert response.headers['X'] == 'y'
        assert 'Set-Cookie' not in response.headers
        assert closed == [True]

    def test_session_that_the_store_could_not_end_keeps_its_cookie(
        self, visitor, config, meanwhile
    ):
        def stay_away():
            raise StoreUnavailable('MySQL stopped', 'Start it.')

        visitor.store(a=1)
        config.add_exception_view(
            lambda exc, request: Response(str(exc), status=503),
            context=SessionError,
        )
        # with the response, and once more when the request is over
        meanwhile('delete', stay_away, stay_away)

        response = visitor.visit(lambda session: session.invalidate())

        assert response.text == 'MySQL stopped. Start it.'
        assert 'Set-Cookie' not in response.headers
        assert len(visitor.kit.store.rows) == 1

    def test_log_out_counts_though_what_follows_cannot_be_stored(
        self, visitor, config
    ):
        visitor.store(a=1)
        config.add_exception_view(
            lambda exc, request: Response(status=503), context=SessionError
        )

        response = visitor.visit(
            lambda session: (session.invalidate(), fail(session))
        )

        assert response.status_code == 503
        assert cookie(response).startswith('session=; Max-Age=0;')
        assert visitor.kit.store.rows == {}


class TestLateError:
    """A change that comes after the session was saved cannot be stored."""

    @pytest.fixture
    def late_failure(self, visitor):
        visitor.registry.registerHandler(
            lambda event: fail(visitor.session), (NewResponse,)
        )

    def test_error_that_would_hide_the_new_cookie_is_logged(
        self, visitor, late_failure, caplog
    ):
        response = visitor.visit(lambda session: session.update(a=1))

        (row,) = visitor.kit.store.rows.values()
        assert row.payload == '{"a":1}'
        assert signer.sign(visitor.session.session_id) in cookie(response)
        (message,) = caplog.messages
        assert message.startswith(
            'a change that came after the session had been saved is lost: '
            'The session cannot be stored: key has a value of type object.'
        )

    def test_exception_view_s_response_has_the_new_cookie(
        self, visitor, config, late_failure
    ):
        config.add_exception_view(
            lambda exc, request: Response(status=503), context=SessionError
        )

        response = visitor.visit(lambda session: session.update(a=1))

        assert response.status_code == 503
        assert signer.sign(visitor.session.session_id) in cookie(response)
        assert response.headers['Cache-Control'] == 'no-store'

    def test_error_of_a_session_that_has_its_cookie_is_raised(
        self, visitor, late_failure
    ):
        visitor.store(a=1)

        with pytest.raises(PayloadNotSerializable):
            visitor.visit(lambda session: session.update(a=2))

        (row,) = visitor.kit.store.rows.values()
        assert row.payload == '{"a":2}'


class TestNoResponse:
    """The session was saved, and then nothing is sent."""

    @pytest.fixture
    def break_down(self, visitor):
        """Call it to let a subscriber of the response raise an error."""

        def fail(event):
            raise ZeroDivisionError

        return lambda: visitor.registry.registerHandler(fail, (NewResponse,))

    def visit(self, visitor, view):
        with pytest.raises(ZeroDivisionError):
            visitor.visit(view)

    def test_new_session_is_deleted(self, visitor, break_down):
        break_down()

        self.visit(visitor, write)

        assert visitor.kit.store.calls == ['create', 'delete']
        assert visitor.kit.store.rows == {}

    def test_renewed_session_gets_its_old_id_back(self, visitor, break_down):
        session_id = visitor.store(a=1)
        break_down()

        self.visit(visitor, lambda session: session.renew_id())

        assert visitor.kit.store.load(session_id).payload == '{"a":1}'
