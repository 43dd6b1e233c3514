"""The wings of the house, and what each of its rooms says of itself."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pyramid_mysql_session

PACKAGE = Path(pyramid_mysql_session.__file__).parent
MODULES = {
    str(path.relative_to(PACKAGE)): ast.parse(path.read_text('utf-8'))
    for path in sorted(PACKAGE.rglob('*.py'))
}
modules = pytest.mark.parametrize('module', MODULES)


def test_imports_keep_the_contracts_of_setup_cfg():
    # it configures logging, which would reach other tests
    command = 'from importlinter.cli import lint_imports_command as run; run()'

    linted = subprocess.run(
        [sys.executable, '-c', command, '--no-cache'],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
    )

    assert linted.returncode == 0, linted.stdout + linted.stderr


# what an application need not install
OPTIONAL = {'cryptography', 'tqdm', 'ua_parser'}


@modules
def test_module_imports_nothing_inside_a_function(module):
    functions = [
        node
        for node in ast.walk(MODULES[module])
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]

    assert not [
        function.name
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and _package(node) not in OPTIONAL
    ]


def _package(node):
    name = node.names[0].name if isinstance(node, ast.Import) else node.module
    return (name or '').partition('.')[0]


@modules
def test_module_says_in_one_sentence_what_it_is_for(module):
    sentence = ast.get_docstring(MODULES[module]).split('\n\n')[0]

    assert '. ' not in sentence
    assert sentence.endswith('.')


@modules
def test_class_inherits_from_none_of_its_own_wing(module):
    # errors are what callers catch, and a lock time-out is one more of them
    if Path(module).name == 'errors.py':
        return
    ours = {
        node.name
        for path, tree in MODULES.items()
        if Path(path).parent == Path(module).parent
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }

    assert not [
        node.name
        for node in ast.walk(MODULES[module])
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name) and base.id in ours
    ]
