"""The password is asked for again, as the manual says."""

import pytest

from tests.manual.blocks import executes
from tests.manual.modules import shop_module
from tests.manual.test_users import Policy, passwords

__all__ = ['passwords', 'shop_module']

PAGE = 'howto/sudo.rst'


@pytest.fixture
def site(blocks, shop_module, recipe, passwords, make_app, tmp_path):
    """The application of the page, with the form of the log-in."""
    login, views, confirm, password, routes = blocks
    for name, form in (
        ('login', login),
        ('confirm', confirm),
        ('password', password),
    ):
        (tmp_path / f'{name}.jinja2').write_text(form.text)
    modules = [shop_module(views), recipe(routes)]

    def configure(config):
        config.add_settings({'jinja2.directories': str(tmp_path)})
        config.include('pyramid_jinja2')
        config.set_security_policy(Policy())
        config.set_default_csrf_options(require_csrf=True)
        config.include(modules[1])
        config.scan(modules[0])

    return make_app(configure=configure)


def send(page, **fields):
    form = page.form
    for name, value in fields.items():
        form[name] = value
    return form.submit()


@executes('howto/login.rst', 'html+jinja', 'password')
@executes(PAGE, 'python', 'def change_password')
@executes(PAGE, 'html+jinja', 'once more')
@executes(PAGE, 'html+jinja', 'new_password')
@executes(PAGE, 'python', 'def includeme')
def test_visitor_who_clicks_through_changes_the_password(
    site, passwords, database
):
    send(site.get('/login'), user='ada', password='first')
    database.query('UPDATE sessions SET created = created - 301')

    page = site.get('/password').follow()
    page = send(page, password='wrong')
    assert 'That was not right.' in page
    page = send(page, password='first').follow()
    send(page, new_password='third')

    assert passwords['ada'] == 'third'
