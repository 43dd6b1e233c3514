"""Visitors log in and out, as the manual says."""

import re

import pytest
from pyramid.security import remember

from tests.helpers import twin
from tests.manual.blocks import executes

PAGE = 'howto/login.rst'

USERS = """
def password_is_right(userid, password):
    return (userid, password) == ('ada', 'first')
"""


@pytest.fixture
def site(blocks, package, make_site):
    """The application of which the page shows every file but one."""
    security, login, form, ini, main = blocks
    for module in (security, login, main):
        name = re.match(r'# shop/(\w+\.py)\n', module.text)[1]
        (package / name).write_text(module.text)
    (package / 'login.jinja2').write_text(form.text)
    (package / 'users.py').write_text(USERS)
    return make_site(ini.text)


@executes(PAGE, 'python', 'class SecurityPolicy')
@executes(PAGE, 'python', 'def log_out')
@executes(PAGE, 'html+jinja', 'password')
@executes(PAGE, 'ini', 'shop.security')
@executes(PAGE, 'python', 'def main')
class TestPage:
    def log_in(self, site, typed='first'):
        form = site.get('/login').form
        form['user'], form['password'] = 'ada', typed
        return form.submit()

    def test_log_in_knows_the_user_under_another_id(self, site):
        site.get('/login')
        planted = twin(site)

        answer = self.log_in(site)

        assert answer.status_int == 303
        assert site.store.count('ada') == 1
        assert planted.cookies != site.cookies
        assert self.token(planted) != self.token(site)

    def test_form_that_was_open_before_the_log_in_is_refused(self, site):
        form = site.get('/login').form
        self.log_in(site)
        form['user'], form['password'] = 'ada', 'first'

        form.submit(status=400)

    def test_wrong_password_logs_nobody_in(self, site):
        answer = self.log_in(site, 'second')

        assert 'That was not right.' in answer
        assert site.store.count('ada') == 0

    def test_log_out_ends_the_session_for_every_copy(self, site):
        self.log_in(site)
        copy = twin(site)

        site.post('/logout', {'csrf_token': self.token(site)})

        assert site.cookies == {}
        assert site.store.count() == 0
        before = dict(copy.cookies)
        self.token(copy)
        assert copy.cookies != before

    def test_log_out_is_a_form_that_only_the_site_can_send(self, site):
        self.log_in(site)

        site.post('/logout', {'csrf_token': 'guessed'}, status=400)

        assert site.store.count('ada') == 1

    def token(self, browser):
        return browser.get('/login').form['csrf_token'].value


def test_remember_does_nothing_without_a_policy(app):
    def view(request):
        return remember(request, 'ada') + list(request.session)

    assert app.run(view).json == []
