"""A page that does without the session."""

from pyramid.request import Request
from pyramid.view import view_config


# its template extends base.jinja2, which does not use the session either
@view_config(route_name='about', renderer='shop:templates/about.jinja2')
def about(request: Request) -> dict[str, str]:
    return {}
