"""Writes names and texts as SQL."""

from __future__ import annotations


def quoted(name: str) -> str:
    """Quote an identifier (MySQL manual section 11.2)."""
    return '`' + name.replace('`', '``') + '`'


def text(value: str | bytes) -> str:
    """Return text that the driver may have left undecoded."""
    return value.decode('utf-8') if isinstance(value, bytes) else value


def text_literal(value: str) -> str:
    """Return SQL for some text."""
    # hexadecimal needs no escaping in any sql_mode and character set
    return f"_utf8mb4 x'{value.encode('utf-8').hex()}'"
