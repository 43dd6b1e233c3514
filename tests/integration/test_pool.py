"""The connections that the package makes from the settings."""

import contextlib
import fcntl
import socket
import threading

import pytest

from pyramid_mysql_session import StoreUnavailable
from tests import certificates, helpers
from tests.faults.proxy import BlindProxy
from tests.helpers import problems_of


def fill(request):
    request.session['number'] = 1


def count(request):
    request.session['number'] += 1
    return request.session['number']


def read(request):
    return request.session.get('number')


def log_in(request):
    request.session['auth.userid'] = 'me'


def over_tcp(server):
    return {'host': server.host, 'port': server.port, 'unix_socket': None}


def variable(app, *names):
    """Return the value of a variable that has one of these names."""
    listed = ', '.join(f"'{name}'" for name in names)
    ((_, value), *_) = helpers.fetch(
        app, f'SHOW SESSION VARIABLES WHERE Variable_name IN ({listed})'
    )
    return value


class TestConnections:
    @pytest.mark.parametrize(
        ('sql_mode', 'isolation'),
        [
            ('', 'REPEATABLE-READ'),
            ('ANSI_QUOTES,NO_BACKSLASH_ESCAPES', 'SERIALIZABLE'),
            ('TRADITIONAL,PIPES_AS_CONCAT', 'READ-UNCOMMITTED'),
        ],
    )
    def test_connections_are_as_wanted_whatever_the_defaults(
        self, server, make_app, sql_mode, isolation
    ):
        ((isolation_name, _), *_) = server.query(
            'SHOW VARIABLES WHERE Variable_name IN '
            "('transaction_isolation', 'tx_isolation')"
        )
        defaults = {
            'sql_mode': sql_mode,
            isolation_name: isolation,
            'autocommit': 0,
            'innodb_lock_wait_timeout': 77,
            'lock_wait_timeout': 78,
            'completion_type': 'CHAIN',
            'character_set_server': 'latin1',
        }
        app = make_app(lock_timeout=3)
        with helpers.variables(server, **defaults):
            app.run(fill)
            for _ in range(3):
                app.run(count)

            assert variable(app, 'sql_mode') == (
                'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'
            )
            assert variable(app, isolation_name) == 'READ-COMMITTED'
            assert variable(app, 'autocommit') == 'ON'
            assert variable(app, 'innodb_lock_wait_timeout') == '3'
            assert variable(app, 'lock_wait_timeout') == '3'
            assert variable(app, 'completion_type') == 'NO_CHAIN'
            assert variable(app, 'character_set_connection') == 'utf8mb4'
        assert app.run(read).json == 4

    @pytest.mark.parametrize(
        'limit', [{'sql_select_limit': 3}, {'max_join_size': 1}]
    )
    def test_limits_of_the_server_to_answers_do_not_count(
        self, server, make_app, limit
    ):
        app = make_app()
        with helpers.variables(server, **limit):
            for _ in range(5):
                app.browser().run(log_in)

            assert len(app.store.for_user('me')) == 5
            assert app.store.count() == app.store.stats().live == 5
            assert app.store.delete_for_user('me') == 5

    def test_charset_that_has_no_letters_of_a_name_is_told(self, make_app):
        app = make_app(charset='latin1', table_name='сессии')

        assert problems_of(app, fill) == (
            'mysql_session.charset = latin1, in which the names of table '
            'and columns cannot be written; expected utf8mb4',
        )

    def test_connections_count_the_rows_that_an_update_finds(self, app):
        app.run(fill)

        assert (
            app.store._pool.run(
                lambda connection: connection.execute(
                    'UPDATE sessions SET expires = expires'
                )
            )
            == 1
        )

    def test_socket_and_tcp_both_work(self, server, make_app):
        if not server.private:
            pytest.skip('this server need not listen on both')
        tcp = make_app(**over_tcp(server))
        local = make_app(unix_socket=server.socket)
        tcp.run(fill)
        local.set_cookie('session', tcp.cookies['session'])

        assert local.run(count).json == 2
        ((tcp_host,),) = helpers.fetch(
            tcp,
            'SELECT HOST FROM information_schema.PROCESSLIST '
            'WHERE ID = CONNECTION_ID()',
        )
        assert ':' in tcp_host

    @pytest.mark.parametrize('named', ['in the settings', 'in a file'])
    def test_socket_counts_whatever_the_host(
        self, server, make_app, tmp_path, named
    ):
        if not server.private:
            pytest.skip('this server need not listen on both')
        path = tmp_path / 'my.cnf'
        path.write_text(
            f'[client]\nhost = {server.host}\nport = {server.port}\n'
        )
        by_host = {
            'in the settings': {'host': server.host, 'port': server.port},
            'in a file': {'host': None, 'read_default_file': str(path)},
        }[named]

        app = make_app(unix_socket=server.socket, **by_host)

        ((host,),) = helpers.fetch(
            app,
            'SELECT HOST FROM information_schema.PROCESSLIST '
            'WHERE ID = CONNECTION_ID()',
        )
        assert host == 'localhost'

    @pytest.mark.parametrize('by_address', [True, False])
    def test_option_file_says_what_the_settings_leave_open(
        self, server, database, make_app, tmp_path, by_address
    ):
        path = tmp_path / 'my.cnf'
        names = {'unix_socket': 'socket'}
        where = server.address
        if by_address and server.private:
            where = {'host': server.host, 'port': server.port}
        with helpers.user(database, 'ALL') as user:
            client = ''.join(
                f'{names.get(name, name)} = {value}\n'
                for name, value in {**where, **user}.items()
            )
            path.write_text(
                f'[client]\n{client}[web]\ndatabase = {database.name}\n'
            )
            app = make_app(
                host=None,
                port=None,
                unix_socket=None,
                user=None,
                password=None,
                database=None,
                read_default_file=str(path),
                read_default_group='web',
            )
            app.run(fill)

            ((name,),) = helpers.fetch(app, 'SELECT USER()')
            assert name.startswith(user['user'] + '@')


