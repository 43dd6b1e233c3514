"""The demo application, made from its ini file."""

import re
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from webtest import TestApp, TestResponse

from pyramid_mysql_session import get_store
from tests.functional.demo import (
    MakeShop,
    click,
    flash,
    log_in,
    make_shop,
    shop,
    shops,
    submit,
    text,
    token,
)

FORM = 'application/x-www-form-urlencoded'

__all__ = ['make_shop', 'shop', 'shops']


def browser(shop: TestApp, agent: str, address: str) -> TestApp:
    """Return another browser of the same shop, without a cookie."""
    return TestApp(
        shop.app,
        extra_environ={'HTTP_USER_AGENT': agent, 'REMOTE_ADDR': address},
    )


@pytest.fixture
def laptop(shop: TestApp) -> TestApp:
    return browser(
        shop,
        'Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:128.0) Gecko/20100101 '
        'Firefox/128.0',
        '192.0.2.1',
    )


@pytest.fixture
def phone(shop: TestApp) -> TestApp:
    return browser(
        shop,
        'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) '
        'AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 '
        'Mobile/15E148 Safari/604.1',
        '2001:db8::1',
    )


def devices(page: TestResponse) -> list[list[str]]:
    """Return device, address and what can be done, of each line."""
    lines = page.html.select('tbody tr')
    cells = [
        [' '.join(cell.text.split()) for cell in line.select('th, td')]
        for line in lines
    ]
    return [[device, ip, does] for device, ip, _, _, _, does in cells]


def post(shop: TestApp, **fields: str) -> TestResponse:
    """Post to the page of the devices, follow, return what comes."""
    answer = shop.post('/devices', {'csrf_token': token(shop), **fields})
    assert answer.status_int == 303
    return answer.follow()


def is_logged_in(shop: TestApp) -> bool:
    return 'Log out' in shop.get('/')


def quantities(page: TestResponse) -> dict[str, str]:
    fields = page.html.select('input[name=quantity]')
    return {field['id']: field['value'] for field in fields}


def test_log_in_shows_the_name_and_stores_the_userid(shop: TestApp) -> None:
    page = log_in(shop)
    assert flash(page) == ['Welcome, Ada.']
    assert 'Log out Ada' in page
    assert len(get_store(shop.app.registry).for_user('ada')) == 1


def test_device_is_remembered_if_that_is_wanted(shop: TestApp) -> None:
    log_in(shop)
    assert 'Max-Age' not in shop.get('/').headers.get('Set-Cookie', '')

    answer = shop.post(
        '/login',
        {'csrf_token': token(shop), 'user': 'ada', 'remember': 'on'},
    )

    (line,) = (
        line
        for line in answer.headers.getall('Set-Cookie')
        if line.startswith('session=')
    )
    assert f'Max-Age={14 * 24 * 3600}' in line
    (session,) = get_store(shop.app.registry).for_user('ada')
    assert session.expires - session.created in range(1209600, 1209700)
    assert text(shop.get('/devices'), '[data-label^=Ends]') != ''
    assert '14 days' in answer.follow()


def test_log_in_without_the_box_forgets_as_usual(shop: TestApp) -> None:
    log_in(shop, remember='on')
    submit(shop.get('/login'), '/login', user='grace')

    (session,) = get_store(shop.app.registry).for_user('grace')
    assert session.expires - session.created in range(1800, 1900)
    assert re.search('(29|30) minutes', shop.get('/').text)


def test_log_in_renews_the_id_and_keeps_the_cart(shop: TestApp) -> None:
    submit(shop.get('/'), '/cart/tin', 'add')
    before = shop.cookies['session']
    page = log_in(shop)
    assert shop.cookies['session'] != before
    assert quantities(page) == {'tin': '1'}
    assert get_store(shop.app.registry).count() == 1


def test_three_cart_updates_are_all_kept(shop: TestApp) -> None:
    page = log_in(shop)
    page = submit(page, '/cart/teapot', 'add')
    page = submit(page, '/cart/cup', 'add')
    page = submit(page.click('Cart'), '/cart/teapot', 'change', quantity='3')
    assert quantities(page) == {'teapot': '3', 'cup': '1'}
    assert '€129.50' in page
    assert quantities(submit(page, '/cart/cup', 'remove')) == {'teapot': '3'}


