"""Makes the application with Django and its database sessions."""

from __future__ import annotations

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path

from .sites import SECRET, session_pages


def bare(address):
    """Make it without sessions."""
    _configure(address)
    with override_settings(MIDDLEWARE=[]):
        return WSGIHandler()


def with_sessions(address):
    _configure(address)
    call_command('migrate', verbosity=0)
    return WSGIHandler()


def _configure(address):
    if settings.configured:
        return
    settings.configure(
        ALLOWED_HOSTS=['*'],
        DATABASES={
            'default': {
                'ENGINE': 'django.db.backends.mysql',
                'CONN_MAX_AGE': None,
                'USER': address['user'],
                'NAME': address['database'],
                'HOST': address['unix_socket'],
            }
        },
        INSTALLED_APPS=['django.contrib.sessions'],
        MIDDLEWARE=['django.contrib.sessions.middleware.SessionMiddleware'],
        ROOT_URLCONF=__name__,
        SECRET_KEY=SECRET,
        SESSION_COOKIE_NAME='session',
    )
    django.setup()


def _touch(request):
    # it moves the deadline only of what it saves
    request.session.modified = True


def _view(page):
    def view(request):
        page(request)
        return HttpResponse(b'ok', content_type='text/plain')

    return view


urlpatterns = [
    path(name, _view(page))
    for name, page in {
        **session_pages(lambda session: session.cycle_key()),
        'touch': _touch,
    }.items()
]
