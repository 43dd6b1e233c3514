"""
What a newcomer gets wrong, what is shown then, and what to do next.

``python -m tests.manual.mistakes`` writes docs/mistakes.txt, the table of
docs/troubleshooting.rst. ``test_mistakes.py`` makes each mistake and sees that
what is shown is what the table says.
"""

from __future__ import annotations

import contextlib
import datetime
import gc
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.session import SignedCookieSessionFactory

from pyramid_mysql_session import get_store
from tests import helpers

TABLE = Path(__file__).parents[2] / 'docs' / 'mistakes.txt'
MAKES_ONE = (
    'such as the output of python -c "import secrets; '
    'print(secrets.token_urlsafe(48))"'
)
GRANTS = (
    'GRANT SELECT, INSERT, UPDATE, DELETE on the session table, and CREATE '
    'unless mysql_session.create_table is false, to mysql_session.user.'
)


class Mistake(NamedTuple):
    """
    One row of the table.

    In both parts of the message an ellipsis stands for what differs.
    """

    group: str
    #: What was done wrong.
    what: str
    #: What is shown, in an error or in the log.
    says: str
    #: The end of it, which says what to do next.
    advice: str
    #: What to do, where the message is not enough or not ours.
    then: str
    #: Makes it.
    make: Callable[[Any], object]

    @property
    def name(self):
        """The name of its test."""
        return re.sub(r'\W+', '-', self.what).strip('-').lower()

    def pattern(self):
        """Return a regular expression that what is shown matches."""
        whole = f'{self.says} {self.advice}'.strip()
        return '.*'.join(map(re.escape, whole.split('…')))


MISTAKES = []


def mistake(group, what, says, advice='', then=''):
    """Add what a function does to the mistakes."""

    def add(make):
        MISTAKES.append(Mistake(group, what, says, advice, then, make))
        return make

    return add


def wrong(what, says, advice, then='', **settings):
    """Add a mistake that is one of settings, which the start shows."""
    mistake(START, what, says, advice, then)(
        lambda world: world.make_app(**settings)
    )


START = 'When the application starts'
CONNECTING = 'Connecting to the server'
TABLES = 'The table'
REQUEST = 'In a request'
LOG = 'In the log'


def put(request):
    request.session['key'] = 'value'


def login(request):
    request.session['auth.userid'] = 5


# when the application starts

wrong(
    'no secret',
    'mysql_session.secret: required,',
    f'expected one or more secrets, one a line, {MAKES_ONE}',
    secret=None,
)
wrong(
    'the secret of the manual',
    'mysql_session.secret = (not shown):',
    f'expected a secret of your own, not that of the manual, {MAKES_ONE}',
    secret='change-me-to-32-random-characters-or-more',
)
wrong(
    'neither user nor database',
    'mysql_session.user and mysql_session.database:',
    'required unless mysql_session.pool or mysql_session.read_default_file is '
    'given',
    user=None,
    database=None,
)
wrong(
    'milliseconds, as Node has them',
    "mysql_session.idle_timeout = '86400000':",
    'expected whole seconds from 1 to 34560000, such as 1200, or none',
    idle_timeout='86400000',
)
wrong(
    'a unit behind a number',
    "mysql_session.purge_interval = '15m':",
    'expected whole seconds from 1 to 604800, such as 900',
    purge_interval='15m',
)
wrong(
    'a name of express-mysql-session',
    'mysql_session.checkExpirationInterval: no such setting;',
    'what is checkExpirationInterval (milliseconds) in express-mysql-session '
    'is mysql_session.purge_interval (seconds) here',
    checkExpirationInterval='900000',
)
wrong(
    'a misspelt name',
    'mysql_session.cookie_htponly: no such setting,',
    'the closest is mysql_session.cookie_httponly',
    cookie_htponly='true',
)
wrong(
    'no boolean',
    "mysql_session.purge_expired = 'nope':",
    'expected true or false',
    purge_expired='nope',
)
wrong(
    'a scheme in the domain of the cookie',
    "mysql_session.cookie_domain = 'https://example.com':",
    'expected the name of a host alone, such as example.com, without a '
    'scheme, or none',
    cookie_domain='https://example.com',
)
wrong(
    'SameSite=None without Secure, which browsers drop',
    'mysql_session.cookie_samesite = None:',
    'expected mysql_session.cookie_secure = true with it',
    cookie_samesite='none',
)
wrong(
    'an idle time-out beyond the absolute one',
    'mysql_session.idle_timeout = 7200:',
    'expected at most mysql_session.absolute_timeout, which is 3600',
    idle_timeout=7200,
    absolute_timeout=3600,
)
wrong(
    'the address of a database where a pool should be',
    'mysql_session.pool = (not shown):',
    'expected a DBUtils PooledDB, or the dotted name of one or of a callable '
    'that returns one (not such a text)',
    pool='mysql://shop:secret@localhost/shop',
)
wrong(
    'an option file that is not there',
    "mysql_session.read_default_file = '/nowhere/my.cnf':",
    'expected the path of a file that can be read (No such file or directory)',
    read_default_file='/nowhere/my.cnf',
)
wrong(
    'a clock of our own among the variables of the connection',
    "mysql_session.session_variables = 'timestamp = 0': expected lines …",
    'but not timestamp, which this package sets itself',
    'Remove the line: sessions live by the clock of the server.',
    session_variables='timestamp = 0',
)