def test_flash_message_is_shown_once(shop: TestApp) -> None:
    page = submit(shop.get('/'), '/cart/cup', 'add')
    assert flash(page) == ['Speckled cup: 1 in your cart.']
    assert flash(shop.get('/')) == []


@pytest.mark.parametrize('quantity', ['0', '100', '-1', '1.5', 'two', ''])
def test_impossible_quantity_changes_nothing(
    shop: TestApp, quantity: str
) -> None:
    page = submit(shop.get('/'), '/cart/cup', 'add').click('Cart')
    page = submit(page, '/cart/cup', 'change', quantity=quantity)
    assert flash(page) == ['A quantity is a whole number from 1 to 99.']
    assert quantities(page) == {'cup': '1'}


def test_order_moves_the_cart_into_the_orders(shop: TestApp) -> None:
    submit(shop.get('/'), '/cart/tin', 'add')
    page = submit(log_in(shop), '/order')
    assert flash(page) == ['Thank you, Ada!']
    assert 'It is empty again.' in page
    assert 'Nothing in it yet.' not in page
    assert quantities(page) == {}
    (order,) = page.html.select('.orders li')
    assert 'Tin of Assam' in order.text


def test_order_without_log_in_leads_to_the_log_in_page(shop: TestApp) -> None:
    page = shop.post('/order', {'csrf_token': token(shop)}).follow()
    assert page.request.path == '/login'
    assert flash(page) == ['Please log in first.']


def test_log_out_forgets_everything(shop: TestApp) -> None:
    page = submit(log_in(shop), '/cart/teapot', 'add')
    session = shop.cookies['session']
    page = submit(page, '/logout')
    assert flash(page) == ['You are logged out.']
    assert 'Log in' in page
    assert quantities(shop.get('/cart')) == {}
    assert get_store(shop.app.registry).for_user('ada') == []

    shop.set_cookie('session', session)
    assert 'Log in' in shop.get('/')


def test_devices_lists_the_newest_first_and_marks_this_one(
    shop: TestApp, laptop: TestApp, phone: TestApp, database: Any
) -> None:
    for each in (laptop, phone):
        log_in(each)
    (oldest,) = (
        session.handle
        for session in get_store(shop.app.registry).for_user('ada')
        if session.ip == '192.0.2.1'
    )
    database.query(
        'UPDATE shop_sessions SET created = created - 60, seen = 1234567890 '
        f"WHERE HEX(session_id) LIKE '{oldest}%'"
    )

    page = phone.get('/').click('Devices')

    assert page.html.h1.text == 'Where you are logged in'
    assert devices(page) == [
        ['Mobile Safari on iOS', '2001:db8::1', 'This one'],
        ['Firefox on Ubuntu', '192.0.2.1', 'Log out'],
    ]
    assert '2009-02-13 23:31:30 UTC' in page
    assert [this for _, _, this in devices(laptop.get('/devices'))] == [
        'Log out',
        'This one',
    ]


def test_device_that_is_ended_is_logged_out_at_its_next_click(
    laptop: TestApp, phone: TestApp
) -> None:
    for each in (laptop, phone):
        log_in(each)
    page = laptop.get('/devices')
    (form,) = (f for f in page.forms.values() if 'end' in f.fields)

    page = form.submit('end').follow()

    assert flash(page) == ['That device is logged out.']
    assert [this for _, _, this in devices(page)] == ['This one']
    assert 'others' not in page
    assert not is_logged_in(phone)
    assert is_logged_in(laptop)


def test_all_other_devices_are_ended_at_once(
    shop: TestApp, laptop: TestApp, phone: TestApp
) -> None:
    for each in (shop, laptop, phone):
        log_in(each)
    page = laptop.get('/devices')
    (form,) = (f for f in page.forms.values() if 'others' in f.fields)

    page = form.submit('others').follow()

    assert flash(page) == ['Other devices that were logged out: 2.']
    assert [is_logged_in(each) for each in (shop, laptop, phone)] == [
        False,
        True,
        False,
    ]


def test_ended_device_that_posts_a_form_is_told_so(
    laptop: TestApp, phone: TestApp
) -> None:
    for each in (laptop, phone):
        log_in(each)
    page = phone.get('/')
    post(laptop, others='')

    (form,) = {f for f in page.forms.values() if f.action == '/cart/cup'}
    page = form.submit('add', status=400)

    assert page.html.h1.text == 'That form was too old'


