"""What survives the end of a browser, of the shop, and of the database."""

import pytest

from tests.browser.conftest import OPTIONS
from tests.browser.pages import faults
from tests.browser.tabs import Tab


@pytest.fixture
def start_browser(playwright, shop, complaints, tmp_path):
    """Call it for a tab of a browser that keeps its profile."""
    opened = []

    def start():
        context = playwright.chromium.launch_persistent_context(
            tmp_path / 'profile', base_url=shop.url, **OPTIONS
        )
        opened.append(complaints(context))
        return Tab(context)

    yield start
    for context in opened:
        context.close()


@pytest.fixture
def tab(visit):
    """A tab of one who has logged in and has a cup in the cart."""
    tab = visit()
    tab.log_in()
    tab.add('Speckled cup')
    return tab


def test_session_ends_with_the_browser(start_browser):
    tab = start_browser()
    tab.log_in()
    tab.add('Speckled cup')
    tab.context.close()

    tab = start_browser()

    tab.go('/cart')
    assert (tab.logged_in, tab.cart) == (None, 0)


def test_session_that_is_remembered_outlives_the_browser(start_browser):
    tab = start_browser()
    tab.log_in(remember=True)
    tab.add('Speckled cup')
    tab.context.close()

    tab = start_browser()

    tab.go('/cart')
    assert (tab.logged_in, tab.cart) == ('Ada', 1)


def test_restart_of_the_shop_loses_no_session(shop, tab):
    shop.restart()

    # with a form from before
    assert tab.add('Speckled cup') == 200
    assert (tab.logged_in, tab.cart) == ('Ada', 2)


def test_restart_of_the_database_loses_no_session(shop, tab):
    shop.order('restart')

    assert tab.add('Speckled cup') == 200
    assert (tab.logged_in, tab.cart) == ('Ada', 2)


def test_visitors_may_try_again_after_the_database_was_down(shop, tab, visit):
    two, new = tab.another(), visit()
    two.go('/')
    shop.order('kill')

    # each waits a while for the server
    with (
        tab.page.expect_navigation() as click,
        two.page.expect_navigation() as post,
        new.page.expect_navigation() as first,
    ):
        link = tab.page.get_by_role('link', name='Cart')
        link.click(no_wait_after=True)
        button = two.page.get_by_role('button', name='Speckled cup')
        button.click(no_wait_after=True)
        new.page.evaluate('url => location = url', shop.url)
    for each, answer in ((tab, click), (two, post), (new, first)):
        assert answer.value.status == 503
        assert each.heading == 'Back in a moment'
    assert new.cookie is None
    for each in (tab, two):
        assert faults(each.page) == []

    shop.order('restart')
    tab.follow('Try again')
    assert (tab.heading, tab.logged_in, tab.cart) == ('Your cart', 'Ada', 1)
    assert two.press('Try again') == 200
    assert two.flash == ['Speckled cup: 2 in your cart.']
    assert (two.logged_in, two.cart) == ('Ada', 2)
    new.follow('Try again')
    assert new.cart == 0


def test_pages_without_session_open_while_the_database_is_down(shop, visit):
    tab = visit()
    shop.order('kill')

    headings = []
    for path in ('/about', '/break', '/operator'):
        assert tab.go(path) == 200
        assert faults(tab.page) == []
        headings.append(tab.heading)
    assert headings == ['Untouched', 'Break it', 'Operator']
    assert tab.flash == ['The database does not answer.']
