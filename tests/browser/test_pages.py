"""Every page of the shop, for everybody."""

import pytest

from tests.browser.pages import crawl, faults

HEADINGS = {
    '/': 'Good tea, and what it needs',
    '/cart': 'Your cart',
    '/at-once': 'Ten at once',
    '/two-windows': 'Two windows',
    '/break': 'Break it',
    '/operator': 'Operator',
    '/about': 'Untouched',
}
ANONYMOUS = {'/login': 'Log in'}
PRIVATE = {'/devices': 'Where you are logged in'}


def anonymous(visit):
    """A visitor with something in the cart, and a message."""
    tab = visit()
    tab.go('/')
    tab.add('Speckled cup')
    return tab


def logged_in(visit):
    """One who also has an order, and another device to end."""
    visit().log_in()
    tab = visit()
    tab.log_in()
    tab.add('Tin of Assam')
    tab.follow('Cart')
    tab.press('Order')
    tab.follow('Shop')
    tab.add('Speckled cup')
    return tab


@pytest.fixture(params=[anonymous, logged_in], ids=lambda made: made.__name__)
def visitor(request, visit):
    return request.param(visit)


def test_every_page_is_reached_by_links_and_used_by_anybody(visitor):
    found, headings = faults(visitor.page), {}
    expected = HEADINGS | (PRIVATE if visitor.logged_in else ANONYMOUS)
    for path in crawl(visitor):
        headings[path] = visitor.heading
        assert visitor.text('cost-statements').isdigit()
        found += faults(visitor.page)
    assert found == []
    assert headings.items() >= expected.items()


def test_address_that_nobody_knows_gives_a_sound_page(visit):
    tab = visit()

    assert tab.go('/nowhere') == 404

    assert tab.heading == 'Not on our shelf'
    assert faults(tab.page) == []
    tab.follow('To the shop')
    assert tab.heading == HEADINGS['/']


def test_form_that_is_too_old_gives_a_sound_page(visit):
    tab = visit()
    tab.go('/')
    tab.context.clear_cookies()

    assert tab.add('Speckled cup') == 400

    assert tab.heading == 'That form was too old'
    assert faults(tab.page) == []
    tab.follow('To the shop')
    assert tab.cart == 0


def test_page_that_needs_a_log_in_leads_to_one_that_is_sound(visit):
    tab = visit()

    tab.go('/devices')

    assert (tab.heading, tab.flash) == ('Log in', ['Please log in first.'])
    assert faults(tab.page) == []


def test_link_at_the_top_skips_to_the_content(visit):
    tab = visit()
    tab.go('/')
    tab.page.keyboard.press('Tab')
    assert tab.focused('it => it.innerText') == 'Skip to the content'

    tab.page.keyboard.press('Enter')

    assert tab.focused('it => it.tagName') == 'MAIN'
    tab.page.keyboard.press('Tab')
    assert tab.focused('it => it.innerText') == 'Add to cart'
