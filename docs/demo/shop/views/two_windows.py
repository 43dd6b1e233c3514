"""A log-out in one window meets a slower save in another."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.renderers import render_to_response
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from pyramid_mysql_session import get_store
from shop.play import keep_cookies, play
from shop.views import go

SLOW = 8
PATIENCE = 10


class Thinking(Protocol):
    def think(self) -> None: ...


class Slowly:
    """Give the visitor time to use another window."""

    def think(self) -> None:
        time.sleep(SLOW)


class UntilTold:
    """Think until the log-out is done."""

    def __init__(self) -> None:
        self.has_read = threading.Event()
        self.may_save = threading.Event()

    def think(self) -> None:
        self.has_read.set()
        self.may_save.wait(PATIENCE)


@view_config(
    route_name='two_windows',
    request_method='GET',
    renderer='shop:templates/two_windows.jinja2',
)
def show(request: Request) -> dict[str, Any]:
    return {
        'note': request.session.get('note'),
        'seconds': SLOW,
        'logged_in': request.identity is not None,
    }


@view_config(
    route_name='two_windows',
    request_method='POST',
    request_param='slow',
    permission='note',
)
def save_slowly(request: Request) -> Response:
    session = request.session
    session['note'] = request.POST.get('note', '')[:80]
    thinking: Thinking = request.environ.get('shop.thinking') or Slowly()
    thinking.think()
    # it would be saved with the response; but what became of it is to be said
    session.save()
    if request.cost.lost:
        return gone(request)
    return go(request, 'two_windows', 'The note is stored.')


def gone(request: Request) -> Response:
    # a page without session, for there is none any more
    return render_to_response(
        'shop:templates/notice.jinja2',
        {
            'title': 'Somebody has logged out',
            'text': 'While this window was thinking, another one has logged '
            'out. The log-out stays, and the note was not stored.',
        },
        request,
        response=Response(status=409),
    )


@view_config(
    route_name='two_windows',
    request_method='POST',
    request_param='both',
    permission='note',
)
def both(request: Request) -> Response:
    session = request.session
    session_id, token = session.session_id, session.get_csrf_token()
    thinking = UntilTold()
    with ThreadPoolExecutor(1) as other_window:
        slow = other_window.submit(
            play,
            request,
            request.route_path('two_windows'),
            {'csrf_token': token, 'note': 'too late', 'slow': ''},
            thinking=thinking,
        )
        # not for one that was refused, since a third window has logged out
        slow.add_done_callback(lambda _: thinking.has_read.set())
        thinking.has_read.wait(PATIENCE)
        out = play(
            request, request.route_path('logout'), {'csrf_token': token}
        )
        thinking.may_save.set()
        late = slow.result()
    stored = get_store(request).load(session_id)
    answer = render_to_response(
        'shop:templates/two_windows_played.jinja2',
        {'out': out, 'late': late, 'gone': stored is None},
        request,
    )
    # the log-out was this visitor's
    return keep_cookies(answer, out)


@view_config(route_name='two_windows', request_method='POST')
def neither(request: Request) -> HTTPSeeOther:
    return HTTPSeeOther(request.route_url('two_windows'))
