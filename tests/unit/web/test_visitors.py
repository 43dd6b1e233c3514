"""What is noted of those who send requests."""

import ipaddress

import pytest
from pyramid.request import Request

from pyramid_mysql_session.web.visitors import Visitors


def device(track_devices=True, **environ):
    request = Request.blank('/')
    request.environ.update(environ)
    return Visitors(track_devices, None).device(request)


def address(text, track_devices=True):
    ip = device(track_devices, REMOTE_ADDR=text).ip
    return None if ip is None else str(ipaddress.ip_address(ip))


def agent(header):
    """Return what is noted of the bytes of a header."""
    return device(HTTP_USER_AGENT=header.decode('latin-1')).agent


def test_nothing_is_noted_unless_it_is_wanted():
    assert device(False, REMOTE_ADDR='192.0.2.1') is None


@pytest.mark.parametrize(
    ('text', 'whole', 'truncated'),
    [
        ('203.0.113.77', '203.0.113.77', '203.0.113.0'),
        ('2001:db8:1:2:3:4:5:6', '2001:db8:1:2:3:4:5:6', '2001:db8:1::'),
        ('::ffff:203.0.113.77', '203.0.113.77', '203.0.113.0'),
        ('fe80::1%eth0', 'fe80::1', 'fe80::'),
    ],
)
def test_address_is_noted_whole_or_its_network(text, whole, truncated):
    assert address(text) == whole
    assert address(text, 'truncated') == truncated


@pytest.mark.parametrize(
    'text', ['', 'localhost', '/run/app.sock', '1.2.3', '1.2.3.4.5', 'é', None]
)
def test_what_is_no_address_is_not_noted(text):
    assert address(text) is None


def test_header_that_anybody_can_send_is_no_address():
    known = device(
        REMOTE_ADDR='192.0.2.1', HTTP_X_FORWARDED_FOR='198.51.100.1'
    )

    assert ipaddress.ip_address(known.ip) == ipaddress.ip_address('192.0.2.1')


@pytest.mark.parametrize(
    ('header', 'noted'),
    [
        (b'Mozilla/5.0 (X11)', 'Mozilla/5.0 (X11)'),
        ('Zoë 🦊'.encode(), 'Zoë 🦊'),
        (b'caf\xe9 \xff\xfe', 'caf\ufffd \ufffd\ufffd'),
        (b'a\x00b\x1b[31mc\r\nd', 'a b [31mc  d'),
        (b'x' * 8190, 'x' * 255),
        ('🦊'.encode() * 300, '🦊' * 255),
        (b'', None),
        (b'\x00\x01', None),
    ],
)
def test_agent_is_noted_so_that_it_does_no_harm(header, noted):
    assert agent(header) == noted


def test_request_without_an_agent_has_none():
    assert device().agent is None
    assert device(HTTP_USER_AGENT=7).agent is None
    assert device(HTTP_USER_AGENT='Zoë \ud800 🦊').agent == 'Zo\ufffd ? ?'
