"""
Refuses what cannot be read, before anything is done for it.

No form of this shop sends such a request. Without this, each view would have
to expect that a field is a file, or that reading one fails.
"""

from pyramid.config import Configurator
from pyramid.events import NewRequest
from pyramid.httpexceptions import HTTPBadRequest


def read(event: NewRequest) -> None:
    """
    See that the address, the cookies and the form can be read.

    :raises HTTPBadRequest: they cannot, or a field is a file.
    """
    request = event.request
    environ = request.environ
    # another application of this host may have set a cookie that is not
    # UTF-8: this is not to keep the visitor out
    if 'HTTP_COOKIE' in environ:
        cookies = environ['HTTP_COOKIE'].encode('latin-1')
        environ['HTTP_COOKIE'] = (
            cookies.decode('utf-8', 'ignore').encode().decode('latin-1')
        )
    try:
        # decoded when it is asked for, as the fields are
        request.path_info  # noqa: B018
        fields = [*request.GET.values(), *request.POST.values()]
    # the latter is what WebOb raises for another charset than UTF-8
    except (ValueError, LookupError, DeprecationWarning) as exc:
        raise HTTPBadRequest from exc
    if not all(isinstance(field, str) for field in fields):
        raise HTTPBadRequest


def includeme(config: Configurator) -> None:
    config.add_subscriber(read, NewRequest)
