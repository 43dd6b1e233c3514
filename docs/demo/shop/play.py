"""Sends requests in the visitor's name, to show what several at once do."""

import time
from collections.abc import Mapping
from contextvars import copy_context
from typing import Any, NamedTuple

from pyramid.request import Request
from pyramid.response import Response
from pyramid.router import Router

from shop.cost import Cost


class Played(NamedTuple):
    """A request that was sent, as the visitor would have seen it."""

    response: Response
    seconds: float
    cost: Cost
    #: Whether it failed, and nobody could tell what became of it.
    unknown: bool


def play(
    request: Request,
    path: str,
    fields: Mapping[str, str] | None = None,
    **things: Any,
) -> Played:
    """
    Answer a request as if it came from the same browser over the network.

    It runs through the whole application, in this thread.

    :param fields: posts a form.
    :param things: what its view finds in ``environ``, after ``shop.``.
    """
    environ = {
        name: request.environ[name]
        for name in ('HTTP_COOKIE', 'HTTP_USER_AGENT', 'REMOTE_ADDR')
        if name in request.environ
    }
    environ |= {f'shop.{name}': thing for name, thing in things.items()}
    inner = Request.blank(
        path, environ, base_url=request.host_url, POST=fields
    )
    app = Router(request.registry)
    began = time.perf_counter()
    # what it costs is counted for itself
    response = copy_context().run(inner.get_response, app)
    seconds = time.perf_counter() - began
    found = inner.environ
    cost = found['shop.cost']
    # several threads may do this at once
    request.cost.played.append(cost.statements + sum(cost.played))
    return Played(response, seconds, cost, found.get('shop.unknown', False))


def keep_cookies(response: Response, played: Played) -> Response:
    """Let the visitor have the cookies that a request of theirs was sent."""
    for line in played.response.headers.getall('Set-Cookie'):
        response.headers.add('Set-Cookie', line)
    return response
