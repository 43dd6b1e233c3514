"""What the tests of containers and of doubt share."""

from contextlib import contextmanager

import pytest

from pyramid_mysql_session.session.containers import Containers
from tests.memory_store import in_doubt


@pytest.fixture
def containers():
    return Containers()


@pytest.fixture
def own(containers):
    """Call it for data that the session has made."""

    def make(data):
        containers.note(data)
        return data

    return make


@pytest.fixture
def block_cut(store, monkeypatch):
    """
    Call it to let the end of the next block not answer.

    :param executed: whether it was committed.
    :param then: called after that.
    :param error: what is raised.
    """
    locked = store.locked

    def cut(executed, then=lambda: None, error=None):
        @contextmanager
        def unanswered(session_id):
            monkeypatch.setattr(store, 'locked', locked)
            rows = dict(store.rows)
            with locked(session_id) as row:
                yield row
            if not executed:
                store.rows.clear()
                store.rows.update(rows)
            then()
            raise error or in_doubt(None)

        monkeypatch.setattr(store, 'locked', unanswered)

    return cut
