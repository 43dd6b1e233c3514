"""What docs/troubleshooting.rst would have somebody type."""

import re
import shutil
import time

from tests.helpers import twin, variables
from tests.manual.blocks import executes, executes_each
from tests.manual.cookiecutter import EXISTING, logging_as, merged

PAGE = 'troubleshooting.rst'


@executes(PAGE, 'sql', 'ALTER USER')
@executes(PAGE, 'sql', 'CREATE DATABASE')
@executes(PAGE, 'sql', 'SHOW GRANTS')
@executes(PAGE, 'sh', 'development.ini check')
@executes(PAGE, 'sh', 'mariadb --host')
@executes(PAGE, 'sh', 'production.ini purge')
def test_remedies_mend_what_is_wrong(blocks, shop, terminal, write_ini):
    password, database, privileges, check, connect, purge = (
        block.text for block in blocks
    )
    server = shop.server

    def look():
        return terminal.run(f'{check.strip()} || true').shown

    def mend(block):
        for statement in filter(str.strip, block.split(';\n')):
            server.query(statement)

    shop.drop()
    server.query("CREATE USER shop@localhost IDENTIFIED BY 'wrong horse'")
    mine = {'user': 'shop', 'password': 'correct horse', 'database': 'shop'}
    for name in ('development.ini', 'production.ini'):
        write_ini('', name, **mine)

    assert 'MySQL refused the user' in look()
    mend(password)
    assert 'The user may not use the database' in look()
    mend(database)
    assert 'it is missing' in look()
    terminal.run(check.replace('check', 'init --run'))
    server.query('REVOKE ALL ON shop.* FROM shop@localhost')
    assert 'The user may not use the database' in look()
    mend(privileges)
    assert 'sessions can be kept' in look()
    assert terminal.run(purge).code == 0
    # by TCP the server may not know who comes from localhost
    server.query("CREATE USER shop@'%' IDENTIFIED BY 'correct horse'")
    server.query("GRANT SELECT ON shop.* TO shop@'%'")
    client = shutil.which(server.kind)
    terminal.stand_in(server.kind, f'exec {client} --no-defaults "$@"')
    code, shown = terminal.run(
        re.sub(r'\bmariadb\b', server.kind, connect).replace(
            '3306', str(server.port)
        )
    )
    assert code == 0, shown
    assert '| 1 |' in shown


@executes_each(
    'sql',
    (PAGE, 'Threads_connected'),
    (PAGE, '@@hostname'),
    (PAGE, 'PROCESSLIST'),
    (PAGE, 'SHOW TRIGGERS'),
    (PAGE, 'UNIX_TIMESTAMP'),
)
def test_questions_have_answers(block, app, database):
    app.store.create_table()

    for statement in filter(str.strip, block.text.split(';\n')):
        rows = database.query(statement)

    assert rows


@executes(PAGE, 'sql', 'binlog_format')
def test_server_logs_rows(block, server):
    ((before,),) = server.query('SELECT @@GLOBAL.binlog_format')

    with variables(server, binlog_format='STATEMENT'):
        server.query(block.text.strip().rstrip(';'))
        ((after,),) = server.query('SELECT @@GLOBAL.binlog_format')

    assert after == 'ROW'
    assert server.query('SELECT @@GLOBAL.binlog_format') == [(before,)]


@executes(PAGE, 'ini', 'level = DEBUG')
def test_log_says_why_a_cookie_is_refused(block, make_app, tmp_path, capsys):
    path = tmp_path / 'development.ini'
    path.write_text(merged(EXISTING, block.text))
    app = make_app()

    with logging_as(path):
        app.set_cookie('session', 'forged')
        app.run(lambda request: dict(request.session))

    assert re.search(
        r'DEBUG \[pyramid_mysql_session\S+\] session cookie rejected: '
        'signature',
        capsys.readouterr().err,
    )


@executes(PAGE, 'ini', 'the-short-one')
def test_short_secret_is_replaced_and_nobody_logged_out(
    block, make_app, make_site
):
    before = make_site('mysql_session.secret = the-short-one\n')
    before.run()

    browser = twin(before, make_site(block.text))

    assert browser.run().json['visits'] == 2


@executes(PAGE, 'ini', 'mysql_session.table_name')
def test_table_of_another_program_stays(block, make_site, database):
    database.query('CREATE TABLE sessions (id INT)')

    make_site(block.text).run()

    assert database.query('SELECT COUNT(*) FROM pyramid_sessions') == [(1,)]


@executes(PAGE, 'sh', 'token_urlsafe')
@executes(PAGE, 'sh', 'date')
def test_programs_print_a_secret_and_the_time(blocks, terminal):
    secret, now = (terminal.run(block.text) for block in blocks)

    assert secret.code == now.code == 0
    assert len(secret.shown.strip()) == 64
    assert abs(int(now.shown) - time.time()) < 60
