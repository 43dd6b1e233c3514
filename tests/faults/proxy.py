"""
A TCP proxy in front of a MySQL server that loses statements and answers.

It knows of the protocol that a packet begins with three bytes of length and
one that numbers it, that number 0 is a command, that COM_QUERY begins with 3,
that a server which was greeted only speaks when asked, and that a client which
wants to encrypt the connection sends 32 bytes and goes on in TLS ("MySQL
Source Code Documentation", "MySQL Packets", "COM_QUERY" and "SSLRequest").
"""

from __future__ import annotations

import contextlib
import random
import re
import selectors
import socket
import ssl
import threading

from tests import certificates

_HEAD = 4
_COM_QUERY = 3
_CHUNK = 65536
_SSL_REQUEST_BYTES = 32


class Line:
    """
    A client's connection, while one of its statements is in our hands.

    :ivar statement: its text, as bytes.
    """

    def __init__(self, client, server, packet):
        self.client = client
        self.server = server
        self.packet = packet
        self.open = True
        self._answer = b''

    @property
    def statement(self):
        # a client of MySQL 8 says first that there are no query attributes
        return self.packet[_HEAD + 1 :].removeprefix(b'\0\1')

    def execute(self):
        """Have the server execute the statement; keep the answer."""
        self.server.sendall(self.packet)
        self._answer = self.server.recv(_CHUNK)

    def deliver(self):
        """Give the client the answer."""
        self.client.sendall(self._answer)

    def hang_up(self):
        """Let the server see that its client is gone."""
        self.server.shutdown(socket.SHUT_RDWR)

    def cut(self):
        """Cut the line to the client."""
        self.open = False
        self.client.close()


def lose_statement(line):
    """Cut the line before the statement reaches the server."""
    line.cut()


def lose_answer(line):
    """Cut the line when the statement was executed."""
    line.execute()
    line.cut()


class Rule:
    """
    What is done with the statements that match a pattern.

    :ivar matched: the number of statements with which it was done.
    """

    def __init__(self, pattern, action, times, chance):
        self.matched = 0
        self._pattern = re.compile(pattern.encode(), re.DOTALL)
        self._action = action
        self._times = times
        self._chance = chance
        self._lock = threading.Lock()

    def apply(self, line):
        """Return whether the statement was dealt with."""
        with self._lock:
            if (
                self.matched == self._times
                or not self._pattern.search(line.statement)
                or random.random() >= self._chance
            ):
                return False
            self.matched += 1
        self._action(line)
        return True


