"""Tells what becomes of the response of a request."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from pyramid.router import Router
from pyramid.threadlocal import manager

try:
    from pyramid_retry import is_error_retryable
except ImportError:  # pyramid_retry is the application's choice

    def is_error_retryable(request: Any, exc: Any) -> bool:
        return False


#: Stands for a response that is not there yet.
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


def is_answered(request: Any) -> bool:
    """Tell whether the response of a request is on its way."""
    attributes = vars(request)
    # the router removes the context when all callbacks were called; where it
    # has not come to set one, a thread of its own that uses the session now
    # is taken to be late, too: it is warned of what nobody saves
    return (
        'context' not in attributes
        and 'invoke_subrequest' in attributes
        and manager.get()['request'] is not request
    )


def response_of(request: Any) -> Any:
    """Return the response that the router has, or :data:`EXPECTED`."""
    frame = _router_of(request)
    names = {} if frame is None else frame.f_locals
    return names.get('response', EXPECTED)


def is_failing(request: Any) -> bool:
    """Tell whether the router raises an exception instead of a response."""
    error, frame = sys.exc_info()[1], _router_of(request)
    if error is None or frame is None:
        return error is not None
    passed = error.__traceback__
    # the application may have been called while another one was handled
    while passed is not None and passed.tb_frame is not frame:
        passed = passed.tb_next
    return passed is not None


def _router_of(request: Any) -> FrameType | None:
    """Return the frame in which the router answers a request."""
    for frame in running(Router.invoke_request):
        if frame.f_locals['request'] is request:
            return frame
    return None


def running(*functions: Any) -> Iterator[FrameType]:
    """Iterate over the frames that run some functions, innermost first."""
    codes = {function.__code__ for function in functions}
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code in codes:
            yield frame
        frame = frame.f_back
