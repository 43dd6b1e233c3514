"""A certificate that is its own authority, made once."""

from __future__ import annotations

import atexit
import functools
import pathlib
import shutil
import subprocess
import tempfile


@functools.cache
def make():
    """Return the paths of a certificate for this host, and of its key."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='certificate'))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # a server that runs as another user reads them, too
    folder.chmod(0o755)
    certificate, key = folder / 'certificate.pem', folder / 'key.pem'
    subprocess.run(
        [
            *('openssl', 'req', '-x509', '-nodes', '-newkey', 'rsa:2048'),
            *('-subj', '/CN=tests', '-keyout', key, '-out', certificate),
            *('-addext', 'subjectAltName=IP:127.0.0.1'),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def server_options():
    """Return the options of a server that shows it."""
    certificate, key = make()
    return {'ssl_ca': certificate, 'ssl_cert': certificate, 'ssl_key': key}
