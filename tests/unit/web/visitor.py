"""Requests without views, for the tests of the exchange."""

import re

from pyramid.interfaces import IRequest
from pyramid.request import Request
from pyramid.response import Response
from pyramid.router import Router
from pyramid.threadlocal import RequestContext

from pyramid_mysql_session import events
from pyramid_mysql_session.web.cookie import (
    CookiePolicy,
    CookieReader,
    CookieSigner,
)
from pyramid_mysql_session.web.exchange import Exchange
from pyramid_mysql_session.web.visitors import Visitors

signer = CookieSigner(['first secret', 'second secret'])
POLICY = CookiePolicy(
    signer=signer,
    reader=CookieReader('session', signer),
    name='session',
    path='/',
    domain=None,
    secure='auto',
    httponly=True,
    samesite='Lax',
    set_on_exception=True,
    doubted=set(),
)


class Visitor:
    """
    Sends requests, which Pyramid's router answers.

    :ivar cookie: what the next request sends as the value of the cookie.
    :ivar policy: the policy.
    :ivar visitors: what is noted of those who send requests.
    :ivar events: what subscribers received.
    :ivar users: the requests whose session was loaded or saved.
    :ivar session: that of the last request.
    """

    def __init__(self, config, kit):
        self.registry = config.registry
        self.kit = kit
        self.cookie = None
        self.policy = POLICY
        self.visitors = Visitors(track_devices=False, userid=None)
        self.events = []
        self.users = []

    def subscribe(self):
        for event in (
            events.SessionCreated,
            events.SessionRejected,
            events.SessionMerged,
            events.SessionLost,
            events.SessionEnded,
            events.SessionFailed,
        ):
            self.registry.registerHandler(self.events.append, (event,))

    def heard(self):
        """Return the kinds of the events, and why a cookie was rejected."""
        return [(type(event), *event[1:]) for event in self.events]

    def request(self, url='http://example.com/'):
        request = Request.blank(url)
        request.registry = self.registry
        request.request_iface, request.context = IRequest, None
        if self.cookie is not None:
            request.headers['Cookie'] = f'session={self.cookie}'
        self.session = self.exchange(request).session
        return request

    def exchange(self, request):
        """Make another session for a request, as a second factory does."""
        return Exchange(
            self.policy,
            self.kit,
            self.visitors,
            request,
            self.users.append,
        )

    def respond(self, request, response=None):
        """Let the callbacks work on a response, and return it."""
        response = response or Response()
        router = Router(self.registry)
        router.handle_request = lambda request: response
        with RequestContext(request):
            router.invoke_request(request)
        for header in response.headers.getall('Set-Cookie'):
            value = header.split(';')[0].partition('session=')[2]
            self.cookie = value or None
        return response

    def visit(self, view, response=None, **kwargs):
        """Send a request; the view gets its session."""
        request = self.request(**kwargs)
        view(self.session)
        return self.respond(request, response)

    def store(self, **data):
        """Have some data stored in a session of an earlier request."""
        self.visit(lambda session: session.update(data))
        del self.events[:], self.kit.store.calls[:], self.users[:]
        return signer.verify(self.cookie)[0]


def ignore(session):
    """Do nothing with the session."""


def write(session):
    session['key'] = 'value'


def fail(session):
    session['key'] = object()


def cookie(response):
    """Return the only cookie that is set; moments become <date>."""
    (header,) = response.headers.getall('Set-Cookie')
    return re.sub('expires=[^;]+', 'expires=<date>', header)
