import pytest

from tests.contract import StoreContract
from tests.memory_store import Clock, MemoryStore


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def clock(self):
        return Clock()

    @pytest.fixture
    def make_store(self, clock):
        rows = {}

        def make(**options):
            store = MemoryStore(clock, **options)
            # all stores have one table
            store.rows = rows
            return store

        return make
