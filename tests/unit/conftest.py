"""What the unit tests share: sessions over a store in memory."""

import itertools

import pytest
from pyramid import testing

from pyramid_mysql_session import session_factory_from_settings
from pyramid_mysql_session.session import loop, saving
from pyramid_mysql_session.session.extras import UNKNOWN
from pyramid_mysql_session.session.saving import Saving
from pyramid_mysql_session.session.session import MySQLSession
from tests.memory_store import Clock, MemoryStore
from tests.memory_store import make_kit as make_usual_kit
from tests.save_contract import id_of
from tests.unit.web.visitor import Visitor


class Listener:
    """Notes what sessions tell."""

    def __init__(self):
        self.heard = []
        self.endings = []
        self.failures = []
        self.known_device = None
        self.known_userid = UNKNOWN

    def created(self):
        self.heard.append('created')

    def rejected(self, reason):
        self.heard.append(reason)

    def merged(self):
        self.heard.append('merged')

    def failed(self, error):
        self.failures.append(error)

    def ended(self, handle, userid, how):
        self.endings.append((handle, userid, how))

    def device(self):
        return self.known_device

    def userid(self):
        return self.known_userid

    def lost(self):
        self.heard.append('lost')


def conclude(session):
    """Save a session as the response does, which settles its id."""
    session._saving.conclude()


@pytest.fixture
def clock(monkeypatch):
    """The clock of the server and of the application."""
    clock = Clock()
    monkeypatch.setattr(saving.time, 'time', lambda: clock.now + 0.9)
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
        numbered = {'make_session_id': lambda: id_of(next(numbers))}
        return make_usual_kit(**{'store': store, **numbered, **changed})

    return make


@pytest.fixture
def make_session(make_kit, listener):
    """
    Call it for the session of a new request.

    :param session_id: the one that its cookie has; several are possible.
    :param forged: whether its cookie was not signed by us.
    :param changed: what differs in the kit.
    """

    def make(session_id=None, forged=False, **changed):
        kit = make_kit(**changed)
        ids = [session_id] if isinstance(session_id, str) else session_id
        return MySQLSession(Saving(kit, listener, ids or [], forged))

    return make


@pytest.fixture
def stored(make_session, store, listener):
    """Call it, with data, for the id of a session that has been stored."""

    def make(data, **changed):
        session = make_session(**changed)
        session.update(data)
        conclude(session)
        store.calls.clear()
        listener.heard.clear()
        return session.session_id

    return make


@pytest.fixture
def session_id(stored):
    """The id of a session that is stored."""
    return stored({'a': 1, 'list': [1]})


@pytest.fixture
def session(make_session, session_id, store):
    """That session, loaded by a request."""
    session = make_session(session_id)
    assert session
    store.calls.clear()
    return session


@pytest.fixture
def meanwhile(store, monkeypatch):
    """
    Let something happen just before a method of the store is called.

    Call it with the name of the method and what happens at its first, at its
    second … call; calls that come from there do not count.
    """

    def arrange(name, *actions):
        method, pending, busy = getattr(store, name), list(actions), []

        def first_act(*args, **kwargs):
            if pending and not busy:
                busy.append(True)
                try:
                    pending.pop(0)()
                finally:
                    busy.pop()
            return method(*args, **kwargs)

        monkeypatch.setattr(store, name, first_act)

    return arrange


@pytest.fixture
def change(make_session, session_id):
    """Call it for a change that another request makes of the session."""

    def save(**changes):
        session = make_session(session_id)
        session.update(changes)
        conclude(session)

    return save


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """How long the save loop would have slept."""
    pauses = []
    monkeypatch.setattr(loop.time, 'sleep', pauses.append)
    return pauses


@pytest.fixture
def config():
    with testing.testConfig() as config:
        yield config


@pytest.fixture
def visitor(config, make_kit):
    return Visitor(config, make_kit())


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
