"""Every code block of the documentation is executed by some test."""

import importlib
import pathlib

import pytest

from tests.manual.blocks import EXECUTED, SHOWN, block, blocks, parse

#: Page, language and word of each block that no test executes, and why.
REASONS = {}


def executed():
    """Return what the tests of this folder say that they execute."""
    for module in sorted(pathlib.Path(__file__).parent.glob('test_*.py')):
        importlib.import_module(f'{__package__}.{module.stem}')
    return EXECUTED


def test_every_block_is_executed():
    excused = {block(*which) for which in REASONS}
    done = executed() | excused

    missing = [
        str(block)
        for block in blocks()
        if block.language != SHOWN and block not in done
    ]

    if missing:
        pytest.fail('\n'.join(['no test executes', *missing]))


def test_blocks_that_are_executed_need_no_reason():
    for which in REASONS:
        assert block(*which) not in executed()


def test_every_block_names_its_language():
    assert not [str(block) for block in blocks() if not block.language]


def test_blocks_are_found_wherever_they_stand():
    text = """\
Page
====

Literally::

    some

      text

.. code-block:: sh
    :caption: what it does

    run this

Part
----

1. In a list:

   .. code-block:: sql

       DO 1;
       DO 2;

   The end.

Text: ::

  last
"""

    assert parse('page.rst', text) == [
        ('page.rst', 1, '', 'Page', 'some\n\n  text\n'),
        ('page.rst', 2, 'sh', 'Page', 'run this\n'),
        ('page.rst', 3, 'sql', 'Part', 'DO 1;\nDO 2;\n'),
        ('page.rst', 4, '', 'Part', 'last\n'),
    ]