class TestEncryption:
    @pytest.fixture
    def certificate(self):
        """Options of a server whose certificate is its own authority."""
        return certificates.server_options()

    def test_ssl_settings_decide_on_encryption_and_trust(
        self, private_server, certificate, tmp_path
    ):
        database = private_server(**certificate).create_database()
        authority = str(certificate['ssl_ca'])
        other = tmp_path / 'other.pem'
        other.write_text('')

        def cipher(**settings):
            app = helpers.application(
                database, **over_tcp(database.server), **settings
            )
            with contextlib.closing(app):
                app.run(fill)
                ((_, value),) = helpers.fetch(
                    app, "SHOW SESSION STATUS LIKE 'Ssl_cipher'"
                )
                return value

        assert cipher(ssl_mode='DISABLED') == ''
        assert cipher(ssl_mode='REQUIRED') != ''
        assert cipher(ssl_mode='VERIFY_CA', ssl_ca=authority) != ''
        assert cipher(ssl_mode='VERIFY_IDENTITY', ssl_ca=authority) != ''
        with pytest.raises(StoreUnavailable, match='ssl settings') as caught:
            cipher(ssl_mode='VERIFY_CA', ssl_ca=str(other))
        assert caught.value.code == 2026

    @pytest.mark.parametrize('ssl_mode', ['DISABLED', 'REQUIRED'])
    @pytest.mark.parametrize('how', ['kill', 'restart', 'crash'])
    def test_connections_that_the_server_ended_are_replaced_unseen(
        self, private_server, certificate, ssl_mode, how
    ):
        server = private_server(**certificate)
        database = server.create_database()
        app = helpers.application(
            database,
            **over_tcp(server),
            ssl_mode=ssl_mode,
            connection_limit=8,
        )
        app.run(fill)
        together = threading.Barrier(8)
        threads = [
            threading.Thread(
                target=app.store._pool.run, args=(lambda _: together.wait(),)
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(helpers.connections(database)) == 8

        if how == 'kill':
            helpers.kill_connections(database)
        elif how == 'restart':
            server.restart()
        else:
            server.kill()
            server.start()

        numbers = [app.run(count).json for _ in range(20)]
        assert numbers == list(range(2, 22))
        app.close()

    @pytest.mark.parametrize('ssl_mode', ['DISABLED', 'REQUIRED'])
    def test_save_whose_answer_was_lost_is_stored_once(
        self, private_server, certificate, ssl_mode
    ):
        server = private_server(**certificate)
        database = server.create_database()
        address = {'host': server.host, 'port': server.port}

        with BlindProxy(address) as proxy:
            app = helpers.application(
                database, **proxy.settings, ssl_mode=ssl_mode
            )
            app.run(fill)

            def count_and_lose(request):
                request.session['number'] += 1
                proxy.lose_next_answer()

            for number in range(2, 22):
                app.run(count_and_lose)
                assert app.run(read).json == number
            assert proxy.lost == 20
            app.close()

    def test_client_certificate_is_shown_to_the_server(
        self, private_server, certificate
    ):
        database = private_server(**certificate).create_database()
        with helpers.user(database, 'ALL') as user:
            database.query(f"ALTER USER {user['user']}@'%' REQUIRE X509")
            paths = {name: str(path) for name, path in certificate.items()}
            where = {**user, **over_tcp(database.server)}
            shown = helpers.application(
                database, ssl_mode='VERIFY_CA', **paths, **where
            )
            hidden = helpers.application(
                database, ssl_mode='REQUIRED', **where
            )

            shown.run(fill)
            with pytest.raises(StoreUnavailable, match='refused the user'):
                hidden.run(fill)
            shown.close()
            hidden.close()

    def test_required_encryption_never_goes_without(
        self, server, private_server
    ):
        options = {
            'mariadb': {'skip_ssl': ''},
            'mysql': {'ssl_cert': 'missing', 'auto_generate_certs': 'OFF'},
        }
        database = private_server(**options[server.kind]).create_database()
        app = helpers.application(database, ssl_mode='REQUIRED')

        with pytest.raises(StoreUnavailable, match='ssl settings') as caught:
            app.run(fill)

        assert caught.value.code == 2026
        app.close()


class TestFailedConnects:
    """A connection that could not be made leaves nothing behind."""

    def test_burst_over_the_users_limit_leaves_the_pool_usable(
        self, database, make_app
    ):
        with helpers.user(database, 'ALL') as settings:
            name = settings['user']
            database.query(
                f"ALTER USER {name}@'%' WITH MAX_USER_CONNECTIONS 3"
            )
            app = make_app(**settings, connection_limit=10)
            app.run(fill)
            session_id = app.run(
                lambda request: request.session.session_id
            ).json
            together = threading.Barrier(10)
            failed = []

            def work():
                together.wait()
                try:
                    app.store._pool.run(hold)
                except StoreUnavailable as exc:
                    failed.append(exc.code)

            def hold(connection):
                # until all that can have a connection have one
                connection.fetch('SELECT 1')
                helpers.wait_until(lambda: len(failed) == 7)

            threads = [threading.Thread(target=work) for _ in range(10)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert failed == [1226] * 7

            for _ in range(50):
                assert app.store.load(session_id) is not None


class TestSockets:
    @pytest.mark.parametrize('seconds', [None, 5])
    def test_default_timeout_of_the_program_changes_no_connection(
        self, server, make_app, seconds
    ):
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(seconds)
        try:
            app = make_app(**over_tcp(server))
            app.run(fill)
            flags = app.store._pool.run(
                lambda connection: fcntl.fcntl(
                    connection._driver.fileno(), fcntl.F_GETFL
                )
            )
        finally:
            socket.setdefaulttimeout(before)

        plain = server.connect()
        expected = fcntl.fcntl(plain.fileno(), fcntl.F_GETFL)
        plain.close()
        assert flags == expected
