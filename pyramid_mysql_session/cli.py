"""Reads the command line."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from importlib.metadata import version
from typing import Any

from .commands import ending, listing, purging, table
from .commands.configured import make_factory, read_settings
from .commands.failing import exit_code_of, open_streams, warnings_on_stderr

PROGRAM = 'pyramid-mysql-session'

_EPILOG = """\
examples:
  {0} production.ini check
  {0} production.ini#shop purge
  {0} production.ini -o mysql_session.host=db2 stats

exit codes:
  0  done
  1  something is wrong, or was not done
  2  wrong usage, or settings that cannot be used

"{0} CONFIG_URI COMMAND --help" tells more of a command.
"""
_STYLE: Any = {
    'formatter_class': argparse.RawDescriptionHelpFormatter,
    # what ends sessions is spelt out
    'allow_abbrev': False,
}


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run a command, and return its exit code.

    :param argv: what follows the name of the program; by default that of
        this process.
    :raises SystemExit: after ``--help`` and ``--version``, and with 2 if the
        command line is wrong.
    """
    open_streams()
    parser = _make_parser()
    options = parser.parse_args(argv)
    if options.asks and not (options.yes or sys.stdin.isatty()):
        parser.error('there is no terminal to ask on: --yes is needed')
    # the check prints those of the table itself
    with warnings_on_stderr(
        PROGRAM, of_table=options.run not in (_init, _check)
    ):
        return exit_code_of(PROGRAM, partial(_run, options))


def _run(options: argparse.Namespace) -> int:
    settings = read_settings(
        options.config_uri, dict(options.given + options.given_later)
    )
    with closing(make_factory(settings)) as factory:
        code: int = options.run(factory.store, options, settings)
    return code


def _init(store: Any, options: argparse.Namespace, settings: Any) -> int:
    if options.run_it:
        return table.make(store)
    return table.show_setup(store, settings)


def _check(store: Any, options: argparse.Namespace, settings: Any) -> int:
    return table.check(store)


def _purge(store: Any, options: argparse.Namespace, settings: Any) -> int:
    if options.dry_run:
        return purging.count_dead(store)
    return purging.purge(store, options.max_seconds)


def _stats(store: Any, options: argparse.Namespace, settings: Any) -> int:
    return listing.show_stats(store, options.json)


def _list(store: Any, options: argparse.Namespace, settings: Any) -> int:
    return listing.list_sessions(
        store, options.user, options.limit, options.json
    )


def _end(store: Any, options: argparse.Namespace, settings: Any) -> int:
    if options.all:
        return ending.end_all(store, options.yes)
    if options.user is not None:
        return ending.end_of_user(store, options.user, options.yes)
    return ending.end_one(store, options.handle, options.yes)


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=textwrap.fill(
            'Look after the sessions that pyramid_mysql_session keeps for an '
            'application. Only its settings are read: the application itself '
            'is not made.'
        ),
        epilog=_EPILOG.format(PROGRAM),
        **_STYLE,
    )
    parser.add_argument(
        '--version', action='version', version=f'%(prog)s {version(PROGRAM)}'
    )
    parser.set_defaults(asks=False, yes=False)
    _add_given(parser, 'given')
    parser.add_argument(
        'config_uri',
        metavar='CONFIG_URI',
        help='what pserve takes: production.ini, or production.ini#NAME for '
        'its section [app:NAME]',
    )
    commands = parser.add_subparsers(
        title='commands', metavar='COMMAND', required=True
    )

    def add(
        run: Callable[..., int], does: str, more: str, *examples: str
    ) -> argparse.ArgumentParser:
        name = run.__name__.strip('_')
        lines = [f'  {PROGRAM} production.ini {each}' for each in examples]
        command = commands.add_parser(
            name,
            help=does,
            description=textwrap.fill(f'{does[0].upper()}{does[1:]}. {more}'),
            epilog='\n'.join(['examples:', *lines]),
            **_STYLE,
        )
        command.set_defaults(run=run)
        _add_given(command, 'given_later')
        return command

    command = add(
        _init,
        'print the SQL that makes database, user and table',
        'The user gets no more privileges than are needed. Nothing is '
        'connected, and nothing of it is done without --run.',
        'init',
        'init --run',
    )
    command.add_argument(
        '--run',
        dest='run_it',
        action='store_true',
        help='create the table, unless it is there, and check it',
    )
    add(
        _check,
        'compare the table and the server with what sessions need',
        'Nothing is changed. Each ALTER TABLE that is printed loses no data.',
        'check',
    )
    command = add(
        _purge,
        'delete the expired sessions',
        'They are deleted in batches of mysql_session.purge_batch. Ctrl-C '
        'ends it after a batch.',
        'purge',
        'purge --max-seconds 60 -o mysql_session.purge_batch=2000',
    )
    command.add_argument(
        '--max-seconds',
        type=_above_0,
        metavar='N',
        help='stop after the batch that ends after so many seconds',
    )
    command.add_argument(
        '--dry-run',
        action='store_true',
        help='tell how many have expired, and delete nothing',
    )
    command = add(
        _stats,
        'count the sessions',
        'In a large table numbers above a million are estimates.',
        'stats',
        'stats --json | jq .live',
    )
    _add_json(command)
    command = add(
        _list,
        'list live sessions, the newest first',
        'A handle names a session and opens nothing.',
        'list --limit 20',
        'list --user ada --json',
    )
    command.add_argument('--user', metavar='U', help='those of one user')
    command.add_argument(
        '--limit',
        type=_above_0,
        default=100,
        metavar='N',
        help='so many at most (%(default)s)',
    )
    _add_json(command)
    command = add(
        _end,
        'end sessions',
        'Who has one is logged out at the next request.',
        'end --user ada',
        'end --yes --handle 6b0656f00f77f2822c564c1cc71d4a3f',
    )
    command.set_defaults(asks=True)
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument('--user', metavar='U', help='all of one user')
    which.add_argument(
        '--handle', type=str.lower, metavar='H', help='one, as listed'
    )
    which.add_argument('--all', action='store_true', help='all there are')
    command.add_argument('--yes', action='store_true', help='do not ask')
    return parser


def _add_given(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument(
        '-o',
        dest=name,
        action='append',
        default=[],
        type=_assignment,
        metavar='NAME=VALUE',
        help='a setting, such as mysql_session.host, instead of that of the '
        'file, or a variable of the file; may be given again',
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--json', action='store_true', help='print one JSON document'
    )


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition('=')
    if not (name and equals):
        # the text may be a password
        raise argparse.ArgumentTypeError('expected NAME=VALUE')
    return name, value


def _above_0(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError('expected a whole number above 0')
    return int(text)
