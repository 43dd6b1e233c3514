"""The pages. Each POST changes the session, then redirects to a page."""

import logging
import re
from typing import Any

from pyramid.csrf import new_csrf_token
from pyramid.exceptions import BadCSRFToken
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.security import remember
from pyramid.view import (
    exception_view_config,
    forbidden_view_config,
    notfound_view_config,
    view_config,
    view_defaults,
)

from pyramid_mysql_session import StoreUnavailable, get_store
from shop.catalogue import PRODUCTS, Product
from shop.security import USERS

log = logging.getLogger(__name__)


def go(request: Request, route: str, message: str) -> HTTPSeeOther:
    """Send the visitor to a page that opens with the message."""
    request.session.flash(message)
    return HTTPSeeOther(request.route_url(route))


@view_config(route_name='shop', renderer='templates/shop.jinja2')
def shop(request: Request) -> dict[str, Any]:
    return {'products': PRODUCTS.values()}


@view_config(route_name='cart', renderer='templates/cart.jinja2')
def show_cart(request: Request) -> dict[str, Any]:
    cart = request.session.get('cart', {})
    lines = [(PRODUCTS[name], cart[name]) for name in PRODUCTS if name in cart]
    return {
        'lines': lines,
        'total': sum(product.cents * quantity for product, quantity in lines),
        'orders': request.session.get('orders', []),
        'products': PRODUCTS,
    }


@view_defaults(route_name='line', request_method='POST')
class Line:
    """One product in the cart, ``session['cart'][product.name]``."""

    def __init__(self, product: Product, request: Request) -> None:
        self.product, self.request = product, request

    @property
    def cart(self) -> dict[str, int]:
        # a change inside the dict is noticed: no session.changed() needed
        cart: dict[str, int] = self.request.session.setdefault('cart', {})
        return cart

    @view_config(request_param='add')
    def add(self) -> HTTPSeeOther:
        # of two clicks at once the second waits, and counts on
        with self.request.session.locked():
            quantity = self.cart.get(self.product.name, 0) + 1
            return self.put(quantity, 'shop')

    @view_config(request_param='change')
    def change(self) -> HTTPSeeOther:
        text = self.request.POST.get('quantity', '')
        if not re.fullmatch('[1-9][0-9]?', text):
            message = 'A quantity is a whole number from 1 to 99.'
            return go(self.request, 'cart', message)
        return self.put(int(text), 'cart')

    @view_config(request_param='remove')
    def remove(self) -> HTTPSeeOther:
        self.cart.pop(self.product.name, None)
        message = f'{self.product.title} removed from your cart.'
        return go(self.request, 'cart', message)

    def put(self, quantity: int, route: str) -> HTTPSeeOther:
        quantity = min(quantity, 99)
        self.cart[self.product.name] = quantity
        message = f'{self.product.title}: {quantity} in your cart.'
        return go(self.request, route, message)


@view_config(route_name='order', request_method='POST', permission='order')
def order(request: Request) -> HTTPSeeOther:
    # a double click orders once
    with request.session.locked():
        cart = request.session.pop('cart', None)
        if not cart:
            return go(request, 'cart', 'There is nothing to order yet.')
        request.session.setdefault('orders', []).append(cart)
    return go(request, 'cart', f'Thank you, {request.identity}!')


@view_config(
    route_name='login', request_method='GET', renderer='templates/login.jinja2'
)
def login_form(request: Request) -> dict[str, Any]:
    return {'users': USERS}


@view_config(route_name='login', request_method='POST')
def login(request: Request) -> HTTPSeeOther:
    userid = request.POST.get('user')
    if userid not in USERS:
        return go(request, 'login', 'Please choose one of the names.')
    # the id of an anonymous visitor may be known to others: leave it behind,
    # and the token of its forms too; the cart comes along
    request.session.renew_id()
    new_csrf_token(request)
    remember(request, userid)
    page = 'cart' if request.session.get('cart') else 'shop'
    return go(request, page, f'Welcome, {USERS[userid]}.')


@view_config(route_name='logout', request_method='POST')
def logout(request: Request) -> HTTPSeeOther:
    request.session.invalidate()
    return go(request, 'shop', 'You are logged out.')


@view_defaults(route_name='devices', permission='devices')
class Devices:
    """The sessions of who asks: each is a browser that is logged in."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.store = get_store(request)
        self.userid = request.authenticated_userid

    @view_config(request_method='GET', renderer='templates/devices.jinja2')
    def show(self) -> dict[str, Any]:
        return {'sessions': self.store.for_user(self.userid, limit=50)}

    @view_config(request_method='POST', request_param='end')
    def end(self) -> HTTPSeeOther:
        handle = self.request.POST.get('end')
        if handle == self.request.session.handle:
            return logout(self.request)
        # anybody can send any handle: with the user id it ends none but theirs
        if self.store.end(handle, self.userid):
            return self.tell('That device is logged out.')
        return self.tell('That device is not logged in any more.')

    @view_config(request_method='POST', request_param='others')
    def end_others(self) -> HTTPSeeOther:
        number = self.store.delete_for_user(
            self.userid, keep=self.request.session.handle
        )
        return self.tell(f'Other devices that were logged out: {number}.')

    def tell(self, message: str) -> HTTPSeeOther:
        return go(self.request, 'devices', message)


@forbidden_view_config()
def forbidden(request: Request) -> HTTPSeeOther:
    return go(request, 'login', 'Please log in first.')


@notfound_view_config(renderer='templates/notice.jinja2')
def not_found(request: Request) -> dict[str, str]:
    request.response.status_int = 404
    return {
        'title': 'Not on our shelf',
        'text': 'There is no page at this address.',
    }


@exception_view_config(BadCSRFToken, renderer='templates/notice.jinja2')
def stale_form(request: Request) -> dict[str, str]:
    request.response.status_int = 400
    return {
        'title': 'That form was too old',
        'text': 'Your session has ended since you opened the page. '
        'Nothing was changed: open the page again and repeat.',
    }


@exception_view_config(StoreUnavailable, renderer='templates/notice.jinja2')
def unavailable(exc: StoreUnavailable, request: Request) -> dict[str, str]:
    log.error('%s', exc)
    request.response.status_int = 503
    request.response.retry_after = 30
    return {
        'title': 'Back in a moment',
        'text': 'The shop cannot reach its database right now. '
        'Your cart is safe there: please try again in half a minute.',
    }
