"""
Write docs/settings.rst from the table of the settings.

Run it after each change of that table: ``python docs/make_settings.py``.
"""

from pathlib import Path

from pyramid_mysql_session.settings.table import as_rst

PAGE = Path(__file__).with_name('settings.rst')
HEAD = """\
.. made by docs/make_settings.py of pyramid_mysql_session/settings/table.py

Settings
========

All times are whole seconds. Booleans are ``true`` or ``false``; ``yes``,
``on`` and ``1``, ``no``, ``off`` and ``0`` are understood, too. A setting
that is empty counts as not given. Several wrong settings are told in one
error.

"""


def make_page() -> str:
    """Return the text of the page."""
    return HEAD + as_rst()


if __name__ == '__main__':
    PAGE.write_text(make_page(), encoding='utf-8')
