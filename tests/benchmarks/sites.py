"""Makes the same Pyramid application with each kind of session."""

from __future__ import annotations

import tempfile

from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.session import SignedCookieSessionFactory

SECRET = 'the-secret-of-the-benchmarks-is-of-no-use'
ACTIONS = (
    'untouched',
    'read',
    'look',
    'touch',
    'write',
    'locked',
    'new',
    'login',
)
#: What sessions without locks can do.
UNLOCKED = tuple(action for action in ACTIONS if action != 'locked')

#: What a session holds: about 300 bytes, which makes rows of about 450.
DATA = {
    'auth.userid': 'somebody@example.com',
    '_csrft_': '0123456789' * 4,
    'language': 'en',
    'visits': 0,
    'cart': [
        {'item': f'tea-{number}', 'count': number, 'price': '12.50'}
        for number in range(4)
    ],
}


def make_app(pages, session_factory=None, settings=None):
    """
    Make an application.

    :param pages: path -> function of the request.
    :param settings: of pyramid_mysql_session, which is then included.
    """
    with Configurator(settings=settings or {}) as config:
        if settings:
            config.include('pyramid_mysql_session')
        elif session_factory:
            config.set_session_factory(session_factory)
        for name, page in pages.items():
            config.add_view(_view(page), name=name)
    return config.make_wsgi_app()


def _view(page):
    def view(request):
        page(request)
        return Response(b'ok', content_type='text/plain')

    return view


def nothing(request):
    """Do nothing."""


def session_pages(renew):
    """
    Return what is done with a session.

    :param renew: gives a session a fresh id.
    """

    def read(request):
        if request.session['auth.userid'] != DATA['auth.userid']:
            raise ValueError('this is no session of ours')

    def look(request):
        # whoever has a dict could change it
        if request.session['cart'][0]['item'] != 'tea-0':
            raise ValueError('this is no session of ours')

    def write(request):
        request.session['visits'] += 1

    def locked(request):
        with request.session.locked():
            request.session['visits'] += 1

    def new(request):
        request.session.update(DATA)

    def login(request):
        renew(request.session)
        request.session['visits'] += 1

    return {
        'untouched': nothing,
        'read': read,
        'look': look,
        'touch': read,
        'write': write,
        'locked': locked,
        'new': new,
        'login': login,
    }


def bare():
    """Make the application without sessions."""
    return make_app({'untouched': nothing})


def cookie():
    return make_app(
        # there is no id that could be renewed
        session_pages(lambda session: None),
        SignedCookieSessionFactory(SECRET),
    )


def ours(address, **settings):
    settings = {'secret': SECRET, 'purge_expired': False} | address | settings
    return make_app(
        session_pages(lambda session: session.renew_id()),
        settings={f'mysql_session.{k}': v for k, v in settings.items()},
    )


def redis(socket, hiredis=False):
    """
    :param hiredis: parse answers in C, which redis-py does where hiredis
        is installed.
    """
    from pyramid_session_redis import RedisSessionFactory
    from redis import ConnectionPool, UnixDomainSocketConnection
    from redis._parsers import _HiredisParser, _RESP2Parser

    pool = ConnectionPool(
        connection_class=UnixDomainSocketConnection,
        path=socket,
        parser_class=_HiredisParser if hiredis else _RESP2Parser,
    )
    return make_app(
        session_pages(_invalidate),
        RedisSessionFactory(SECRET, 86400, redis_connection_pool=pool),
    )


def _invalidate(session):
    data = dict(session.items())
    session.invalidate()
    session.update(data)


def beaker(address):
    from pyramid_beaker import session_factory_from_settings

    settings = {
        'session.type': 'ext:database',
        'session.url': 'mysql+mysqldb://{user}@localhost/{database}'
        '?unix_socket={unix_socket}'.format(**address),
        'session.lock_dir': tempfile.mkdtemp(),
        'session.secret': SECRET,
        'session.timeout': 86400,
        'session.data_serializer': 'json',
    }
    return make_app(
        session_pages(lambda session: session.regenerate_id()),
        session_factory_from_settings(settings),
    )
