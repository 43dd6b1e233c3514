"""The pages of the shop that prove something."""

import pytest

from tests.browser.pages import faults
from tests.helpers import wait_until

PROOF = 'Nothing is lost, nothing is doubled'


@pytest.fixture
def tab(visit):
    """A tab of one who has logged in."""
    tab = visit()
    tab.log_in()
    return tab


def test_ten_requests_at_once_are_all_kept_if_they_can_be(visit):
    tab = visit()
    tab.go('/at-once')

    for button, kept in (
        ('Ten times plus one, not locked', '1 of 10'),
        ('Ten times plus one, locked', '10 of 10'),
        ('Ten items for one list', '10 of 10'),
        ('Ten different keys', '10 of 10'),
    ):
        tab.press(button)
        assert tab.text('kept-here') == kept, button
        assert tab.text('kept-elsewhere') == '1 of 10'
        assert tab.page.locator('tbody tr').count() == 10
    assert faults(tab.page) == []


def test_log_out_is_not_undone_by_a_note_that_is_being_stored(tab):
    tab.go('/two-windows')

    tab.press('Log out while a note is being stored')

    assert tab.heading == 'The log-out stays'
    assert tab.text('stored') == 'no such session any more'
    assert faults(tab.page) == []
    tab.follow('Back: you are logged out')
    assert tab.logged_in is None


def test_log_out_in_another_window_wins_over_a_slow_save(shop, tab):
    tab.go('/two-windows')
    page = tab.page
    with page.expect_popup() as opened:
        page.get_by_role('link', name='the shop in another window').click()
    other = opened.value
    other.wait_for_load_state()
    read = shop.reads()

    with page.expect_navigation() as slow:
        store = page.get_by_role('button', name='Store it slowly')
        store.click(no_wait_after=True)
        wait_until(lambda: shop.reads() > read)
        with other.expect_navigation():
            other.get_by_role('button', name='Log out Ada').click()

    assert slow.value.status == 409
    assert tab.heading == 'Somebody has logged out'
    assert faults(page) == []
    tab.go('/')
    assert tab.logged_in is None


def test_database_that_breaks_loses_and_doubles_no_click(visit):
    tab = visit()
    tab.go('/break')
    tab.press('Click')

    def give(order):
        tab.press(order)
        assert tab.flash == [f'{order}: done.']

    def compare(acknowledged):
        tab.press('Look what is stored')
        assert tab.text('acknowledged') == str(acknowledged)
        assert tab.text('verdict').startswith(PROOF)

    for order, clicks in (
        ('Lose the next save', 2),
        ('Lose the next answer', 3),
        ('Restart', 4),
        ('Switch the primary', 5),
        ('Switch the primary', 6),
    ):
        give(order)
        tab.press('Click')
        assert tab.text('answer') == '200 OK', order
        compare(clicks)
    for order, end in (('Pause', 'Resume'), ('Kill', 'Restart')):
        give(order)
        tab.press('Click')
        assert tab.text('answer') == '503 Service Unavailable'
        assert tab.text('kept-clicks') == 'cannot be told now'
        assert faults(tab.page) == []
        give(end)
        compare(6)
    give('Lose the next answer, and the server')
    tab.press('Click')
    assert tab.text('unknown') == '1'
    give('Restart')
    compare(6)
    assert tab.text('kept-clicks') == '7'
    assert faults(tab.page) == []
