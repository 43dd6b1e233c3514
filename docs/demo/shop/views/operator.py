"""
What whoever operates the shop wants to see.

A real shop shows this to nobody else. It does without a session, so that it
can be read while the database is down.
"""

from typing import Any

from pyramid.request import Request
from pyramid.view import view_config

from pyramid_mysql_session import SessionError, get_store
from shop.cost import CountingConnection

# seconds, as the visitor may choose; nothing refreshes by itself
INTERVALS = 5, 15, 60
# the default of mysql_session.connection_limit
LIMIT = 10


@view_config(route_name='operator', renderer='shop:templates/operator.jinja2')
def operator(request: Request) -> dict[str, Any]:
    asked = request.GET.get('refresh')
    refresh = next((each for each in INTERVALS if str(each) == asked), None)
    if refresh:
        # a header of browsers' own making that does what <meta> does
        request.response.headers['Refresh'] = str(refresh)
    store = get_store(request)
    stats, problem = None, None
    try:
        # stats() would wait for a server that is away; ping() does not
        if not store.ping():
            problem = 'The database is read-only: nothing can be saved.'
        stats = store.stats()
    except SessionError:
        problem = 'The database does not answer.'
    opened, busy = CountingConnection.usage()
    return {
        'stats': stats,
        'problem': problem,
        'opened': opened,
        'busy': busy,
        'limit': LIMIT,
        'events': request.registry['shop.counts'].lines(),
        'refresh': refresh,
        'intervals': INTERVALS,
    }
