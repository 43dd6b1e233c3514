"""
Serve development.ini, whose variables run.sh has put into the environment.

A secret or a password on a command line could be read by everybody on the
machine.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyramid.scripts import pserve

INI = Path(__file__).with_name('development.ini')
NAMES = (
    *('HTTP_PORT', 'SECRET', 'DB_SOCKET', 'DB_HOST', 'DB_PORT', 'DB_USER'),
    *('DB_PASS', 'DB_NAME'),
)


def main() -> int | None:
    """Serve until told to end."""
    variables = [
        # in an ini file, a % is written twice
        f'{name.lower()}={os.environ[name].replace("%", "%%")}'
        for name in NAMES
    ]
    return pserve.main(['pserve', str(INI), *variables])


if __name__ == '__main__':
    sys.exit(main())
