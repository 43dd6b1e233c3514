"""Says in one line what went wrong, and makes an exit code of it."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import SchemaError, SessionError, SettingsError
from ..store import access

#: Something is wrong, or was not done.
FAILED = 1
#: The settings cannot be used; argparse has the same for the command line.
MISUSED = 2


def open_streams() -> None:
    """Let what was closed, by ``>&-`` in a shell, lead nowhere."""
    # Python has None there, and the next connection might get its number
    for name, mode in (('stdin', 'r'), ('stdout', 'w'), ('stderr', 'w')):
        if getattr(sys, name) is None:
            # for as long as the process lives
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115


def exit_code_of(program: str, run: Callable[[], int]) -> int:
    """Do what a command does, and return its exit code."""

    def fail(*problems: str, code: int = FAILED) -> int:
        for problem in problems:
            print(f'{program}: {problem}', file=sys.stderr)
        return code

    if isinstance(sys.stdout, io.TextIOWrapper):
        # a user id may have any character, a terminal may not
        sys.stdout.reconfigure(errors='backslashreplace')
    try:
        code = run()
        sys.stdout.flush()
    except SettingsError as exc:
        return fail(*exc.problems, code=MISUSED)
    except SchemaError as exc:
        return fail(_summary(exc))
    except SessionError as exc:
        return fail(str(exc))
    except KeyboardInterrupt:
        return fail('interrupted')
    except OSError as exc:
        # what could not be written is not tried again at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(exc, BrokenPipeError):
            # whoever reads has enough
            return FAILED
        return fail(f'the output cannot be written: {exc.strerror}')
    return code


@contextmanager
def warnings_on_stderr(program: str, of_table: bool) -> Iterator[None]:
    """
    Show what the package logs as a warning, for as long as this runs.

    :param of_table: whether warnings of the check of the table are shown.
    """
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter(f'{program}: %(message)s'))
    if not of_table:
        handler.addFilter(lambda record: record.name != access.log.name)
    logger = logging.getLogger(__package__.partition('.')[0])
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def deviations(exc: SchemaError) -> list[str]:
    """Return what is wrong with the table, each in some words."""
    # it is a command that has set create_table, not the user
    return [
        'it is missing, or the user has no privilege on it'
        if each.startswith('it is missing')
        else each
        for each in exc.deviations
    ]


def _summary(exc: SchemaError) -> str:
    """Say in one line what is wrong with the table."""
    found = '; '.join(deviations(exc))
    return (
        f'{exc.table} cannot hold sessions: {found}. The command check says '
        'what mends it.'
    )
