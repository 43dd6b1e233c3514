"""Who asks, and what they may do: both are told by the session."""

from collections.abc import Sequence
from typing import Any

from pyramid.authentication import SessionAuthenticationHelper
from pyramid.config import Configurator
from pyramid.events import NewResponse
from pyramid.interfaces import ISecurityPolicy
from pyramid.request import Request
from pyramid.security import Allowed, Denied
from zope.interface import implementer

# a demo asks for no password: a real shop does
USERS = {'ada': 'Ada', 'grace': 'Grace', 'linus': 'Linus'}


@implementer(ISecurityPolicy)
class SecurityPolicy:
    """Whoever has logged in may do everything."""

    def __init__(self) -> None:
        self.helper = SessionAuthenticationHelper()

    def identity(self, request: Request) -> str | None:
        """Return the display name of who is logged in."""
        return USERS.get(self.authenticated_userid(request))

    def authenticated_userid(self, request: Request) -> str | None:
        return self.helper.authenticated_userid(request)

    def permits(
        self, request: Request, context: object, permission: str
    ) -> Allowed | Denied:
        if self.identity(request):
            return Allowed('logged in')
        return Denied('not logged in')

    def remember(
        self, request: Request, userid: str, **kw: Any
    ) -> Sequence[tuple[str, str]]:
        return self.helper.remember(request, userid, **kw)

    def forget(self, request: Request, **kw: Any) -> Sequence[tuple[str, str]]:
        return self.helper.forget(request, **kw)


def keep_private(event: NewResponse) -> None:
    """Have no page of a session shown again, as by the back button."""
    if 'session' in vars(event.request):
        event.response.headers['Cache-Control'] = 'no-store'


def includeme(config: Configurator) -> None:
    config.set_security_policy(SecurityPolicy())
    config.add_subscriber(keep_private, NewResponse)
