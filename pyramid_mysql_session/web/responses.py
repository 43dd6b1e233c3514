"""Tells what becomes of the response of a request."""

from __future__ import annotations

import inspect
import sys
from types import CodeType, FrameType
from typing import Any

from pyramid.router import Router

try:
    from pyramid_retry import is_error_retryable
except ImportError:  # pyramid_retry is the application's choice

    def is_error_retryable(request: Any, exc: Any) -> bool:
        return False


#: Stands for a response that is not there yet.
EXPECTED: Any = object()

# what measures applications may wrap the methods, before this or later
INVOKE_SUBREQUEST, INVOKE_REQUEST, FINISH_REQUEST = (
    inspect.unwrap(method).__code__
    for method in (
        Router.invoke_subrequest,
        Router.invoke_request,
        Router.finish_request,
    )
)


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


def is_subrequest(request: Any) -> bool:
    """Tell whether the router answers a request for another one."""
    return _call_for(request, sys._getframe(), INVOKE_SUBREQUEST) is not None


def is_answered(request: Any) -> bool:
    """Tell whether the response of a request is on its way."""
    attributes = vars(request)
    # the router sets the one before it looks for the other, which it removes
    # when all callbacks were called; a thread may use the session meanwhile
    return (
        'context' not in attributes
        and 'request_iface' in attributes
        and not any(
            _call_for(request, frame, INVOKE_REQUEST)
            for frame in sys._current_frames().values()
        )
    )


def response_of(request: Any) -> Any:
    """Return the response that the router has, or :data:`EXPECTED`."""
    frame = _call_for(request, sys._getframe(), INVOKE_REQUEST)
    names = {} if frame is None else frame.f_locals
    return names.get('response', EXPECTED)


def is_failing(request: Any) -> bool:
    """Tell whether the router raises an exception instead of a response."""
    error = sys.exc_info()[1]
    if error is None:
        return False
    frame = _call_for(request, sys._getframe(), FINISH_REQUEST)
    if frame is None:
        return True
    passed = error.__traceback__
    # the application may have been called while another one was handled; an
    # execution policy may do itself what the router does
    while passed is not None and passed.tb_frame is not frame.f_back:
        passed = passed.tb_next
    return passed is not None


def _call_for(
    request: Any, start: FrameType, code: CodeType
) -> FrameType | None:
    """Return the call of a method for a request that a frame is part of."""
    frame: FrameType | None = start
    while frame is not None:
        if frame.f_code is code and frame.f_locals.get('request') is request:
            return frame
        frame = frame.f_back
    return None
