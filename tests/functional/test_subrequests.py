"""What subrequests do with the id reaches the browser, or is undone."""

import gc
import weakref

import pytest
from pyramid.events import NewResponse
from pyramid.request import Request
from pyramid.response import Response
from pyramid_retry import RetryableException, is_last_attempt

from pyramid_mysql_session import SessionError
from tests.helpers import VIEW


class AppError(Exception):
    """An error of the application."""


def read(request):
    return dict(request.session)


def log_in(request):
    request.session['user'] = 'ada'


def renew(request):
    request.session.renew_id()
    request.session['user'] = 'ada'


def write(key):
    return lambda request: request.session.update({key: 1})


def invoke(request, view, tweens=False, **environ):
    """Answer a subrequest with the cookies of a request by a view."""
    subrequest = Request.blank('/', cookies=dict(request.cookies))
    subrequest.environ.update(environ)
    subrequest.environ[VIEW] = view
    return request.invoke_subrequest(subrequest, use_tweens=tweens)


@pytest.fixture
def known(app):
    """An application whose browser has a session."""
    app.run(write('start'))
    return app


def test_outer_request_goes_on_with_the_session_that_was_renewed(known, rows):
    def view(request):
        invoke(request, renew)
        request.session['outer'] = 1

    known.run(view)

    assert rows() == 1
    assert known.run(read).json == {'start': 1, 'user': 'ada', 'outer': 1}


@pytest.mark.parametrize('first', [renew, log_in])
def test_later_subrequest_goes_on_with_the_session_of_an_earlier_one(
    app, rows, first
):
    if first is renew:
        app.run(write('start'))
    else:
        app.store.create_table()

    def view(request):
        invoke(request, first)
        invoke(request, write('second'))
        invoke(request, renew)

    app.run(view)

    assert rows() == 1
    assert app.run(read).json.items() >= {'user': 'ada', 'second': 1}.items()


@pytest.mark.parametrize('second', [write('second'), renew])
def test_request_that_fails_after_two_subrequests_has_its_old_id(
    known, rows, second
):
    def view(request):
        invoke(request, renew)
        invoke(request, second)
        raise AppError

    with pytest.raises(AppError):
        known.run(view)

    assert rows() == 1
    assert known.run(read).json['start'] == 1


@pytest.fixture
def failing(make_app):
    """An application whose subrequests fail if their environment says so."""

    def fail(event):
        if event.request.environ.get('fails'):
            raise AppError

    app = make_app(
        configure=lambda config: config.add_subscriber(fail, NewResponse)
    )
    app.store.create_table()
    return app


@pytest.mark.parametrize('known', [True, False])
def test_subrequest_whose_response_fails_is_undone(failing, rows, known):
    if known:
        failing.run(write('start'))

    def view(request):
        with pytest.raises(AppError):
            invoke(request, renew, fails=True)

    failing.run(view)

    assert rows() == known
    assert ('start' in failing.run(read).json) == known


@pytest.mark.parametrize('nested', [True, False])
@pytest.mark.parametrize('known', [True, False])
def test_outer_request_goes_on_with_its_session_after_one_that_failed(
    failing, rows, known, nested
):
    if known:
        failing.run(write('start'))

    def inner(request):
        return invoke(request, renew)

    def view(request):
        invoke(request, write('before'))
        with pytest.raises(AppError):
            invoke(request, inner if nested else renew, fails=True)
        request.session['outer'] = 1

    failing.run(view)

    assert rows() == 1
    # what was stored stays so
    expected = {'before': 1, 'user': 'ada', 'outer': 1}
    if known:
        expected['start'] = 1
    assert failing.run(read).json == expected


@pytest.mark.parametrize('new', [True, False])
def test_session_that_was_mentioned_before_is_the_one_of_the_subrequest(
    known, rows, new
):
    browser = known.browser() if new else known

    def view(request):
        session = request.session
        invoke(request, renew)
        session['outer'] = 1

    browser.run(view)

    assert rows() == 1 + new
    expected = {'user': 'ada', 'outer': 1}
    assert browser.run(read).json == {
        **expected,
        **({} if new else {'start': 1}),
    }


