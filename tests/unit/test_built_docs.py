"""What other projects find in the manual, once it is built."""

import re
import zlib
from pathlib import Path

import pytest

from pyramid_mysql_session.settings.table import SETTINGS

application = pytest.importorskip('sphinx.application')

DOCS = Path(__file__).parents[2] / 'docs'


@pytest.fixture(scope='module')
def html(tmp_path_factory):
    """The folder of the built manual."""
    folder = tmp_path_factory.mktemp('html')
    application.Sphinx(
        DOCS,
        DOCS,
        folder,
        folder / 'doctrees',
        'html',
        # that needs nothing but Sphinx
        confoverrides={'html_theme': 'basic', 'nitpicky': True},
        status=None,
        warningiserror=True,
        exception_on_warning=True,
    ).build()
    return folder


@pytest.fixture(scope='module')
def targets(html):
    """Name -> address of all settings, for links from other manuals."""
    packed = (html / 'objects.inv').read_bytes()
    # behind four lines that say what it is
    text = zlib.decompress(packed.split(b'\n', 4)[4]).decode()
    return dict(re.findall(r'^(\S+) std:setting -?\d (\S+) -$', text, re.M))


def test_each_setting_can_be_linked_to(html, targets):
    page = (html / 'settings.html').read_text('utf-8')

    assert list(targets) == [
        f'mysql_session.{setting.name}'
        for setting in sorted(SETTINGS, key=lambda setting: setting.name)
    ]
    for address in targets.values():
        name, _, anchor = address.partition('#')
        assert name == 'settings.html'
        assert page.count(f'<dt id="{anchor}">') == 1


def test_settings_that_a_page_mentions_lead_to_their_description(
    html, targets
):
    page = (html / 'timeouts.html').read_text('utf-8')

    for name in ('idle_timeout', 'touch_interval', 'cookie_max_age'):
        assert f'href="{targets[f"mysql_session.{name}"]}"' in page


def test_names_of_python_and_pyramid_lead_to_their_manuals(html):
    page = (html / 'api.html').read_text('utf-8')

    for address in (
        'https://docs.python.org/3/library/collections.abc.html'
        '#collections.abc.Mapping',
        'https://docs.pylonsproject.org/projects/pyramid/en/latest/api/'
        'exceptions.html#pyramid.exceptions.ConfigurationError',
    ):
        assert f'href="{address}"' in page


def test_files_beside_the_manual_link_to_its_pages(html):
    page = (html / 'contributing.html').read_text('utf-8')

    assert 'href="internals.html"' in page
    assert not re.search('href="[^"]+/internals.html"', page)


@pytest.mark.parametrize(
    ('page', 'diagram'), [('why', 'request'), ('concurrency', 'meeting')]
)
def test_diagrams_have_the_colours_of_the_page(html, page, diagram):
    text = (html / f'{page}.html').read_text('utf-8')
    (drawing,) = re.findall('<div class="diagram">.*?</svg>', text, re.S)

    assert f'<title id="{diagram}-title">' in drawing
    assert 'currentColor' in drawing
    # which would hold for each picture of the page
    assert '<style>' not in drawing
