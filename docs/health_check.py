"""
Answer the health checks of HAProxy: does the MySQL server here take writes?

``python health_check.py --port 9200 --option-file /etc/mysql/check.cnf`` runs
beside the server and answers each HTTP request with 200 or 503. It knows
replicas, Galera and Group Replication.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
from typing import Any

import MySQLdb

# seconds; less than HAProxy's ``timeout check``
PATIENCE = 1


def takes_writes(connection: Any) -> bool:
    """Tell whether a server takes writes that will last."""
    with connection.cursor() as cursor:
        cursor.execute('SELECT @@GLOBAL.read_only, VERSION()')
        read_only, version = cursor.fetchone()
        if read_only:
            return False
        cursor.execute("SHOW GLOBAL STATUS LIKE 'wsrep\\_%'")
        galera = dict(cursor.fetchall())
        if galera.get('wsrep_provider_name'):
            # 4 is in step with the others, 2 gives one of them its data
            return galera['wsrep_ready'] == 'ON' and (
                galera['wsrep_local_state'] in ('2', '4')
            )
        if 'MariaDB' not in version:
            cursor.execute(
                'SELECT COUNT(*), '
                "COALESCE(SUM(MEMBER_STATE = 'ONLINE'), 0), "
                'COALESCE(SUM(MEMBER_ID = @@server_uuid '
                "AND MEMBER_STATE = 'ONLINE'), 0) "
                'FROM performance_schema.replication_group_members '
                "WHERE MEMBER_ID <> ''"
            )
            members, online, here = map(int, cursor.fetchone())
            # of a group the greater part must be there
            return not members or (here > 0 and 2 * online > members)
    return True


def answer(options: dict[str, Any]) -> int:
    """Return the status of the answer to one check."""
    times = dict.fromkeys(
        ('connect_timeout', 'read_timeout', 'write_timeout'), PATIENCE
    )
    try:
        with contextlib.closing(MySQLdb.connect(**options, **times)) as found:
            return 200 if takes_writes(found) else 503
    except MySQLdb.Error:
        return 503


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--port', type=int, default=9200)
    parser.add_argument('--option-file', required=True)
    chosen = parser.parse_args(arguments)
    options = {'read_default_file': chosen.option_file}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer(options))
            self.end_headers()

        do_OPTIONS = do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            """Say nothing each half second."""

    http.server.ThreadingHTTPServer(('', chosen.port), Handler).serve_forever()


if __name__ == '__main__':
    main()
