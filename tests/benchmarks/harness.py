"""Calls WSGI applications as a server does, and takes the time."""

from __future__ import annotations

import io
import random
import statistics
import time
from http.cookies import SimpleCookie

#: Requests before those that count: the first ones find every cache cold, the
#: seventh does not any more.
WARM = 10


class Browser:
    """Sends requests to a WSGI application, and keeps its cookies."""

    def __init__(self, app):
        self._app = app
        self._cookies = SimpleCookie()

    def cookies(self):
        """Return the values of the cookies by their names."""
        return {
            name: morsel.coded_value for name, morsel in self._cookies.items()
        }

    def environ(self, path):
        cookies = '; '.join(
            f'{name}={value}' for name, value in self.cookies().items()
        )
        return {
            'REQUEST_METHOD': 'GET',
            'SCRIPT_NAME': '',
            'PATH_INFO': path,
            'QUERY_STRING': '',
            'SERVER_NAME': 'localhost',
            'SERVER_PORT': '80',
            'SERVER_PROTOCOL': 'HTTP/1.1',
            'REMOTE_ADDR': '127.0.0.1',
            'HTTP_HOST': 'localhost',
            'HTTP_USER_AGENT': 'benchmark',
            'HTTP_ACCEPT': '*/*',
            **({'HTTP_COOKIE': cookies} if cookies else {}),
            'wsgi.version': (1, 0),
            'wsgi.url_scheme': 'http',
            'wsgi.input': io.BytesIO(),
            'wsgi.errors': io.StringIO(),
            'wsgi.multithread': True,
            'wsgi.multiprocess': False,
            'wsgi.run_once': False,
        }

    def get(self, path):
        """
        Send a request that must succeed.

        :returns: the nanoseconds that the application took.
        """
        environ = self.environ(path)
        answer = []

        def start_response(status, headers, exc_info=None):
            answer[:] = status, headers

        began = time.perf_counter_ns()
        parts = self._app(environ, start_response)
        body = b''.join(parts)
        if hasattr(parts, 'close'):
            parts.close()
        took = time.perf_counter_ns() - began
        status, headers = answer
        if (status, body) != ('200 OK', b'ok'):
            raise RuntimeError(f'{path} was answered with {status}: {body}')
        for name, value in headers:
            if name.lower() == 'set-cookie':
                self._cookies.load(value)
        return took


class Contestant:
    """
    What takes its turn.

    :ivar actions: what it can do.
    :ivar baseline: the name of the contestant whose time is not the
        session's: the same page without sessions. ``None`` without one.
    """

    def __init__(self, name, actions, baseline=None):
        self.name = name
        self.actions = actions
        self.baseline = baseline

    def prepare(self, action, number):
        """Get ready for a block."""

    def block(self, action, number):
        """Do something some times; return the nanoseconds of each."""
        raise NotImplementedError


class Site(Contestant):
    """
    A WSGI application, and some browsers that have sessions there.

    :param age: called before a block of touches, so that they are due.
    """

    def __init__(self, name, app, actions, baseline, age=None):
        super().__init__(name, actions, baseline)
        self._app = app
        self._age = age
        self._browsers = []

    def prepare(self, action, number):
        while len(self._browsers) < number:
            browser = Browser(self._app)
            if 'new' in self.actions:
                browser.get('/new')
            self._browsers.append(browser)
        if action == 'touch' and self._age:
            self._age()

    def block(self, action, number):
        browsers = self._browsers[:number]
        if action == 'new':
            browsers = [Browser(self._app) for _ in range(number)]
        return [browser.get(f'/{action}') for browser in browsers]


class Loop(Contestant):
    """Functions that are called one after the other."""

    def __init__(self, name, functions):
        super().__init__(name, list(functions))
        self._functions = functions

    def block(self, action, number):
        function = self._functions[action]
        times = []
        for _ in range(number):
            began = time.perf_counter_ns()
            function()
            times.append(time.perf_counter_ns() - began)
        return times


def take_turns(contestants, actions, rounds, number, note):
    """
    Let all do everything in turns, in another order in each round.

    :returns: contestant -> action -> the median of each round in
        microseconds.
    """
    times = {one.name: {} for one in contestants}
    # the first round warms up
    for turn in range(-1, rounds):
        for action in actions:
            able = [one for one in contestants if action in one.actions]
            for one in random.sample(able, len(able)):
                for many in min(WARM, number), number:
                    one.prepare(action, many)
                    took = statistics.median(one.block(action, many)) / 1000
                if turn >= 0:
                    times[one.name].setdefault(action, []).append(
                        round(took, 2)
                    )
        note(f'round {turn + 1} of {rounds}')
    return times


def count_statements(counters, run, number):
    """
    Return how many statements something sends to a server, by kind.

    :param counters: reads the server's counters.
    :param run: does it ``number`` times.
    """
    before, start = counters(), counters()
    run()
    end = counters()
    counted = {}
    for kind, value in end.items():
        own = start.get(kind, 0) - before.get(kind, 0)
        many = round((value - start.get(kind, 0) - own) / number, 2)
        if many:
            counted[kind] = many
    return counted


def minus(times, baseline):
    """Subtract round by round."""
    return [one - other for one, other in zip(times, baseline, strict=True)]


def ratios(times, others):
    """Divide round by round."""
    return [one / other for one, other in zip(times, others, strict=True)]


def median(values):
    return statistics.median(values)


def quartiles(values):
    """Return the first and the third quartile."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, method='inclusive')
    return low, high


def judged(values, aim, digits=2):
    """
    Return median and quartiles as text, and whether the median is as aimed.

    :param aim: such as ``'≤ 1.2'``; empty where there is none.
    """
    text = spread(values, digits)
    if not aim:
        return text
    sign, limit = aim.split()
    beyond = median(values) - float(limit)
    met = beyond <= 0 if sign == '≤' else beyond >= 0
    return f'{text}, {"met" if met else "missed"}'


def spread(values, digits=0):
    """Return median and quartiles as text."""
    low, high = quartiles(values)
    return (
        f'{median(values):,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})'
    )
