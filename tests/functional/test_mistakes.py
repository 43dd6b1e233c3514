"""What a newcomer gets wrong shows at once, and says what to do."""

import pytest
from pyramid.exceptions import ConfigurationExecutionError

from pyramid_mysql_session import SchemaError, StoreUnavailable
from tests.helpers import SECRET, connections


def write(request):
    request.session['key'] = 'value'


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        ({'user': 'nobody_here', 'password': 'x'}, 'mysql_session.user'),
        ({'database': 'no_such_database'}, 'no_such_database|database'),
    ],
)
def test_wrong_account_shows_at_start_where_wanted(make_app, wrong, said):
    assert make_app(**wrong)
    with pytest.raises(ConfigurationExecutionError, match=said) as caught:
        make_app(check_at_start='true', **wrong)

    assert isinstance(caught.value.evalue, StoreUnavailable)


def test_table_that_will_not_do_shows_at_start_where_wanted(
    make_app, database
):
    database.query('CREATE TABLE sessions (id INT)')
    with pytest.raises(ConfigurationExecutionError) as caught:
        make_app(check_at_start='true')

    assert isinstance(caught.value.evalue, SchemaError)
    # nothing is left behind
    assert connections(database) == {}


def test_table_is_there_from_the_start_where_wanted(make_app, rows):
    make_app(check_at_start='true')

    assert rows() == 0


def test_absolute_timeout_alone_is_no_mistake(make_app, database):
    app = make_app(absolute_timeout='60')

    app.run(write)

    assert app.run(lambda request: dict(request.session)).json
    ((lives,),) = database.query(
        'SELECT CAST(expires AS SIGNED) - UNIX_TIMESTAMP() FROM sessions'
    )
    assert 50 < lives <= 60


def test_log_tells_once_where_sessions_are_kept(
    make_app, database, server, caplog
):
    caplog.set_level('INFO')
    app = make_app(secret=SECRET)
    assert caplog.messages == []
    app.run(write)
    app.run(write)
    app.store.check_table()

    name = {'mariadb': 'MariaDB', 'mysql': 'MySQL'}[server.kind]
    ((version,),) = database.query('SELECT VERSION()')
    assert caplog.messages == [
        f'sessions are kept in {database.name}.sessions on {name} '
        + version.split('-')[0]
    ]