def test_devices_of_somebody_else_stay_logged_in(
    shop: TestApp, laptop: TestApp
) -> None:
    log_in(laptop)
    submit(shop.get('/login'), '/login', user='grace')
    (hers,) = get_store(shop.app.registry).for_user('grace')

    page = post(laptop, end=hers.handle)

    assert flash(page) == ['That device is not logged in any more.']
    assert [this for _, _, this in devices(page)] == ['This one']
    post(laptop, others='')
    assert is_logged_in(shop)


@pytest.mark.parametrize(
    'handle',
    ['6b0656f00f77f2822c564c1cc71d4a3f', 'x', '', "' OR 1", '\0', 'ü' * 32],
)
def test_device_that_nobody_knows_is_not_logged_in(
    laptop: TestApp, phone: TestApp, handle: str
) -> None:
    for each in (laptop, phone):
        log_in(each)

    page = post(laptop, end=handle)

    assert flash(page) == ['That device is not logged in any more.']
    assert len(devices(page)) == 2


def test_this_device_that_is_ended_is_logged_out(
    shop: TestApp, laptop: TestApp
) -> None:
    log_in(laptop)
    (here,) = get_store(shop.app.registry).for_user('ada')

    page = post(laptop, end=here.handle)

    assert flash(page) == ['You are logged out.']
    assert not is_logged_in(laptop)


def test_devices_without_log_in_leads_to_the_log_in_page(
    shop: TestApp, laptop: TestApp
) -> None:
    log_in(laptop)
    (hers,) = get_store(shop.app.registry).for_user('ada')

    assert 'Devices' not in shop.get('/')
    for page in (
        shop.get('/devices').follow(),
        post(shop, end=hers.handle),
        post(shop, others=''),
    ):
        assert page.request.path == '/login'
        assert flash(page) == ['Please log in first.']
        assert 'Firefox' not in page
    assert is_logged_in(laptop)


def test_device_of_a_strange_name_is_shown_as_text(shop: TestApp) -> None:
    strange = browser(shop, '<b>me</b> ' * 40, '<i>')
    log_in(strange)

    ((device, address, _),) = devices(strange.get('/devices'))

    assert device.startswith('<b>me</b>')
    assert address == 'unknown'


def test_browser_that_tells_no_name_is_an_unknown_device(
    shop: TestApp,
) -> None:
    log_in(shop)

    assert devices(shop.get('/devices')) == [
        ['Unknown device', 'unknown', 'This one']
    ]


@pytest.mark.parametrize(
    'path',
    [
        '/login',
        '/logout',
        '/order',
        '/cart/cup?add',
        '/devices?others',
        '/devices?end=x',
    ],
)
def test_post_without_a_token_is_refused(shop: TestApp, path: str) -> None:
    log_in(shop)
    page = shop.post(path, status=400)
    assert page.html.h1.text == 'That form was too old'
    page = shop.get('/')
    assert 'Log out Ada' in page
    assert 'Cart (0)' in page


@pytest.mark.parametrize('path', ['/nowhere', '/cart/coffee', '/logout'])
def test_unknown_address_needs_no_session(shop: TestApp, path: str) -> None:
    page = shop.get(path, status=404)
    assert page.html.h1.text == 'Not on our shelf'
    assert 'Set-Cookie' not in page.headers


@pytest.mark.parametrize(
    ('path', 'body', 'kind'),
    [
        ('/login', '{}&user=ada', f'{FORM}; charset=utf-16'),
        ('/login', '{}&user=ada', f'{FORM}; charset=nonsense'),
        ('/login?%ff', '{}&user=ada', FORM),
        ('/login', '--x', 'multipart/form-data'),
    ],
    ids=lambda value: value.replace('/', '_').replace('{}', ''),
)
def test_request_that_cannot_be_read_is_refused(
    shop: TestApp, path: str, body: str, kind: str
) -> None:
    shop.get('/')
    body = body.format(f'csrf_token={token(shop)}')

    page = shop.post(path, body, headers={'Content-Type': kind}, status=400)

    assert page.html.h1.text == 'That cannot be read'
    page = shop.get('/')
    assert 'Log out' not in page
    assert 'Cart (0)' in page


@pytest.mark.parametrize('path', ['/\xff', '/cart/\xff', '/static/\xff'])
def test_address_that_cannot_be_read_is_refused(
    shop: TestApp, path: str
) -> None:
    page = shop.get('/', extra_environ={'PATH_INFO': path}, status=400)

    assert page.html.h1.text == 'That cannot be read'


