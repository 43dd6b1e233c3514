"""Runs the command line: ``python -m pyramid_mysql_session``."""

import sys

from .cli import main

sys.exit(main())
