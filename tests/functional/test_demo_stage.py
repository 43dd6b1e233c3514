"""The demo's private servers fail on order, and what was told is kept."""

import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import private_server
import pytest
from replication import DIALECTS
from shop.orders import give
from stage import Stage
from webtest import TestApp, TestResponse

from tests.conftest import PROGRAMS, template
from tests.functional.demo import INI, MakeShop, flash, shops, text, token

__all__ = ['shops']


@pytest.fixture(scope='module')
def new_stage(server: Any) -> Callable[[Path], Stage]:
    if server.kind not in PROGRAMS:
        pytest.skip('needs a server that may be killed')
    return lambda folder: Stage(folder, server.kind, template(server.kind))


@pytest.fixture(scope='module')
def shared_stage(
    new_stage: Callable[[Path], Stage], tmp_path_factory: Any
) -> Iterator[Stage]:
    with new_stage(tmp_path_factory.mktemp('stage')) as stage:
        yield stage
        for server in stage.servers.values():
            # faster than to stop them
            server.kill()


@pytest.fixture
def stage(shared_stage: Stage) -> Stage:
    """A stage whose primary runs."""
    shared_stage.proxy.cut = None
    state = shared_stage.take('state')
    if state['servers'][state['primary']] != 'runs':
        shared_stage.take('restart')
    return shared_stage


@pytest.fixture
def make_shop(
    shops: MakeShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Stage], TestApp]:
    """Make the demo; it waits for less than it does by its ini file."""
    ini = tmp_path / 'development.ini'
    ini.write_text(
        re.sub(
            '(read_timeout|connection_wait) = .',
            r'\1 = 1',
            INI.read_text(),
        )
    )

    def make(stage: Stage) -> TestApp:
        facts = stage.facts()
        monkeypatch.setenv('DEMO_STAGE', facts.pop('DEMO_STAGE'))
        return shops(ini, **{k.lower(): v for k, v in facts.items()})

    return make


@pytest.fixture
def shop(stage: Stage, make_shop: Callable[[Stage], TestApp]) -> TestApp:
    return make_shop(stage)


def press(shop: TestApp, name: str, value: str = '') -> TestResponse:
    """Press a button of the page."""
    field = shop.get('/break').html.select_one('[name=token]')
    return shop.post('/break', {'token': field['value'], name: value})


def order(shop: TestApp, what: str) -> TestResponse:
    page = press(shop, 'order', what)
    assert flash(page)[0].endswith('done.')
    return page


def verdict(shop: TestApp) -> str:
    return text(press(shop, 'look'), '#verdict')


def figures(page: TestResponse) -> tuple[str, str]:
    return text(page, '#acknowledged'), text(page, '#kept-clicks')


FINE = 'Nothing is lost, nothing is doubled.'


@pytest.mark.parametrize('what', ['cut before', 'cut after', 'restart'])
def test_broken_connection_goes_unnoticed(shop: TestApp, what: str) -> None:
    press(shop, 'click')
    order(shop, what)

    page = press(shop, 'click')

    assert text(page, '#answer') == '200 OK'
    assert figures(page) == ('2', '2')
    assert text(page, '#verdict') == FINE
    assert 'one with the next save' not in page


def test_first_click_of_a_visitor_is_kept_without_an_answer(
    shop: TestApp,
) -> None:
    order(shop, 'cut after')

    assert figures(press(shop, 'click')) == ('1', '1')
    assert figures(press(shop, 'click')) == ('2', '2')


def test_double_click_is_told_from_a_click_that_counts_twice(
    shop: TestApp,
) -> None:
    press(shop, 'click')
    press(shop, 'click')
    (ledger,) = (c for c in shop.cookiejar if c.name == 'clicks')
    # the browser drops the answer to the first click of the two
    ledger.value = '1-0'

    page = press(shop, 'click')

    assert figures(page) == ('2', '3')
    assert 'as in a double click' in text(page, '#verdict')
    (ledger,) = (c for c in shop.cookiejar if c.name == 'clicks')
    ledger.value = '4-0'
    assert verdict(shop) == 'That should not be.'


def test_page_says_what_its_visit_cost(shop: TestApp) -> None:
    page = press(shop, 'click')

    assert text(page, '#cost-statements') == '0'
    played = text(page, '#cost-played')
    assert f' {played} statements.' in text(page, '#seen + p')
    assert 'nothing was sent' not in page


def test_killed_server_keeps_what_was_acknowledged(
    shop: TestApp, stage: Stage
) -> None:
    press(shop, 'click')
    page = order(shop, 'kill')
    assert text(page, f'#server-{stage.name}') == 'dead'

    page = press(shop, 'click')
    assert text(page, '#answer') == '503 Service Unavailable'
    assert figures(page) == ('1', 'cannot be told now')

    order(shop, 'restart')
    assert figures(press(shop, 'click')) == ('2', '2')