wrong(
    'a port behind the host',
    "mysql_session.host = 'db.example:3307':",
    'expected the name or address of a host alone, such as db.example, '
    'without a port or brackets; the port is mysql_session.port',
    host='db.example:3307',
)
wrong(
    'a certificate, and nothing that has it checked',
    'mysql_session.ssl_ca:',
    'expected mysql_session.ssl_mode with it, such as VERIFY_IDENTITY: else '
    'the connection may not be encrypted',
    ssl_ca='/etc/shop/mysql-ca.pem',
)


@mistake(
    START,
    'a comment behind a value',
    "mysql_session.port = '3306  # of MySQL':",
    'expected a port from 1 to 65535, such as 3306',
    'Write the comment on a line of its own.',
)
def comment_behind(world):
    line = 'mysql_session.port = 3306  # of MySQL'
    settings = world.values_of_ini(line)
    world.make_app(port=settings['mysql_session.port'])


@mistake(
    START,
    'an ini file that an editor has saved with a byte order mark',
    'File contains no section headers.…',
    then='Save it as UTF-8 without one.',
)
def byte_order_mark(world):
    world.settings_of_ini('', encoding='utf-8-sig')


@mistake(
    START,
    'the name of the package with dashes in the list of includes',
    "No module named 'pyramid-mysql-session'",
    then='Write ``pyramid_mysql_session``.',
)
def include_with_dashes(world):
    Configurator(settings={'pyramid.includes': 'pyramid-mysql-session'})


@mistake(
    START,
    'a comma in the list of includes',
    "No module named 'pyramid_mysql_session,'",
    then='Let blanks or ends of lines part the names.',
)
def include_with_commas(world):
    names = 'pyramid_mysql_session, pyramid_debugtoolbar'
    Configurator(settings={'pyramid.includes': names})


@mistake(
    START,
    'indented lines below the list of includes, which continue it',
    "No module named 'mysql_session'",
    then='Let our lines begin at the left edge.',
)
def indented_lines(world):
    settings = world.values_of_ini(
        'pyramid.includes =\n    pyramid_mysql_session\n'
        '    mysql_session.user = shop'
    )
    Configurator(settings=settings)


@mistake(
    START,
    'a misspelt prefix',
    'mysqlsession.table_name: no such setting,',
    'expected mysql_session.table_name',
)
def misspell_prefix(world):
    settings = world.database.settings()
    helpers.assemble({**settings, 'mysqlsession.table_name': 'carts'})


@mistake(
    START,
    'one per cent sign in a password',
    "Error in file …: '%' must be followed by '%' or '(', found: …",
    then='Write each per cent sign twice: ``100%%``.',
)
def forget_to_double(world):
    world.settings_of_ini('mysql_session.password = 100%sure')


@mistake(
    START,
    'the lines of ours in a second section of the same name',
    "While reading from …: section 'app:main' already exists",
    then='Put them into the section ``[app:main]`` that is there.',
)
def second_section(world):
    world.settings_of_ini('[app:main]\nmysql_session.user = shop')


@mistake(
    START,
    'a second list of includes',
    "While reading from …: option 'pyramid.includes' in section 'app:main' "
    'already exists',
    then='Add ``pyramid_mysql_session`` to the list that is there.',
)
def second_list(world):
    world.settings_of_ini(
        'pyramid.includes = pyramid_debugtoolbar\n'
        'pyramid.includes = pyramid_mysql_session'
    )


