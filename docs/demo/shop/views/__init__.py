"""The pages, a module each. A POST changes something, then leads to a page."""

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request


def go(request: Request, route: str, message: str) -> HTTPSeeOther:
    """Send the visitor to a page that opens with the message."""
    request.session.flash(message)
    return HTTPSeeOther(request.route_url(route))