def test_server_that_dies_with_the_answer_leaves_a_doubt(
    shop: TestApp,
) -> None:
    press(shop, 'click')
    order(shop, 'cut and kill')

    page = press(shop, 'click')

    assert text(page, '#answer') == '503 Service Unavailable'
    assert text(page, '#unknown') == '1'
    order(shop, 'restart')
    page = press(shop, 'look')
    assert figures(page) == ('1', '2')
    assert text(page, '#verdict') == (
        'Nothing is lost, nothing is doubled: of those that nobody could tell '
        'of, 1 had been stored.'
    )


def test_order_of_unknown_outcome_asks_to_look_first(
    shop: TestApp, stage: Stage
) -> None:
    fields = {'csrf_token': token(shop), 'add': ''}
    stage.take('cut and kill')

    page = shop.post('/cart/cup', fields, status=503)

    assert text(page, 'main strong').startswith('Your click may have been')
    assert page.html.select_one('main a')['href'] == '/cart'
    assert dict(page.forms[0].submit_fields()) == fields
    stage.take('restart')
    assert 'Cart (1)' in shop.get('/')


def test_paused_server_is_told_and_goes_on(
    shop: TestApp, stage: Stage
) -> None:
    press(shop, 'click')
    page = order(shop, 'pause')
    assert text(page, f'#server-{stage.name}') == 'paused'
    page = press(shop, 'order', 'switch')
    assert 'Switch the primary: that did not work.' in flash(page)[0]

    page = press(shop, 'click')

    assert text(page, '#answer') == '503 Service Unavailable'
    assert not page.html.select('#unknown')
    order(shop, 'resume')
    assert figures(press(shop, 'click')) == ('2', '2')


def test_clicks_go_on_while_the_primary_is_switched(
    shop: TestApp, stage: Stage
) -> None:
    press(shop, 'click')
    for _ in range(2):
        before = stage.name
        with ThreadPoolExecutor(1) as other:
            switched = other.submit(stage.take, 'switch')
            pages = [press(shop, 'click')]
            while not switched.done():
                pages.append(press(shop, 'click'))
        pages.append(press(shop, 'click'))

        assert switched.result()['error'] is None
        assert {text(page, '#answer') for page in pages} == {'200 OK'}
        assert text(pages[-1], f'#server-{before}') == 'read-only'
        assert text(pages[-1], f'#server-{stage.name}') == 'runs'
        assert verdict(shop) == FINE


def test_new_primary_is_the_one_that_starts_the_next_time(
    new_stage: Callable[[Path], Stage],
    make_shop: Callable[[Stage], TestApp],
    tmp_path: Path,
    server: Any,
) -> None:
    if server.kind == 'mysql':
        pytest.skip('MySQL starts slowly; it is the same with MariaDB')
    with new_stage(tmp_path) as stage:
        shop = make_shop(stage)
        press(shop, 'click')
        stage.take('switch')
        press(shop, 'click')
    with new_stage(tmp_path) as stage:
        again = make_shop(stage)
        again.cookiejar = shop.cookiejar

        assert stage.state_of('first') == 'not started yet'
        assert verdict(again) == FINE


def test_ended_session_is_told_from_a_loss(shop: TestApp) -> None:
    press(shop, 'click')
    shop.cookiejar.clear('localhost.local', '/', 'session')

    assert 'in another session, which has ended' in verdict(shop)
    assert figures(press(shop, 'click')) == ('1', '1')


def test_new_primary_follows_nobody_after_a_restart(
    shop: TestApp, stage: Stage
) -> None:
    order(shop, 'switch')

    order(shop, 'restart')

    with stage.root(stage.server) as root:
        assert root.run(
            'SELECT COUNT(*) FROM information_schema.PROCESSLIST '
            "WHERE USER = 'system user'"
        ) == [(0,)]


