"""What the tests of containers share."""

import pytest

from pyramid_mysql_session.session.containers import Containers


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
