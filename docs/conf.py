"""How Sphinx makes the manual; nothing here needs the internet."""

import re
import zlib
from importlib.metadata import version as installed_version
from inspect import cleandoc
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from zope.interface.interface import Method

from pyramid_mysql_session import IMySQLSessionStore, events
from pyramid_mysql_session.settings.table import PREFIX, SETTINGS

NAMES = {setting.name for setting in SETTINGS}
# where files beside the manual find it
PUBLISHED = 'https://pyramid-mysql-session.readthedocs.io/en/latest/'
# what holds the name of a setting without leading to it
STAYING = (nodes.term, nodes.title, nodes.line)

project = 'pyramid_mysql_session'
release = version = installed_version('pyramid-mysql-session')

extensions = ['sphinx.ext.autodoc', 'sphinx.ext.intersphinx']
exclude_patterns = ['_build', 'demo']
default_role = 'any'
# what the manual links to elsewhere: address, and then name, role and place
INVENTORIES = Path(__file__).parent.glob('inventories/*.txt')

html_theme = 'furo'
html_title = 'Pyramid sessions in MySQL'
html_show_copyright = False
html_static_path = ['_static']
html_css_files = ['manual.css']

autodoc_typehints = 'signature'
python_use_unqualified_type_names = True
autodoc_preserve_defaults = True
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
    """Show no arguments of classes but of events: they are attributes."""
    if what in ('class', 'exception') and obj.__module__ != events.__name__:
        arguments = arguments and ''
    return arguments, returns


def pack_inventories(app, config):
    """Write the inventories as Sphinx reads them; none is downloaded."""
    for text in INVENTORIES:
        address, *lines = text.read_text('utf-8').splitlines()
        entries = '\n'.join(
            '{} {} 1 {} -'.format(*line.split()) for line in lines
        )
        packed = Path(app.doctreedir, f'{text.stem}.inv')
        packed.parent.mkdir(parents=True, exist_ok=True)
        packed.write_bytes(
            f'# Sphinx inventory version 2\n# Project: {text.stem}\n'
            '# Version: \n# The remainder of this file is compressed using '
            'zlib.\n'.encode()
            + zlib.compress(f'{entries}\n'.encode())
        )
        config.intersphinx_mapping[text.stem] = (address, str(packed))


def lead_to_pages(app, path, docname, content):
    """Let links of files beside the manual lead to its pages."""
    content[0] = re.sub(
        rf'`([^`<]+)\s<{PUBLISHED}([\w/-]+)\.html>`_',
        r':doc:`\1 </\2>`',
        content[0],
    )


def name_settings(app, doctree):
    """Give each setting a place that other manuals can link to, too."""
    if app.env.docname != 'settings':
        return
    for term in doctree.findall(nodes.term):
        name = term.astext()
        anchor = nodes.make_id(name)
        term['ids'].append(anchor)
        app.env.domains['std'].note_object('setting', name, anchor, term)
        term += nodes.reference(
            '', '¶', refid=anchor, classes=['headerlink'], internal=True
        )


def link_settings(app, doctree):
    """Let each mention of a setting lead to it."""
    for literal in doctree.findall(nodes.literal):
        name = literal.astext().partition(' = ')[0]
        known = name.startswith(PREFIX) and name.removeprefix(PREFIX) in NAMES
        if known and not isinstance(literal.parent, STAYING):
            link = addnodes.pending_xref(
                refdomain='std',
                reftype='setting',
                reftarget=name,
                refdoc=app.env.docname,
            )
            literal.replace_self(link)
            link += literal


def draw_inline(app, doctree, docname):
    """Put diagrams into the page, where they have the colours of its text."""
    if app.builder.format != 'html':
        return
    for image in doctree.findall(nodes.image):
        if image['uri'].startswith('diagrams/'):
            drawing = Path(app.srcdir, image['uri']).read_text('utf-8')
            drawing = re.sub('<style>.*?</style>', '', drawing, flags=re.S)
            frame = f'<div class="diagram">{drawing}</div>'
            image.replace_self(nodes.raw('', frame, format='html'))


def setup(app):
    app.connect('doctree-resolved', draw_inline)
    app.connect('config-inited', pack_inventories)
    app.add_object_type('setting', 'setting')
    app.connect('doctree-read', name_settings)
    app.connect('doctree-read', link_settings)
    app.connect('include-read', lead_to_pages)
    app.connect('autodoc-process-docstring', show_promise)
    app.connect('autodoc-process-signature', show_arguments)