def test_switch_to_a_copy_that_lacks_something_is_refused(
    shop: TestApp, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('replication.PATIENCE', 1)
    fields = {'csrf_token': token(shop), 'add': ''}
    follow = DIALECTS[stage.kind].follow

    def follow_later(self: Any, server: Any, position: str) -> None:
        follow(self, server, position)
        self.stop_following()
        # what the copy does not get any more
        shop.post('/cart/cup', fields, status=303)

    monkeypatch.setattr(DIALECTS[stage.kind], 'follow', follow_later)
    before = stage.name

    page = press(shop, 'order', 'switch')

    assert 'has not caught up within 1 seconds' in flash(page)[0]
    assert stage.name == before
    assert 'Cart (1)' in shop.get('/')
    shop.post('/cart/cup', fields, status=303)


class TestOrders:
    @pytest.mark.parametrize('button', ['order', 'click', 'look'])
    def test_without_token_nothing_is_done(
        self, shop: TestApp, stage: Stage, button: str
    ) -> None:
        before = stage.take('state')
        shop.get('/break')

        for sent in ('', 'wrong'):
            fields = {button: 'cut before', 'token': sent}
            page = shop.post('/break', fields, status=400)

        assert page.html.h1.text == 'That form was too old'
        assert stage.take('state') == before

    def test_from_another_page_nothing_is_done(
        self, shop: TestApp, stage: Stage
    ) -> None:
        before = stage.take('state')
        field = shop.get('/break').html.select_one('[name=token]')
        fields = {'token': field['value'], 'order': 'cut before'}

        for origin in ('http://localhost:6544', 'null'):
            headers = {'Origin': origin}
            shop.post('/break', fields, headers=headers, status=400)

        assert stage.take('state') == before
        shop.post('/break', fields, headers={'Origin': 'http://localhost'})
        assert stage.take('state')['cut'] == 'before'

    def test_link_orders_nothing(self, shop: TestApp, stage: Stage) -> None:
        before = stage.take('state')

        shop.get('/break?order=kill&token=')

        assert stage.take('state') == before

    def test_unknown_one_is_refused(self, shop: TestApp, stage: Stage) -> None:
        field = shop.get('/break').html.select_one('[name=token]')

        for what in ('state', 'explode', ''):
            fields = {'token': field['value'], 'order': what}
            shop.post('/break', fields, status=404)

        with socket.socket(socket.AF_UNIX) as line:
            line.connect(stage.address)
            line.sendall(b'explode\n')
            answer = json.loads(line.makefile().readline())
        assert answer['error'] == 'There is no such order.'

    def test_stage_that_is_gone_is_told(
        self, shop: TestApp, tmp_path: Path
    ) -> None:
        settings = shop.app.registry.settings
        settings['shop.stage'] = str(tmp_path / 'nowhere')

        page = shop.get('/break')

        assert 'Nobody takes orders any more.' in flash(page)[0]

    def test_stage_that_hangs_up_is_told(
        self, shop: TestApp, tmp_path: Path
    ) -> None:
        settings = shop.app.registry.settings
        settings['shop.stage'] = str(tmp_path / 'orders')
        with (
            socket.socket(socket.AF_UNIX) as desk,
            ThreadPoolExecutor(1) as thread,
        ):
            desk.bind(settings['shop.stage'])
            desk.listen()

            def hang_up() -> None:
                with desk.accept()[0] as line:
                    line.recv(100)

            thread.submit(hang_up)
            page = shop.get('/break')

        assert 'Nobody takes orders any more.' in flash(page)[0]

    def test_full_disk_is_told(self, stage: Stage, monkeypatch: Any) -> None:
        def fail() -> None:
            raise OSError(28, 'No space left on device')

        monkeypatch.setitem(stage.orders, 'restart', fail)

        error = stage.take('restart')['error']

        assert error == 'The system says: [Errno 28] No space left on device'

    def test_clicks_are_not_for_visitors(self, shop: TestApp) -> None:
        shop.get('/break/clicks', status=404)
        shop.post('/break/clicks', status=404)


def guards(pid: int) -> list[int]:
    """Return the children of a process."""
    text = Path(f'/proc/{pid}/task/{pid}/children').read_text()
    return [int(child) for child in text.split()]


def wait_for_end(pid: int) -> None:
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([ended], [], [], 60)[0], f'{pid} still runs'
    finally:
        os.close(ended)


class TestEnd:
    """However the stage ends, nothing of it stays."""

    @pytest.mark.parametrize('signum', ['TERM', 'HUP', 'KILL'])
    @pytest.mark.parametrize('what', ['state', 'pause', 'kill'])
    def test_nothing_is_left_behind(
        self, server: Any, tmp_path: Path, signum: str, what: str
    ) -> None:
        if server.kind not in PROGRAMS:
            pytest.skip('needs a server that may be killed')
        shutil.copytree(template(server.kind), tmp_path / server.kind)
        script = Path(private_server.__file__).with_name('stage.py')
        command = 'echo $$; echo $DEMO_STAGE; exec sleep 600'
        with subprocess.Popen(
            [
                *(sys.executable, script, '--dir', tmp_path, '--'),
                *('sh', '-c', command),
            ],
            env={**os.environ, 'MYSQLD': PROGRAMS[server.kind]},
            stdout=subprocess.PIPE,
            text=True,
        ) as stage:
            assert stage.stdout
            _, pid, address = (stage.stdout.readline() for _ in range(3))
            give(address.strip(), what)
            children = [int(pid), *guards(stage.pid)]

            stage.send_signal(getattr(signal, f'SIG{signum}'))

        for each in children:
            wait_for_end(each)
        assert not Path(address.strip()).parent.exists()
        # nobody holds it any more
        with (tmp_path / 'lock').open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