class Proxy:
    """
    Forwards TCP connections to a server until a rule says otherwise.

    :param address: the server's, as the driver takes it: ``unix_socket``, or
        ``host`` and ``port``.
    :param tls: whether the connections are encrypted, which the proxy undoes
        and does again.

    :ivar settings: what leads a session factory through the proxy.
    """

    def __init__(self, address, tls=False):
        self._address = address
        self._contexts = _contexts() if tls else None
        self._rules = []
        self._dropped = set()
        self._errors = []
        self._threads = []
        self._sockets = set()
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.settings = {
            'unix_socket': None,
            'host': '127.0.0.1',
            'port': self._listener.getsockname()[1],
            # other than by us what is encrypted cannot be read
            'ssl_mode': 'REQUIRED' if tls else 'DISABLED',
        }
        self._start(self._accept)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def on(self, pattern, action, times=1, chance=1):
        """
        Do something with statements instead of forwarding them.

        :param pattern: regular expression that is searched in the text.
        :param action: called with the :class:`Line`.
        :param times: with how many of them, ``None`` for all.
        :param chance: how likely it is done with each.
        :returns: the :class:`Rule`.
        """
        rule = Rule(pattern, action, times, chance)
        self._rules.append(rule)
        return rule

    def refuse(self):
        """Accept no connections any more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def drop_lines(self):
        """Forward nothing more on the lines that are open, as firewalls do."""
        self._dropped |= self._sockets

    def clear(self):
        """Drop all rules."""
        self._rules.clear()

    def close(self):
        """Cut all lines; raise what went wrong in an action."""
        self.refuse()
        for open_socket in list(self._sockets):
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for error in self._errors:
            raise error

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._start(self._serve, client)

    def _serve(self, client):
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(client)
                pair = client, stack.enter_context(self._connect())
                if self._contexts is not None:
                    pair = self._encrypt(*pair, stack)
                for each in pair:
                    stack.enter_context(each)
                self._sockets |= {*pair}
                stack.callback(self._sockets.difference_update, pair)
                self._forward(*pair)
        except OSError:
            # either side may hang up at any time
            pass
        except Exception as exc:  # noqa: BLE001 whatever an action raises
            self._errors.append(exc)

    def _encrypt(self, client, server, stack):
        """Let either side agree with us on keys, when the client wants to."""
        client.sendall(server.recv(_CHUNK))
        request = b''
        while len(request) < _HEAD + _SSL_REQUEST_BYTES:
            received = client.recv(_HEAD + _SSL_REQUEST_BYTES - len(request))
            if not received:
                return client, server
            request += received
        server.sendall(request)
        to_client, to_server = self._contexts
        # the other side may hang up before it agrees
        client = stack.enter_context(
            to_client.wrap_socket(client, server_side=True)
        )
        return client, to_server.wrap_socket(server)

    def _connect(self):
        if 'unix_socket' in self._address:
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._address['unix_socket'])
            except OSError:
                server.close()
                raise
            return server
        return socket.create_connection(
            (self._address['host'], self._address['port'])
        )

    def _forward(self, client, server):
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ)
            selector.register(server, selectors.EVENT_READ)
            sent = b''
            while True:
                for key, _ in selector.select():
                    received = _receive(key.fileobj)
                    if not received:
                        return
                    if key.fileobj in self._dropped:
                        continue
                    if key.fileobj is server:
                        client.sendall(received)
                        continue
                    sent += received
                    while packet := _first_packet(sent):
                        sent = sent[len(packet) :]
                        if not self._pass(Line(client, server, packet)):
                            return

    def _pass(self, line):
        """Forward a packet or apply a rule; return whether to go on."""
        # its number, and the command
        if line.packet[3 : _HEAD + 1] == bytes([0, _COM_QUERY]):
            for rule in self._rules:
                if rule.apply(line):
                    return line.open
        line.server.sendall(line.packet)
        return True


class BlindProxy(Proxy):
    """
    A proxy that cannot read what it forwards, such as TLS.

    :ivar lost: the number of answers that it has lost.
    """

    def __init__(self, address):
        super().__init__(address)
        del self.settings['ssl_mode']
        self.lost = 0
        self._losing = False

    def lose_next_answer(self):
        """Cut the line on which the server answers next."""
        self._losing = True

    def _forward(self, client, server):
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in selector.select():
                    received = key.fileobj.recv(_CHUNK)
                    if key.fileobj is server and self._losing:
                        self._losing = False
                        self.lost += 1
                        return
                    if not received:
                        return
                    if key.fileobj not in self._dropped:
                        key.data.sendall(received)


def _contexts():
    """Return the TLS contexts towards clients and towards the server."""
    to_client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    to_client.load_cert_chain(*certificates.make())
    to_server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    to_server.check_hostname = False
    to_server.verify_mode = ssl.CERT_NONE
    for context in (to_client, to_server):
        # a later one may say that there is something to read that is no data
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return to_client, to_server


def _receive(side):
    """Receive all that a socket has."""
    received = side.recv(_CHUNK)
    while isinstance(side, ssl.SSLSocket) and side.pending():
        received += side.recv(_CHUNK)
    return received


def _first_packet(sent):
    """Return the packet with which the bytes begin, if it is complete."""
    end = _HEAD + int.from_bytes(sent[:3], 'little')
    return sent[:end] if _HEAD <= len(sent) >= end else b''
