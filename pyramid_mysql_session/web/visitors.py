"""Tells who has sent a request, and from where."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from ..store.results import Device

# how many of each a process keeps in memory
_REMEMBERED = 1024
# characters, as the column has them
_LONGEST_AGENT = 255
# with a zone, which does not count
_LONGEST_ADDRESS = 100
# bits that stay of an address which is not to tell of one person
_NETWORKS = {4: 24, 6: 48}


class Visitors(NamedTuple):
    """What is noted of those who send requests."""

    #: Whether devices are; ``truncated`` for parts of their addresses.
    track_devices: bool | str
    #: Tells the user id of a request; ``None`` if that is in the session.
    userid: Callable[[Any], Any] | None

    def device(self, request: Any) -> Device | None:
        """Return what a request tells of its device, if that is wanted."""
        if not self.track_devices:
            return None
        environ = request.environ
        address = str(environ.get('REMOTE_ADDR'))[:_LONGEST_ADDRESS]
        agent = environ.get('HTTP_USER_AGENT')
        return Device(
            _address(address, self.track_devices == 'truncated'),
            # a character has four bytes at most
            _agent(agent[: 4 * _LONGEST_AGENT])
            if isinstance(agent, str)
            else None,
        )


# a page's requests all come from the same
@lru_cache(_REMEMBERED)
def _address(text: str, truncated: bool) -> bytes | None:
    """Return the bytes of a network address, ``None`` if it is none."""
    try:
        address = ipaddress.ip_address(text.partition('%')[0])
    except ValueError:
        # a server on a socket has none to tell
        return None
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    if truncated:
        bits = _NETWORKS[address.version]
        network = ipaddress.ip_network((address, bits), strict=False)
        address = network.network_address
    return address.packed


@lru_cache(_REMEMBERED)
def _agent(text: str) -> str | None:
    """Return what a browser calls itself so that any column holds it."""
    # PEP 3333: bytes, decoded as if they were Latin-1
    decoded = text.encode('latin-1', 'replace').decode('utf-8', 'replace')
    shown = ''.join(each if each.isprintable() else ' ' for each in decoded)
    return shown[:_LONGEST_AGENT].strip() or None
