#!/bin/sh
# Run the whole test suite; arguments are passed on to pytest.
#
# What is missing is installed first, see docs/demo/setup.sh. The tests use a
# private MariaDB and a private MySQL, as far as this machine has them: see
# find_servers() in docs/demo/private_server.py. DB_SOCKET or DB_HOST and
# DB_PORT, DB_USER, DB_PASS and DB_NAME name a running server to use instead.
# EXTRA=browser installs what tests/browser needs, too, but no Chromium.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/docs/demo/setup.sh"
prepare "${EXTRA:-testing}"
cd "$root"
exec "$venv/bin/python" -m pytest "$@"
