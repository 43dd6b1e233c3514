"""What the shop sells."""

from typing import NamedTuple

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request


class Product(NamedTuple):
    name: str  # in addresses, in the session, and of the picture
    title: str
    text: str
    cents: int


PRODUCTS = {
    product.name: product
    for product in (
        Product(
            'teapot',
            'Stoneware teapot',
            'Pours without a drip and holds four cups.',
            3850,
        ),
        Product(
            'cup',
            'Speckled cup',
            'Thick enough to keep warm, light enough to lift.',
            1400,
        ),
        Product(
            'tin',
            'Tin of Assam',
            'Malty black tea, 125 g of whole leaves.',
            975,
        ),
    )
}


def product_of(request: Request) -> Product:
    """Return the product that the address names; the route's context."""
    try:
        return PRODUCTS[request.matchdict['product']]
    except KeyError:
        raise HTTPNotFound('The shop has no such product.') from None
