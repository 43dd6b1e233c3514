"""
A TCP proxy in front of a MySQL server that loses statements and answers.

It knows of the protocol that a packet begins with three bytes of length and
one that numbers it, that number 0 is a command, that COM_QUERY begins with 3,
and that a server which was greeted only speaks when asked ("MySQL Source Code
Documentation", "MySQL Packets" and "COM_QUERY").
"""

from __future__ import annotations

import contextlib
import random
import re
import selectors
import socket
import threading

_HEAD = 4
_COM_QUERY = 3
_CHUNK = 65536


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

    :ivar settings: what leads a session factory through the proxy.
    """

    def __init__(self, address):
        self._address = address
        self._rules = []
        self._errors = []
        self._threads = []
        self._sockets = set()
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.settings = {
            'unix_socket': None,
            'host': '127.0.0.1',
            'port': self._listener.getsockname()[1],
            # what is encrypted cannot be read
            'ssl_mode': 'DISABLED',
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
            with client, self._connect() as server:
                self._sockets |= {client, server}
                try:
                    self._forward(client, server)
                finally:
                    self._sockets -= {client, server}
        except OSError:
            # either side may hang up at any time
            pass
        except Exception as exc:  # noqa: BLE001 whatever an action raises
            self._errors.append(exc)

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
                    received = key.fileobj.recv(_CHUNK)
                    if not received:
                        return
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
                    key.data.sendall(received)


def _first_packet(sent):
    """Return the packet with which the bytes begin, if it is complete."""
    end = _HEAD + int.from_bytes(sent[:3], 'little')
    return sent[:end] if _HEAD <= len(sent) >= end else b''