def test_request_that_renews_again_and_fails_has_its_old_id(known, rows):
    def fail(request):
        raise AppError

    def view(request):
        request.add_finished_callback(fail)
        invoke(request, renew)
        request.session.renew_id()

    with pytest.raises(AppError):
        known.run(view)

    assert rows() == 1
    assert known.run(read).json == {'start': 1, 'user': 'ada'}


def late(when, function):
    """Return a view after whose response a function gets the request."""

    def view(request):
        if when == 'finished':
            request.add_finished_callback(function)
        else:
            request.environ['late'] = function

    return view


@pytest.fixture
def listening(make_app):
    """An application that calls ``late`` of an environment in time."""

    def call(event):
        event.request.environ.get('late', str)(event.request)

    app = make_app(
        configure=lambda config: config.add_subscriber(call, NewResponse)
    )
    app.run(write('start'))
    return app


LATE = pytest.mark.parametrize('when', ['finished', 'subscriber'])


@LATE
def test_subrequest_after_the_response_callbacks_may_renew(
    listening, rows, when
):
    old = listening.cookies['session']

    def renew_twice(request):
        invoke(request, renew)
        invoke(request, renew)
        request.session['outer'] = 1

    response = listening.run(late(when, renew_twice))

    assert response.headers['Vary'] == 'Cookie'
    assert listening.cookies['session'] != old
    assert rows() == 1
    expected = {'start': 1, 'user': 'ada', 'outer': 1}
    assert listening.run(read).json == expected


@LATE
@pytest.mark.parametrize('more', [True, False])
def test_subrequest_after_the_response_callbacks_may_begin_a_session(
    listening, rows, when, more
):
    browser = listening.browser()

    def begin(request):
        invoke(request, write('first'))
        if more:
            request.session.renew_id()
            request.session['outer'] = 1

    browser.run(late(when, begin))

    assert rows() == 2
    expected = {'first': 1, 'outer': 1} if more else {'first': 1}
    assert browser.run(read).json == expected


@LATE
def test_session_that_a_late_subrequest_begins_besides_is_none(
    listening, rows, when
):
    def begin(request):
        subrequest = Request.blank('/')
        subrequest.environ[VIEW] = write('second')
        request.invoke_subrequest(subrequest)

    def view(request):
        request.session.renew_id()
        late(when, begin)(request)

    listening.run(view)

    assert rows() == 1
    assert listening.run(read).json == {'start': 1}


@LATE
def test_late_subrequest_may_begin_anew_after_another_one(
    listening, rows, when
):
    browser = listening.browser()

    def change_over(request):
        request.session.invalidate()
        request.session['second'] = 1

    def begin(request):
        invoke(request, write('first'))
        invoke(request, change_over)

    browser.run(late(when, begin))

    assert rows() == 2
    assert browser.run(read).json == {'second': 1}


@LATE
@pytest.mark.parametrize('known', [True, False])
def test_late_subrequest_finds_the_session_of_the_response(
    listening, rows, when, known
):
    browser = listening if known else listening.browser()

    def view(request):
        request.session['outer'] = 1
        request.session.renew_id()
        late(when, lambda request: invoke(request, write('inner')))(request)

    browser.run(view)

    assert rows() == (1 if known else 2)
    found = browser.run(read).json
    assert (found['outer'], found['inner']) == (1, 1)


@LATE
def test_late_subrequest_finds_it_after_another_one_that_failed(
    listening, rows, when
):
    def fail(request):
        raise AppError

    def renew_and_fail(request):
        request.add_finished_callback(fail)
        request.session.renew_id()

    def begin(request):
        with pytest.raises(AppError):
            invoke(request, renew_and_fail)
        invoke(request, write('inner'))

    def view(request):
        request.session.renew_id()
        late(when, begin)(request)

    listening.run(view)

    assert rows() == 1
    assert listening.run(read).json == {'start': 1, 'inner': 1}


@LATE
@pytest.mark.parametrize('known', [True, False])
def test_late_subrequest_may_end_the_session_of_the_response(
    listening, rows, when, known
):
    browser = listening if known else listening.browser()

    def log_out(request):
        invoke(request, lambda request: request.session.invalidate())

    def view(request):
        renew(request)
        late(when, log_out)(request)

    browser.run(view)

    assert browser.cookies == {}
    assert rows() == (0 if known else 1)


