"""One browser and one shop for the tests of a worker."""

from __future__ import annotations

import os

import pytest
from stage import Stage

from tests.browser import needs
from tests.browser.serving import Shop
from tests.browser.tabs import Tab
from tests.conftest import PROGRAMS, template

#: What every start of the browser needs: as root it has no sandbox. As for
#: users, the pages of before come back as they were, unless they forbid it.
OPTIONS = {
    'executable_path': needs.CHROMIUM,
    'ignore_default_args': ['--disable-back-forward-cache'],
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


def kinds():
    """Return the kinds of servers that can be started, and broken."""
    skip = pytest.mark.skip(reason='needs a database server of its own')
    return list(PROGRAMS) or [pytest.param('none', marks=skip)]


@pytest.fixture(scope='session', params=kinds())
def open_shop(request, tmp_path_factory):
    kind, folder = request.param, tmp_path_factory.mktemp('shop')
    with Stage(folder, kind, template(kind)) as stage:
        shop = Shop(stage, folder)
        shop.start()
        yield shop
        shop.stop()
        # nobody will read their data again
        for own in stage.servers.values():
            own.kill()


@pytest.fixture
def shop(open_shop):
    """The shop, see :class:`.Shop`, that nobody has visited yet."""
    open_shop.forget()
    before = len(open_shop.log)
    yield open_shop
    open_shop.mend()
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
