"""What the tests of the demo share."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import MySQLdb
import plaster
import pytest
from pyramid.interfaces import ISessionFactory
from webtest import TestApp, TestResponse

INI = Path(__file__).parents[2] / 'docs' / 'demo' / 'development.ini'

MakeShop = Callable[..., TestApp]


@pytest.fixture
def shops(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeShop]:
    """Make the demo; keyword arguments are variables of its ini file."""
    # the demo puts one that counts in its place
    monkeypatch.setattr(MySQLdb, 'connect', MySQLdb.connect)
    made = []

    def make(ini: Path = INI, **variables: str) -> TestApp:
        app = plaster.get_loader(str(ini), protocols=['wsgi']).get_wsgi_app(
            # a per cent sign has a meaning in an ini file
            defaults={
                name: value.replace('%', '%%')
                for name, value in {
                    'http_port': '0',
                    'secret': 'a secret for the tests of the demo',
                    **variables,
                }.items()
            }
        )
        made.append(app)
        return TestApp(app)

    yield make
    for app in made:
        app.registry.getUtility(ISessionFactory).close()


@pytest.fixture
def make_shop(database: Any, shops: MakeShop) -> MakeShop:
    """Make the demo; keyword arguments replace variables of its ini file."""
    server = database.server
    variables = {
        'db_socket': str(server.socket or ''),
        'db_host': server.host or '',
        'db_port': str(server.port or ''),
        'db_user': server.user,
        'db_pass': server.password or '',
        'db_name': database.name,
    }
    return lambda **changed: shops(**(variables | changed))


@pytest.fixture
def shop(make_shop: MakeShop) -> TestApp:
    return make_shop()


def submit(
    page: TestResponse, action: str, button: str | None = None, **fields: str
) -> TestResponse:
    """Submit the form for an action, follow the redirect, return the page."""
    (form,) = {f for f in page.forms.values() if f.action == action}
    for name, value in fields.items():
        form[name] = value
    answer = form.submit(button)
    assert answer.status_int == 303
    return answer.follow()


def log_in(shop: TestApp, **fields: str) -> TestResponse:
    return submit(shop.get('/login'), '/login', user='ada', **fields)


def flash(page: TestResponse) -> list[str]:
    return [message.text for message in page.html.select('[role=status]')]


def text(page: TestResponse, selector: str) -> str:
    """Return the text of the only element that a selector finds."""
    (element,) = page.html.select(selector)
    return re.sub(r'\s+', ' ', element.text.strip())


def token(shop: TestApp) -> str:
    """Return the token of the forms of a visitor."""
    field = shop.get('/').html.select_one('[name=csrf_token]')
    value: str = field['value']
    return value


def click(shop: TestApp, path: str, **fields: str) -> Callable[[], None]:
    """Return what sends a form of this browser, from any thread."""
    fields['csrf_token'] = token(shop)
    cookie = '; '.join(f'{k}={v}' for k, v in shop.cookies.items())

    def send() -> None:
        answer = TestApp(shop.app).post(
            path, fields, headers={'Cookie': cookie}
        )
        assert answer.status_int == 303

    return send
