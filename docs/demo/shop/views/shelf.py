"""The shelf and the cart."""

import re
from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.view import view_config, view_defaults

from shop.catalogue import PRODUCTS, Product
from shop.views import go


@view_config(route_name='shop', renderer='shop:templates/shop.jinja2')
def shop(request: Request) -> dict[str, Any]:
    return {'products': PRODUCTS.values()}


@view_config(route_name='cart', renderer='shop:templates/cart.jinja2')
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
    # a double click orders once; the message is stored with the order, or
    # neither is: who is told of an error is told the truth about both
    with request.session.locked():
        cart = request.session.pop('cart', None)
        if not cart:
            return go(request, 'cart', 'There is nothing to order yet.')
        request.session.setdefault('orders', []).append(cart)
        return go(request, 'cart', f'Thank you, {request.identity}!')
