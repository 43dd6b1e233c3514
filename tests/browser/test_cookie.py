"""The cookie of the session, as a browser keeps it."""


def test_cookie_is_hidden_from_scripts_and_ends_with_the_browser(visit):
    tab = visit()
    tab.go('/')
    tab.add('Speckled cup')

    cookie = tab.cookie

    del cookie['value']
    assert cookie == {
        'name': 'session',
        'domain': '127.0.0.1',
        'path': '/',
        'expires': -1,
        'httpOnly': True,
        'sameSite': 'Lax',
        # over http
        'secure': False,
    }
    assert tab.page.evaluate('document.cookie') == ''


def put(tab, value):
    """Give the browser another value of its cookie."""
    tab.context.add_cookies([{**tab.cookie, 'value': value}])


FORGERIES = {
    'signed otherwise': lambda v: v[:-1] + ('A' if v[-1] != 'A' else 'B'),
    'of another id': lambda v: ('A' if v[0] != 'A' else 'B') + v[1:],
    'backwards': lambda v: v[::-1],
    'one letter': lambda v: 'x',
}


def test_forged_cookie_is_a_new_and_empty_session(visit):
    tab = visit()
    tab.log_in()
    tab.add('Speckled cup')
    value = tab.cookie['value']

    for how, forge in FORGERIES.items():
        put(tab, forge(value))
        assert tab.go('/') == 200, how
        assert (tab.logged_in, tab.cart) == (None, 0), how
        assert tab.cookie['value'] not in (value, forge(value)), how
        tab.add('Speckled cup')
        assert tab.cart == 1, how

    # the session whose cookie it was does not mind
    put(tab, value)
    tab.go('/cart')
    assert (tab.logged_in, tab.cart) == ('Ada', 1)


def test_cookie_of_a_session_that_was_ended_is_a_new_and_empty_one(visit):
    tab = visit()
    tab.log_in()
    tab.add('Speckled cup')
    dead = tab.cookie['value']
    tab.press('Log out Ada')

    put(tab, dead)

    assert tab.go('/') == 200
    assert (tab.logged_in, tab.cart) == (None, 0)
    assert tab.cookie['value'] != dead


def test_cookie_from_before_the_log_in_opens_nothing(visit):
    tab = visit()
    tab.go('/')
    tab.add('Speckled cup')
    before = tab.cookie['value']
    tab.log_in()
    assert (tab.logged_in, tab.cart) == ('Ada', 1)

    put(tab, before)

    tab.go('/cart')
    assert (tab.logged_in, tab.cart) == (None, 0)


def test_back_button_after_the_log_out_shows_no_private_page(visit):
    tab = visit()
    tab.log_in()
    tab.follow('Devices')
    tab.follow('Cart')
    tab.press('Log out Ada')

    tab.page.go_back()
    assert (tab.heading, tab.logged_in) == ('Your cart', None)
    tab.page.go_back()
    assert (tab.heading, tab.logged_in) == ('Log in', None)
