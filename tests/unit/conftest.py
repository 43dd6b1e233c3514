"""What the unit tests share: sessions over a store in memory."""

import itertools

import pytest

from pyramid_mysql_session import session_factory_from_settings, state
from pyramid_mysql_session.serializers import JSONSerializer
from pyramid_mysql_session.session import MySQLSession
from pyramid_mysql_session.state import SessionKit
from tests.memory_store import Clock, MemoryStore
from tests.save_contract import session_id

IDLE = 1000


class Listener:
    """Notes what sessions tell."""

    def __init__(self):
        self.heard = []

    def created(self):
        self.heard.append('created')

    def rejected(self, reason):
        self.heard.append(reason)

    def merged(self):
        self.heard.append('merged')

    def lost(self):
        self.heard.append('lost')


@pytest.fixture
def clock(monkeypatch):
    """The clock of the server and of the application."""
    clock = Clock()
    monkeypatch.setattr(state.time, 'time', lambda: clock.now + 0.9)
    return clock


@pytest.fixture
def store(clock):
    return MemoryStore(clock)


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def make_kit(store):
    """Call it, with changes, for what the sessions of a test share."""
    numbers = itertools.count(1)

    def make(**changed):
        kit = SessionKit(
            store=store,
            serializer=JSONSerializer(),
            make_session_id=lambda: session_id(next(numbers)),
            idle_timeout=IDLE,
            absolute_timeout=None,
            touch_interval='auto',
            userid_key='auth.userid',
        )
        return kit._replace(**changed)

    return make


@pytest.fixture
def make_session(make_kit, listener):
    """
    Call it for the session of a new request.

    :param session_id: the one that its cookie has.
    :param changed: what differs in the kit.
    """

    def make(session_id=None, **changed):
        return MySQLSession(make_kit(**changed), listener, session_id)

    return make


@pytest.fixture
def stored(make_session, store, listener):
    """Call it, with data, for the id of a session that has been stored."""

    def make(data, **changed):
        session = make_session(**changed)
        session.update(data)
        session.save()
        store.calls.clear()
        listener.heard.clear()
        return session.session_id

    return make


@pytest.fixture
def make_factory():
    """Call it, with settings, for a factory that has never connected."""
    factories = []

    def make(pool=None, **settings):
        settings = {
            'secret': 'a secret of the unit tests, long enough',
            'user': 'somebody',
            'database': 'somewhere',
            'purge_expired': False,
            **settings,
        }
        factories.append(
            session_factory_from_settings(
                {f'mysql_session.{name}': settings[name] for name in settings},
                pool,
            )
        )
        return factories[-1]

    yield make
    for factory in factories:
        factory.close()
