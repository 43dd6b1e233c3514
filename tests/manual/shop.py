"""The application of which the manual's examples are a part."""

from pyramid.config import Configurator

from tests.helpers import VIEW


class Policy:
    """The web server tells who the user is."""

    def identity(self, request):
        return self.authenticated_userid(request)

    def authenticated_userid(self, request):
        return request.environ.get('REMOTE_USER')

    def permits(self, request, context, permission):
        return True

    def remember(self, request, userid, **kw):
        return []

    def forget(self, request, **kw):
        return []


def visits(request):
    """Count the visits of a session, and tell where they come from."""
    session = request.session
    with session.locked():
        session['visits'] = session.get('visits', 0) + 1
    return {
        'visits': session['visits'],
        'address': request.remote_addr,
        'scheme': request.scheme,
    }


def answer(request):
    return (request.environ.get(VIEW) or visits)(request)


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_mysql_session')
        config.set_security_policy(Policy())
        config.add_view(answer, renderer='json')
    return config.make_wsgi_app()
