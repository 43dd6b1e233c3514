"""Imports go down the table of layers, never up."""

import ast
from pathlib import Path

import pytest

import pyramid_mysql_session

PACKAGE = Path(pyramid_mysql_session.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob('*.py'))

# module -> what it may import of the package, from the bottom to the top
LAYERS = {
    'errors': '',
    'events': '',
    'interfaces': '',
    'merge': '',
    'revisions': '',
    'serializers': 'errors',
    'identity': '',
    'driver_errors': 'errors',
    'driver': 'driver_errors errors',
    'converters': 'serializers',
    'settings': 'converters errors',
    'forks': 'driver',
    'pool': 'driver driver_errors errors forks',
    'schema': 'driver errors',
    'purging': 'driver pool schema',
    'maintenance': 'driver errors pool purging schema',
    'store': 'driver errors interfaces maintenance revisions schema',
    'state': 'errors merge serializers',
    'saving': 'errors serializers state',
    'session': 'merge saving state',
    'reaper': 'errors',
    'exchange': 'errors events identity session state',
}
LAYERS['factory'] = ' '.join(LAYERS)
LAYERS['__init__'] = ' '.join(LAYERS)

# what only one module may import of others
EXCLUSIVE = {'MySQLdb': 'driver', 'dbutils': 'pool'}


def parse(module):
    return ast.parse((PACKAGE / f'{module}.py').read_text('utf-8'))


def imports(tree):
    """Return pairs of the dots before, and the names in, each import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name.split('.')[0]
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.level, node.module.split('.')[0]
            else:
                for alias in node.names:
                    yield node.level, alias.name


def test_table_has_every_module():
    assert sorted(LAYERS) == MODULES


def test_table_goes_down_only():
    below = set()
    for module, allowed in LAYERS.items():
        assert below.issuperset(allowed.split()), module
        below.add(module)


@pytest.mark.parametrize('module', MODULES)
def test_module_imports_what_its_layer_may(module):
    ours = {name for level, name in imports(parse(module)) if level}

    assert ours.issubset(LAYERS[module].split())


@pytest.mark.parametrize('module', MODULES)
def test_module_names_the_package_by_a_dot(module):
    # so that the test above sees all imports
    assert (0, PACKAGE.name) not in imports(parse(module))


@pytest.mark.parametrize(('library', 'module'), EXCLUSIVE.items())
def test_library_has_one_importer(library, module):
    importers = [
        name for name in MODULES if (0, library) in imports(parse(name))
    ]

    assert importers == [module]


@pytest.mark.parametrize('module', MODULES)
def test_module_imports_nothing_inside_a_function(module):
    functions = [
        node
        for node in ast.walk(parse(module))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]

    assert not [node.name for node in functions for _ in imports(node)]


@pytest.mark.parametrize('module', MODULES)
def test_module_says_what_it_is_for(module):
    assert ast.get_docstring(parse(module))
