"""The pages of the demo that prove what the package promises."""

import importlib
import socket
from collections.abc import Iterator
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

__all__ = ['make_shop', 'shop', 'shops']


@pytest.fixture
def down(make_shop: MakeShop) -> Iterator[TestApp]:
    """The shop, with a server that refuses connections."""
    with socket.socket() as silent:
        # bound, but not listening
        silent.bind(('127.0.0.1', 0))
        yield make_shop(
            db_socket='',
            db_host='127.0.0.1',
            db_port=str(silent.getsockname()[1]),
        )


def cost(page: TestResponse) -> int:
    return int(text(page, '#cost-statements'))


class TestTenAtOnce:
    @pytest.mark.parametrize(
        ('kind', 'kept'),
        [('keys', 10), ('list', 10), ('counter', 10), ('careless', 1)],
    )
    def test_page_tells_what_is_kept_here_and_elsewhere(
        self, shop: TestApp, kind: str, kept: int
    ) -> None:
        log_in(shop)

        page = submit_kind(shop, kind)

        assert text(page, '#kept-here') == f'{kept} of 10'
        assert text(page, '#kept-elsewhere') == '1 of 10'

    def test_page_tells_of_each_request(self, shop: TestApp) -> None:
        page = submit_kind(shop, 'keys')

        lines = [
            [cell.text for cell in line.select('th, td')]
            for line in page.html.select('tbody tr')
        ]
        assert [line[0] for line in lines] == [str(n) for n in range(1, 11)]
        assert len({line[2] for line in lines}) == 10
        # one of them was the first, the others had something to merge
        assert [int(line[5]) for line in lines].count(0) == 1

    def test_result_stays_and_the_cart_too(self, shop: TestApp) -> None:
        submit(shop.get('/'), '/cart/cup', 'add')
        submit_kind(shop, 'list')
        submit_kind(shop, 'list')

        page = shop.get('/at-once')

        assert text(page, '#kept-here') == '10 of 10'
        assert 'Cart (1)' in page

    def test_unknown_kind_is_told(self, shop: TestApp) -> None:
        assert flash(submit_kind(shop, 'nothing')) == [
            'Please choose what the ten shall do.'
        ]

    def test_single_one_is_not_for_visitors(self, shop: TestApp) -> None:
        fields = {'csrf_token': token(shop), 'number': '1'}

        shop.post('/at-once/one', fields, status=404)

    @pytest.mark.parametrize('kind', ['keys', 'counter'])
    def test_two_clicks_at_once_do_not_disturb_each_other(
        self, shop: TestApp, kind: str
    ) -> None:
        send = click(shop, '/at-once', kind=kind)

        with ThreadPoolExecutor(2) as threads:
            for sent in [threads.submit(send) for _ in range(2)]:
                sent.result()

        page = shop.get('/at-once')
        assert text(page, '#kept-here') == '10 of 10'
        assert text(page, '#kept ~ dl').count('race') == 0

    @pytest.mark.parametrize('kind', ['keys', 'counter'])
    def test_log_out_in_the_middle_ends_it(
        self, shop: TestApp, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log_in(shop)
        log_out = click(shop, '/logout')
        # other tests may have had the demo's modules imported anew
        race_class = importlib.import_module('shop.views.at_once').Race
        arrive = race_class.arrive

        def arrive_and_leave(race: Any, number: str) -> None:
            arrive(race, number)
            if number == '1':
                with ThreadPoolExecutor(1) as other_tab:
                    other_tab.submit(log_out).result()

        monkeypatch.setattr(race_class, 'arrive', arrive_and_leave)

        page = submit_kind(shop, kind)

        assert get_store(shop.app.registry).for_user('ada') == []
        assert not page.html.select('#kept-here')


def submit_kind(shop: TestApp, kind: str) -> TestResponse:
    fields = {'csrf_token': token(shop), 'kind': kind}
    return shop.post('/at-once', fields, status=303).follow()


class TestTwoWindows:
    def test_log_out_stays_though_a_slower_request_saves(
        self, shop: TestApp
    ) -> None:
        form = log_in(shop).click('Two windows').forms
        (both,) = (f for f in form.values() if 'both' in f.fields)

        page = both.submit('both')

        assert text(page, '#log-out') == '303 See Other'
        assert text(page, '#late') == '409 Conflict'
        assert text(page, '#stored') == 'no such session any more'
        assert 'SessionLost was told' in text(page, 'ol')
        page = shop.get('/two-windows')
        assert flash(page) == ['You are logged out.']
        assert get_store(shop.app.registry).for_user('ada') == []

    def test_note_is_stored_if_nobody_logs_out(
        self, shop: TestApp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr('shop.views.two_windows.SLOW', 0)
        page = log_in(shop).click('Two windows')
        (slow,) = (f for f in page.forms.values() if 'slow' in f.fields)
        slow['note'] = '<b>tea</b>'

        page = slow.submit('slow').follow()

        assert flash(page) == ['The note is stored.']
        assert text(page, '#stored-note') == '<b>tea</b>'

    def test_log_out_in_another_tab_is_told_to_the_slow_one(
        self, shop: TestApp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = log_in(shop).click('Two windows')
        log_out = click(shop, '/logout')
        (slow,) = (f for f in page.forms.values() if 'slow' in f.fields)

        with ThreadPoolExecutor(1) as other_tab:
            monkeypatch.setattr(
                'shop.views.two_windows.Slowly.think',
                lambda self: other_tab.submit(log_out).result(),
            )
            page = slow.submit('slow', status=409)

        assert page.html.h1.text == 'Somebody has logged out'
        assert get_store(shop.app.registry).for_user('ada') == []

    def test_who_is_not_logged_in_is_asked_to(self, shop: TestApp) -> None:
        assert not shop.get('/two-windows').html.select('main form')
        fields = {'csrf_token': token(shop), 'both': ''}

        page = shop.post('/two-windows', fields).follow()

        assert flash(page) == ['Please log in first.']


class TestCost:
    @pytest.mark.parametrize('path', ['/', '/cart', '/devices', '/login'])
    def test_page_counts_what_the_server_has_seen(
        self, shop: TestApp, statements: Any, path: str
    ) -> None:
        log_in(shop)

        with statements() as log:
            page = shop.get(path)

        # the last one looks up what the page says of the session
        assert cost(page) == len(log) - 1
        assert cost(page) == (2 if path == '/devices' else 1)

    def test_page_counts_its_own_save(
        self, shop: TestApp, statements: Any
    ) -> None:
        shop.get('/')
        click(shop, '/cart/cup', add='')()

        with statements() as log:
            # shows the message, and saves that it was shown
            page = shop.get('/')

        assert (cost(page), len(log)) == (2, 3)

    def test_click_is_counted_on_the_page_that_follows(
        self, shop: TestApp, statements: Any
    ) -> None:
        shop.get('/')
        form = shop.get('/').forms[1]
        with statements() as log:
            answer = form.submit('add')

        page = answer.follow()

        assert text(page, '#cost-click').startswith(f'{len(log)} statements')
        assert 'The click before' not in shop.get('/')

    def test_statements_of_the_ten_are_told_apart(
        self, shop: TestApp, statements: Any
    ) -> None:
        fields = {'csrf_token': token(shop), 'kind': 'keys'}
        with statements() as log:
            answer = shop.post('/at-once', fields, status=303)

        page = answer.follow()

        itself = int(text(page, '#cost-click').split()[0])
        played = int(text(page, '#cost-click-played').split()[0])
        cells = page.html.select('[data-label=Statements]')
        assert played == sum(int(cell.text) for cell in cells)
        # the new connections included
        assert 'SET NAMES utf8mb4' in log
        assert itself + played == len(log)
        assert not shop.get('/').html.select('#cost-click-played')

    @pytest.mark.parametrize(
        'value',
        ['x', '1', '1.2', '1.x.0', '-1.5.0', '..', '9' * 99],
        ids=ascii,
    )
    def test_cookie_of_somebody_else_tells_nothing(
        self, shop: TestApp, value: str
    ) -> None:
        shop.set_cookie('click', value)

        assert 'The click before' not in shop.get('/')

    def test_page_tells_how_often_the_session_was_saved(
        self, shop: TestApp
    ) -> None:
        shop.get('/')
        before = int(text(shop.get('/'), '#cost-saves').split()[0])

        page = submit(shop.get('/'), '/cart/cup', 'add')

        # the click, and the page that has shown its message
        assert text(page, '#cost-saves') == f'{before + 2} times'
        assert text(page, '#cost-expires') in ('29 minutes', '30 minutes')

    @pytest.mark.parametrize('path', ['/about', '/break', '/nowhere'])
    def test_page_that_does_not_use_the_session_costs_nothing(
        self, shop: TestApp, statements: Any, path: str
    ) -> None:
        log_in(shop)

        with statements() as log:
            page = shop.get(path, status='*')

        assert (cost(page), log.commands) == (0, [])
        assert 'Vary' not in page.headers


class TestOperator:
    def test_page_tells_of_sessions_and_events(self, shop: TestApp) -> None:
        log_in(shop)
        submit(shop.get('/'), '/logout')

        page = shop.get('/operator')

        assert text(page, '#live') == '1'
        lines = [
            [cell.text for cell in line.select('th, td')]
            for line in page.html.select('tbody tr')
        ]
        assert ['Created', '2', '2'] in lines
        assert ['Ended: invalidate', '1', '1'] in lines
        assert ['Purged', '0', '0'] in lines
        assert 'Vary' not in page.headers

    def test_page_refreshes_only_if_asked(self, shop: TestApp) -> None:
        page = shop.get('/operator')
        assert 'Refresh' not in page.headers
        assert 'Refresh' not in shop.get('/operator?refresh=1').headers

        page = page.click('^5 seconds')

        assert page.headers['Refresh'] == '5'
        assert 'Refresh' not in page.click('Stop that').headers

    def test_page_opens_without_a_database(self, down: TestApp) -> None:
        page = down.get('/operator')

        assert flash(page) == ['The database does not answer.']
        assert cost(page) == 0


class TestUnavailable:
    def test_page_offers_to_try_again(self, down: TestApp) -> None:
        page = down.get('/?a=1&b="', status=503)

        link = page.html.select_one('main a')
        assert link.text == 'Try again'
        assert link['href'] == '/?a=1&b="'
        assert 'not stored' not in page

    def test_click_that_was_not_stored_is_offered_again(
        self, shop: TestApp, down: TestApp
    ) -> None:
        fields = {
            'csrf_token': token(shop),
            'change': '',
            'quantity': '"><b>',
            'evil': 'x',
        }
        down.set_cookie('session', shop.cookies['session'])

        page = down.post('/cart/cup', fields, status=503)

        assert text(page, 'main strong') == 'Your click was not stored.'
        del fields['evil']
        (form,) = page.forms.values()
        assert form.action == '/cart/cup'
        assert dict(form.submit_fields()) == fields
        assert 'Set-Cookie' not in page.headers


def test_server_that_is_not_ours_cannot_be_broken(shop: TestApp) -> None:
    page = shop.get('/break')

    assert 'needs a private database server' in page
    assert not page.html.select('main form')
