"""
The code blocks of the documentation, and which test executes which.

A test says so with :func:`executes` and is handed the block::

    @executes('howto/audit.rst', 'python', 'def note_end')
    def test_audit_tells_who_has_ended_a_session(block, recipe):
        module = recipe(block)

``test_every_block.py`` fails for each block that no test executes.
"""

from __future__ import annotations

import functools
import pathlib
import re
import textwrap
from typing import NamedTuple

import pytest

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / 'docs'

#: What an ini file has where everybody is to put a secret of their own.
PLACEHOLDER = 'change-me-to-32-random-characters-or-more'

#: What is only looked at: output, or how something is written.
SHOWN = 'text'

# the blocks that tests execute, filled while their modules are imported
EXECUTED = set()

TITLE = r'^(?P<title>\S.*)\n(?P<line>[=~^"-])(?P=line)+\n'
DIRECTIVE = (
    r'^(?P<indent> *)\.\. code-block:: *(?P<language>\S*)\n'
    r'(?:(?P=indent) +:.*\n)*'
)
# a paragraph that ends in two colons, and is no directive
LITERAL = r'^(?P<before> *)(?!\.\. |\s).*::\n'
ITEM = re.compile(rf'{TITLE}|(?:{DIRECTIVE}|{LITERAL})', re.MULTILINE)


class Block(NamedTuple):
    """One code block of a page; ``number`` counts those of its page."""

    page: str
    number: int
    language: str
    heading: str
    text: str

    def __str__(self):
        first, *_ = self.text.splitlines()
        return f'{self.page}, {self.heading!r}, {self.language}: {first}'


def parse(page, text):
    """Return the blocks of a page; a literal block has no language."""
    heading, found = '', []
    for item in ITEM.finditer(text):
        if item['title']:
            heading = item['title']
            continue
        indent = item['indent'] or item['before'] or ''
        body = re.compile(rf'\n*((?:{indent} +\S.*\n|\s*\n)+)')
        content = body.match(text, item.end())
        if content is None:
            raise ValueError(f'{page}: nothing is below {item[0]!r}')
        code = textwrap.dedent(content[1]).strip('\n') + '\n'
        language = item['language'] or ''
        found.append(Block(page, len(found) + 1, language, heading, code))
    return found


@functools.cache
def pages():
    """Return the pages of the documentation, by name."""
    folders = {ROOT: ROOT.glob('*.rst'), DOCS: DOCS.rglob('*.rst')}
    return {
        page.relative_to(folder).as_posix(): page
        for folder, found in folders.items()
        for page in sorted(found)
        if '_build' not in page.parts
    }


@functools.cache
def blocks():
    """Return all blocks, page by page."""
    return [
        block
        for name, page in pages().items()
        for block in parse(name, page.read_text('utf-8'))
    ]


def block(page, language, word):
    """
    Return the one block of a page that has a word in it.

    :raises LookupError: there is none, or more than one.
    """
    found = [
        block
        for block in blocks()
        if (block.page, block.language) == (page, language)
        and word in block.text
    ]
    if len(found) != 1:
        number = 'more than one block' if found else 'no block'
        raise LookupError(f'{page} has {number} of {language} with {word!r}')
    return found[0]


def executes(page, language, word):
    """
    Mark a test that executes a block; it is handed it as ``block``.

    With several of these decorators the test has ``blocks``, from the top.
    """
    found = block(page, language, word)

    def mark(test):
        EXECUTED.add(found)
        return pytest.mark.executes(found)(test)

    return mark


def executes_each(language, *chosen):
    """
    Mark a test that executes blocks one by one; it is handed ``block``.

    :param chosen: page and word of each; those of all pages without it.
    """
    if chosen:
        found = [block(page, language, word) for page, word in chosen]
    else:
        found = [block for block in blocks() if block.language == language]
    EXECUTED.update(found)
    return pytest.mark.parametrize(
        'block', found, ids=[f'{b.page}-{b.number}' for b in found]
    )


def given(item):
    """Return the blocks that a test was marked with, from the top."""
    # the decorator at the bottom was the first to be applied
    return [mark.args[0] for mark in item.iter_markers('executes')][::-1]
