"""
Find the database server programs of this machine and know their ways.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path


class ServerError(RuntimeError):
    """A server could not be found, started or stopped."""


def server_version(mysqld: str) -> tuple[str, str]:
    """
    Ask a server program what it is.

    :returns: the kind, ``'mariadb'`` or ``'mysql'``, and the version.
    :raises ServerError: the program does not run, or is no such server.
    """
    try:
        answer = subprocess.run(
            [mysqld, '--no-defaults', '--version'],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError) as exc:
        raise ServerError(f'{mysqld} --version failed: {exc}') from exc
    found = re.search(r'Ver (\d\S+)', answer)
    if not found:
        raise ServerError(f'{mysqld} is no database server: {answer.strip()}')
    return 'mariadb' if 'MariaDB' in answer else 'mysql', found[1]


def find_servers() -> dict[str, str]:
    """
    Find the server programs of this machine.

    Looked at, in this order: the one that the environment variable ``MYSQLD``
    names, ``mariadbd`` and ``mysqld`` on the ``PATH`` and where Debian keeps
    them, and ``~/.cache/mysql-server/bin/mysqld``.

    :returns: kind -> path, at most one program a kind.
    :raises ServerError: the program that ``MYSQLD`` names does not run.
    """
    path = os.environ.get('PATH', os.defpath) + ':/usr/local/sbin:/usr/sbin'
    candidates = [
        os.environ.get('MYSQLD'),
        shutil.which('mariadbd', path=path),
        shutil.which('mysqld', path=path),
        shutil.which(os.path.expanduser('~/.cache/mysql-server/bin/mysqld')),
    ]
    servers: dict[str, str] = {}
    for mysqld in filter(None, candidates):
        servers.setdefault(server_version(mysqld)[0], mysqld)
    return servers


def data_command(mysqld: str, kind: str, folder: Path) -> list[str]:
    """
    Return the command that makes a data folder.

    :raises ServerError: the tool that MariaDB needs for it is missing.
    """
    if kind == 'mariadb':
        # without --user, with which this script changes the owner of files
        # of the system's own server
        return [
            _companion(mysqld, 'mariadb-install-db'),
            '--no-defaults',
            f'--datadir={folder}',
            '--auth-root-authentication-method=normal',
            '--skip-name-resolve',
            '--skip-test-db',
        ]
    as_root = ['--user=root'] if os.geteuid() == 0 else []
    initialize = ['--initialize-insecure', f'--datadir={folder}']
    return [mysqld, '--no-defaults', *initialize, *as_root]


def _companion(mysqld: str, name: str) -> str:
    home = Path(mysqld).resolve().parent
    folders = [home, home.parent / 'bin', home.parent / 'scripts']
    path = os.pathsep.join(map(str, folders))
    found = shutil.which(name, path=path) or shutil.which(name)
    if not found:
        raise ServerError(f'{mysqld} comes without {name}')
    return found
