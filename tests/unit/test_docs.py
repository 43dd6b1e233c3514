"""What the manual says, as far as it can be tried without a server."""

import doctest
import json
import pathlib
import re
import runpy
import textwrap

import pytest

import pyramid_mysql_session
from pyramid_mysql_session.settings import foreign
from pyramid_mysql_session.settings import table as settings
from pyramid_mysql_session.settings.table import SETTINGS
from pyramid_mysql_session.store import layout, schema
from pyramid_mysql_session.store.store import MySQLSessionStore
from tests.manual.blocks import DOCS, ROOT, pages

PAGES = pages()
TEXTS = {name: page.read_text('utf-8') for name, page in PAGES.items()}


@pytest.mark.parametrize(
    'page', [name for name, text in TEXTS.items() if '>>>' in text]
)
def test_interactive_examples_give_what_the_page_says(page):
    result = doctest.testfile(str(PAGES[page]), module_relative=False)

    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize(
    'page', ['README.rst', 'CHANGES.rst', 'CONTRIBUTING.rst', 'SECURITY.rst']
)
def test_no_link_of_the_repository_s_pages_is_relative(page):
    # the first two are on the page of a package index, which has nothing
    # else, and the third is in the manual
    link = r'<([^<>]+)>`_|^\.\. _.+: (\S+)$'
    for target in re.findall(link, (ROOT / page).read_text('utf-8'), re.M):
        assert ''.join(target).startswith('https://')


def test_settings_page_is_up_to_date():
    module = runpy.run_path(str(DOCS / 'make_settings.py'))

    assert TEXTS['settings.rst'] == module['make_page'](), (
        'run python docs/make_settings.py'
    )


def test_tables_of_foreign_names_are_up_to_date():
    module = runpy.run_path(str(DOCS / 'make_settings.py'))
    text = (DOCS / 'foreign.txt').read_text('utf-8')

    assert text == module['make_foreign'](), 'run python docs/make_settings.py'
    for package in foreign.PACKAGES:
        start = f'    :start-after: .. {package.name}\n'
        assert start in TEXTS['howto/moving.rst']


def test_here_are_settings_that_there_are():
    known = {setting.name for setting in SETTINGS}

    for package in foreign.PACKAGES:
        for row in package.rows:
            assert known.issuperset(row.here)
            assert row.here or row.here_note


def test_settings_that_the_manual_names_exist():
    names = {setting.name for setting in settings.SETTINGS}

    for page, text in TEXTS.items():
        # the name of the package, and of its loggers, ends alike
        for name in re.findall(r'(?<!pyramid_)mysql_session\.(\w+)', text):
            # an example of a misspelt name
            if name != 'cookie_htponly':
                assert name in names, page


def test_api_pages_name_all_that_is_public():
    text = TEXTS['api.rst'] + TEXTS['api_store.rst']

    for name in pyramid_mysql_session.__all__:
        assert re.search(rf':: {name}$', text, re.M), name


def test_api_pages_name_each_method_of_the_store():
    text = TEXTS['api.rst'] + TEXTS['api_store.rst']

    for name in dir(MySQLSessionStore):
        listed = re.search(rf'[ .]{name}(,|$)', text, re.M)
        assert listed or name.startswith('_'), name


def test_internals_page_names_each_module():
    package = pathlib.Path(pyramid_mysql_session.__file__).parent
    named = re.findall(r'^``([\w/]+)``$', TEXTS['internals.rst'], re.M)

    assert sorted(named) == sorted(
        module.relative_to(package).with_suffix('').as_posix()
        for module in package.rglob('*.py')
        if module.stem != '__init__'
    )


def test_internals_page_says_what_each_wing_is_for():
    package = pathlib.Path(pyramid_mysql_session.__file__).parent

    for wing in package.glob('*/__init__.py'):
        heading = f'{wing.parent.name}\n{"~" * len(wing.parent.name)}\n'
        # a sentence, and then its modules
        assert re.search(
            rf'^{heading}\n[A-Z][^`]+\.\n\n``{wing.parent.name}/',
            TEXTS['internals.rst'],
            re.M,
        ), wing.parent.name


def test_table_page_shows_the_statement_that_creates_the_table():
    columns = {name: name for name in layout.DEFAULT_COLUMNS}
    statement = schema.Table((None, 'sessions'), columns).create_statement()

    assert textwrap.indent(statement, '    ') in TEXTS['table.rst']


def test_each_page_is_in_the_contents():
    for name, page in PAGES.items():
        if DOCS in page.parents and name != 'index.rst':
            stem = name.removesuffix('.rst')
            assert re.search(rf'^    {stem}$', TEXTS['index.rst'], re.M), name


def test_summary_of_the_benchmarks_is_what_was_measured():
    results = json.loads((DOCS / 'benchmarks.json').read_text('utf-8'))
    module = runpy.run_path(str(ROOT / 'tests/benchmarks/summary.py'))

    assert TEXTS['benchmarks.rst'] == module['render'](results), (
        'run sh tests/benchmarks/run.sh --render'
    )


def test_summary_tells_of_clusters_only_when_both_were_measured():
    results = json.loads((DOCS / 'benchmarks.json').read_text('utf-8'))
    module = runpy.run_path(str(ROOT / 'tests/benchmarks/summary.py'))
    clusters = {
        kind: {
            'no sessions': {'untouched': [10]},
            'a lone server, through HAProxy': {'read': [110], 'write': [110]},
            f'{name}, through HAProxy': {'read': [135], 'write': [260]},
        }
        for kind, name in (
            ('mariadb', 'Galera'),
            ('mysql', 'Group Replication'),
        )
    }

    def said(*kinds):
        data = {kind: clusters[kind] for kind in kinds}
        return module['render'](results | {'clusters': {'data': data}})

    assert 'Galera' not in said('mariadb')
    assert '1.25 times as' in said('mariadb', 'mysql')
    assert '2.50 times' in said('mariadb', 'mysql')


def test_diagrams_are_up_to_date():
    module = runpy.run_path(str(DOCS / 'make_diagrams.py'))
    pictures = module['pictures']()

    assert set(pictures) == set(DOCS.glob('diagrams/*.svg'))
    for path, picture in pictures.items():
        assert path.read_text('utf-8') == picture, (
            'run python docs/make_diagrams.py'
        )


def test_each_diagram_is_on_a_page_and_said_in_words():
    for path in DOCS.glob('diagrams/*.svg'):
        image = f'.. image:: diagrams/{path.name}\n    :alt: '

        assert any(image in text for text in TEXTS.values()), path.name
        steps = path.with_suffix('.txt').read_text('utf-8').splitlines()[4:]
        (said,) = re.findall('<desc .*?>(.*)</desc>', path.read_text('utf-8'))
        for step in steps:
            assert step.rpartition(': ')[2] in said
