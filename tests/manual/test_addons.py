"""What the manual says about other add-ons."""

import os
import re
import sys
import types

import pytest
from webtest import Upload

from tests.manual.blocks import executes


@pytest.fixture
def module(monkeypatch, recipe):
    """Call it with a block for the module that it says to be."""

    def make(block):
        made = recipe(block)
        name = re.match(r'# shop/(\w+)\.py', block.text)[1]
        shop = sys.modules.get('shop') or types.ModuleType('shop')
        monkeypatch.setitem(sys.modules, 'shop', shop)
        monkeypatch.setitem(sys.modules, f'shop.{name}', made)
        monkeypatch.setattr(shop, name, made, raising=False)
        return made

    return make


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / 'uploads'
    folder.mkdir()
    return folder


@pytest.fixture
def pictures(monkeypatch):
    """What was added to the shop: title and content of each."""
    added = []
    library = types.ModuleType('shop.library')
    library.add_picture = lambda title, file: added.append(
        (title, file.read())
    )
    monkeypatch.setitem(sys.modules, 'shop.library', library)
    return added


@pytest.fixture
def gallery(make_app, module, blocks, folder, pictures):
    pytest.importorskip('deform')
    _, views = map(module, blocks[:2])

    def configure(config):
        config.add_settings({'shop.uploads': str(folder)})
        config.add_route('picture', '/picture')
        config.scan(views)

    return make_app(configure=configure)


def send(browser, title, uid=None, content=b''):
    """Fill the form in and send it, with a file or the uid of one."""
    file = ('uid', uid) if uid else ('upload', Upload('cat.png', content))
    parts = [
        ('__formid__', 'deform'),
        ('title', title),
        ('__start__', 'picture:mapping'),
        file,
        ('__end__', 'picture:mapping'),
        ('send', 'send'),
    ]
    return browser.post('/picture', parts)


def uid_of(page):
    return page.html.find('input', {'name': 'uid'})['value']


uploads = executes('addons.rst', 'python', 'class Uploads')
views = executes('addons.rst', 'python', 'def picture')


@uploads
@views
def test_upload_waits_until_the_other_fields_are_right(
    gallery, blocks, folder, pictures
):
    page = send(gallery, '', content=b'a cat')
    page = send(gallery, '', uid_of(page))

    assert 'cat.png' in page
    (waiting,) = folder.iterdir()
    assert waiting.read_bytes() == b'a cat'
    assert send(gallery, 'Cat', uid_of(page)).status_int == 303
    assert pictures == [('Cat', b'a cat')]
    assert not list(folder.iterdir())
    assert gallery.run(lambda request: dict(request.session)).json == {
        'uploads': {}
    }


@uploads
@views
def test_upload_of_somebody_else_is_not_found(
    gallery, blocks, folder, pictures
):
    uid = uid_of(send(gallery, '', content=b'a cat'))
    stranger = gallery.browser()

    page = send(stranger, 'Mine', uid)

    assert page.status_int == 200
    assert 'Required' in page
    assert not pictures


@uploads
@views
@executes('addons.rst', 'sh', 'find /var/lib/shop/uploads')
def test_upload_that_cron_has_deleted_is_asked_for_again(
    gallery, blocks, folder, pictures, terminal
):
    uid = uid_of(send(gallery, '', content=b'a cat'))
    (waiting,) = folder.iterdir()
    line = blocks[2].text.replace('/var/lib/shop/uploads', str(folder))

    terminal.run(line)
    assert waiting.exists()
    os.utime(waiting, (0, 0))
    terminal.run(line)
    assert not waiting.exists()

    assert 'Required' in send(gallery, 'Cat', uid)
    assert not pictures


@uploads
@views
def test_upload_into_a_form_without_errors_is_used_at_once(
    gallery, blocks, folder, pictures
):
    assert send(gallery, 'Cat', content=b'a cat').status_int == 303
    assert pictures == [('Cat', b'a cat')]
    assert not list(folder.iterdir())


@pytest.fixture
def accounts(make_app, module, blocks, tmp_path):
    """An application with pyramid_fullauth, and its user ada."""
    pytest.importorskip('pyramid_fullauth')
    import pyramid_basemodel
    import transaction
    from pyramid_fullauth.models import User

    made = module(blocks[0])

    def configure(config):
        config.add_settings(
            {
                'sqlalchemy.url': f'sqlite:///{tmp_path}/accounts',
                'basemodel.should_create_all': 'true',
                'mako.directories': str(tmp_path),
                'fullauth.authtkt.secret': 'only for tests',
            }
        )
        config.include('pyramid_tm')
        config.include('pyramid_basemodel')
        config.include(made)

    (line,) = blocks[1].text.splitlines()
    name, value = line.removeprefix('mysql_session.').split(' = ')
    app = make_app(configure=configure, **{name: value})
    ada = User()
    ada.email, ada.password = 'ada@example.com', 'first'
    ada.username, ada.address_ip = 'ada', '127.0.0.1'
    pyramid_basemodel.Session.add(ada)
    transaction.commit()
    return app


@pytest.mark.filterwarnings('ignore')
@executes('addons.rst', 'python', 'AfterLogIn')
@executes('addons.rst', 'ini', 'shop.accounts.userid')
def test_session_of_fullauth_has_its_user_and_ends_with_a_log_out(
    accounts, blocks
):
    def add(request):
        request.session['cart'] = ['teapot']

    def read(request):
        return [request.authenticated_userid, dict(request.session)]

    accounts.run(add)
    before = accounts.cookies['session']
    page = accounts.get('/login')
    token = page.html.find('input', {'name': 'csrf_token'})['value']
    form = {'email': 'ada@example.com', 'password': 'first'}

    assert accounts.post('/login', form | {'csrf_token': token}).location
    assert accounts.cookies['session'] != before
    userid, data = accounts.run(read).json
    assert userid is not None
    assert data['cart'] == ['teapot']
    assert len(accounts.store.for_user(userid)) == 1

    accounts.get('/logout')

    assert accounts.run(read).json == [None, {}]
    assert accounts.store.count() == 0
