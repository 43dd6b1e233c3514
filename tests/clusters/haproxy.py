"""HAProxy in front of a cluster."""

from __future__ import annotations

import contextlib
import csv
import http.server
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from tests.clusters.nodes import (
    VISITOR,
    FreshAccess,
    Running,
    fresh_port,
    mortal,
)
from tests.helpers import wait_until

PROGRAM = shutil.which('haproxy') or shutil.which('/usr/sbin/haproxy')
CONFIGURATION = """
global
    stats socket {folder}/admin mode 600 level admin
defaults
    mode tcp
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout check 1500ms
    option redispatch
    retries 3
listen nodes
    bind 127.0.0.1:{port}
    balance roundrobin
    option httpchk GET /
    default-server inter 300 fall 2 rise 2 {cut}
{sticky}
{servers}
"""
# who takes over stays the active one: a node that was stopped and goes on does
# not know for some seconds what it has missed, and takes itself for healthy
STICKY = """
    stick-table type ip size 10
    stick on dst
"""
# what the check of a server says before it was asked
UNASKED = ('INI', 'UNK')


class Check:
    """
    Answers a health check by HTTP, for a single node.

    :param healthy: is asked each time.
    """

    def __init__(self, healthy):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status = 200 if healthy() else 503
                # who asks may have lost its patience
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.end_headers()

            def log_message(self, *args):
                pass

        address = ('127.0.0.1', 0)
        self._server = http.server.ThreadingHTTPServer(address, Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, daemon=True
        )
        self._thread.start()

    @property
    def port(self):
        return self._server.server_port

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class HAProxy(Running, FreshAccess):
    """
    The address to which the applications of a cluster connect.

    A health check asks the database of each node. A context manager.

    :param active: ``'one'``: a single node gets all connections, for as long
        as it is healthy; the others are its backup. ``'all'``: they take
        turns.
    :param cut: whether the connections to a node end when it is down.
    """

    host = '127.0.0.1'
    socket = None
    user = VISITOR['user']
    password = VISITOR['password']
    # as the servers of the other tests have it
    private = True

    def __init__(self, cluster, active='one', cut=True):
        super().__init__()
        self.port = fresh_port()
        self.kind = cluster.nodes[0].kind
        self._nodes = cluster.nodes
        self._sticky = active == 'one'
        self._folder = Path(tempfile.mkdtemp(prefix='haproxy-'))
        self._checks = [
            Check(lambda node=node: cluster.healthy(node))
            for node in self._nodes
        ]
        lines = [
            f'    server {node.name} {node.host}:{node.port} '
            f'check port {check.port}'
            for node, check in zip(self._nodes, self._checks, strict=True)
        ]
        if self._sticky:
            lines[1:] = [f'{line} backup' for line in lines[1:]]
        configuration = self._folder / 'configuration'
        configuration.write_text(
            CONFIGURATION.format(
                folder=self._folder,
                sticky=STICKY if self._sticky else '',
                port=self.port,
                servers='\n'.join(lines),
                cut='on-marked-down shutdown-sessions' if cut else '',
            )
        )
        with (self._folder / 'log').open('wb') as log:
            self._process = subprocess.Popen(
                mortal(PROGRAM, '-db', '-f', str(configuration)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # out of reach of Ctrl-C in a terminal
                start_new_session=True,
            )

    def begin(self):
        wait_until(self._is_ready)

    def close(self):
        """End the proxy; may run twice."""
        self._process.kill()
        self._process.wait()
        while self._checks:
            self._checks.pop().close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def tell(self, command):
        """Give a command at the administrators' socket; return its answer."""
        answer = b''
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self._folder / 'admin'))
            line.sendall(command.encode() + b'\n')
            while part := line.recv(65536):
                answer += part
        return answer.decode()

    def only(self, node, cut=False):
        """
        Lead new connections to one node only.

        :param cut: whether the connections to the others end.
        """
        self.tell(f'set server nodes/{node.name} state ready')
        others = [other for other in self._nodes if other is not node]
        for other in others:
            # "maint" would cut its connections
            self.tell(f'set server nodes/{other.name} state drain')
        # who is draining goes on being the one that took over
        self.tell('clear table nodes')
        if cut:
            for other in others:
                self.tell(f'shutdown sessions server nodes/{other.name}')

    def all(self):
        """Take back what :meth:`only` did."""
        for node in self._nodes:
            self.tell(f'set server nodes/{node.name} state ready')

    def active(self):
        """Return the node to which a new connection leads."""
        ((port,),) = self.query('SELECT @@port')
        return next(node for node in self._nodes if node.port == port)

    def statistics(self):
        """Return what HAProxy says about each node, by name and column."""
        text = self.tell('show stat').removeprefix('# ')
        names = {node.name for node in self._nodes}
        return {
            row['svname']: row
            for row in csv.DictReader(text.splitlines())
            if row['svname'] in names
        }

    def up(self):
        """Return the names of the nodes that get connections."""
        return {
            name
            for name, row in self.statistics().items()
            if row['status'].startswith('UP')
        }

    def leads_to(self, *nodes):
        """Whether these nodes are up, and no others."""
        return self.up() == {node.name for node in nodes}

    def sessions(self):
        """Return how many connections to each node there are."""
        return {
            name: int(row['scur']) for name, row in self.statistics().items()
        }

    def _is_ready(self):
        if self._process.poll() is not None:
            raise RuntimeError((self._folder / 'log').read_text())
        try:
            rows = self.statistics().values()
        except OSError:
            return False
        return not any(row['check_status'] in UNASKED for row in rows)
