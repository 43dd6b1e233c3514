"""How Sphinx makes the manual; nothing here needs the internet."""

import re
from importlib.metadata import version as installed_version
from inspect import cleandoc

from zope.interface.interface import Method

from pyramid_mysql_session import IMySQLSessionStore

project = 'pyramid_mysql_session'
release = version = installed_version('pyramid-mysql-session')

extensions = ['sphinx.ext.autodoc']
exclude_patterns = ['_build', 'demo']
default_role = 'any'
nitpick_ignore = [
    # of Python's manual, which is not here
    ('py:mod', 'json'),
    # of Pyramid's
    ('py:exc', 'pyramid.exceptions.ConfigurationExecutionError'),
]

html_theme = 'furo'
html_title = 'Pyramid sessions in MySQL'
html_show_copyright = False

autodoc_typehints = 'none'
autodoc_member_order = 'bysource'


def promise(name):
    """Return what the store's interface says of a method, if it is one."""
    _, _, found = name.rpartition('.MySQLSessionStore.')
    said = IMySQLSessionStore.get(found)
    return said if isinstance(said, Method) else None


def show_promise(app, what, name, obj, options, lines):
    """Let the store's methods say what they promise."""
    if promise(name):
        lines[:] = cleandoc(promise(name).__doc__).splitlines()


def show_arguments(app, what, name, obj, options, arguments, returns):
    """Show no arguments of classes: whoever reads this makes no instance."""
    if arguments and what in ('class', 'exception'):
        arguments = ''
    elif promise(name):
        arguments = promise(name).getSignatureString()
    return arguments, returns


def lead_to_pages(app, path, docname, content):
    """Let links of files beside the manual lead to its pages."""
    content[0] = re.sub(
        r'`([^`<]+) <docs/([\w/-]+)\.rst>`_', r':doc:`\1 </\2>`', content[0]
    )


def setup(app):
    app.connect('include-read', lead_to_pages)
    app.connect('autodoc-process-docstring', show_promise)
    app.connect('autodoc-process-signature', show_arguments)
