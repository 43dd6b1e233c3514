# Shell functions that docs/demo/run.sh and tests/run.sh share.
#
# prepare EXTRA sees to it that the machine has what they need and leaves a
# virtual environment with this package and its EXTRA in $venv. What is missing
# is installed on Debian by root; anybody else is told what to install.
# It expects the clone's folder in $root. PYTHON names the interpreter to use.

python=${PYTHON:-python3}

prepare() {
    if [ -n "$(missing "$1")" ]; then
        install_missing "$1"
    fi
    find_environment "$1"
    if environment_is_current; then
        return
    fi
    echo "Installing Python packages into $venv"
    "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --editable "$root[$1]"
    fingerprint >"$venv/fingerprint"
}

# Whether the variables say which database server to use.
server_is_named() {
    [ -n "${DB_SOCKET-}${DB_HOST-}${DB_PORT-}" ] ||
        [ -n "${DB_USER-}${DB_PASS-}${DB_NAME-}" ]
}

# An environment for each use and Python version.
find_environment() {
    venv=$root/.venvs/$1-$("$python" -c \
        'import sys; print("%d.%d" % sys.version_info[:2])')
}

# What an environment depends on; also its place, since it cannot be moved.
fingerprint() {
    echo "$root"
    "$python" -c 'import sys; print(sys.base_prefix, sys.version)'
    cat "$root/setup.py" "$root/setup.cfg" "$root/pyproject.toml"
}

environment_is_current() {
    [ -f "$venv/fingerprint" ] && fingerprint | cmp -s - "$venv/fingerprint"
}

# Print a line for each thing that is missing: Debian's packages, and what
# they are for.
missing() {
    if ! server_is_named && ! has_server; then
        echo 'mariadb-server-core mariadb-client-core: MariaDB or MySQL'
    fi
    if ! command -v "$python" >/dev/null; then
        echo "python3: Python 3.10 or newer, called $python"
        echo 'python3-venv: its modules venv and ensurepip'
        echo 'python3-dev: its header files'
    elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'
    then
        echo "python3: Python 3.10 or newer ($python is older)"
    elif find_environment "$1" && environment_is_current; then
        # nothing is compiled again
        return
    else
        "$python" -c 'import ensurepip, venv' 2>/dev/null ||
            echo "python3-venv: the modules venv and ensurepip of $python"
        "$python" -c 'import os, sysconfig
open(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null ||
            echo "python3-dev: the header files of $python"
    fi
    echo '#include <stdio.h>' | cc -E - >/dev/null 2>&1 ||
        echo 'gcc libc6-dev: a C compiler'
    if ! command -v pkg-config >/dev/null; then
        echo 'pkg-config: pkg-config'
        echo 'libmariadb-dev: the client library and its header files'
    elif ! pkg-config --exists libmariadb &&
        ! pkg-config --exists mariadb && ! pkg-config --exists mysqlclient
    then
        echo 'libmariadb-dev: the client library and its header files'
    fi
}

has_server() (
    PATH=$PATH:/usr/local/sbin:/usr/sbin:${HOME-}/.cache/mysql-server/bin
    command -v "${MYSQLD:-mariadbd}" || command -v mysqld
) >/dev/null

install_missing() {
    echo 'Missing on this machine:'
    missing "$1" | sed 's/\(.*\): \(.*\)/  \2 (\1)/'
    packages=$(missing "$1" | sed 's/:.*//' | paste -sd ' ')
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo 'On Debian, this installs it:'
        echo "  sudo apt-get install --no-install-recommends $packages"
        exit 1
    fi >&2
    echo "Installing $packages"
    apt-get -q update || echo 'apt-get update failed; going on with its lists'
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get -q install -y \
        --no-install-recommends $packages
    if [ -n "$(missing "$1")" ]; then
        echo 'Still missing; is another Python to be named by PYTHON?'
        missing "$1" | sed 's/^/  /'
        exit 1
    fi >&2
}
