"""
Counts what each request costs, and writes it at the bottom of its page.

The driver's connections are replaced by some that count the statements that
they send, as tools that trace applications do it. The request is over when
they have counted all: the session is saved after the view, and the page has
been rendered by then. So the page has a mark where the numbers belong, and a
subscriber of ``NewResponse``, which comes after the save, puts them there.
"""

import re
import threading
import time
import weakref
from contextvars import ContextVar
from typing import Any

import MySQLdb
from MySQLdb.connections import Connection
from pyramid.config import Configurator
from pyramid.events import NewRequest, NewResponse
from pyramid.renderers import render
from pyramid.request import Request
from pyramid.response import Response

from pyramid_mysql_session import (
    SessionError,
    SessionLost,
    SessionMerged,
    StoreRetried,
    get_store,
)

# what a template cannot write: it would escape the brackets of a text
MARK = '<!-- what this page cost -->'
COOKIE = 'click'


class Cost:
    """
    What a request has cost until now.

    :ivar statements: how many were sent to the server.
    :ivar seconds: how long it took to answer them.
    :ivar merged: how often somebody else had saved meanwhile.
    :ivar retried: how often something was done again.
    :ivar lost: whether the session was gone when it was to be saved.
    :ivar played: the statements of each request that it has sent itself,
        which are not in ``statements``.
    """

    def __init__(self) -> None:
        self.statements = self.merged = self.retried = 0
        self.seconds = 0.0
        self.lost = False
        self.played: list[int] = []

    @property
    def milliseconds(self) -> str:
        return f'{self.seconds * 1000:.1f}'


# of the request that this thread is busy with; the thread that purges is busy
# with none
current: ContextVar[Cost | None] = ContextVar('cost', default=None)


class CountingConnection(Connection):
    """A connection that counts what it sends."""

    #: All of this process, and those that wait for an answer.
    opened: 'weakref.WeakSet[CountingConnection]' = weakref.WeakSet()
    busy = 0
    lock = threading.Lock()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        with self.lock:
            self.opened.add(self)

    def query(self, query: bytes) -> None:
        self._count(super().query, query)

    def rollback(self) -> None:
        self._count(super().rollback)

    def set_character_set(self, *args: Any) -> None:
        # a statement, too: each connection begins with SET NAMES
        self._count(super().set_character_set, *args)

    def _count(self, send: Any, *args: Any) -> None:
        cost = current.get()
        began = time.perf_counter()
        with self.lock:
            CountingConnection.busy += 1
        try:
            send(*args)
        finally:
            with self.lock:
                CountingConnection.busy -= 1
            if cost is not None:
                cost.statements += 1
                cost.seconds += time.perf_counter() - began

    @classmethod
    def usage(cls) -> tuple[int, int]:
        """Return how many are open, and how many of them are busy."""
        with cls.lock:
            return sum(bool(each.open) for each in cls.opened), cls.busy


def begin(event: NewRequest) -> None:
    cost = Cost()
    # where those find it that have sent the request themselves, see play.py
    event.request.environ['shop.cost'] = cost
    current.set(cost)


# the thread in which an event comes is the one that does the work


def note_merged(event: SessionMerged) -> None:
    if cost := current.get():
        cost.merged += 1


def note_retried(event: StoreRetried) -> None:
    if cost := current.get():
        cost.retried += 1


def note_lost(event: SessionLost) -> None:
    if cost := current.get():
        cost.lost = True


def tell(event: NewResponse) -> None:
    request, response = event.request, event.response
    # what this costs itself is not the visitor's
    current.set(None)
    if response.status_int == 303:
        # the page that follows tells what the click before it has cost
        cost = request.cost
        response.set_cookie(
            COOKIE,
            f'{cost.statements}.{cost.seconds * 1e6:.0f}.{sum(cost.played)}',
            max_age=60,
            httponly=True,
            samesite='Lax',
        )
    elif response.content_type == 'text/html' and MARK in response.text:
        response.text = response.text.replace(MARK, strip(request, response))
        if COOKIE in request.cookies:
            response.delete_cookie(COOKIE)


def strip(request: Request, response: Response) -> str:
    html: str = render(
        'shop:templates/cost.jinja2',
        {
            'cost': request.cost,
            'click': click_before(request),
            'record': record(request, response),
            'failed': response.status_int == 503,
        },
    )
    return html


def click_before(request: Request) -> Cost | None:
    value = request.cookies.get(COOKIE, '')
    found = re.fullmatch(r'([0-9]{1,6})\.([0-9]{1,12})\.([0-9]{1,6})', value)
    if not found:
        return None
    statements, microseconds, played = map(int, found.groups())
    cost = Cost()
    cost.statements = statements
    cost.seconds = microseconds / 1e6
    cost.played = [played]
    return cost


def record(request: Request, response: Response) -> dict[str, int] | None:
    """Return what is stored now, unless the request did without it."""
    if 'session' not in vars(request) or response.status_int >= 400:
        return None
    session_id = request.session.session_id
    try:
        found = session_id and get_store(request).load(session_id)
    except SessionError:
        return None
    if not found:
        return None
    # the upper 16 of its 64 bits count, the others are marks
    return {
        'saves': found.revision >> 48,
        'seconds': found.expires - found.now,
        'bytes': len(found.payload),
    }


def cost_of(request: Request) -> Cost:
    cost: Cost = request.environ['shop.cost']
    return cost


def includeme(config: Configurator) -> None:
    # each connection of this process is made by this name
    MySQLdb.connect = CountingConnection
    config.add_request_method(cost_of, 'cost', property=True)
    config.add_request_method(lambda request: MARK, 'cost_mark', property=True)
    config.add_subscriber(begin, NewRequest)
    config.add_subscriber(tell, NewResponse)
    config.add_subscriber(note_merged, SessionMerged)
    config.add_subscriber(note_retried, StoreRetried)
    config.add_subscriber(note_lost, SessionLost)
