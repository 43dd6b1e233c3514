"""The servers and fixtures that the other tests rely on."""

import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile

import MySQLdb
import private_server as private_servers
import pytest

ROOT = pathlib.Path(__file__).parents[2]


def run_python(code, **variables):
    """Start Python code in a process of its own."""
    return subprocess.Popen(
        [sys.executable, '-c', code],
        cwd=ROOT / 'docs' / 'demo',
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_end(pid):
    """Wait until a process that need not be our child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        readable, _, _ = select.select([descriptor], [], [], 60)
    finally:
        os.close(descriptor)
    assert readable, f'process {pid} still runs'


class TestServer:
    def test_server_tells_its_kind_and_version(self, server):
        ((version,),) = server.query('SELECT VERSION()')

        assert ('MariaDB' in version) == (server.kind == 'mariadb')
        assert server.version[0].isdigit()

    def test_connect_is_in_autocommit_mode(self, server):
        with server.connect() as connection:
            assert connection.get_autocommit()

    def test_private_server_listens_on_loopback_too(self, server):
        if not server.private:
            pytest.skip('this server is not ours')

        with MySQLdb.connect(
            host='127.0.0.1', port=server.port, user=server.user
        ) as connection:
            assert 'TCP' in connection.get_host_info()

    def test_query_reconnects_after_a_lost_connection(self, server):
        ((mine,),) = server.query('SELECT CONNECTION_ID()')
        with server.connect() as connection:
            connection.query(f'KILL {mine}')

        ((other,),) = server.query('SELECT CONNECTION_ID()')

        assert other != mine


class TestDatabase:
    def test_database_is_empty_and_random(self, server, database):
        other = server.create_database()
        try:
            assert other.name != database.name
            assert database.query('SHOW TABLES') == []
        finally:
            other.drop()

    def test_drop_removes_this_database_only(self, server, database):
        other = server.create_database()

        other.drop()

        names = {name for (name,) in server.query('SHOW DATABASES')}
        assert other.name not in names
        assert database.name in names

    def test_query_and_connect_use_this_database(self, database):
        database.query('CREATE TABLE t (a INT, b TEXT)')
        database.query('INSERT INTO t VALUES (%s, %s)', (1, 'x'))

        with database.connect() as connection, connection.cursor() as cursor:
            cursor.execute('SELECT * FROM t')
            assert cursor.fetchall() == ((1, 'x'),)
        assert database.query('SELECT * FROM t') == [(1, 'x')]

    def test_settings_take_overrides(self, database):
        settings = database.settings(idle_timeout=60, secret=None)

        assert settings['mysql_session.database'] == database.name
        assert settings['mysql_session.idle_timeout'] == 60
        assert 'mysql_session.secret' not in settings
        assert {
            'mysql_session.unix_socket',
            'mysql_session.host',
        } & settings.keys()


class TestStatements:
    def test_log_shows_exactly_what_was_executed(self, database, statements):
        connection = database.connect()
        with statements() as log:
            connection.query('SELECT 1')
            connection.store_result()
            database.query('SELECT 2')
            connection.autocommit(False)
            connection.query('BEGIN')
            connection.rollback()
            connection.query('BEGIN')
            connection.commit()
        connection.query('DO 3')

        # the drivers differ in how they write what commit() sends
        assert [text.upper() for text in log] == [
            'SELECT 1',
            'SET AUTOCOMMIT=0',
            'BEGIN',
            'ROLLBACK',
            'BEGIN',
            'COMMIT',
        ]
        assert {thread_id for thread_id, _, _ in log.commands} == {
            connection.thread_id()
        }
        connection.close()

    def test_commands_show_what_is_no_statement(self, database, statements):
        with statements() as log:
            connection = database.connect()
            connection.select_db(database.name)

        commands = [command for _, command, _ in log.commands]
        assert commands[0] == 'Connect'
        assert commands[-1] == 'Init DB'
        assert not any(database.name in text for text in log)
        connection.close()

    def test_pings_are_counted(self, database, statements):
        connection = database.connect()
        with statements() as log:
            connection.ping()
            database.query('DO 1')
            connection.ping()
        with statements() as quiet:
            connection.query('DO 1')

        assert (log, log.pings) == ([], 2)
        assert (quiet, quiet.pings) == (['DO 1'], 0)
        connection.close()

    def test_log_keeps_the_order_whatever_the_clock(
        self, database, statements
    ):
        connection = database.connect()
        expected = [f'SET timestamp = {9000 - number}' for number in range(50)]

        with statements() as log:
            for statement in expected:
                connection.query(statement)

        assert log == expected
        connection.close()

    def test_log_carries_any_text_and_bytes(self, database, statements):
        connection = database.connect()
        with statements() as log, connection.cursor() as cursor:
            cursor.execute('DO %s', (b'\xff\x00\n",',))
            cursor.execute('DO %s', ('a\n"ü",\\ ' + 'b' * 200_000,))

        binary, text = log
        assert binary.startswith('DO ')
        assert text.startswith('DO \'a\\n\\"ü\\",\\\\ b')
        assert len(text) > 200_000
        connection.close()

    def test_statements_leaves_the_settings_as_found(self, server, statements):
        settings = 'SELECT @@GLOBAL.general_log, @@GLOBAL.log_output'
        before = server.query(settings)

        with pytest.raises(ZeroDivisionError), statements():
            1 / 0  # noqa: B018 any error will do

        assert server.query(settings) == before


class TestPrivateServer:
    def test_committed_rows_outlive_restart_and_kill(self, private_server):
        server = private_server()
        database = server.create_database()
        database.query('CREATE TABLE t (a INT)')
        database.query('INSERT INTO t VALUES (1)')
        port = server.port

        server.restart()
        database.query('INSERT INTO t VALUES (2)')
        server.kill()
        assert not server.running
        with pytest.raises(MySQLdb.OperationalError):
            server.connect()
        server.start()

        assert database.query('SELECT a FROM t') == [(1,), (2,)]
        assert server.port == port

    def test_options_reach_the_server(self, private_server):
        server = private_server(max_connections=17, event_scheduler='OFF')

        assert server.query('SELECT @@max_connections, @@event_scheduler') == [
            (17, 'OFF')
        ]

    def test_temporary_tables_are_in_a_folder_of_its_own(self, private_server):
        server = private_server()

        ((folder,),) = server.query('SELECT @@tmpdir')

        assert pathlib.Path(folder).samefile(server.folder)

    def test_paused_server_says_nothing(self, private_server):
        server = private_server()
        connection = server.connect(read_timeout=1)

        server.pause()
        with pytest.raises(MySQLdb.OperationalError):
            connection.query('DO 1')
        server.resume()

        assert server.query('SELECT 1') == [(1,)]
        connection.close()

    def test_failing_start_shows_the_log(self, private_server):
        with pytest.raises(
            private_servers.ServerError, match='no_such_option'
        ):
            private_server(no_such_option=1)

    def test_folder_keeps_data_and_serves_one_server(self, server, tmp_path):
        with private_servers.PrivateServer(server.kind, tmp_path) as first:
            with MySQLdb.connect(
                unix_socket=first.socket, user=first.user
            ) as connection:
                connection.query('CREATE DATABASE kept')
            with pytest.raises(private_servers.ServerError, match='in use'):
                private_servers.PrivateServer(server.kind, tmp_path)
        temporary = pathlib.Path(first.socket).parent
        assert not temporary.exists()

        with (
            private_servers.PrivateServer(server.kind, tmp_path) as second,
            MySQLdb.connect(
                unix_socket=second.socket, user=second.user, database='kept'
            ),
        ):
            pass

    def test_folder_that_cannot_be_made_is_told(
        self, server, tmp_path, monkeypatch
    ):
        room = tmp_path / 'room'
        room.mkdir()
        monkeypatch.setattr(tempfile, 'tempdir', str(room))
        (tmp_path / 'file').touch()

        with pytest.raises(
            private_servers.ServerError, match='no data can be kept'
        ):
            private_servers.PrivateServer(server.kind, tmp_path / 'file')

        assert list(room.iterdir()) == []

    @pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGKILL])
    def test_server_ends_with_its_parent(self, server, signum):
        parent = run_python(
            'import sys, private_server\n'
            f'server = private_server.PrivateServer({server.kind!r})\n'
            'server.start()\n'
            'print(server.pid, server._guard.pid, server.folder, flush=True)\n'
            'sys.stdin.read()\n'
        )
        with parent:
            pid, guard, folder = parent.stdout.readline().split()
            parent.send_signal(signum)
        wait_for_end(int(pid))
        wait_for_end(int(guard))

        assert not os.path.exists(folder)

    def test_forked_child_leaves_the_server_alone(self, server):
        parent = run_python(
            'import os, sys, private_server\n'
            f'server = private_server.PrivateServer({server.kind!r})\n'
            'server.start()\n'
            'child = os.fork()\n'
            'if child:\n'
            '    os.waitpid(child, 0)\n'
            '    print(server.running)\n'
        )

        assert parent.communicate() == ('True\n', '')
        assert parent.returncode == 0

    def test_script_tells_a_command_how_to_connect(self, server, tmp_path):
        script = private_servers.__file__
        command = 'import os; print(os.environ["DB_SOCKET"]); exit(3)'

        process = subprocess.run(
            [
                *(sys.executable, script, '--kind', server.kind),
                *('--', sys.executable, '-c', command),
            ],
            capture_output=True,
            text=True,
        )

        ready, socket = process.stdout.splitlines()
        assert ready.startswith(server.kind)
        assert not os.path.exists(socket)
        assert process.returncode == 3


class TestFindServers:
    def test_mysqld_variable_comes_first(self, server, monkeypatch):
        if not server.private:
            pytest.skip('this server is not ours')
        monkeypatch.setenv('MYSQLD', server.mysqld)

        assert next(iter(private_servers.find_servers())) == server.kind

    def test_mysqld_variable_that_names_no_server_fails(self, monkeypatch):
        monkeypatch.setenv('MYSQLD', sys.executable)
        with pytest.raises(private_servers.ServerError, match=sys.executable):
            private_servers.find_servers()

    @pytest.mark.parametrize(
        ('variables', 'status'),
        [
            ({'CI': 'true', 'DB_HOST': 'one.example'}, 4),
            ({'CI': '', 'DB_HOST': 'one.example'}, 0),
        ],
    )
    def test_ci_wants_two_servers(self, variables, status):
        process = subprocess.run(
            [sys.executable, '-m', 'pytest', '--collect-only', '-q', __file__],
            cwd=ROOT,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
        )

        assert process.returncode == status
        assert ('CI tests MariaDB and MySQL' in process.stderr) == bool(status)


class TestSignals:
    def test_interrupt_is_heard(self):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    def test_interrupt_is_heard_in_the_background_of_a_script(self):
        # where the shell is not interactive, & has it ignore the signal
        status = subprocess.call(
            [
                'sh',
                '-c',
                '"$0" -m pytest -q "$1::TestSignals::test_interrupt_is_heard"'
                ' & wait $!',
                sys.executable,
                __file__,
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )

        assert status == 0
