"""What the tests of clusters need of the machine, and what it lacks."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

from tests.clusters import galera, haproxy
from tests.conftest import PROGRAMS


@functools.cache
def plugin(kind, name):
    """Return the path of a server's plugin, ``None`` without it."""
    if kind not in PROGRAMS:
        return None
    answer = subprocess.run(
        [PROGRAMS[kind], '--no-defaults', '--verbose', '--help'],
        capture_output=True,
        text=True,
    ).stdout
    for line in answer.splitlines():
        if line.startswith('plugin-dir'):
            path = Path(line.split()[1], name)
            return path if path.exists() else None
    return None


#: What there is, by the name by which fixtures ask for it.
FOUND = {
    'MariaDB': PROGRAMS.get('mariadb'),
    'MySQL': PROGRAMS.get('mysql'),
    'setpriv': shutil.which('setpriv'),
    'HAProxy': haproxy.PROGRAM,
    'Galera': galera.PROVIDER,
    'rsync': shutil.which('rsync'),
    'Group Replication': plugin('mysql', 'group_replication.so'),
    'Spider': plugin('mariadb', 'ha_spider.so'),
}
MISSING = [name for name, found in FOUND.items() if not found]
