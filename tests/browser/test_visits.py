"""Visitors with several tabs, browsers and fingers."""

import re

import pytest

FIREFOX = (
    'Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:128.0) Gecko/20100101 '
    'Firefox/128.0'
)
IPHONE = (
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) '
    'AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 '
    'Mobile/15E148 Safari/604.1'
)
# submits a form several times before the first answer is there
SEND = """async ([action, button, times]) => {
  const form = document.querySelector(`form[action="${action}"]`)
  const body = new URLSearchParams(new FormData(form))
  body.set(button, '')
  const sent = Array.from({length: times}, () =>
    fetch(form.action, {method: 'POST', body, redirect: 'manual'}))
  return (await Promise.all(sent)).map(answer => answer.type)
}"""


def buy(tab):
    """Buy a cup from the first page to the log-out."""
    tab.go('/')
    tab.add('Speckled cup')
    tab.follow('Cart (1)')
    tab.follow('Log in to order')
    tab.page.get_by_label('Grace').check()
    tab.press('Log in')
    assert tab.flash == ['Welcome, Grace.']
    tab.press('Order')
    assert tab.flash == ['Thank you, Grace!']
    assert tab.page.locator('.orders li').all_inner_texts() == [
        '1 × Speckled cup'
    ]
    tab.press('Log out Grace')
    assert tab.flash == ['You are logged out.']
    assert (tab.logged_in, tab.cart) == (None, 0)


@pytest.mark.parametrize('scripts', [True, False], ids=['with', 'without'])
def test_purchase_succeeds_with_and_without_javascript(visit, scripts):
    buy(visit(java_script_enabled=scripts))


def tab_to(tab, name):
    """Press Tab until what has this name has the focus."""
    target = tab.page.get_by_role('button', name=name)
    target = target.or_(tab.page.get_by_role('link', name=name))
    target = target.or_(tab.page.get_by_role('radio', name=name))
    for _ in range(50):
        tab.page.keyboard.press('Tab')
        if target.last.evaluate('it => it === document.activeElement'):
            return
    raise AssertionError(f'Tab does not reach {name}')


def test_purchase_succeeds_by_keyboard_alone(visit):
    tab = visit()
    page = tab.page

    def enter(name):
        tab_to(tab, name)
        with page.expect_navigation():
            page.keyboard.press('Enter')

    tab.go('/')
    enter('Add to cart: Speckled cup')
    enter('Cart (1)')
    enter('Log in to order')
    tab_to(tab, 'Ada')
    page.keyboard.press('ArrowDown')
    assert page.get_by_label('Grace').is_checked()
    enter('Log in')
    assert tab.flash == ['Welcome, Grace.']
    enter('Order')
    assert tab.flash == ['Thank you, Grace!']
    enter('Log out Grace')
    assert (tab.logged_in, tab.cart) == (None, 0)


def test_two_tabs_fill_one_cart(visit):
    one = visit()
    one.go('/')
    one.add('Speckled cup')
    two = one.another()
    two.go('/')
    two.add('Tin of Assam')
    one.add('Speckled cup')
    two.add('Stoneware teapot')
    assert two.cart == 4
    one.go('/cart')
    assert one.cart == 4


def test_tab_is_logged_out_at_its_next_click_after_another_was(visit):
    one = visit()
    one.log_in()
    two = one.another()
    two.go('/')
    assert two.logged_in == 'Ada'

    one.press('Log out Ada')

    two.follow('Devices')
    assert two.logged_in is None
    assert two.flash == ['Please log in first.']


def test_form_of_an_old_tab_changes_nothing_after_the_log_out(visit):
    one = visit()
    one.log_in()
    two = one.another()
    two.go('/')
    one.press('Log out Ada')

    assert two.add('Speckled cup') == 400

    assert two.heading == 'That form was too old'
    two.go('/')
    assert (two.logged_in, two.cart) == (None, 0)


def test_form_from_before_the_log_in_changes_nothing_after_it(visit):
    one = visit()
    one.go('/')
    one.add('Speckled cup')
    two = one.another()
    two.go('/')
    one.log_in()

    assert two.add('Speckled cup') == 400

    two.go('/')
    assert (two.logged_in, two.cart) == ('Ada', 1)


@pytest.fixture
def laptop(visit):
    laptop = visit(user_agent=FIREFOX)
    laptop.log_in()
    return laptop


@pytest.fixture
def phone(visit):
    phone = visit(user_agent=IPHONE)
    phone.log_in()
    return phone


def test_devices_that_are_logged_in_are_listed_to_each(laptop, phone):
    for tab, other in (
        (laptop, 'Log out Mobile Safari on iOS, since'),
        (phone, 'Log out Firefox on Ubuntu, since'),
    ):
        tab.go('/devices')
        content = tab.page.locator('main').inner_text()
        assert content.count('This one') == 1
        assert 'Firefox on Ubuntu' in content
        assert 'Mobile Safari on iOS' in content
        assert tab.page.get_by_role('button', name=other).count() == 1


def test_device_that_is_ended_is_logged_out_at_its_next_click(laptop, phone):
    phone.go('/')
    laptop.go('/devices')

    laptop.press(re.compile('Log out Mobile Safari on iOS'))

    assert laptop.flash == ['That device is logged out.']
    assert laptop.logged_in == 'Ada'
    phone.follow('Cart (0)')
    assert phone.logged_in is None


def test_all_other_devices_are_ended_at_once(laptop, phone, visit):
    third = visit()
    third.log_in()
    laptop.go('/devices')

    laptop.press('Log out all others')

    assert laptop.flash == ['Other devices that were logged out: 2.']
    for tab in (phone, third):
        tab.follow('Cart (0)')
        assert tab.logged_in is None
    laptop.follow('Cart (0)')
    assert laptop.logged_in == 'Ada'


def send(tab, action, button, times):
    answers = tab.page.evaluate(SEND, [action, button, times])
    # what became of a redirect is not told; an error would be
    assert answers == ['opaqueredirect'] * times


def test_ten_adds_at_once_from_one_page_are_all_counted(visit):
    tab = visit()
    tab.go('/')

    send(tab, '/cart/cup', 'add', 10)

    tab.go('/cart')
    assert tab.cart == 10


def test_twenty_double_clicks_are_forty_cups(visit):
    tab = visit()
    tab.go('/')

    for _ in range(20):
        send(tab, '/cart/cup', 'add', 2)

    tab.go('/cart')
    assert tab.cart == 40


def test_double_click_on_the_order_orders_once(visit):
    tab = visit()
    tab.log_in()
    tab.add('Speckled cup')
    tab.follow('Cart (1)')

    send(tab, '/order', 'order', 2)

    tab.go('/cart')
    assert tab.cart == 0
    assert tab.page.locator('.orders li').count() == 1
