import pytest

from tests.contract import StoreContract
from tests.memory_store import Clock, MemoryStore


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def clock(self):
        return Clock()

    @pytest.fixture
    def endings(self):
        return []

    @pytest.fixture
    def make_store(self, clock, endings):
        rows = {}

        def make(**options):
            store = MemoryStore(clock, **options)
            # all stores have one table
            store.rows = rows
            store.endings = endings
            return store

        return make
