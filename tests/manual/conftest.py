"""What the tests of the documentation's code blocks share."""

import importlib.util
import sys

import pytest

from tests.functional.conftest import app, make_app, serve
from tests.manual.blocks import given

__all__ = ['app', 'make_app', 'serve']


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker('executes'):
            # who is not handed a block cannot execute it
            assert 'blocks' in item.fixturenames, item.nodeid


@pytest.fixture
def blocks(request):
    """The blocks that the test was marked with, from the top."""
    return given(request.node)


@pytest.fixture
def block(blocks):
    """The block that the test was marked with."""
    (block,) = blocks
    return block


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Call it with a block of Python for the module that it is."""

    def make(block):
        name = f'recipe_{block.number}'
        path = tmp_path / f'{name}.py'
        path.write_text(block.text, 'utf-8')
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return make
