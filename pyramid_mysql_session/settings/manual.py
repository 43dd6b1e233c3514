"""Writes the page of the manual that has all settings."""

from __future__ import annotations

import re
from typing import Any

from .table import PREFIX, REQUIRED, SETTINGS, Setting

#: Setting -> title of the part of the documentation that it begins.
PARTS = {
    'secret': 'Secret',
    'host': 'Server',
    'ssl_mode': 'Encrypted connections',
    'connect_timeout': 'Connections and their pool',
    'table_name': 'Table',
    'idle_timeout': 'Time-outs',
    'cookie_name': 'Cookie',
    'set_on_exception': 'Data',
    'userid_key': 'Users and devices',
    'purge_expired': 'Purging',
}


def as_rst() -> str:
    """Return the documentation of all settings as reStructuredText."""
    lines = []
    for setting in SETTINGS:
        if setting.name in PARTS:
            title = PARTS[setting.name]
            lines += [title, '-' * len(title), '']
        default = 'required'
        if setting.default is not REQUIRED:
            word = _ini_text(setting.default)
            default = f'``{word}``' if word else 'not set'
        lines += [
            f'``{PREFIX}{setting.name}``',
            f'    {setting.doc}',
            '',
            f'    | Value: {_expected(setting)}. Default: {default}.',
            f'    | ``{example(setting)}``',
            '',
        ]
    return '\n'.join(lines)


def example(setting: Setting) -> str:
    """Return a line of an ini file."""
    default = setting.default
    if isinstance(default, bool):
        # which nobody needs to write
        default = not default
    return f'{PREFIX}{setting.name} = {setting.example or _ini_text(default)}'


def _ini_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return '' if value in (None, ()) else str(value)


def _expected(setting: Setting) -> str:
    """Return what the message says of a value that is none."""
    for wrong in ('\0', object()):
        try:
            setting.convert(wrong)
        except ValueError as exc:
            # neither what was wrong with it, nor an example
            text = str(exc).partition(' (')[0]
            text = re.sub(', such as ("[^"]*"|[^,]+)', '', text)
            return re.sub(r'([*`|\\])', r'\\\1', text)
    raise AssertionError(setting.name)