@LATE
def test_late_subrequest_of_a_subrequest_may_begin_anew_after_it(
    listening, rows, when
):
    def change_over(key):
        def view(request):
            request.session.invalidate()
            request.session[key] = 1

        return view

    def begin(request):
        invoke(request, change_over('second'))

    def inner(request):
        change_over('first')(request)
        late(when, begin)(request)

    listening.run(lambda request: invoke(request, inner) and None)

    assert rows() == 1
    assert listening.run(read).json == {'second': 1}


@LATE
def test_request_that_fails_after_a_late_renewal_has_its_old_id(
    listening, rows, when
):
    def begin(request):
        invoke(request, renew)
        raise AppError

    def view(request):
        request.session.renew_id()
        late(when, begin)(request)

    with pytest.raises(AppError):
        listening.run(view)

    assert rows() == 1
    assert listening.run(read).json == {'start': 1, 'user': 'ada'}


def test_second_attempt_finds_the_session_that_the_first_one_renewed(
    make_app, rows
):
    app = make_app(configure=lambda config: config.include('pyramid_retry'))
    app.run(write('start'))

    def fail(request):
        if not is_last_attempt(request):
            raise RetryableException

    def view(request):
        assert request.session['start'] == 1
        renew(request)
        request.add_finished_callback(fail)

    app.run(view)

    assert rows() == 1
    assert app.run(read).json == {'start': 1, 'user': 'ada'}


@LATE
def test_late_subrequest_that_fails_leaves_no_cookie(listening, rows, when):
    def fail(request):
        raise AppError

    def begin(request):
        def change_over(request):
            request.add_finished_callback(fail)
            request.session.renew_id()
            request.session['user'] = 'ada'

        with pytest.raises(AppError):
            invoke(request, change_over)

    listening.run(late(when, begin))

    assert rows() == 1
    assert listening.run(read).json == {'start': 1, 'user': 'ada'}


@LATE
@pytest.mark.parametrize('known', [True, False])
def test_browser_learns_of_late_subrequests_of_subrequests(
    listening, rows, when, known
):
    browser = listening if known else listening.browser()

    def begin(request):
        invoke(request, renew)
        invoke(request, renew)

    response = browser.run(
        lambda request: invoke(request, late(when, begin)) and None
    )

    assert response.headers['Vary'] == 'Cookie'
    assert rows() == (1 if known else 2)
    assert browser.run(read).json['user'] == 'ada'


@LATE
@pytest.mark.parametrize('known', [True, False])
def test_request_that_fails_undoes_late_subrequests_of_subrequests(
    listening, rows, when, known
):
    browser = listening if known else listening.browser()

    def view(request):
        invoke(request, late(when, lambda request: invoke(request, renew)))
        raise AppError

    with pytest.raises(AppError):
        browser.run(view)

    assert rows() == 1
    assert ('start' in browser.run(read).json) == known


@LATE
def test_request_forgets_a_late_subrequest_of_a_subrequest_that_failed(
    listening, rows, when
):
    def fail(request):
        raise AppError

    def change_over(request):
        request.add_finished_callback(fail)
        renew(request)

    def begin(request):
        with pytest.raises(AppError):
            invoke(request, change_over)

    def view(request):
        invoke(request, late(when, begin))
        request.session['outer'] = 1

    listening.run(view)

    assert rows() == 1
    expected = {'start': 1, 'user': 'ada', 'outer': 1}
    assert listening.run(read).json == expected


def test_subrequest_of_a_response_callback_hides_no_renewal(make_app, rows):
    app = make_app(cookie_max_age=1000)
    app.run(write('start'))

    def view(request):
        request.session.renew_id()
        request.add_response_callback(
            lambda request, response: invoke(request, write('inner'))
        )

    app.run(view)

    assert rows() == 1
    assert app.run(read).json == {'start': 1, 'inner': 1}


def test_callback_that_fails_undoes_what_a_late_subrequest_did(
    listening, rows
):
    def fail(request):
        raise AppError

    def view(request):
        request.add_finished_callback(fail)
        late('subscriber', lambda request: invoke(request, renew))(request)

    with pytest.raises(AppError):
        listening.run(view)

    assert rows() == 1
    assert listening.run(read).json == {'start': 1, 'user': 'ada'}


def test_subrequest_that_logs_out_after_another_renewed_takes_the_cookie(
    known, rows
):
    def view(request):
        invoke(request, renew)
        invoke(request, lambda request: request.session.invalidate())

    known.run(view)

    assert known.cookies == {}
    assert rows() == 0


