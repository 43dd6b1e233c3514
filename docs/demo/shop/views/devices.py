"""Where a user is logged in."""

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.view import view_config, view_defaults

from pyramid_mysql_session import get_store
from shop.views import go
from shop.views.login import logout


@view_defaults(route_name='devices', permission='devices')
class Devices:
    """The sessions of who asks: each is a browser that is logged in."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.store = get_store(request)
        self.userid = request.authenticated_userid

    @view_config(
        request_method='GET', renderer='shop:templates/devices.jinja2'
    )
    def show(self) -> dict[str, Any]:
        return {'sessions': self.store.for_user(self.userid, limit=50)}

    @view_config(request_method='POST', request_param='end')
    def end(self) -> HTTPSeeOther:
        handle = self.request.POST.get('end')
        if handle == self.request.session.handle:
            return logout(self.request)
        # anybody can send any handle: with the user id it ends none but theirs
        if self.store.end(handle, self.userid):
            return self.tell('That device is logged out.')
        return self.tell('That device is not logged in any more.')

    @view_config(request_method='POST', request_param='others')
    def end_others(self) -> HTTPSeeOther:
        number = self.store.delete_for_user(
            self.userid, keep=self.request.session.handle
        )
        return self.tell(f'Other devices that were logged out: {number}.')

    def tell(self, message: str) -> HTTPSeeOther:
        return go(self.request, 'devices', message)
