"""What a visitor sees when something is wrong; none of it uses the session."""

import logging
from typing import Any

from pyramid.exceptions import BadCSRFOrigin, BadCSRFToken
from pyramid.httpexceptions import HTTPBadRequest
from pyramid.request import Request
from pyramid.view import exception_view_config, notfound_view_config

from pyramid_mysql_session import StoreUnavailable

log = logging.getLogger(__name__)

# of the shop's forms; whatever else was posted is not sent again
FIELDS = (
    'csrf_token',
    'add',
    'change',
    'remove',
    'quantity',
    'user',
    'remember',
    'end',
    'others',
    'kind',
    'note',
    'slow',
    'both',
)


# where a visitor sees whether what was posted to a route is stored
LOOK = {
    'line': 'cart',
    'order': 'cart',
    'devices': 'devices',
    'at_once': 'at_once',
    'two_windows': 'two_windows',
}


@notfound_view_config(renderer='shop:templates/notice.jinja2')
def not_found(request: Request) -> dict[str, str]:
    request.response.status_int = 404
    return {
        'title': 'Not on our shelf',
        'text': 'There is no page at this address.',
    }


@exception_view_config(HTTPBadRequest, renderer='shop:templates/notice.jinja2')
def not_readable(request: Request) -> dict[str, str]:
    request.response.status_int = 400
    return {
        'title': 'That cannot be read',
        'text': 'Your browser has sent something that no page of this shop '
        'asks for. Nothing was changed.',
    }


@exception_view_config(BadCSRFOrigin, renderer='shop:templates/notice.jinja2')
@exception_view_config(BadCSRFToken, renderer='shop:templates/notice.jinja2')
def stale_form(request: Request) -> dict[str, str]:
    request.response.status_int = 400
    return {
        'title': 'That form was too old',
        'text': 'Your session has ended since you opened the page. '
        'Nothing was changed: open the page again and repeat.',
    }


@exception_view_config(
    StoreUnavailable, renderer='shop:templates/unavailable.jinja2'
)
def unavailable(exc: StoreUnavailable, request: Request) -> dict[str, Any]:
    log.error('%s', exc)
    request.response.status_int = 503
    request.response.retry_after = 30
    posted = request.method == 'POST'
    # for who has sent it in the visitor's name, see play.py
    request.environ['shop.unknown'] = exc.outcome_unknown
    fields = request.POST if posted else {}
    return {
        'posted': posted,
        # whether it was stored is known, or nobody could tell
        'unknown': posted and exc.outcome_unknown,
        'look': LOOK.get(request.matched_route.name, 'shop'),
        'fields': [(name, fields[name]) for name in FIELDS if name in fields],
    }
