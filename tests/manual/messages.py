"""
The texts of all errors and warnings that the package has, from its source.

A value that a text shows is written as an ellipsis.
"""

from __future__ import annotations

import ast
import functools
import pathlib
import re
from typing import NamedTuple

import pyramid_mysql_session
from pyramid_mysql_session import errors

PACKAGE = pathlib.Path(pyramid_mysql_session.__file__).parent

#: Whose first argument is a text.
CLASSES = {
    *(name for name in vars(errors) if name[0].isupper()),
    *('LookupError', 'TypeError', 'ValueError'),
    *('ArgumentTypeError', 'Meaning'),
}
#: Methods whose first argument is one: of loggers, and of what a check finds.
METHODS = {
    *('warning', 'error', 'exception', 'critical', 'wrong', 'poor'),
    # of the exceptions themselves
    '__init__',
}
#: What makes a text of its own of the path and the problem.
PATHS = {'PayloadNotSerializable'}
#: Functions that return a text, by module, and names that stand for some.
RETURNING = {
    'settings/table': re.compile(r'_\w+'),
    'settings/foreign': re.compile('renamed|_shown'),
    'session/serializers': re.compile('_culprit|_key_problem'),
    'commands/configured': re.compile('_without_values'),
}
#: What others put in front of all texts of a module.
BEFORE = {'settings/converters': 'expected '}
NAMES = {
    'deviation',
    'deviations',
    'problem',
    'problems',
    '_RESERVED',
    '_LATE',
    'expected',
    'loss',
    'losses',
}


class Message(NamedTuple):
    """A text, and where it stands."""

    module: str
    line: int
    text: str

    def __str__(self):
        return f'{self.module}.py, line {self.line}: {self.text}'


@functools.cache
def messages():
    """Return all of them."""
    return [
        message
        for path in sorted(PACKAGE.rglob('*.py'))
        for message in _of_module(path)
    ]


def _of_module(path):
    module = path.relative_to(PACKAGE).with_suffix('').as_posix()
    tree = ast.parse(path.read_text('utf-8'))
    before = BEFORE.get(module, '')
    returning = RETURNING.get(module)
    found = {}
    for node in ast.walk(tree):
        for value in _values(node, returning):
            for text in _texts(value):
                # what is no more than a word is part of another text
                if re.search(r'[a-z]{2}.* [A-Za-z]{2}', text, re.DOTALL):
                    text = (before + text).strip('… ;,:')
                    found[text] = Message(module, value.lineno, text)
    return found.values()


def _values(node, returning):
    if isinstance(node, ast.Call):
        name = _name(node.func)
        if name in PATHS:
            yield from node.args[1:2]
        elif name in CLASSES or (
            name in METHODS and isinstance(node.func, ast.Attribute)
        ):
            yield from (
                node.args[1:2] if name == 'SchemaError' else node.args[:1]
            )
        elif name == 'append' and _name(node.func.value) in NAMES:
            yield from node.args
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if _name(target) in NAMES or (
                isinstance(target, ast.Tuple)
                and _name(target.elts[0]) in NAMES
            ):
                yield node.value
    elif isinstance(node, ast.AugAssign):
        if _name(node.target) in NAMES:
            yield node.value
    elif isinstance(node, ast.FunctionDef) and (
        returning and returning.fullmatch(node.name)
    ):
        for inner in ast.walk(node):
            if isinstance(inner, ast.Return) and inner.value is not None:
                yield inner.value


def _name(node):
    if isinstance(node, ast.Attribute):
        return node.attr
    return getattr(node, 'id', '')


def _texts(node):
    """Return the texts that an expression can be, if it is one."""
    if isinstance(node, ast.Constant):
        return [_template(node.value)] if isinstance(node.value, str) else []
    if isinstance(node, ast.JoinedStr):
        return [
            _template(
                ''.join(
                    part.value if isinstance(part, ast.Constant) else '…'
                    for part in node.values
                )
            )
        ]
    if isinstance(node, (ast.List, ast.Tuple)):
        return [text for each in node.elts for text in _texts(each)]
    if isinstance(node, ast.Dict):
        return [text for each in node.values for text in _texts(each)]
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body), *_texts(node.orelse)]
    if isinstance(node, ast.BinOp):
        return [*_texts(node.left), *_texts(node.right)]
    if isinstance(node, (ast.ListComp, ast.GeneratorExp)):
        return _texts(node.elt)
    if isinstance(node, ast.Call) and _name(node.func) == 'partial':
        return []
    return []


def _template(text):
    """Write an ellipsis for each place of a value, and for several at once."""
    text = re.sub(r'%[sd]|\{[^{}]*\}', '…', text)
    return re.sub(r'…(?:\W?…)+', '…', text)
