"""
What gunicorn serves in the tests.

It uses a session as soon as it is imported, which with ``--preload`` is in
the master, and keeps the connection.
"""

import json
import os

from tests.helpers import assemble, fetch


def visit(request):
    session, client = request.session, request.params.get('client', 'nobody')
    with session.locked():
        for name in (client, 'all'):
            session[name] = session.get(name, 0) + 1
    return {'visits': session.copy(), 'worker': os.getpid(), **importer}


importer = {}
served = assemble(json.loads(os.environ['SESSION_SETTINGS']), visit)
served.run()
((connection,),) = fetch(served, 'SELECT CONNECTION_ID()')
importer = {'importer': os.getpid(), 'connection': connection}


def application(environ, start_response):
    return served.app({**environ, **served.extra_environ}, start_response)
