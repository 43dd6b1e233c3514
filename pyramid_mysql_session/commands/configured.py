"""Reads the settings of an application, without making the application."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from typing import Any

from pyramid.paster import get_appsettings

from ..errors import SettingsError
from ..settings.table import PREFIX
from ..web.factory import MySQLSessionFactory, session_factory_from_settings


def read_settings(uri: str, given: Mapping[str, str]) -> dict[str, Any]:
    """
    Return the settings of an application that are ours.

    :param uri: what ``pserve`` takes: ``production.ini#shop``.
    :param given: settings of ours, which replace those of the file, and
        variables of the file.
    :raises pyramid_mysql_session.SettingsError: they cannot be read; no
        value is shown.
    """
    ours = {name: value for name, value in given.items() if _is_ours(name)}
    variables = {
        name: value for name, value in given.items() if name not in ours
    }
    try:
        found = get_appsettings(uri, options=variables)
    except configparser.Error as exc:
        raise SettingsError([f'{uri}: {_without_values(exc)}']) from exc
    except (ImportError, LookupError, OSError, ValueError) as exc:
        raise SettingsError([f'{uri}: {_text(exc)}']) from exc
    # to know its settings, the package of the application is imported, which
    # may raise anything
    except Exception as exc:
        raise SettingsError(
            [f'{uri}: the application raised {_kind(exc)} on its import']
        ) from exc
    settings = {name: found[name] for name in found if _is_ours(name)}
    if not settings and not ours:
        raise SettingsError(
            [
                f'{uri}: no setting begins with {PREFIX[:-1]}: name the '
                'section of the application, if it is another: '
                f'{uri.split("#")[0]}#NAME'
            ]
        )
    return settings | ours


def make_factory(settings: Mapping[str, Any]) -> MySQLSessionFactory:
    """
    Make a session factory, which neither connects nor creates a table.

    :raises pyramid_mysql_session.SettingsError: lists every problem.
    """
    try:
        return session_factory_from_settings(
            {
                **settings,
                f'{PREFIX}create_table': False,
                f'{PREFIX}check_at_start': False,
            }
        )
    except SettingsError:
        raise
    # what the settings name is anybody's code
    except Exception as exc:
        raise SettingsError(
            [f'what the settings of {PREFIX}* name raised {_kind(exc)}']
        ) from exc


def _is_ours(name: str) -> bool:
    return name.startswith(PREFIX)


def _without_values(exc: configparser.Error) -> str:
    """Say what is wrong with a file; its values may be passwords."""
    if isinstance(exc, configparser.InterpolationError):
        return (
            f'{exc.option} in [{exc.section}]: expected %(name)s of a '
            'variable that is there (see -o), and %% for a percent sign'
        )
    if isinstance(exc, configparser.MissingSectionHeaderError):
        return f'line {exc.lineno}: expected a section, such as [app:main]'
    if isinstance(exc, configparser.ParsingError):
        lines = ', '.join(str(number) for number, _ in exc.errors)
        return f'line {lines}: expected name = value'
    return _text(exc)


def _text(exc: Exception) -> str:
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    # the str() of a KeyError is a repr()
    return ' '.join(str(exc).split()) or _kind(exc)


def _kind(exc: Exception) -> str:
    """Name an error of somebody else's code, whose text may have secrets."""
    return type(exc).__name__
