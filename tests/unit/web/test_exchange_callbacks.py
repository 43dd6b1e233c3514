"""When a request's session is saved, and what is told of it."""

import gc
import importlib.util
import logging
import sys
import weakref

import pytest
from pyramid.events import NewResponse
from pyramid.response import Response

from pyramid_mysql_session import events
from pyramid_mysql_session.errors import SessionError
from pyramid_mysql_session.store.keys import label
from pyramid_mysql_session.web import responses
from tests.unit.web.visitor import POLICY, Visitor, cookie, signer, write


class TestRejection:
    @pytest.mark.parametrize(
        'value',
        [
            '',
            'x',
            155 * 'A',
            10_000 * 'A',
            'é',
            '"',
            '\xff',
            '"\xff"',
            '"\\377"',
            '\0',
        ],
    )
    def test_cookie_that_nobody_signed_costs_no_statement(
        self, visitor, value
    ):
        visitor.subscribe()
        visitor.cookie = value

        response = visitor.visit(dict)

        assert visitor.session == {}
        assert visitor.session.new
        assert visitor.kit.store.calls == []
        assert visitor.heard() == [(events.SessionRejected, 'signature')]
        assert 'Set-Cookie' not in response.headers

    def test_cookie_of_any_bytes_costs_no_statement(self, visitor):
        for byte in range(256):
            visitor.cookie = f'{chr(byte)}A{chr(byte)}'
            visitor.visit(dict)

        assert visitor.kit.store.calls == []

    def test_unknown_id_is_not_adopted(self, visitor):
        visitor.subscribe()
        unknown = '0' * 52
        visitor.cookie = signer.sign(unknown)

        visitor.visit(write)

        assert visitor.heard() == [
            (events.SessionRejected, 'unknown'),
            (events.SessionCreated,),
        ]
        assert visitor.session.session_id not in (None, unknown)

    def test_rejection_is_logged_without_the_cookie(self, visitor, caplog):
        caplog.set_level(logging.DEBUG)
        visitor.cookie = 'hunter2'

        visitor.visit(dict)

        assert caplog.messages == ['session cookie rejected: signature']


class TestEvents:
    def test_each_event_has_its_request(self, visitor):
        visitor.subscribe()

        visitor.visit(write)

        assert visitor.heard() == [(events.SessionCreated,)]
        assert visitor.events[0].request is visitor.users[0]

    def test_merge_is_told(self, visitor, config, meanwhile):
        visitor.store(key='old')
        visitor.subscribe()
        other = Visitor(config, visitor.kit)
        other.cookie = visitor.cookie
        meanwhile('save', lambda: other.visit(lambda it: it.update(a=1)))

        visitor.visit(write)

        assert visitor.heard() == [(events.SessionMerged,)]

    def test_loss_is_told_and_logged_without_the_id(self, visitor, caplog):
        session_id = visitor.store(key='old')
        visitor.subscribe()

        def lose(session):
            write(session)
            visitor.kit.store.rows.clear()

        response = visitor.visit(lose)

        assert visitor.heard() == [(events.SessionLost,)]
        assert caplog.messages == [
            f'session {label(session_id)} was deleted, renewed or expired '
            'while a request used it; the changes of that request are dropped'
        ]
        assert 'Set-Cookie' not in response.headers


class TestWhenSaved:
    def test_change_of_a_later_callback_is_saved(self, visitor):
        request = visitor.request()
        session = visitor.session
        request.add_response_callback(lambda request, response: write(session))

        visitor.respond(request)

        assert visitor.kit.store.calls == ['create']

    def test_change_of_a_callback_that_another_added_is_saved(self, visitor):
        request = visitor.request()
        session = visitor.session

        def add_another(request, response):
            request.add_response_callback(
                lambda request, response: write(session)
            )

        request.add_response_callback(add_another)

        response = visitor.respond(request)

        assert visitor.kit.store.calls == ['create']
        assert signer.sign(session.session_id) in cookie(response)

    def test_two_sessions_of_a_request_do_not_wait_for_each_other(
        self, visitor
    ):
        request = visitor.request()
        visitor.exchange(request)
        write(visitor.session)

        visitor.respond(request)

        assert visitor.kit.store.calls == ['create']

    def test_id_that_comes_too_late_for_the_response_is_refused(self, visitor):
        visitor.visit(dict)
        write(visitor.session)

        with pytest.raises(SessionError, match='The response is on its way'):
            visitor.session.save()
        visitor.session.clear()

    def test_nested_change_in_a_streamed_body_is_logged(self, visitor, caplog):
        visitor.store(items=[1])
        items = []
        body = (items[0].append(2) for _ in range(1))

        response = visitor.visit(
            lambda session: items.append(session['items']),
            Response(app_iter=body),
        )
        list(response.app_iter)
        del visitor.session
        # session and exchange know each other
        gc.collect()

        assert 'the change is lost: call save()' in caplog.text

    def test_change_of_a_subscriber_is_saved(self, visitor, config):
        request = visitor.request()
        session = visitor.session
        visitor.registry.registerHandler(
            lambda event: write(session), (NewResponse,)
        )

        response = visitor.respond(request)

        assert visitor.kit.store.calls == ['create']
        assert signer.sign(session.session_id) in cookie(response)

    @pytest.mark.parametrize('set_on_exception', [True, False])
    def test_exception_view_s_response_saves_as_the_policy_says(
        self, visitor, set_on_exception
    ):
        visitor.policy = POLICY._replace(set_on_exception=set_on_exception)
        request = visitor.request()
        write(visitor.session)
        request.exception = ZeroDivisionError()

        response = visitor.respond(request)

        assert bool(visitor.kit.store.rows) == set_on_exception
        assert ('Set-Cookie' in response.headers) == set_on_exception

    def test_attempt_that_is_retried_saves_nothing(self, visitor):
        pyramid_retry = pytest.importorskip('pyramid_retry')
        request = visitor.request()
        request.environ.update({'retry.attempt': 0, 'retry.attempts': 3})
        write(visitor.session)
        request.exception = pyramid_retry.RetryableException()

        visitor.respond(request)

        assert visitor.kit.store.rows == {}

    def test_unhandled_exception_saves_nothing(self, visitor):
        request = visitor.request()
        write(visitor.session)

        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            request._process_finished_callbacks()

        visitor.session.save()
        assert visitor.kit.store.rows == {}

    def test_request_without_a_response_leaves_saving_to_its_maker(
        self, visitor
    ):
        visitor.store(key='old')
        request = visitor.request()
        write(visitor.session)

        request._process_finished_callbacks()

        visitor.session.save()
        assert visitor.kit.store.calls == ['load', 'save']

    def test_request_is_free_in_the_end(self, visitor):
        gc.disable()
        try:
            request = visitor.request()
            write(visitor.session)
            visitor.respond(request)
            visitor.users.clear()
            freed = weakref.ref(request)
            del request
            assert freed() is None
        finally:
            gc.enable()


def test_pyramid_retry_may_be_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pyramid_retry', None)
    spec = importlib.util.find_spec(responses.__name__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert module.is_error_retryable(None, ZeroDivisionError()) is False
