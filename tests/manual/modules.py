"""Modules of the shop that code blocks of the manual are."""

import importlib
import re
import sys

import pytest


@pytest.fixture
def shop_module(package, monkeypatch):
    """
    Call it with a block that is a module of the shop, for that module.

    Its first line says which one: ``# shop/old.py``.

    :param changes: texts in the block, each with what stands for it here: a
        place of this machine for one of the manual's.
    """

    def make(block, changes=()):
        text = block.text
        name = re.match(r'# shop/(\w+)\.py\n', text)[1]
        for there, here in dict(changes).items():
            assert text.count(there) == 1
            text = text.replace(there, here)
        (package / f'{name}.py').write_text(text, 'utf-8')
        importlib.invalidate_caches()
        # an earlier one of that name
        sys.modules.pop(f'shop.{name}', None)
        return importlib.import_module(f'shop.{name}')

    # one may be written twice in a second
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    # the demo's, if its tests came before
    for name in [name for name in sys.modules if name.split('.')[0] == 'shop']:
        monkeypatch.delitem(sys.modules, name)
    return make
