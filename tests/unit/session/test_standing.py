"""What is known of a record names neither its data nor its id."""

import pytest

from pyramid_mysql_session.session.standing import Change, Standing, Status
from tests.save_contract import ONE

CHANGE = Change('{"hunter2":1}', 'ada', new_id=ONE)


def test_repr_of_a_change_shows_its_size_only():
    assert repr(CHANGE) == '<Change of 13 bytes>'
    assert repr(Change(delete=True)) == '<Change of 0 bytes>'


def test_repr_of_a_standing_shows_its_status_only():
    standing = Standing(Status.LIVE, ONE, ending=(ONE,), doubt=CHANGE)

    assert repr(standing) == '<Standing LIVE>'


@pytest.mark.parametrize(
    ('status', 'stored', 'closed'),
    [
        (Status.UNREAD, False, False),
        (Status.NEW, False, False),
        (Status.LIVE, True, False),
        (Status.RENEWING, True, False),
        (Status.ENDED, False, False),
        (Status.LOST, False, True),
        (Status.CLOSED, False, True),
        (Status.DISCARDED, False, True),
    ],
)
def test_status_says_what_may_still_be_saved(status, stored, closed):
    standing = Standing(status)

    assert (standing.stored, standing.closed) == (stored, closed)