@mistake(
    START,
    'two session factories',
    'Conflicting configuration actions…For: '
    'pyramid.interfaces.ISessionFactory…',
    then='Both places are named: remove one of the two, or set your own with '
    '``config.set_session_factory()`` in ``main()``, which then counts.',
)
def include_two(world):
    def other(config):
        config.set_session_factory(SignedCookieSessionFactory('secret'))

    world.make_app(configure=lambda config: config.include(other))


@mistake(
    START,
    'the store is asked for before the configuration is committed',
    'the session factory of pyramid_mysql_session is made when the '
    'configuration is committed:',
    'call config.commit() first',
)
def ask_too_early(world):
    with Configurator(settings=world.database.settings()) as config:
        config.include('pyramid_mysql_session')
        get_store(config.registry)


# connecting


@mistake(
    CONNECTING,
    'a wrong password',
    'MySQL refused the user.',
    'Check mysql_session.user, mysql_session.password and from which host the '
    'user may connect. (MySQL error 1045)',
)
def wrong_password(world):
    with helpers.user(world.database, 'ALL') as user:
        world.start(**{**user, 'password': 'wrong'})


@mistake(
    CONNECTING,
    'quotes around the password, which in an ini file are part of it',
    'MySQL refused the user.',
    'Check mysql_session.user, mysql_session.password and from which host the '
    'user may connect. (MySQL error 1045)',
    'Write the value as it is, blanks and all.',
)
def quoted_password(world):
    with helpers.user(world.database, 'ALL') as user:
        line = f'mysql_session.password = "{user["password"]}"'
        settings = world.values_of_ini(line)
        quoted = settings['mysql_session.password']
        world.start(**{**user, 'password': quoted})


@mistake(
    CONNECTING,
    'a user who may come from another address only',
    'MySQL refused the user.',
    'Check mysql_session.user, mysql_session.password and from which host the '
    'user may connect. (MySQL error …)',
    "``shop@localhost`` comes by the socket; ``shop@'%'`` from everywhere.",
)
def other_address(world):
    with world.account("'192.0.2.1'") as user:
        world.start(**user)


@mistake(
    CONNECTING,
    'the server does not run, or the port is another',
    'MySQL cannot be reached.',
    'Check mysql_session.host, mysql_session.port, mysql_session.unix_socket '
    'and the ssl settings, and that the server runs. (MySQL error …)',
)
def server_down(world):
    world.start(host='127.0.0.1', port=1, unix_socket=None)


@mistake(
    CONNECTING,
    'a port of localhost, which is the socket',
    'mysql_session.port = 3307 is not used: localhost stands for the socket '
    'of the server;',
    'set mysql_session.host = 127.0.0.1 to connect to that port',
)
def port_of_localhost(world):
    world.make_app(host='localhost', port=3307, unix_socket=None)


@mistake(
    CONNECTING,
    'the database is not there, and the user may do everything',
    'The database does not exist.',
    'Create it or check mysql_session.database. (MySQL error 1049)',
)
def no_database(world):
    world.start(database='no_such_database')


@mistake(
    CONNECTING,
    'the database is not there, and the user may do little',
    'The user may not use the database, or the database does not exist.',
    'Check mysql_session.database; GRANT SELECT, INSERT, UPDATE, DELETE on '
    'the session table to mysql_session.user. (MySQL error 1044)',
)
def no_database_for_user(world):
    with helpers.user(world.database, 'SELECT') as user:
        world.start(**user, database='no_such_database')


@mistake(
    CONNECTING,
    'more connections than the server has',
    'MySQL accepts no more connections.',
    "Lower mysql_session.connection_limit or raise the server's "
    'max_connections. (MySQL error …)',
)
def too_many_connections(world):
    with (
        world.account("'%'", 'WITH MAX_USER_CONNECTIONS 1') as user,
        contextlib.closing(world.database.connect(**user)),
    ):
        world.start(**user)


@mistake(
    CONNECTING,
    'a replica instead of the primary server',
    'The server is read-only.',
    'Check that mysql_session.host names the primary server. (MySQL error …)',
)
def replica(world):
    with (
        helpers.user(world.database, 'CREATE, SELECT, INSERT') as user,
        helpers.variables(world.server, read_only=1),
    ):
        world.start(**user)


@mistake(
    CONNECTING,
    'a variable that the server does not have',
    'The server refused a variable of the connection.',
    'Check mysql_session.session_variables and mysql_session.charset. (MySQL '
    'error 1193)',
)
def no_such_variable(world):
    world.start(session_variables='wsrep_sync_weight = 7')


# the table


