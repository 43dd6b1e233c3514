"""Ten requests of one session at once, beside a store that saves it whole."""

import copy
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from shop.play import Played, play
from shop.views import go

TEN = 10
PATIENCE = 10


class Race:
    """
    What the ten have in common besides their session.

    :ivar key: of what they change in their session; no other race has it.
    :ivar naive: a store of another kind: it gives out the whole data, and
        takes the whole data back.
    """

    def __init__(self, kind: str) -> None:
        self.kind = KINDS[kind]
        self.key = f'race-{secrets.token_hex(4)}'
        self.naive: dict[str, Any] = {}
        self.arrivals: dict[str, tuple[float, str]] = {}
        self.all_have_read = threading.Barrier(TEN)
        self._began = time.perf_counter()

    def arrive(self, number: str) -> None:
        milliseconds = (time.perf_counter() - self._began) * 1000
        thread = threading.current_thread().name
        self.arrivals[number] = milliseconds, thread

    def read(self) -> dict[str, Any]:
        return copy.deepcopy(self.naive)

    def write(self, data: dict[str, Any]) -> None:
        self.naive = data


def add_key(data: dict[str, Any], number: str) -> None:
    data.setdefault('items', {})[number] = 'here'


def append(data: dict[str, Any], number: str) -> None:
    data.setdefault('items', []).append(number)


def count(data: dict[str, Any], number: str) -> None:
    data['items'] = data.get('items', 0) + 1


class Kind(NamedTuple):
    title: str
    change: Callable[[dict[str, Any], str], None]
    locks: bool


KINDS = {
    'keys': Kind('Ten different keys', add_key, False),
    'list': Kind('Ten items for one list', append, False),
    'counter': Kind('Ten times plus one, locked', count, True),
    'careless': Kind('Ten times plus one, not locked', count, False),
}


def kept(data: dict[str, Any]) -> int:
    """Return how many of the ten changes are there."""
    items = data.get('items', 0)
    return items if isinstance(items, int) else len(items)


@view_config(
    route_name='at_once',
    request_method='GET',
    renderer='shop:templates/at_once.jinja2',
)
def show(request: Request) -> dict[str, Any]:
    return {'kinds': KINDS, 'result': request.session.get('at_once')}


@view_config(route_name='at_once', request_method='POST')
def start(request: Request) -> HTTPSeeOther:
    name = request.POST.get('kind')
    if name not in KINDS:
        return go(request, 'at_once', 'Please choose what the ten shall do.')
    session, token = request.session, request.session.get_csrf_token()
    race = Race(name)
    session[race.key] = {}
    # those that follow are other requests: they find what is stored
    session.save()

    def send(number: int) -> Played:
        played = play(
            request,
            request.route_path('one_of_ten'),
            {'csrf_token': token, 'number': str(number)},
            race=race,
        )
        if played.response.status_int >= 400:
            # nobody is to wait for one that does not come
            race.all_have_read.abort()
        return played

    with ThreadPoolExecutor(TEN, 'thread') as threads:
        played = list(threads.map(send, range(1, TEN + 1)))
    # what they have stored is here when the block begins
    with session.locked():
        session['at_once'] = {
            'kind': name,
            'kept': kept(session.pop(race.key, {})),
            'naive': kept(race.naive),
            'requests': [
                line(race, number, each)
                for number, each in enumerate(played, 1)
            ],
        }
    return HTTPSeeOther(request.route_url('at_once'))


def line(race: Race, number: int, played: Played) -> dict[str, Any]:
    arrived, thread = race.arrivals.get(str(number), (0, ''))
    return {
        'number': number,
        'arrived': round(arrived, 1),
        'thread': thread.replace('_', ' '),
        'took': round(played.seconds * 1000, 1),
        'status': played.response.status_int,
        'statements': played.cost.statements,
        'merged': played.cost.merged,
        'retried': played.cost.retried,
    }


@view_config(route_name='one_of_ten', request_method='POST')
def one_of_ten(request: Request) -> Response:
    """Change the session, with nine others that change it, too."""
    race = request.environ.get('shop.race')
    if race is None:
        # over the network nobody brings one
        raise HTTPNotFound
    number, session = request.POST['number'], request.session
    race.arrive(number)
    mine, naive = session[race.key], race.read()
    # the worst case: nobody saves before all have read
    with suppress(threading.BrokenBarrierError):
        race.all_have_read.wait(PATIENCE)
    if race.kind.locks:
        with session.locked():
            # again: it may be another by now, or none after a log-out
            race.kind.change(session.setdefault(race.key, {}), number)
    else:
        race.kind.change(mine, number)
    race.kind.change(naive, number)
    race.write(naive)
    return Response(status=204)
