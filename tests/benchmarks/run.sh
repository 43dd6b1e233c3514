#!/bin/sh
# Run the benchmarks; arguments are passed on: sh tests/benchmarks/run.sh --help
#
# What is missing is installed first: see docs/demo/setup.sh for MariaDB and
# MySQL, of which those that this machine has are measured; Redis and Node from
# Debian; the peers in an environment of their own. Clusters are measured if
# the machine has what tests/clusters needs.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/tests/benchmarks
. "$root/docs/demo/setup.sh"

need() {
    command -v "$1" >/dev/null && return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "Missing: $1. On Debian: sudo apt-get install $2" >&2
        exit 1
    fi
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive apt-get -q install -y \
        --no-install-recommends "$2"
}

need redis-server redis-server
need node nodejs
need npm npm
prepare benchmarks
if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
    echo "Installing the peers into $venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --requirement "$here/requirements.txt"
    npm install --silent --no-audit --no-fund --prefix "$venv/node" \
        express express-mysql-session express-session
    cp "$here/requirements.txt" "$venv/requirements.txt"
fi

export NODE_PATH="$venv/node/node_modules"
export PYTHONPATH="$root/tests:$root/docs:$root/docs/demo"
cd "$root"
exec "$venv/bin/python" -m benchmarks "$@"