@mistake(
    TABLES,
    'the table is not there, and shall not be made',
    '`sessions` cannot hold sessions: it is missing, and '
    'mysql_session.create_table is false.',
    'CREATE TABLE IF NOT EXISTS `sessions` …',
    'Run the statement, or ``pyramid-mysql-session production.ini init``.',
)
def no_table(world):
    world.start(create_table=False)


@mistake(
    TABLES,
    'the user may not create the table',
    'A privilege is missing.',
    f'{GRANTS} (MySQL error 1142)',
)
def no_create(world):
    with helpers.user(world.database, 'SELECT, INSERT, UPDATE') as user:
        world.start(**user)


@mistake(
    TABLES,
    'the user may read the table only',
    'A privilege is missing.',
    f'{GRANTS} (MySQL error 1142)',
)
def no_insert(world):
    world.make_app().run(put)
    with helpers.user(world.database, 'SELECT') as user:
        world.make_app(**user).run(put)


@mistake(
    TABLES,
    'somebody has dropped a column',
    '`sessions` cannot hold sessions: column `userid` is missing.',
    'ALTER TABLE `sessions` ADD COLUMN `userid` varchar(255) …;',
)
def dropped_column(world):
    world.make_app().run(put)
    world.database.query('ALTER TABLE sessions DROP COLUMN userid')
    world.start()


@mistake(
    TABLES,
    'devices are tracked in a table that is older',
    '`sessions` cannot hold sessions: column `seen` is missing; column `ip` '
    'is missing; column `agent` is missing.',
    'ALTER TABLE `sessions` ADD COLUMN `seen` …, ADD COLUMN `ip` …, ADD '
    'COLUMN `agent` …;',
)
def devices_later(world):
    world.make_app(track_devices=False).run(put)
    world.start(track_devices=True)


@mistake(
    TABLES,
    'sessions are sealed in a table that holds text',
    '`sessions` cannot hold sessions: column `data` is mediumtext….',
    'ALTER TABLE `sessions` MODIFY COLUMN `data` mediumblob NOT NULL;',
    'Step by step, while visitors are there: :ref:`sealed`.',
)
def sealed_later(world):
    world.make_app(encrypt=False).run(put)
    world.start(encrypt=True)


@mistake(
    TABLES,
    'a view instead of a table',
    '`sessions` cannot hold sessions: it is a view.',
    'Set mysql_session.table_name to the name of a table, or to a name that '
    'is free.',
)
def view(world):
    world.database.query('CREATE VIEW sessions AS SELECT 1')
    world.start()


@mistake(
    TABLES,
    'the engine MyISAM',
    '`sessions` cannot hold sessions: its engine is MyISAM, which has no '
    'transactions.',
    'ALTER TABLE `sessions` ENGINE=InnoDB ROW_FORMAT=DYNAMIC;',
)
def myisam(world):
    world.make_app().run(put)
    # whose keys are shorter
    world.database.query(
        'ALTER TABLE sessions DROP KEY userid, ADD KEY (userid(9)), '
        'ENGINE=MyISAM'
    )
    world.start()


@mistake(
    TABLES,
    'the table of express-mysql-session',
    '`sessions` cannot hold sessions: it is a table of express-mysql-session, '
    'with ….',
    'It must stay as it is: set mysql_session.table_name to a name that is '
    'free.',
)
def other_program(world):
    world.database.query(
        'CREATE TABLE sessions (session_id VARCHAR(128) PRIMARY KEY, '
        'expires INT UNSIGNED NOT NULL, data MEDIUMTEXT)'
    )
    world.start()


@mistake(
    TABLES,
    'each user in one row only',
    '`sessions` cannot hold sessions: unique index `one` lets no two sessions '
    'have the same `userid`.',
    'ALTER TABLE `sessions` DROP KEY `one`;',
)
def unique_user(world):
    world.make_app().run(put)
    world.database.query('ALTER TABLE sessions ADD UNIQUE one (userid)')
    world.start()


@mistake(
    TABLES,
    'a JSON column, and half a character',
    'the session table cannot hold sessions: it refuses the row (MySQL error '
    '…).',
    'Call check_table() of the store: it names what differs.',
    'Let the column be MEDIUMTEXT: :doc:`table` says what JSON refuses.',
)
def json_column(world):
    world.make_app().run(put)
    world.database.query('ALTER TABLE sessions MODIFY data JSON NOT NULL')

    world.make_app().run(lambda request: request.session.update(key='\ud800'))


