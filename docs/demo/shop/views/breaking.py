"""
Breaks the database, and compares what was acknowledged with what is kept.

The page does without a session, so that it works while the database is dead.
What it has to remember is in cookies of its own: the token of its forms, and
how many clicks were acknowledged.
"""

import re
from html.parser import HTMLParser
from typing import Any, NamedTuple

from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.exceptions import BadCSRFOrigin, BadCSRFToken
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config, view_defaults

from shop.orders import give
from shop.play import Played, keep_cookies, play

LEDGER = 'clicks'


class Order(NamedTuple):
    title: str
    text: str


ORDERS = {
    'pause': Order(
        'Pause',
        'The server hangs: it keeps its connections, but says nothing. A '
        'visitor waits for six seconds, and is told that nothing was stored.',
    ),
    'resume': Order('Resume', 'A paused server goes on.'),
    'kill': Order(
        'Kill',
        'The server dies as in a power cut (SIGKILL). A visitor waits for '
        'five seconds, for it may come back; later ones are told at once.',
    ),
    'restart': Order(
        'Restart',
        'The server is stopped and started, or just started if it is dead. '
        'All connections break, and nobody notices.',
    ),
    'cut before': Order(
        'Lose the next save',
        'The connection breaks before the server gets the statement. It is '
        'sent again.',
    ),
    'cut after': Order(
        'Lose the next answer',
        'The connection breaks when the server has executed the statement. '
        'The click counts once, not twice.',
    ),
    'cut and kill': Order(
        'Lose the next answer, and the server',
        'The server dies when it has executed the statement. The visitor is '
        'told that nobody knows; after a restart the number tells.',
    ),
    'switch': Order(
        'Switch the primary',
        'A second server copies the first, catches up and takes over; the '
        'first becomes read-only. The connections that are open still lead '
        'to it. The first switch takes some seconds more: the second server '
        'is made for it.',
    ),
}

# the token is in a cookie and in the form: whoever makes a browser send the
# one cannot read it for the other. A page of another port of this host may
# set cookies here, but cannot say that it is this one: see check()
tokens = CookieCSRFStoragePolicy(
    cookie_name='break_token', httponly=True, samesite='Strict'
)


def check(request: Request) -> None:
    """See that an order comes from a form of ours."""
    origin = request.headers.get('Origin', request.host_url)
    if origin != request.host_url:
        raise BadCSRFOrigin('another page has sent this')
    if not tokens.check_csrf_token(request, request.POST.get('token', '')):
        raise BadCSRFToken('check the token of the form')


class Title(HTMLParser):
    """Finds what a page is called."""

    text, inside = '', False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.inside = tag == 'h1'

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.text += data.strip()


def title_of(response: Response) -> str:
    parser = Title()
    parser.feed(response.text)
    return parser.text


# the session's token is of no use here, see above
@view_defaults(
    route_name='break',
    require_csrf=False,
    renderer='shop:templates/break.jinja2',
)
class Breaking:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.stage = request.registry.settings['shop.stage']

    @view_config(request_method='GET')
    def show(self) -> dict[str, Any]:
        return self.page()

    @view_config(request_method='POST', request_param='order')
    def give_order(self) -> dict[str, Any]:
        check(self.request)
        order = self.request.POST.get('order')
        if not self.stage or order not in ORDERS:
            raise HTTPNotFound
        return self.page(order)

    @view_config(request_method='POST', request_param='click')
    def click(self) -> dict[str, Any]:
        return self.visit({})

    @view_config(request_method='POST', request_param='look')
    def look(self) -> dict[str, Any]:
        return self.visit(None)

    def visit(self, fields: dict[str, str] | None) -> dict[str, Any]:
        """Send a request that uses the session; this one does not."""
        check(self.request)
        path = self.request.route_path('clicks')
        played = play(self.request, path, fields, visit=True)
        keep_cookies(self.request.response, played)
        ledger = Ledger(self.request)
        if fields is not None:
            ledger.note(played)
        found = played.response.status_int == 200
        visit = {
            'status': played.response.status,
            'title': None if found else title_of(played.response),
            'seconds': played.seconds,
            'cost': played.cost,
            'stored': played.response.json['clicks'] if found else None,
        }
        return self.page(visit=visit)

    def page(
        self, order: str | None = None, visit: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        state: dict[str, Any] | None = None
        if self.stage:
            try:
                state = give(self.stage, order or 'state')
            except OSError:
                state = {'error': 'Nobody takes orders any more.'}
        return {
            'state': state,
            'orders': ORDERS,
            'order': ORDERS.get(order or ''),
            'visit': visit,
            'ledger': Ledger(self.request),
            'token': tokens.get_csrf_token(self.request),
        }


class Ledger:
    """
    What the browser was told, which it keeps itself, in a cookie.

    :ivar acknowledged: clicks that were answered with a number.
    :ivar unknown: those of which nobody could tell whether they were stored.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        found = re.fullmatch(
            '([0-9]{1,6})-([0-9]{1,6})', request.cookies.get(LEDGER, '')
        )
        numbers = found.groups() if found else (0, 0)
        self.acknowledged, self.unknown = map(int, numbers)

    def note(self, played: Played) -> None:
        if played.unknown:
            self.unknown += 1
        elif played.response.status_int == 200:
            if played.response.json['began']:
                # the session before it has ended: by a log-out, for example
                self.acknowledged = self.unknown = 0
            self.acknowledged += 1
        text = f'{self.acknowledged}-{self.unknown}'
        # for who looks at it while this request lasts, and for the next one
        self.request.cookies[LEDGER] = text
        self.request.response.set_cookie(
            LEDGER, text, httponly=True, samesite='Strict'
        )


@view_config(route_name='clicks', renderer='json', require_csrf=False)
def clicks(request: Request) -> dict[str, Any]:
    """Count one more, if it is a POST, and tell the number."""
    if 'shop.visit' not in request.environ:
        # over the network nobody is let in
        raise HTTPNotFound
    session = request.session
    if request.method != 'POST':
        return {'clicks': session.get('clicks')}
    with session.locked():
        began = 'clicks' not in session
        session['clicks'] = session.get('clicks', 0) + 1
    return {'clicks': session['clicks'], 'began': began}
