"""A small shop that keeps its carts in MySQL, through Pyramid's session."""

import os

from pyramid.config import Configurator
from pyramid.csrf import SessionCSRFStoragePolicy
from pyramid.router import Router

from shop.catalogue import product_of


def main(global_config: dict[str, str], **settings: str) -> Router:
    """Make the application that the ini file describes."""
    # set by docs/demo/stage.py; empty where the database is not ours to break
    settings.setdefault('shop.stage', os.environ.get('DEMO_STAGE', ''))
    with Configurator(settings=settings) as config:
        config.include('shop.cost')
        config.include('shop.counts')
        config.include('shop.readable')
        config.include('shop.security')
        config.set_csrf_storage_policy(SessionCSRFStoragePolicy())
        config.set_default_csrf_options(require_csrf=True)
        config.add_route('shop', '/')
        config.add_route('cart', '/cart')
        config.add_route('line', '/cart/{product}', factory=product_of)
        config.add_route('order', '/order')
        config.add_route('devices', '/devices')
        config.add_route('login', '/login')
        config.add_route('logout', '/logout')
        config.add_route('at_once', '/at-once')
        config.add_route('one_of_ten', '/at-once/one')
        config.add_route('two_windows', '/two-windows')
        config.add_route('break', '/break')
        config.add_route('clicks', '/break/clicks')
        config.add_route('operator', '/operator')
        config.add_route('about', '/about')
        config.add_static_view('static', 'shop:static')
        config.scan('shop.views')
    return config.make_wsgi_app()