@mistake(
    TABLES,
    'an index is missing',
    '`sessions` has no index on `expires`: a purge reads the whole table.',
    'ALTER TABLE `sessions` ADD KEY (`expires`);',
)
def no_index(world):
    world.make_app().run(put)
    world.database.query('ALTER TABLE sessions DROP KEY expires')
    world.start()


# in a request


@mistake(
    REQUEST,
    'the package is not included',
    'No session factory registered …',
    then='Add ``pyramid_mysql_session`` to ``pyramid.includes`` of the ini '
    'file that runs: ``testing.ini`` has a list of its own.',
)
def not_included(world):
    with Configurator() as config:
        config.add_view(put, renderer='json')
    helpers.Application(config.make_wsgi_app()).get('/')


@mistake(
    REQUEST,
    'the store is asked for where the package is not included',
    'the session factory is None, not one of pyramid_mysql_session:',
    'include it in the configuration',
)
def no_store(world):
    with Configurator() as config:
        get_store(config.registry)


@mistake(
    REQUEST,
    'a value that JSON does not have',
    'The session cannot be stored: cart.day has a value of type date.',
    'Store plain data, or name another mysql_session.serializer.',
    'Store ``day.isoformat()``; :doc:`howto/values` has more.',
)
def date(world):
    day = datetime.date(2030, 1, 1)
    world.make_app().run(lambda r: r.session.update(cart={'day': day}))


@mistake(
    REQUEST,
    'a list that contains itself',
    'The session cannot be stored: loop has more than 100 levels of dicts and '
    'lists, or contains itself.',
    'Store plain data, or name another mysql_session.serializer.',
)
def too_deep(world):
    def view(request):
        loop = []
        loop.append(loop)
        request.session['loop'] = loop

    world.make_app().run(view)


@mistake(
    REQUEST,
    'more than the table holds, or than is allowed',
    'The payload in bytes is … long, the limit is 65,535.',
    'Keep less in the session, or widen the data column and raise '
    'mysql_session.max_payload_bytes.',
)
def too_large(world):
    app = world.make_app(max_payload_bytes=65535)
    app.run(lambda request: request.session.update(key='x' * 70_000))


@mistake(
    REQUEST,
    'a key that is ours',
    'The session cannot be stored: _popped_ is a key that pop_flash() uses.',
    'Store plain data, or name another mysql_session.serializer.',
    'Take another key.',
)
def reserved(world):
    world.make_app().run(lambda r: r.session.update(_popped_=1))


@mistake(
    REQUEST,
    'an object as the user id',
    'A user id is text or a whole number, not of type list.',
    'Use a text that names the user.',
)
def user_object(world):
    def view(request):
        request.session['auth.userid'] = ['ada']

    world.make_app().run(view)


@mistake(
    REQUEST,
    'a block of locked() that asks its own application, and waits for itself',
    "Somebody else kept the session's row locked.",
    'mysql_session.lock_timeout limits the wait. (MySQL error 1205)',
    'Send what waits for another request of the same visitor after the '
    'block. One block in another of the same request is fine.',
)
def locked_in_locked(world):
    app = world.make_app(lock_timeout=1)
    app.run(put)

    def inner(request):
        with request.session.locked():
            request.session['key'] = 'inner'

    def outer(request):
        with request.session.locked(), request.session.locked():
            helpers.twin(app).run(inner)

    app.run(outer)


@mistake(
    REQUEST,
    'a session that begins when the response is on its way',
    'The response is on its way: the browser cannot learn the id of a new '
    'session any more.',
    'Create or renew a session before the response is returned.',
)
def too_late(world):
    def view(request):
        def body():
            request.session['key'] = 'value'
            request.session.save()
            yield b''

        # used before, or it would begin with the response
        assert request.session.new
        return Response(app_iter=body())

    world.make_app().run(view)


@mistake(
    REQUEST,
    'a session is pickled, for a job queue for instance',
    'a session cannot be pickled:',
    'pickle dict(session)',
)
def pickled(world):
    world.make_app().run(lambda request: pickle.dumps(request.session) and '')


@mistake(
    REQUEST,
    'words for a time',
    "seconds = 'week':",
    'expected whole seconds from 1 to 34560000, or None',
)
def remember_week(world):
    world.make_app().run(lambda request: request.session.remember('week'))


@mistake(
    REQUEST,
    'the factory is closed, and requests come',
    'The session store is closed.',
    'It was closed with close(); build a new session factory.',
)
def closed(world):
    app = world.make_app()
    app.close()
    app.run(put)


# in the log


