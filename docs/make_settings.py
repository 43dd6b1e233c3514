"""
Write docs/settings.rst and docs/foreign.txt from the tables of the settings.

Run it after each change of them: ``python docs/make_settings.py``.
"""

from pathlib import Path

from pyramid_mysql_session.settings import foreign
from pyramid_mysql_session.settings.manual import as_rst

PAGE = Path(__file__).with_name('settings.rst')
FOREIGN = Path(__file__).with_name('foreign.txt')
HEAD = """\
.. made by docs/make_settings.py of pyramid_mysql_session/settings/table.py

Settings
========

Each setting with what it may be, its default, and a line of an ini file. One
is required, ``mysql_session.secret``; and a user and a database, unless a pool
or an option file has them.

All times are whole seconds. Booleans are ``true`` or ``false``; ``yes``,
``on`` and ``1``, ``no``, ``off`` and ``0`` are understood, too. A setting
that is empty counts as not given. Several wrong settings are told in one
error. :doc:`configuration` says where settings are read from.

"""


def make_page() -> str:
    """Return the text of the page."""
    return HEAD + as_rst()


def make_foreign() -> str:
    """Return the text from which the manual takes each package's table."""
    return '.. made by docs/make_settings.py\n\n' + '\n'.join(
        f'.. {package.name}\n\n{foreign.as_rst(package)}\n'
        f'.. end of {package.name}\n'
        for package in foreign.PACKAGES
    )


if __name__ == '__main__':
    PAGE.write_text(make_page(), encoding='utf-8')
    FOREIGN.write_text(make_foreign(), encoding='utf-8')
