#!/bin/sh
# Serve the demo shop on http://127.0.0.1:6543 until Ctrl-C.
#
# What is missing is installed first, see setup.sh. The sessions are kept by
# the server that DB_SOCKET or DB_HOST and DB_PORT, DB_USER, DB_PASS and DB_NAME
# name; without them, by a private server with its data in the folder .demo,
# which the page "Break it" can pause, kill and replace: see stage.py.
# HTTP_PORT chooses another port.
set -eu
demo=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$demo/../.." && pwd)
. "$demo/setup.sh"
prepare demo
port=${HTTP_PORT:-6543}
case ${DB_PORT:-0} in
*[!0-9]*)
    echo "DB_PORT is $DB_PORT: expected a number, such as 3306" >&2
    exit 1
    ;;
esac
python=$venv/bin/python

"$python" - "$port" <<'END'
import socket
import sys

try:
    socket.create_server(('127.0.0.1', int(sys.argv[1]))).close()
except (OSError, OverflowError, ValueError) as exc:
    sys.exit(
        f'Cannot serve on port {sys.argv[1]} of 127.0.0.1: {exc}.\n'
        'Choose another: HTTP_PORT=8080 sh docs/demo/run.sh'
    )
END

if ! server_is_named; then
    # comes back here, with the variables set
    exec "$python" "$demo/stage.py" --dir "$root/.demo" -- sh "$0"
fi

export DB_SOCKET="${DB_SOCKET-}" DB_HOST="${DB_HOST:-localhost}"
export DB_PORT="${DB_PORT:-3306}" DB_USER="${DB_USER:-root}"
export DB_PASS="${DB_PASS-}" DB_NAME="${DB_NAME:-mysql_session_demo}"

# make the database if it is missing
"$python" - <<'END'
import os
import sys

import MySQLdb
from MySQLdb.constants import ER

env = os.environ
where = {
    'host': env['DB_HOST'],
    'port': int(env['DB_PORT']),
    'user': env['DB_USER'],
    'password': env['DB_PASS'],
}
if env['DB_SOCKET']:
    where['unix_socket'] = env['DB_SOCKET']
    where['host'] = 'localhost'
name = env['DB_NAME']
try:
    try:
        MySQLdb.connect(database=name, **where).close()
    except MySQLdb.Error as exc:
        if exc.args[0] != ER.BAD_DB_ERROR:
            raise
        connection = MySQLdb.connect(**where)
        connection.query('CREATE DATABASE `%s`' % name.replace('`', '``'))
        connection.close()
except MySQLdb.Error as exc:
    sys.exit(f'No database for the demo: {exc}')
END

# signs the cookies; kept, so that sessions outlive the server process
secret=$root/.demo/secret
if [ ! -s "$secret" ]; then
    mkdir -p "$root/.demo"
    (umask 077 && "$python" -c \
        'import secrets; print(secrets.token_hex(32))' >"$secret")
fi

# not on the command line, which everybody can read
SECRET=$(cat "$secret")
export SECRET HTTP_PORT="$port" PYTHONPATH="$demo"
echo "The shop opens at http://127.0.0.1:$port - Ctrl-C closes it."
exec "$python" "$demo/serve.py"