@mistake(
    LOG,
    'a short secret',
    'mysql_session.secret has fewer than 32 characters:',
    f'take a longer one, {MAKES_ONE}',
)
def short_secret(world):
    world.make_app(secret='correct horse')


@mistake(
    LOG,
    'an https cookie over http: each request begins a session',
    'mysql_session.cookie_secure is true, and a request came over http, where '
    'browsers drop the cookie:',
    'set it to auto, or let the WSGI server trust the proxy that speaks https',
)
def secure_cookie(world):
    app = world.make_app(cookie_secure='true')
    app.run(put)
    assert not app.run(lambda request: dict(request.session)).json


@mistake(
    LOG,
    'the domain of another host: each request begins a session',
    "mysql_session.cookie_domain = 'example.com' is not the domain of a host "
    'that a request asked for, and browsers drop the cookie there:',
    'set it to that host or to what it ends with, or leave it out',
)
def other_domain(world):
    app = world.make_app(cookie_domain='example.com')
    app.run(put)
    assert not app.run(lambda request: dict(request.session)).json


@mistake(
    LOG,
    'two applications of one host have the same cookie name',
    'session cookie rejected: signature',
    then='At the level DEBUG. Give each its own '
    '``mysql_session.cookie_name``: :doc:`security`.',
)
def same_cookie(world):
    shop = world.make_app()
    shop.run(put)
    blog = world.make_app(secret='another secret, that of the other one')
    helpers.twin(shop, blog).run(lambda request: dict(request.session))


@mistake(
    LOG,
    'two secrets on one line, which are one',
    'session cookie rejected: signature',
    then='At the level DEBUG. Write each secret on a line of its own.',
)
def secrets_on_a_line(world):
    old = world.make_app(secret=helpers.SECRET)
    old.run(put)
    new = world.make_app(secret=f'the-new-secret {helpers.SECRET}')
    helpers.twin(old, new).run(lambda request: dict(request.session))


@mistake(
    LOG,
    'a log-out while another request changes the session',
    'session … was deleted, renewed or expired while a request used it; the '
    'changes of that request are dropped',
    then='Nothing: a session that ended stays so. If it comes often, see '
    ':doc:`concurrency`.',
)
def lost(world):
    app = world.make_app()
    app.run(put)

    def view(request):
        request.session['key'] = 'late'
        app.store.clear()

    app.run(view)


@mistake(
    LOG,
    'a change in a streamed body, when all was saved',
    'a session was changed after it had been saved, and the change is lost:',
    'call save() after it',
)
def changed_late(world):
    def view(request):
        session = request.session
        session['key'] = 'value'

        def body():
            session['key'] = 'late'
            yield b''

        return Response(app_iter=body())

    world.make_app().run(view)
    gc.collect()


@mistake(
    LOG,
    'a foreign key to the table that does not cascade',
    '`orders` refers to `sessions` by the foreign key …: without ON DELETE '
    'CASCADE neither a log-out nor a purge deletes its sessions, and without '
    'ON UPDATE CASCADE their ids cannot be renewed (MySQL error 1451).',
    then='Let it say ``ON DELETE CASCADE ON UPDATE CASCADE``.',
)
def foreign_key(world):
    world.make_app().run(put)
    world.database.query(
        'CREATE TABLE orders (session BINARY(32), FOREIGN KEY (session) '
        'REFERENCES sessions (session_id))'
    )
    world.start()


@mistake(
    LOG,
    'the clocks of the two hosts differ, says the command check',
    'warning: the clock of the server is … seconds ahead of that of this '
    'host: ids are made by the one, and expire by the other.',
    'Let both follow the same time server.',
)
def clocks(world):
    world.make_app().run(put)
    world.check(ahead=100)


def as_rst():
    """Return the table as reStructuredText."""
    lines = ['.. made by python -m tests.manual.mistakes', '']
    for group in dict.fromkeys(mistake.group for mistake in MISTAKES):
        lines += [
            f'.. list-table:: {group}',
            '    :header-rows: 1',
            '    :widths: 25 40 35',
            '',
            '    * - what was done',
            '      - what is shown',
            '      - what to do next',
        ]
        for row in MISTAKES:
            if row.group == group:
                advice = row.advice.partition(' (MySQL error')[0]
                following = [f'``{advice}``' if advice else '', row.then]
                lines += [
                    f'    * - {row.what}',
                    f'      - ``{row.says}``',
                    f'      - {" ".join(filter(None, following))}',
                ]
        lines.append('')
    return '\n'.join(lines)


if __name__ == '__main__':
    TABLE.write_text(as_rst(), 'utf-8')
