"""Names devices by what their browsers call themselves (a pure function)."""

from __future__ import annotations


def device_name(agent: str | None) -> str | None:
    """
    Name a device as its user would, ``Firefox on Ubuntu`` for instance.

    That needs ua-parser, the extra ``devices``.

    :param agent: what the browser calls itself.
    :returns: the agent itself where ua-parser is missing or does not know the
        browser; ``None`` without one.
    """
    if not agent:
        return None
    try:
        from ua_parser import parse_os, parse_user_agent
    except ImportError:
        return agent
    browser, system = parse_user_agent(agent), parse_os(agent)
    if browser is None:
        return agent
    if system is None or system.family == browser.family:
        return browser.family
    return f'{browser.family} on {system.family}'