@pytest.mark.parametrize(
    ('path', 'field'),
    [
        ('/cart/cup', 'quantity'),
        ('/cart/cup', 'csrf_token'),
        ('/two-windows', 'note'),
        ('/devices', 'end'),
        ('/break', 'token'),
    ],
    ids=lambda value: value.replace('/', '_'),
)
def test_file_in_place_of_a_field_is_refused(
    shop: TestApp, path: str, field: str
) -> None:
    log_in(shop)
    fields = {'csrf_token': token(shop), 'change': '', 'slow': '', 'click': ''}
    fields.pop(field, None)

    page = shop.post(
        path, fields, upload_files=[(field, 'name', b'1')], status=400
    )

    assert page.html.h1.text == 'That cannot be read'
    assert 'Log out Ada' in shop.get('/')


@pytest.mark.parametrize('path', ['/cart', '/break', '/operator'])
def test_strange_cookie_of_another_application_does_no_harm(
    shop: TestApp, path: str
) -> None:
    log_in(shop)
    cookie = f'strange="\xe9"; session={shop.cookies["session"]}'

    page = TestApp(shop.app).get(path, headers={'Cookie': cookie})

    assert path != '/cart' or 'Log out Ada' in page


def test_page_of_a_session_is_not_kept_by_the_browser(shop: TestApp) -> None:
    log_in(shop)

    for path in ('/', '/cart', '/devices', '/two-windows'):
        assert shop.get(path).headers['Cache-Control'] == 'no-store'
    assert 'Cache-Control' not in shop.get('/about').headers


def test_panel_tells_about_the_session_but_not_its_id(shop: TestApp) -> None:
    page = log_in(shop)
    facts = page.html.select_one('footer dl').text.split()
    assert re.fullmatch(
        r'Created [-\d]{10} [:\d]{8} UTC New no Keys 2: \S+ \S+',
        ' '.join(facts),
    )
    assert shop.cookies['session'] not in page


def test_server_that_is_down_gives_a_503_page(
    shop: TestApp, make_shop: MakeShop, caplog: pytest.LogCaptureFixture
) -> None:
    log_in(shop)
    with socket.socket() as silent:
        # bound, but not listening: whoever connects is refused
        silent.bind(('127.0.0.1', 0))
        down = make_shop(
            db_socket='',
            db_host='127.0.0.1',
            db_port=str(silent.getsockname()[1]),
        )
        # the first visitor's session cannot be saved, Ada's not be loaded
        for cookie in (None, shop.cookies['session']):
            if cookie:
                down.set_cookie('session', cookie)
            page = down.get('/', status=503)
            assert page.html.h1.text == 'Back in a moment'
            assert page.headers['Retry-After'] == '30'
            assert 'Set-Cookie' not in page.headers
    assert [r.name for r in caplog.records if r.levelname == 'ERROR'] == [
        'shop.views.problems',
        'shop.views.problems',
    ]


def at_once(number: int, work: Callable[[], object]) -> None:
    """Do something in so many threads at the same moment."""
    barrier = threading.Barrier(number)

    def run(_: int) -> None:
        barrier.wait(30)
        work()

    with ThreadPoolExecutor(number) as threads:
        # asks for the results, and so for what was raised
        list(threads.map(run, range(number)))


def cart(shop: TestApp) -> int:
    """Return the number that the page shows beside the cart."""
    link = shop.get('/').html.select_one('a[href$="/cart"]').text
    return int(re.findall(r'[0-9]+', link)[0])


def test_ten_clicks_at_once_put_ten_into_the_cart(shop: TestApp) -> None:
    at_once(10, click(shop, '/cart/teapot', add=''))

    assert cart(shop) == 10


def test_twenty_double_clicks_put_forty_into_the_cart(shop: TestApp) -> None:
    add = click(shop, '/cart/cup', add='')
    for _ in range(20):
        at_once(2, add)

    assert cart(shop) == 40


def test_several_clicks_on_the_order_order_once(shop: TestApp) -> None:
    log_in(shop)
    click(shop, '/cart/teapot', add='')()
    at_once(6, click(shop, '/order'))

    store = get_store(shop.app.registry)
    (session,) = store.for_user('ada')
    assert session.data()['orders'] == [{'teapot': 1}]
