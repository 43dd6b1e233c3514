"""What docs/howto/testing.rst shows, in the folder of a shop."""

import pytest

from tests.conftest import PROGRAMS
from tests.manual.blocks import ROOT, block, executes
from tests.manual.terminal import Terminal

SHOP = """\
from pyramid.config import Configurator

from shop import views


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_mysql_session')
        config.add_route('cart', '/cart')
        config.add_route('teapot', '/cart/teapot', request_method='POST')
        config.add_view(views.show, route_name='cart', renderer='json')
        config.add_view(
            views.add_to_cart, route_name='teapot', renderer='json'
        )
    return config.make_wsgi_app()
"""
VIEWS = """

def empty_cart(request):
    request.session.clear()


def show(request):
    return request.session['cart']
"""


@executes('howto/testing.rst', 'python', 'class FakeSession')
@executes('howto/testing.rst', 'python', 'def visit')
@executes('howto/testing.rst', 'python', '# conftest.py')
@executes('howto/testing.rst', 'python', "app.post('/cart/teapot')")
@executes('howto/testing.rst', 'sh', 'private_server.py')
def test_tests_of_a_shop_pass_on_a_private_server(blocks, package, tmp_path):
    if not PROGRAMS:
        pytest.skip('needs a server of its own')
    fake, real, conftest, whole, command = blocks
    cart = block('quickstart.rst', 'python', 'add_to_cart')
    (package / '__init__.py').write_text(SHOP)
    (package / 'views.py').write_text(cart.text + VIEWS)
    (tmp_path / 'docs').symlink_to(ROOT / 'docs')
    folder = tmp_path / 'tests'
    folder.mkdir()
    (folder / 'conftest.py').write_text(conftest.text)
    (folder / 'test_fake.py').write_text(fake.text)
    (folder / 'test_real.py').write_text(real.text)
    (folder / 'test_whole.py').write_text(whole.text)
    terminal = Terminal(tmp_path, PYTHONPATH=f'{package.parent}:{ROOT}')

    code, shown = terminal.run(command.text)

    assert code == 0, shown
    assert '3 passed' in shown
