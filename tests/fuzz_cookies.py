"""
Random Cookie headers.

``python -m tests.fuzz_cookies --headers 200000`` reads more of them than the
test suite does. Nothing but an id that was signed may be found in them, ours
must be found whatever stands beside it, and nothing may be kept for ever.
"""

from __future__ import annotations

import argparse
import random
import sys
import tracemalloc

from pyramid.request import Request

from pyramid_mysql_session.store.keys import make_session_id
from pyramid_mysql_session.web.cookie import CookieReader, CookieSigner

#: Bytes that the reader may keep, and an allowance for what is not its own.
MOST_BYTES = 16 * 1024 * 1024

_NAMES = ('session', 'Session', 'sessions', 'a', 'path', '$Version', '')
_JUNK = ';,="\\ \t\0\r\n$%&/()[]{}<>\'\xff\xe9\x80\x7fAz09-_~'


class Headers:
    """
    Makes Cookie headers, the same for the same seed.

    :ivar genuine: the ids that were signed.
    """

    def __init__(self, seed):
        self._random = random.Random(seed)
        self.signer = CookieSigner(['the newer secret', 'the older secret'])
        signers = [self.signer, CookieSigner(['the older secret'])]
        foreign = CookieSigner(['of somebody else'])
        ids = [make_session_id() for _ in range(20)]
        self.genuine = set(ids)
        self._signed = [
            self._random.choice(signers).sign(session_id) for session_id in ids
        ]
        self._foreign = [foreign.sign(session_id) for session_id in ids]

    def make(self):
        """Return a header, and whether a cookie of ours stands in it."""
        pairs = [self._pair() for _ in range(self._random.randrange(6))]
        if self._random.random() < 0.02:
            pairs += ['k=' + 'v' * 100] * self._random.randrange(700)
        whole = self._random.random() < 0.5
        if whole:
            ours = f'session={self._random.choice(self._signed)}'
            pairs.insert(self._random.randint(0, len(pairs)), ours)
        separator = self._random.choice(['; ', ';', ' ; ', ';\t', ', '])
        return separator.join(pairs), whole

    def _pair(self):
        name = self._random.choice(_NAMES)
        equals = self._random.choice(['=', '=', '=', '==', ' = ', ''])
        return f'{name}{equals}{self._value()}'

    def _value(self):
        kind = self._random.randrange(4)
        if kind == 0:
            return self._some(self._random.randrange(200))
        value = self._random.choice(
            self._foreign if kind == 1 else self._signed
        )
        for _ in range(self._random.randrange(4)):
            value = self._mutate(value)
        return value

    def _mutate(self, value):
        at = self._random.randint(0, len(value))
        end = min(len(value), at + self._random.randrange(3))
        return value[:at] + self._some(self._random.randrange(3)) + value[end:]

    def _some(self, length):
        return ''.join(self._random.choice(_JUNK) for _ in range(length))


def run(number, seed=0):
    """Read some headers; return the first fault, as text."""
    headers = Headers(seed)
    reader = CookieReader('session', headers.signer)
    request = Request.blank('/')
    tracemalloc.start()
    try:
        for _ in range(number):
            header, whole = headers.make()
            request.environ['HTTP_COOKIE'] = header
            try:
                found = set(reader.read(request).session_ids)
            except Exception as exc:  # noqa: BLE001 whatever comes is a fault
                return f'{type(exc).__name__}: {exc}\n{header!r}'
            if not found <= headers.genuine:
                return f'accepted what nobody signed\n{header!r}'
            if whole and not found:
                return f'did not find the genuine one\n{header!r}'
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    if kept > MOST_BYTES:
        return f'{kept} bytes are kept'
    return None


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--headers', type=int, default=200_000)
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args(arguments)
    fault = run(options.headers, options.seed)
    print(fault or f'{options.headers} headers, no fault')
    return fault is not None


if __name__ == '__main__':
    sys.exit(main())
