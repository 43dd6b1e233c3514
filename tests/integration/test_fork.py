"""Forked children and the connections of their parent."""

import pytest

from tests import helpers

HEAD = """
import gc, multiprocessing, os, threading
import MySQLdb
from dbutils.pooled_db import PooledDB
from pyramid_mysql_session.store.keys import make_session_id
from tests import helpers

def increment(request):
    request.session['number'] = request.session.get('number', 0) + 1
    return request.session['number']

def server_ids():
    return [row[0] for row in helpers.fetch(app, 'SELECT CONNECTION_ID()')]

def all_ids():
    # two connections, one of them in use
    with app.store._pool.transaction(lambda one: one.fetch('SELECT 1')):
        return server_ids()

def make_pool():
    names = 'unix_socket', 'host', 'port', 'user', 'password', 'database'
    arguments = {name: settings[f'mysql_session.{name}']
                 for name in names if f'mysql_session.{name}' in settings}
    # one connection more than the sessions ever use
    return PooledDB(MySQLdb, mincached=3, maxconnections=4, **arguments)

pool = make_pool() if settings.pop('passed_in') else None
app = helpers.assemble(settings, increment, pool=pool)
assert app.run().json == 1
all_ids()
parents = helpers.connections_of(settings)

def wait(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def check():
    # whoever was there before the fork still is, and serves
    assert parents <= helpers.connections_of(settings)
    assert set(server_ids()) <= parents
"""
FORK = """
child = os.fork()
if not child:
    assert helpers.reapers() == []
    assert app.run().json == 2
    assert not set(server_ids()) & parents
    assert len(helpers.reapers()) == 1
    {last}
wait(child)
check()
assert app.run().json == 3
"""
HELD_LOCKS = """
held, never = threading.Event(), threading.Event()

def hold():
    lender = app.store._pool._lender
    ticket = lender.belongings.gate.enter(1)
    with lender.pooled._lock, lender.belongings.gate._lock:
        held.set()
        never.wait()

threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if not child:
    assert app.run().json == 2
    os._exit(0)
wait(child)
never.set()
check()
"""
LOCKED_BLOCK = """
def view(request):
    with request.session.locked():
        child = os.fork()
        if not child:
            {child}
        wait(child)
        return increment(request)

assert app.run(view).json == 2
assert app.run().json == 3
check()
"""
PROCESSES = """
def work(pipe):
    assert not set(server_ids()) & parents
    app.browser().run()
    pipe.send([make_session_id() for _ in range(100)])

context = multiprocessing.get_context('fork')
found = []
for _ in range(2):
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(send,))
    process.start()
    found += receive.recv()
    process.join()
    assert process.exitcode == 0
assert len(set(found)) == 200
check()
"""


@pytest.mark.parametrize('passed_in', [False, True])
@pytest.mark.parametrize(
    'code',
    [
        FORK.format(last='sys.exit()'),
        FORK.format(last='os._exit(0)'),
        FORK.format(last='del app, pool; gc.collect(); os._exit(0)'),
        HELD_LOCKS,
        LOCKED_BLOCK.format(child='os._exit(0)'),
        LOCKED_BLOCK.format(child='raise SystemExit'),
        PROCESSES,
    ],
    ids=['exit', '_exit', 'gc', 'held', 'locked', 'locked-exit', 'processes'],
)
def test_children_leave_the_connections_of_their_parent_alone(
    database, code, passed_in
):
    settings = database.settings(secret=helpers.SECRET, lock_timeout=1)
    settings['passed_in'] = passed_in
    # that threads and forks do not go together is known
    flags = '-Wignore::DeprecationWarning', '-Wignore::UserWarning'
    with helpers.python(HEAD + code, settings, *flags) as process:
        assert process.communicate(timeout=60) == ('', '')

    assert process.returncode == 0
    helpers.wait_until(lambda: not helpers.connections(database))
