"""Pictures of the shop, for the manual and for who looks at them."""

from pathlib import Path

import pytest

#: What a page of the manual may have to load.
LIMIT = 150_000


@pytest.fixture
def save(request, tmp_path):
    """Call it with a tab and a name to write ``screenshot-NAME.png``."""
    folder = Path(request.config.getoption('--screenshots') or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def take(tab, name):
        path = folder / f'screenshot-{name}.png'
        tab.page.screenshot(path=path, animations='disabled')
        assert 0 < path.stat().st_size < LIMIT

    return take


def test_shop_with_a_cart_has_its_picture_taken(visit, save):
    tab = visit(viewport={'width': 1280, 'height': 860})
    tab.log_in()
    tab.add('Stoneware teapot')
    tab.add('Tin of Assam')

    save(tab, 'shop')


def test_ten_at_once_have_their_picture_taken_on_a_phone(visit, save):
    tab = visit(
        viewport={'width': 360, 'height': 740},
        device_scale_factor=2,
        color_scheme='dark',
    )
    tab.go('/at-once')
    tab.press('Ten items for one list')
    result = tab.page.locator('#result')
    result.evaluate('it => scrollTo(0, it.offsetTop - 20)')

    save(tab, 'at-once')
