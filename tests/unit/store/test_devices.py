"""Devices by their names, with ua-parser and without it."""

import sys

import pytest

from pyramid_mysql_session.store.devices import device_name
from pyramid_mysql_session.store.users import StoredSession

FIREFOX = (
    'Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:128.0) Gecko/20100101 '
    'Firefox/128.0'
)
IPHONE = (
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) '
    'AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 '
    'Safari/604.1'
)
ANDROID = 'Mozilla/5.0 (Linux; Android 14; Pixel 8)'
# as long as the column is, none of a browser that anybody knows
ODD = [
    'x' * 255,
    '(' * 255,
    'Mozilla/5.0 (' + ';' * 242,
    '\ufffd\u202e\U0001f600' * 85,
    '\ud800',
    '%s {0} <script>',
    ' ',
]


@pytest.fixture
def without_ua_parser(monkeypatch):
    # the import of what is None is an ImportError
    monkeypatch.setitem(sys.modules, 'ua_parser', None)


@pytest.mark.parametrize(
    ('agent', 'name'),
    [
        (FIREFOX, 'Firefox on Ubuntu'),
        (IPHONE, 'Mobile Safari on iOS'),
        # cut off where the column ends
        (IPHONE[:60], 'Mobile Safari UI/WKWebView on iOS'),
    ],
)
def test_known_browser_is_named_with_its_system(agent, name):
    assert device_name(agent) == name


def test_browser_of_an_unknown_system_is_named_alone():
    assert device_name('curl/8.5.0') == 'curl'


def test_browser_that_is_called_as_its_system_is_named_once():
    assert device_name(ANDROID) == 'Android'


@pytest.mark.parametrize('agent', ODD)
def test_odd_agent_stays_as_it_is(agent):
    assert device_name(agent) == agent


@pytest.mark.parametrize('agent', [FIREFOX, IPHONE, 'curl/8.5.0', *ODD])
def test_agent_stays_as_it_is_without_ua_parser(agent, without_ua_parser):
    assert device_name(agent) == agent


def test_agent_stays_as_it_is_with_a_ua_parser_that_is_too_old(monkeypatch):
    import ua_parser

    # before 1.0 it had other functions
    monkeypatch.delattr(ua_parser, 'parse_os')

    assert device_name(FIREFOX) == FIREFOX


@pytest.mark.parametrize('agent', [None, ''])
def test_without_an_agent_there_is_no_name(agent):
    assert device_name(agent) is None


def test_stored_session_names_its_device():
    session = StoredSession('6b' * 16, 'ada', 1, 2, 3, agent=FIREFOX)

    assert session.device == 'Firefox on Ubuntu'


def test_session_that_has_no_agent_has_no_device():
    assert StoredSession('6b' * 16, 'ada', 1, 2, 3).device is None
