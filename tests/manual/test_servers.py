"""The web servers of the manual, which serve a shop."""

import contextlib
import http.client
import http.cookiejar
import json
import subprocess
import urllib.request

import pytest
from private_server import free_port

from tests.helpers import wait_until
from tests.manual.blocks import executes
from tests.manual.terminal import program

APACHE = """\
ServerRoot {folder}
ServerName shop
ErrorLog {folder}/log
Listen 127.0.0.1:{port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so
"""


@pytest.fixture
def port():
    return free_port()


def browser(port):
    """Return a function that tells what a visitor of a server is told."""
    opener = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    )

    def visit():
        with opener.open(f'http://127.0.0.1:{port}/', timeout=30) as answer:
            return json.load(answer)

    return visit


def wait_for(port, process, terminal):
    def answers():
        assert process.poll() is None, terminal.shown()
        with contextlib.suppress(OSError):
            browser(port)()
            return True

    wait_until(answers)


@executes('deployment.rst', 'sh', 'gunicorn')
def test_gunicorn_serves_one_session_from_all_workers(
    block, write_ini, terminal, port
):
    write_ini('')
    bind = f'--bind 127.0.0.1:{port}'
    with terminal.running(block.text, GUNICORN_CMD_ARGS=bind) as process:
        wait_for(port, process, terminal)
        visit = browser(port)

        assert [visit()['visits'] for _ in range(8)] == [*range(1, 9)]


@executes('deployment.rst', 'ini', '[uwsgi]')
def test_uwsgi_serves_one_session_from_all_workers(
    block, write_ini, terminal, port
):
    write_ini('')
    (terminal.folder / 'uwsgi.ini').write_text(block.text)
    script = f'uwsgi --http-socket 127.0.0.1:{port} --ini uwsgi.ini'
    with terminal.running(script) as process:
        wait_for(port, process, terminal)
        visit = browser(port)

        assert [visit()['visits'] for _ in range(8)] == [*range(1, 9)]


@executes('deployment.rst', 'apache', 'WSGIDaemonProcess')
def test_apache_takes_the_lines_of_mod_wsgi(block, tmp_path, port):
    apache = program('apache2', 'apache2-bin, libapache2-mod-wsgi-py3')
    path = tmp_path / 'apache2.conf'
    path.write_text(APACHE.format(folder=tmp_path, port=port) + block.text)

    answer = subprocess.run(
        [apache, '-t', '-f', path], capture_output=True, text=True
    )

    assert answer.stderr == 'Syntax OK\n'


@executes('deployment.rst', 'ini', '[server:main]')
def test_waitress_believes_the_proxy_and_nobody_else(
    block, write_ini, terminal, port
):
    assert '127.0.0.1:8080' in block.text
    write_ini(block.text.replace('127.0.0.1:8080', f'127.0.0.1:{port}'))

    def visit(source):
        connection = http.client.HTTPConnection(
            '127.0.0.1', port, timeout=30, source_address=(source, 0)
        )
        headers = {
            'X-Forwarded-For': '10.9.9.9, 192.0.2.7',
            'X-Forwarded-Proto': 'https',
        }
        with contextlib.closing(connection):
            connection.request('GET', '/', headers=headers)
            told = json.load(connection.getresponse())
        return told['scheme'], told['address']

    with terminal.running('pserve production.ini') as process:
        wait_for(port, process, terminal)

        assert visit('127.0.0.1') == ('https', '192.0.2.7')
        assert visit('127.0.0.2') == ('http', '127.0.0.2')
