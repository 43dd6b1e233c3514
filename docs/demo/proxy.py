"""
A small TCP proxy that can cut the connection in the middle of a save.

It knows of the protocol that a packet begins with three bytes of length and
one that numbers it, that number 0 is a command, that COM_QUERY begins with 3,
and where a server says in its greeting that it can encrypt the connection
("MySQL Source Code Documentation", "MySQL Packets", "Protocol::HandshakeV10").
"""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import threading
from collections.abc import Callable

COM_QUERY = b'\x00\x03'  # the packet's number and the command
SSL = 0x08  # the bit, in the upper byte of the lower capabilities
# a client of MySQL 8 says first that there are no query attributes
NO_ATTRIBUTES = b'\x00\x01'
# what stores a session: a touch and the purge are none
SAVE = re.compile(rb'INSERT |UPDATE \S+ SET `revision`')


class Proxy(socketserver.ThreadingTCPServer):
    """
    Leads connections to a server.

    :param target: host and port of the server.
    :param kill: kills the server.

    :ivar target: host and port of the server, for the next connection.
    :ivar cut: ``'before'`` or ``'after'``: the line on which the next save
        comes is cut before the server gets it, or when it has done it;
        ``'kill'``: then the server is killed, too.
    :ivar cuts: how many lines were cut so.
    """

    allow_reuse_address = daemon_threads = True

    def __init__(
        self, target: tuple[str, int], kill: Callable[[], object]
    ) -> None:
        super().__init__(('127.0.0.1', 0), Line)
        self.target = target
        self.kill = kill
        self.cut: str | None = None
        self.cuts = 0
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self.server_address[1]
        return port

    def take_cut(self) -> str | None:
        """Return how to cut the line; of two saves one gets it."""
        with self._lock:
            cut, self.cut = self.cut, None
            self.cuts += cut is not None
        return cut


class Line(socketserver.BaseRequestHandler):
    """One connection of a client, and the one that it leads to."""

    server: Proxy
    cut: str | None = None
    in_transaction = False

    def handle(self) -> None:
        # either side may hang up at any time, and the server may be dead
        with (
            contextlib.suppress(OSError),
            socket.create_connection(self.server.target) as self.upstream,
        ):
            for side in (self.request, self.upstream):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.request.sendall(self.greeting())
            answers = threading.Thread(target=self.bring_answers)
            answers.start()
            try:
                self.take_statements()
            finally:
                if self.cut in ('after', 'kill'):
                    # until the server has done it
                    answers.join()
                with contextlib.suppress(OSError):
                    self.upstream.shutdown(socket.SHUT_RDWR)
                answers.join()

    def greeting(self) -> bytes:
        """Return the server's first packet, which offers no encryption."""
        packet = bytearray(read_packet(self.upstream))
        # after the protocol's number and the version's text come 4 bytes of
        # thread id, 8 of a challenge, a zero, and the lower capabilities
        version_ends = packet.find(b'\0', 5)
        if packet[4:5] == b'\x0a':
            packet[version_ends + 15] &= ~SSL
        return bytes(packet)

    def take_statements(self) -> None:
        while packet := read_packet(self.request):
            if self.is_save(packet):
                self.cut = self.server.take_cut()
            if self.cut != 'before':
                self.upstream.sendall(packet)
            if self.cut:
                return

    def bring_answers(self) -> None:
        with contextlib.suppress(OSError):
            while answer := self.upstream.recv(65536):
                if self.cut == 'kill':
                    self.server.kill()
                if self.cut:
                    break
                self.request.sendall(answer)
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_RDWR)

    def is_save(self, packet: bytes) -> bool:
        """Tell whether the server stores a session when it gets this."""
        if packet[3:5] != COM_QUERY:
            return False
        statement = packet[5:].removeprefix(NO_ATTRIBUTES)
        if statement.startswith(b'START TRANSACTION'):
            self.in_transaction = True
        elif statement.startswith((b'COMMIT', b'ROLLBACK')):
            # what comes before it is stored with it
            was, self.in_transaction = self.in_transaction, False
            return was and statement.startswith(b'COMMIT')
        return not self.in_transaction and bool(SAVE.match(statement))


def read_packet(side: socket.socket) -> bytes:
    """Return the next packet, or nothing when the other side hangs up."""
    head = read(side, 4)
    return head and head + read(side, int.from_bytes(head[:3], 'little'))


def read(side: socket.socket, size: int) -> bytes:
    received = b''
    while len(received) < size:
        chunk = side.recv(size - len(received))
        if not chunk:
            return b''
        received += chunk
    return received
