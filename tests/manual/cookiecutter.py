"""An ini file of the shape that Pyramid's cookiecutter makes."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager

import plaster

EXISTING = """\
[app:main]
use = call:shop:main

pyramid.reload_templates = true
pyramid.includes =
    pyramid_debugtoolbar

sqlalchemy.url = sqlite:///%(here)s/shop.sqlite

retry.attempts = 3

[pshell]
setup = shop.pshell.setup

[server:main]
use = egg:waitress#main
listen = localhost:6543

[loggers]
keys = root, shop

[handlers]
keys = console

[formatters]
keys = generic

[logger_root]
level = WARN
handlers = console

[logger_shop]
level = DEBUG
handlers =
qualname = shop

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic

[formatter_generic]
format = %(asctime)s %(levelname)-5.5s [%(name)s] %(message)s
"""


def merged(existing, block):
    """
    Return an ini file after somebody has put a block into it.

    Its lines go below the title of their section. What has a name that is
    there already takes its place; a section that is not there is added.
    """
    for section in re.split(r'^(?=\[)', block, flags=re.M)[1:]:
        title, *lines = section.strip().splitlines()
        if title not in existing:
            existing += f'\n{section}'
            continue
        begin, _, rest = existing.partition(f'{title}\n')
        old, bracket, others = rest.partition('\n[')
        for name in re.findall(r'^[\w.]+(?= *=)', section, re.M):
            old = re.sub(rf'^{name} *=.*\n(?: +\S.*\n)*', '', old, flags=re.M)
        new = '\n'.join(lines)
        existing = f'{begin}{title}\n{new}\n{old}{bracket}{others}'
    return existing


@contextmanager
def logging_as(path):
    """Log as an ini file says, as long as the block runs."""
    root, ours = logging.root, logging.getLogger('pyramid_mysql_session')
    loggers = root, ours
    before = [(each, each.level, each.handlers[:]) for each in loggers]
    plaster.setup_logging(str(path))
    try:
        yield
    finally:
        for logger, level, handlers in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers
        # it has switched off all that it does not name
        for logger in root.manager.loggerDict.values():
            logger.disabled = False
