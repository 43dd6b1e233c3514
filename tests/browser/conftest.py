"""One browser and one shop for the tests of a worker."""

from __future__ import annotations

import os

import pytest

from tests.browser import needs
from tests.browser.serving import Shop
from tests.browser.tabs import Tab

#: What every start of the browser needs: as root it has no sandbox.
OPTIONS = {
    'executable_path': needs.CHROMIUM,
    'args': ['--no-sandbox'] if os.geteuid() == 0 else [],
}


def pytest_addoption(parser):
    parser.addoption(
        '--screenshots',
        metavar='DIR',
        help='where the pictures of the shop go; a temporary folder else',
    )


def pytest_configure():
    if os.environ.get('CI') and needs.MISSING:
        raise pytest.UsageError(
            f'CI tests browsers, but lacks: {", ".join(needs.MISSING)}. '
            f'{needs.ADVICE}.'
        )


def pytest_terminal_summary(terminalreporter):
    if needs.MISSING:
        terminalreporter.write_line(
            f'Browsers not tested for lack of: {", ".join(needs.MISSING)}. '
            f'{needs.ADVICE}.',
            yellow=True,
        )


# before xdist, which reads the groups
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    # with --dist loadgroup, each worker needs one server and one browser
    for item in items:
        if 'shop' in getattr(item, 'fixturenames', ()):
            kind = item.callspec.params['server']
            item.add_marker(pytest.mark.xdist_group(f'browser {kind}'))


@pytest.fixture(scope='session')
def playwright():
    if needs.MISSING:
        pytest.skip(f'needs {", ".join(needs.MISSING)}')
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope='session')
def chromium(playwright):
    browser = playwright.chromium.launch(**OPTIONS)
    yield browser
    browser.close()


@pytest.fixture(scope='session')
def open_shop(server, tmp_path_factory):
    database = server.create_database()
    shop = Shop(database, tmp_path_factory.mktemp('shop'))
    shop.start()
    yield shop
    shop.stop()
    database.drop()


@pytest.fixture
def shop(open_shop):
    """The shop, see :class:`.Shop`, that nobody has visited yet."""
    open_shop.forget()
    before = len(open_shop.log)
    yield open_shop
    assert 'Traceback' not in open_shop.log[before:]


@pytest.fixture
def complaints():
    """
    Call it with a browser for its errors to be asserted at the end.

    That a page which a visitor went to was refused is no error of the page.
    """
    errors, refused = [], set()

    def answered(response):
        if response.status >= 400 and response.request.is_navigation_request():
            refused.add(response.url)

    def said(message):
        if message.type in ('error', 'warning'):
            errors.append((message.location['url'], message.text))

    def watch(context):
        context.on('response', answered)
        context.on('console', said)
        context.on('weberror', lambda raised: errors.append((None, raised)))
        return context

    yield watch
    assert [error for error in errors if error[0] not in refused] == []


@pytest.fixture
def visit(chromium, shop, complaints):
    """
    Call it for a tab of a new browser, see :class:`.Tab`.

    Options are those of Playwright's ``new_context``.
    """
    contexts = []

    def new(**options):
        context = chromium.new_context(base_url=shop.url, **options)
        contexts.append(complaints(context))
        return Tab(context)

    yield new
    for context in contexts:
        context.close()