def test_log_out_of_a_request_ends_what_two_subrequests_have_made(known, rows):
    def change_over(request):
        request.session.invalidate()
        request.session['over'] = 1

    def view(request):
        assert request.session['start'] == 1
        invoke(request, change_over)
        invoke(request, renew)
        request.session.invalidate()

    known.run(view)

    assert known.cookies == {}
    assert rows() == 0


def test_error_page_of_the_outer_request_passes_the_cookie_on(make_app, rows):
    app = make_app(
        configure=lambda config: config.add_exception_view(
            lambda exc, request: Response('sorry', status=500),
            context=SessionError,
        )
    )
    app.run(write('start'))

    def view(request):
        assert request.session['start'] == 1
        invoke(request, renew)
        request.session['bad'] = object()

    app.run(view, status=500)

    assert rows() == 1
    assert app.run(read).json == {'start': 1, 'user': 'ada'}


@pytest.mark.parametrize('outer_too', [True, False])
def test_subscriber_that_removes_the_cookie_does_not_log_out(
    make_app, rows, outer_too
):
    def strip(event):
        if not event.request.environ.get('inner'):
            event.response.headerlist = [('Content-Type', 'text/plain')]

    app = make_app()
    app.run(write('start'))
    app.registry.registerHandler(strip, (NewResponse,))

    def view(request):
        if outer_too:
            request.session.renew_id()
        else:
            invoke(request, renew, inner=True)
        return Response('x')

    app.run(view)

    assert rows() == 1
    assert app.run(lambda request: Response(repr(read(request)))).text != '{}'


@pytest.mark.parametrize('change', [renew, log_in])
@pytest.mark.parametrize('when', ['before', 'after'])
@pytest.mark.parametrize('sub', [True, False])
def test_finished_callback_that_fails_undoes_the_change_of_the_id(
    app, rows, change, when, sub
):
    app.store.create_table()
    if change is renew:
        app.run(write('start'))

    def fail(request):
        raise AppError

    def view(request):
        if when == 'before':
            request.add_finished_callback(fail)
        if sub:
            invoke(request, change)
        else:
            change(request)
        if when == 'after':
            request.add_finished_callback(fail)

    with pytest.raises(AppError):
        app.run(view)

    assert rows() == (1 if change is renew else 0)
    assert ('start' in app.run(read).json) == (change is renew)


def test_outer_request_may_renew_what_a_subrequest_began(app, rows):
    app.store.create_table()

    def view(request):
        invoke(request, log_in)
        request.session.renew_id()
        request.session['outer'] = 1

    app.run(view)

    assert rows() == 1
    assert app.run(read).json == {'user': 'ada', 'outer': 1}


@pytest.mark.parametrize('first', ['outer', 'sub'])
def test_log_out_of_the_outer_request_ends_what_a_subrequest_began(
    known, rows, first
):
    def begin_anew(request):
        request.session.invalidate()
        request.session['new'] = 1

    def view(request):
        if first == 'outer':
            request.session.invalidate()
        invoke(request, begin_anew)
        if first == 'sub':
            request.session.invalidate()

    known.run(view)

    assert rows() == len(known.cookies)
    assert ('new' in known.run(read).json) == bool(known.cookies)


def test_of_two_sessions_that_subrequests_begin_one_stays(app, rows):
    app.store.create_table()

    def view(request):
        for key in ('first', 'second'):
            subrequest = Request.blank('/')
            subrequest.environ[VIEW] = write(key)
            request.invoke_subrequest(subrequest)

    app.run(view)

    assert rows() == 1
    assert app.run(read).json == {'second': 1}


def test_page_varies_although_the_subrequest_that_read_failed(known):
    def read_and_fail(request):
        assert request.session['start'] == 1
        raise AppError

    def view(request):
        with pytest.raises(AppError):
            invoke(request, read_and_fail)

    assert known.run(view).headers['Vary'] == 'Cookie'


def test_request_with_a_subrequest_leaves_no_cycle(known):
    outer = []

    def view(request):
        outer.append(weakref.ref(request))
        invoke(request, renew)

    gc.collect()
    gc.disable()
    try:
        known.run(view)
        assert [each() for each in outer] == [None]
    finally:
        gc.enable()
