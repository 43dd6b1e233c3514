"""Modules of the manual's shop, made of its code blocks."""

from __future__ import annotations

import importlib
import re
import sys

import pytest


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """
    Call it with a block that is a module of the shop, for that module.

    The block's first line says where it is: ``# shop/old.py``.

    :param changes: texts in the block, each with what stands for it here: a
        place of this machine for one of the manual's.
    """

    def add(block, changes=()):
        text = block.text
        name = re.match(r'# shop/(\w+)\.py', text)[1]
        for there, here in dict(changes).items():
            assert text.count(there) == 1
            text = text.replace(there, here)
        (folder / f'{name}.py').write_text(text, 'utf-8')
        importlib.invalidate_caches()
        sys.modules.pop(f'shop.{name}', None)
        return importlib.import_module(f'shop.{name}')

    folder = tmp_path / 'shop'
    folder.mkdir()
    (folder / '__init__.py').touch()
    monkeypatch.syspath_prepend(tmp_path)
    # one may be written twice in a second
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    with_others = dict(sys.modules)
    forget()
    yield add
    forget()
    sys.modules.update(
        (name, module)
        for name, module in with_others.items()
        if is_of_the_shop(name)
    )


def forget():
    for name in filter(is_of_the_shop, list(sys.modules)):
        del sys.modules[name]


def is_of_the_shop(name):
    return name.partition('.')[0] == 'shop'
