"""The real store on real servers, held to the promises of all stores."""

import pytest

from pyramid_mysql_session import session_factory_from_settings
from pyramid_mysql_session.connection.owned import make_pooled
from tests.contract import StoreContract
from tests.memory_store import Clock


class ServerClock(Clock):
    """The clock of all connections of a pool that it makes."""

    def __init__(self, database):
        super().__init__()
        server = database.server
        self._options = {
            **server.address,
            'user': server.user,
            'password': server.password,
            'database': database.name,
            'charset': 'utf8mb4',
        }
        self.pool = make_pooled(self._options, lock_timeout=1)
        self.move(0)

    def move(self, seconds):
        super().move(seconds)
        self._options['init_command'] = f'SET timestamp = {self.now}'
        # the next connections are new ones
        self.pool.close()


class TestMySQLStore(StoreContract):
    @pytest.fixture
    def clock(self, database):
        clock = ServerClock(database)
        yield clock
        clock.pool.close()

    @pytest.fixture
    def endings(self):
        return []

    @pytest.fixture
    def make_store(self, database, clock, endings):
        factories = []

        def make(**options):
            settings = database.settings(
                idle_timeout=1, lock_timeout=1, purge_expired=False, **options
            )
            factories.append(
                session_factory_from_settings(settings, clock.pool)
            )
            store = factories[-1].store
            store._on_end = endings.append
            return store

        yield make
        for factory in factories:
            factory.close()
