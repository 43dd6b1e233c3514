"""Runs the command line on the database of a test."""

import contextlib
import pathlib
import subprocess
import sys
from typing import NamedTuple

from pyramid_mysql_session.cli import main

ROOT = pathlib.Path(__file__).parents[2]
# Pyramid itself uses what setuptools warns of
QUIET = '-Wignore:pkg_resources is deprecated:UserWarning'

#: What :func:`get_pool` returns.
POOLS = []


def never_made(global_config, **settings):
    """Stand for an application that cannot be started."""
    raise AssertionError('the application was made')


def get_pool():
    """Return the pool that a setting names by this function's name."""
    return POOLS[-1]


class Result(NamedTuple):
    """What a command returned and printed."""

    code: int
    out: str
    err: str


class CommandLine:
    """
    The command line of an application, and its configuration file.

    :param settings: of the application, with their prefix.
    """

    def __init__(self, folder, settings, capsys):
        self.path = folder / 'production.ini'
        self._capsys = capsys
        self.write(settings)

    def write(self, settings):
        """Write the configuration file anew."""
        lines = [
            '[app:main]',
            f'use = call:{__name__}:never_made',
            *(
                f'{name} = {str(value).replace("%", "%%")}'
                for name, value in settings.items()
            ),
        ]
        self.path.write_text('\n'.join(lines), 'utf-8')

    def __call__(self, *arguments):
        """Run a command in this process."""
        self._capsys.readouterr()
        code = main([str(self.path), *map(str, arguments)])
        return Result(code, *self._capsys.readouterr())

    @contextlib.contextmanager
    def process(self, *arguments, **options):
        """Run a command in a process of its own."""
        process = subprocess.Popen(
            [
                *(sys.executable, QUIET, '-m', 'pyramid_mysql_session'),
                *(str(self.path), *map(str, arguments)),
            ],
            cwd=ROOT,
            text=True,
            **{
                'stdin': subprocess.DEVNULL,
                'stdout': subprocess.PIPE,
                'stderr': subprocess.PIPE,
                **options,
            },
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def run(self, *arguments, **options):
        """Run a command in a process of its own, to its end."""
        with self.process(*arguments, **options) as process:
            out, err = process.communicate(timeout=60)
            return Result(process.returncode, out, err)
