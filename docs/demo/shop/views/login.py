"""Logging in and out."""

from typing import Any

from pyramid.csrf import new_csrf_token
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.security import remember
from pyramid.view import forbidden_view_config, view_config

from shop.security import USERS
from shop.views import go

TWO_WEEKS = 14 * 24 * 3600


@view_config(
    route_name='login',
    request_method='GET',
    renderer='shop:templates/login.jinja2',
)
def login_form(request: Request) -> dict[str, Any]:
    return {'users': USERS}


@view_config(route_name='login', request_method='POST')
def login(request: Request) -> HTTPSeeOther:
    userid = request.POST.get('user')
    if userid not in USERS:
        return go(request, 'login', 'Please choose one of the names.')
    session = request.session
    # the id of an anonymous visitor may be known to others: leave it behind,
    # and the token of its forms too; the cart comes along
    session.renew_id()
    new_csrf_token(request)
    remember(request, userid)
    # this session alone lives longer, and its cookie stays in the browser
    session.remember(TWO_WEEKS if 'remember' in request.POST else None)
    page = 'cart' if session.get('cart') else 'shop'
    return go(request, page, f'Welcome, {USERS[userid]}.')


@view_config(route_name='logout', request_method='POST')
def logout(request: Request) -> HTTPSeeOther:
    request.session.invalidate()
    return go(request, 'shop', 'You are logged out.')


@forbidden_view_config()
def forbidden(request: Request) -> HTTPSeeOther:
    return go(request, 'login', 'Please log in first.')
