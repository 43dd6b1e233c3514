"""Who comes back in time finds the session, whatever the time settings."""

import random
import re

import pytest

from tests.memory_store import BEGINNING, MemoryStore
from tests.unit.web.visitor import Visitor, ignore

# longer than any test lasts
FOREVER = 10**9


class Browser:
    """
    A visitor whose browser drops the cookie when it is over.

    :param settings: the time settings, as those of a kit.
    """

    def __init__(self, config, make_kit, clock, settings):
        self.clock = clock
        store = MemoryStore(clock, settings.get('absolute_timeout'))
        self.visitor = Visitor(config, make_kit(store=store, **settings))
        self.now = float(BEGINNING)
        self.until = None

    def visit(self, view):
        """Send a request; tell whether it came with a live session."""
        self.clock.now = int(self.now)
        if self.until is not None and self.now >= self.until:
            self.visitor.cookie = None
        response = self.visitor.visit(view)
        for line in response.headers.getall('Set-Cookie'):
            found = re.search('Max-Age=([0-9]+)', line)
            age = int(found[1]) if found else FOREVER
            self.until = self.now + age
        return not self.visitor.session.new


def read(session):
    session.get('key')


def begin(remember=None, user=True):
    def view(session):
        session['key'] = 'value'
        if user:
            session['auth.userid'] = 'ada'
        if remember is not None:
            session.remember(remember)

    return view


SETTINGS = [
    {'idle_timeout': 3, 'touch_interval': 60},
    {'idle_timeout': 100, 'touch_interval': 60},
    {'idle_timeout': 100, 'touch_interval': 99},
    {'idle_timeout': 100, 'touch_interval': 100},
    {'idle_timeout': 100, 'touch_interval': 5},
    {'idle_timeout': 100, 'touch_interval': 0},
    {'idle_timeout': 100, 'cookie_max_age': 3},
    {'idle_timeout': 100, 'cookie_max_age': 1},
    {'idle_timeout': 100, 'cookie_max_age': 2, 'touch_interval': 2},
    {'idle_timeout': 100, 'cookie_max_age': 60, 'touch_interval': 30},
    {'idle_timeout': 60, 'cookie_max_age': 10000},
    {'idle_timeout': 86400, 'cookie_max_age': 60},
    {'idle_timeout': 1},
    {'idle_timeout': 2, 'touch_interval': 1},
    {'idle_timeout': 100, 'absolute_timeout': 150, 'cookie_max_age': 20},
    {'idle_timeout': 150, 'absolute_timeout': 150, 'cookie_max_age': 20},
    {'idle_timeout': None, 'absolute_timeout': 1500, 'cookie_max_age': 20},
    {'idle_timeout': None, 'absolute_timeout': 1500},
    {'idle_timeout': 500, 'anonymous_idle_timeout': 30},
    {'idle_timeout': 500, 'anonymous_idle_timeout': 30, 'touch_interval': 200},
]


@pytest.mark.parametrize('remember', [None, 1, 3, 50, 5000])
@pytest.mark.parametrize('user', [True, False])
@pytest.mark.parametrize('settings', SETTINGS, ids=str)
def test_visitor_who_comes_back_within_the_shortest_time_finds_the_session(
    config, make_kit, clock, settings, remember, user
):
    idle = settings.get('idle_timeout')
    if not user and 'anonymous_idle_timeout' in settings:
        idle = settings['anonymous_idle_timeout']
    served = [remember] if remember else [idle, settings.get('cookie_max_age')]
    shortest = min((each for each in served if each), default=100)
    interval = settings.get('touch_interval', 'auto')
    if interval == 'auto':
        # a tenth may pass before a touch
        longest = shortest - shortest // 10
    else:
        longest = min(interval or FOREVER, shortest)
    chance = random.Random(f'{settings} {remember} {user}')
    for _ in range(6):
        browser = Browser(config, make_kit, clock, settings)
        browser.now += chance.random()
        browser.visit(begin(remember, user))
        ends = browser.clock.now + settings.get('absolute_timeout', FOREVER)
        for _ in range(30):
            browser.now += longest * chance.choice(
                [chance.random(), 0.5, 0.9, 0.999]
            )
            if browser.now >= ends:
                break
            assert browser.visit(read)


def test_cookie_lives_on_after_the_time_settings_were_shortened(
    config, make_kit, clock
):
    settings = {'idle_timeout': 86400, 'cookie_max_age': 60}
    browser = Browser(config, make_kit, clock, settings)
    browser.visit(begin())
    store = browser.visitor.kit.store
    browser.visitor.kit = make_kit(
        store=store, idle_timeout=3600, cookie_max_age=60
    )

    for _ in range(20):
        browser.now += 50
        assert browser.visit(read)


@pytest.mark.parametrize(
    'settings',
    [
        {'idle_timeout': 100},
        {'idle_timeout': 100, 'cookie_max_age': 50},
        {'idle_timeout': None, 'absolute_timeout': 100},
        {'idle_timeout': 100, 'touch_interval': 'never', 'cookie_max_age': 50},
    ],
    ids=str,
)
def test_ordinary_reading_writes_nothing(config, make_kit, clock, settings):
    browser = Browser(config, make_kit, clock, settings)
    browser.visit(begin())
    visitor = browser.visitor
    del visitor.kit.store.calls[:]
    browser.now += 2

    assert browser.visit(read)

    assert visitor.kit.store.calls == ['load']


def test_session_without_a_user_expires_earlier(config, make_kit, clock):
    settings = {'idle_timeout': 500, 'anonymous_idle_timeout': 30}
    browser = Browser(config, make_kit, clock, settings)
    browser.visit(begin(user=False))
    browser.now += 32
    assert not browser.visit(read)

    browser.visit(begin(user=False))
    browser.visit(lambda session: session.update({'auth.userid': 5}))
    browser.now += 400
    assert browser.visit(read)

    browser.visit(lambda session: session.pop('auth.userid'))
    browser.now += 32
    assert not browser.visit(read)


def test_untouched_session_is_left_alone(config, make_kit, clock):
    browser = Browser(config, make_kit, clock, {'idle_timeout': 100})
    browser.visit(begin())
    del browser.visitor.kit.store.calls[:]
    browser.now += 90

    browser.visitor.visit(ignore)

    assert browser.visitor.kit.store.calls == []
