"""Tells what becomes of the response of a request."""

from __future__ import annotations

from typing import Any

from pyramid.interfaces import INewResponse

try:
    from pyramid_retry import is_error_retryable
except ImportError:  # pyramid_retry is the application's choice

    def is_error_retryable(request: Any, exc: Any) -> bool:
        return False


#: Where a request has its response, from NewResponse on; then nothing, when it
#: is on its way. The attributes of a request are kept in its environment,
#: which pyramid_retry uses again, the dict of the object is its own.
RESPONSE = 'pyramid_mysql_session.response'
EXPECTED: Any = object()


def is_thrown_away(request: Any) -> bool:
    """Tell whether pyramid_retry throws the response of a request away."""
    exception = getattr(request, 'exception', None)
    return exception is not None and is_error_retryable(request, exception)


def has_committed(request: Any) -> bool:
    """
    Tell whether pyramid_tm has committed the transaction of a request.

    Whoever did it all again would commit it twice. Of a request for which it
    has no transaction this is true as well: it does not tell them apart.
    """
    return hasattr(request, 'tm') and 'tm.active' not in request.environ


def go_first(request: Any, callback: Any) -> None:
    """Let a finished callback of a request be called before all others."""
    callbacks = request.finished_callbacks
    if callback in callbacks:
        callbacks.remove(callback)
        callbacks.appendleft(callback)


def run_others(request: Any) -> None:
    """
    Call all other finished callbacks of a request.

    Who calls it from a finished callback of its own learns of their errors.
    """
    callbacks = request.finished_callbacks
    while callbacks:
        callbacks.popleft()(request)


def follow(registry: Any) -> None:
    """Let sessions that are first used late know of the response."""
    if RESPONSE not in registry:
        registry[RESPONSE] = True
        registry.registerHandler(_note_response, (INewResponse,))


def _note_response(event: Any) -> None:
    vars(event.request)[RESPONSE] = event.response
    event.request.add_finished_callback(_note_departure)


def _note_departure(request: Any) -> None:
    vars(request)[RESPONSE] = None
