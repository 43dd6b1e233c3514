import pickle
from configparser import ConfigParser

import pytest

from pyramid_mysql_session.errors import SettingsError
from pyramid_mysql_session.settings import converters
from pyramid_mysql_session.settings import table as settings_module
from pyramid_mysql_session.settings.manual import PARTS, as_rst, example
from pyramid_mysql_session.settings.table import REQUIRED, SETTINGS, parse

COMMAND = 'python -c "import secrets; print(secrets.token_urlsafe(48))"'
NEEDED = {'secret': 'hunter2', 'user': 'ada', 'database': 'db'}


class Pool:
    """Looks like a PooledDB."""

    def dedicated_connection(self):
        raise NotImplementedError


a_pool = Pool()
# what the examples of the documentation name
DOTTED = {
    'shop.database.make_pool': Pool,
    'shop.security.userid': lambda request: None,
    'shop.sessions.Serializer': pickle,
}

# name -> ini text, ready value, what both become
ROWS = {
    'secret': (' one\n  two ', ('one', 'two'), ('one', 'two')),
    'host': ('db.example', 'db.example', 'db.example'),
    'port': ('3307', 3307, 3307),
    'unix_socket': ('/run/db.sock', '/run/db.sock', '/run/db.sock'),
    'user': ('bob', 'bob', 'bob'),
    'password': (' pass word ', ' pass word ', ' pass word '),
    'database': ('shop', 'shop', 'shop'),
    'read_default_file': ('/etc/my.cnf', '/etc/my.cnf', '/etc/my.cnf'),
    'read_default_group': ('shop', 'shop', 'shop'),
    'ssl_mode': ('verify_ca', 'VERIFY_CA', 'VERIFY_CA'),
    'ssl_ca': ('/ca.pem', '/ca.pem', '/ca.pem'),
    'ssl_cert': ('/cert.pem', '/cert.pem', '/cert.pem'),
    'ssl_key': ('/key.pem', '/key.pem', '/key.pem'),
    'connect_timeout': ('1', 1, 1),
    'read_timeout': ('2', 2, 2),
    'write_timeout': ('3', 3, 3),
    'charset': ('utf8', 'utf8', 'utf8'),
    'connection_limit': ('4', 4, 4),
    'connection_wait': ('5', 5, 5),
    'connection_max_idle': ('55', 55, 55),
    'connection_max_age': ('600', 600, 600),
    'session_variables': (
        'wsrep_sync_wait = 7\n\n  a=b ',
        ['wsrep_sync_wait = 7', 'a = b'],
        ('wsrep_sync_wait = 7', "a = _utf8mb4 x'62'"),
    ),
    'pool': (f'{__name__}.a_pool', a_pool, a_pool),
    'close_pool': ('yes', True, True),
    'table_name': ('web.sessions', 'web.sessions', ('web', 'sessions')),
    'column_session_id': ('sid', 'sid', 'sid'),
    'column_expires': ('until', 'until', 'until'),
    'column_data': ('select', 'select', 'select'),
    'column_created': ('born', 'born', 'born'),
    'column_revision': ('rev', 'rev', 'rev'),
    'column_userid': ('us er', 'us er', 'us er'),
    'column_seen': ('last', 'last', 'last'),
    'column_ip': ('address', 'address', 'address'),
    'column_agent': ('browser', 'browser', 'browser'),
    'create_table': ('off', False, False),
    'check_at_start': ('yes', True, True),
    'shard_bytes': ('2', 2, 2),
    'idle_timeout': ('600', 600, 600),
    'anonymous_idle_timeout': ('500', 500, 500),
    'absolute_timeout': ('100000', 100000, 100000),
    'touch_interval': ('Never', 'never', 'never'),
    'lock_timeout': ('6', 6, 6),
    'cookie_name': ('sid', 'sid', 'sid'),
    'cookie_path': ('/shop', '/shop', '/shop'),
    'cookie_domain': ('shop.example', 'shop.example', 'shop.example'),
    'cookie_max_age': ('7', 7, 7),
    'cookie_secure': ('true', True, True),
    'cookie_httponly': ('0', False, False),
    'cookie_samesite': ('strict', 'Strict', 'Strict'),
    'set_on_exception': ('no', False, False),
    'serializer': ('pickle', pickle, pickle),
    'max_payload_bytes': ('65535', 65535, 65535),
    'encrypt': ('starting', 'starting', 'starting'),
    'userid_key': ('who', 'who', 'who'),
    'userid': ('pickle.dumps', pickle.dumps, pickle.dumps),
    'track_devices': ('truncated', 'truncated', 'truncated'),
    'purge_expired': ('False', False, False),
    'purge_interval': ('8', 8, 8),
    'purge_batch': ('9', 9, 9),
}
WORDS = [
    ('anonymous_idle_timeout', 'none', None),
    ('absolute_timeout', 'None', None),
    ('cookie_samesite', 'Off', None),
    ('touch_interval', 'auto', 'auto'),
    ('touch_interval', '0', 0),
    ('cookie_domain', 'none', None),
    ('cookie_max_age', 'none', None),
    ('cookie_secure', 'Auto', 'auto'),
    ('max_payload_bytes', 'none', None),
    ('track_devices', 'Yes', True),
    ('encrypt', 'true', True),
    ('encrypt', 'off', False),
]
# who needs which others
TOGETHER = {
    'ssl_ca': {'ssl_mode': 'VERIFY_CA'},
    'ssl_cert': {'ssl_key': 'key', 'ssl_mode': 'REQUIRED'},
    'ssl_key': {'ssl_cert': 'cert', 'ssl_mode': 'REQUIRED'},
}


def prefixed(settings):
    return {f'mysql_session.{name}': settings[name] for name in settings}


def read(**settings):
    return parse(prefixed({**NEEDED, **settings}))


def problems(**settings):
    """Return the problems of some settings, None standing for a missing."""
    with pytest.raises(SettingsError) as caught:
        read(**settings)
    return list(caught.value.problems)


def test_examples_cover_all_settings():
    assert list(ROWS) == [setting.name for setting in SETTINGS]


@pytest.mark.parametrize('name', ROWS)
def test_setting_is_read_from_ini_text_and_from_a_ready_value(name):
    ini_text, ready, expected = ROWS[name]

    for value in (ini_text, ready):
        parsed = read(**{**TOGETHER.get(name, {}), name: value})
        assert getattr(parsed, name) == expected


@pytest.mark.parametrize(('name', 'word', 'expected'), WORDS)
def test_word_stands_for_a_value(name, word, expected):
    assert getattr(read(**{name: word}), name) == expected


@pytest.mark.parametrize('setting', SETTINGS, ids=lambda each: each.name)
def test_default_passes_its_own_converter(setting):
    if setting.default is REQUIRED:
        assert problems(**{setting.name: None}) == [
            f'mysql_session.{setting.name}: required, expected one or more '
            f'secrets, one a line, such as the output of {COMMAND}'
        ]
    elif setting.default is not None:
        setting.convert(setting.default)


@pytest.mark.parametrize('nothing', [None, '', ' \n '])
def test_empty_text_counts_as_not_given(nothing):
    defaults = vars(read())

    for setting in SETTINGS:
        if setting.name not in NEEDED:
            value = getattr(read(**{setting.name: nothing}), setting.name)
            # a serializer is a new one each time
            assert type(value) is type(defaults[setting.name])
            if setting.name != 'serializer':
                assert value == defaults[setting.name]


def test_settings_of_others_are_ignored():
    settings = prefixed(NEEDED) | {
        'mysql.port': 'x',
        'port': 'x',
        'pyramid.includes': 'pyramid_mysql_session',
        7: 8,
    }

    assert parse(settings).port == 3306


def test_pool_argument_counts_as_the_setting():
    assert parse({'mysql_session.secret': 's'}, a_pool).pool is a_pool


@pytest.mark.parametrize(
    ('name', 'closest'),
    [
        ('idletimeout', 'idle_timeout'),
        ('read_time_out', 'read_timeout'),
        ('tablename', 'table_name'),
        ('secrets', 'secret'),
        ('Host', 'host'),
        ('cookie_http_only', 'cookie_httponly'),
    ],
)
def test_unknown_name_fails_with_the_closest_one(name, closest):
    assert problems(**{name: 'hunter2'}) == [
        f'mysql_session.{name}: no such setting, the closest is '
        f'mysql_session.{closest}'
    ]


@pytest.mark.parametrize('name', ['', 'ж', 'x' * 1000, 'colour', 'ttl'])
def test_unknown_name_that_is_close_to_none_gets_no_suggestion(name):
    assert problems(**{name: '1'}) == [
        f'mysql_session.{name}: no such setting'
    ]


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        (
            'timeout',
            'what is timeout in SignedCookieSessionFactory is '
            'mysql_session.idle_timeout (seconds) here',
        ),
        (
            'expiration',
            'what is expiration (milliseconds) in express-mysql-session is '
            'mysql_session.idle_timeout (seconds) here',
        ),
        (
            'checkExpirationInterval',
            'what is checkExpirationInterval (milliseconds) in '
            'express-mysql-session is mysql_session.purge_interval (seconds) '
            'here',
        ),
        (
            'clearExpired',
            'what is clearExpired in express-mysql-session is '
            'mysql_session.purge_expired here',
        ),
        (
            'disableTouch',
            'what is disableTouch in express-mysql-session is '
            'mysql_session.touch_interval (never) here',
        ),
        (
            'reissue_time',
            'what is reissue_time in SignedCookieSessionFactory is '
            'mysql_session.touch_interval (seconds) here',
        ),
        (
            'secure',
            'what is secure in SignedCookieSessionFactory is '
            'mysql_session.cookie_secure here',
        ),
        (
            'schema.columnNames.session_id',
            'what is schema.columnNames.session_id in express-mysql-session '
            'is mysql_session.column_session_id here',
        ),
        (
            'hashalg',
            'what is hashalg in SignedCookieSessionFactory is fixed: '
            'SHA-512, a salt of its own here',
        ),
        (
            'redis_url',
            'what is redis_url in pyramid_session_redis is '
            'mysql_session.host, mysql_session.port, mysql_session.user, '
            'mysql_session.password, mysql_session.database here',
        ),
    ],
)
def test_name_of_another_package_gets_ours_with_its_unit(name, said):
    assert problems(**{name: '1'}) == [
        f'mysql_session.{name}: no such setting; {said}'
    ]


@pytest.mark.parametrize(
    'prefix',
    [
        'mysql_sessions.',
        'pyramid_mysql_session.',
        'mysql-session.',
        'mysqlsession.',
        'MySQL_session.',
        'mysql_sesion.',
    ],
)
def test_name_whose_prefix_is_nearly_ours_is_an_error(prefix):
    with pytest.raises(SettingsError) as caught:
        parse({**prefixed(NEEDED), f'{prefix}idle_timeout': '60'})

    assert caught.value.problems == (
        f'{prefix}idle_timeout: no such setting, expected '
        'mysql_session.idle_timeout',
    )


@pytest.mark.parametrize(
    'name',
    [
        'mysql_session_cookie_secure',
        'mysql_session-cookie_secure',
        'MySQL_Session.Cookie_Secure',
        'MYSQL_SESSION_COOKIE_SECURE',
    ],
)
def test_name_that_is_nearly_ours_is_an_error(name):
    with pytest.raises(SettingsError) as caught:
        parse({**prefixed(NEEDED), name: 'true'})

    assert caught.value.problems == (
        f'{name}: no such setting, expected mysql_session.cookie_secure',
    )


def test_variable_of_the_ini_file_may_be_called_like_a_setting():
    assert parse({**prefixed(NEEDED), 'mysql_session_user': 'ada'})


@pytest.mark.parametrize(
    'name',
    ['session.timeout', 'mysql.host', 'mysql_session', 'mysql_sessions.x', 7],
)
def test_name_of_somebody_else_is_none_of_ours(name):
    assert parse({**prefixed(NEEDED), name: 'x'})


@pytest.mark.parametrize(
    ('name', 'ours'),
    [
        ('redis.sessions.timeout', 'mysql_session.idle_timeout (seconds)'),
        ('session.key', 'mysql_session.cookie_name'),
        ('beaker.session.cookie_expires', 'mysql_session.cookie_max_age'),
    ],
)
def test_settings_of_another_package_are_told_of(name, ours, caplog):
    caplog.set_level('INFO')
    parse({**prefixed(NEEDED), name: 'x'})
    (told,) = caplog.messages
    assert told.startswith(f'{name} is not read: what is ')
    assert told.endswith(f' is {ours} here')

    with pytest.raises(SettingsError) as caught:
        parse({name: 'x'})
    assert caught.value.problems[-1] == told


@pytest.mark.parametrize('value', ['20m', '-1', '1.5', 0, True])
def test_bad_value_is_shown_with_what_is_expected(value):
    assert problems(idle_timeout=value) == [
        f'mysql_session.idle_timeout = {value!r}: expected whole seconds '
        'from 1 to 34560000, such as 1200, or none'
    ]


def test_all_problems_come_in_one_error():
    with pytest.raises(SettingsError) as caught:
        parse(
            prefixed({'port': 'x', 'usr': 'ada', 'create_table': 'yess'}),
        )

    assert str(caught.value).splitlines() == [
        'mysql_session.usr: no such setting, the closest is '
        'mysql_session.user',
        'mysql_session.secret: required, expected one or more secrets, one a '
        f'line, such as the output of {COMMAND}',
        "mysql_session.port = 'x': expected a port from 1 to 65535, such as "
        '3306',
        "mysql_session.create_table = 'yess': expected true or false",
    ]


@pytest.mark.parametrize(
    ('settings', 'hidden'),
    [
        ({'secret': [b'hunter2']}, 'secret'),
        ({'password': b'hunter2'}, 'password'),
        ({'password': ['hunter2']}, 'password'),
    ],
)
def test_secret_or_password_is_not_shown_in_an_error(settings, hidden):
    (problem,) = problems(**settings)

    assert problem.startswith(
        f'mysql_session.{hidden} = (not shown): expected '
    )
    assert 'hunter2' not in problem


@pytest.mark.parametrize(
    ('name', 'shown'),
    [
        ('user', r"'\udcff'"),
        ('table_name', r"'\udcff'"),
        ('password', '(not shown)'),
        ('secret', '(not shown)'),
    ],
)
def test_text_that_is_no_utf8_is_refused(name, shown):
    # what os.environ and sys.argv have of a byte that is none
    assert problems(**{name: '\udcff'}) == [
        f'mysql_session.{name} = {shown}: expected text in UTF-8'
    ]


def test_secret_or_password_is_not_shown_in_a_repr():
    parsed = read(password='hunter3', host='db.example')

    assert repr(parsed).startswith("Settings(host='db.example', ")
    assert 'hunter' not in repr(parsed) + str(parsed) + f'{parsed}'


CHECKS = [
    (
        {'user': None, 'database': None},
        'mysql_session.user and mysql_session.database: required unless '
        'mysql_session.pool or mysql_session.read_default_file is given',
    ),
    (
        {'user': None},
        'mysql_session.user: required unless mysql_session.pool or '
        'mysql_session.read_default_file is given',
    ),
    (
        {'idle_timeout': 61, 'absolute_timeout': 60},
        'mysql_session.idle_timeout = 61: expected at most '
        'mysql_session.absolute_timeout, which is 60',
    ),
    *(
        (
            {'anonymous_idle_timeout': 61, name: 60, **others},
            'mysql_session.anonymous_idle_timeout = 61: expected at most '
            f'mysql_session.{longer}, which is 60',
        )
        for name, longer, others in (
            ('idle_timeout', 'idle_timeout', {}),
            ('absolute_timeout', 'idle_timeout', {}),
            (
                'absolute_timeout',
                'absolute_timeout',
                {'idle_timeout': 'none'},
            ),
        )
    ),
    (
        {'idle_timeout': 'none'},
        'mysql_session.idle_timeout = none: expected '
        'mysql_session.absolute_timeout with it',
    ),
    (
        {'cookie_samesite': 'None'},
        'mysql_session.cookie_samesite = None: expected '
        'mysql_session.cookie_secure = true with it',
    ),
    (
        {'cookie_name': '__Host-s', 'cookie_path': '/a', 'cookie_domain': 'b'},
        "mysql_session.cookie_name = '__Host-s': expected "
        'mysql_session.cookie_secure = true and mysql_session.cookie_path = / '
        'and no mysql_session.cookie_domain with this prefix',
    ),
    (
        {'cookie_name': '__secure-s', 'cookie_secure': False},
        "mysql_session.cookie_name = '__secure-s': expected "
        'mysql_session.cookie_secure = true with this prefix',
    ),
    *(
        (
            {'cookie_name': name},
            f'mysql_session.cookie_name = {name!r}: expected ASCII letters, '
            "digits and !#$%&'*+-.^_`|~",
        )
        for name in ('$version', 'a b', 'a;b', 'a=b', 'é', 'a\n', 'a,b', '²')
    ),
    *(
        (
            {'cookie_name': name},
            f'mysql_session.cookie_name = {name!r}: expected another name: '
            f'{name} is an attribute of cookies, for which servers mistake it',
        )
        for name in (
            *('path', 'Path', 'domain', 'expires', 'Max-Age', 'secure'),
            *('httponly', 'HttpOnly', 'samesite', 'partitioned', 'version'),
            *('comment', 'port', 'priority'),
        )
    ),
    (
        {'cookie_name': 'x' * 257},
        f'mysql_session.cookie_name = {"x" * 257!r}: expected 256 characters '
        'at most',
    ),
    (
        {'cookie_path': '/' * 1025},
        f'mysql_session.cookie_path = {"/" * 1025!r}: expected 1024 '
        'characters at most',
    ),
    *(
        (
            {'cookie_path': path},
            f'mysql_session.cookie_path = {path!r}: expected a path that '
            'begins with /, such as /shop',
        )
        for path in ('app', 'https://example.com/', '*', '.')
    ),
    *(
        (
            {'cookie_path': path},
            f'mysql_session.cookie_path = {path!r}: expected a path as it '
            'stands in addresses: no semicolon or comma, and %-escapes for '
            'blanks and letters that are not ASCII, such as /caf%C3%A9',
        )
        for path in (
            *('/a b', '/; Domain=evil.example', '/ü', '/a,b', '/a?b', '/a#b'),
            *('/a\n', '/a%2', '/"', '/a\\b', '/\x7f', '/a\0'),
        )
    ),
    *(
        (
            {'cookie_domain': domain},
            f'mysql_session.cookie_domain = {domain!r}: expected the name of '
            f'a host alone, such as example.com{reason}, or none',
        )
        for domain, reason in (
            ('https://example.com', ', without a scheme'),
            (
                'example.com:8080',
                ', without a port: cookies are shared by all ports',
            ),
            ('[::1]', ', without a port: cookies are shared by all ports'),
            (
                '*.example.com',
                ': the hosts below it are included without a star',
            ),
            ('münchen.example', '; other letters are written as xn--…'),
            ('a.example; Path=/x', ''),
            ('a example', ''),
            ('a..example', ''),
            ('example.com.', ''),
            ('-a.example', ''),
            ('a_-.example', ''),
            ('a.example/x', ''),
            ('a.example,b.example', ''),
            ('a' * 64, ''),
            ('a.' * 127, ''),
            ('a.example\n', ''),
        )
    ),
    (
        {'column_data': 'DATA', 'column_userid': 'data'},
        'mysql_session.column_*: expected different names, found '
        "'data' more than once",
    ),
    (
        {'column_data': 'created', 'column_userid': 'expires'},
        'mysql_session.column_*: expected different names, found '
        "'created', 'expires' more than once",
    ),
    *(
        (
            {name: '/file.pem', 'ssl_mode': 'REQUIRED'},
            'mysql_session.ssl_cert and mysql_session.ssl_key: expected both '
            'or none',
        )
        for name in ('ssl_cert', 'ssl_key')
    ),
    *(
        (
            dict.fromkeys(names, '/file.pem'),
            f'{" and ".join(f"mysql_session.{name}" for name in names)}: '
            'expected mysql_session.ssl_mode with it, such as '
            'VERIFY_IDENTITY: else the connection may not be encrypted',
        )
        for names in (['ssl_ca'], ['ssl_cert', 'ssl_key'])
    ),
    *(
        (
            {'host': host},
            f'mysql_session.host = {host!r}: expected the name or address of '
            f'a host alone, such as db.example{reason}',
        )
        for host, reason in (
            ('mysql://db.example', ', without a scheme'),
            (
                '/run/mysqld/mysqld.sock',
                '; the path of a socket is mysql_session.unix_socket',
            ),
            *(
                (
                    host,
                    ', without a port or brackets; the port is '
                    'mysql_session.port',
                )
                for host in ('db.example:3307', '127.0.0.1:3306', '[::1]')
            ),
        )
    ),
]


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('shop:correct horse@db.example', 'without a user or password'),
        ('mysql://shop:correct horse@db.example/shop', 'without a scheme'),
    ],
)
def test_password_in_an_address_is_not_shown(name, reason):
    assert problems(host=name) == [
        'mysql_session.host = (not shown): expected the name or address of a '
        f'host alone, such as db.example, {reason}'
    ]


@pytest.mark.parametrize('setting', SETTINGS, ids=lambda each: each.name)
def test_password_in_an_address_is_shown_for_no_setting(setting):
    address = 'mysql://shop:correct horse@db.example/shop'
    found = ''

    try:
        read(**{setting.name: address})
    except SettingsError as exc:
        found = str(exc)

    assert 'horse' not in found


@pytest.mark.parametrize(('settings', 'problem'), CHECKS)
def test_rule_between_settings_is_checked(settings, problem):
    assert problems(**settings) == [problem]


def test_several_broken_rules_come_in_one_error():
    found = problems(user=None, idle_timeout=2, absolute_timeout=1)

    assert [problem.split(':')[0] for problem in found] == [
        'mysql_session.user',
        'mysql_session.idle_timeout = 2',
    ]


@pytest.mark.parametrize(
    'settings',
    [
        {'user': None, 'database': None, 'pool': a_pool},
        {'user': None, 'database': None, 'read_default_file': '/my.cnf'},
        {'idle_timeout': 60, 'absolute_timeout': 60},
        {'absolute_timeout': 60},
        {'absolute_timeout': 60, 'idle_timeout': 'none'},
        {'absolute_timeout': 60, 'anonymous_idle_timeout': 60},
        {'touch_interval': 86400, 'idle_timeout': 3600},
        {'cookie_domain': '.example.com', 'cookie_path': '/a~b/c%20d/'},
        {'cookie_domain': 'xn--mnchen-3ya.example'},
        {'cookie_domain': '127.0.0.1'},
        {'cookie_domain': 'localhost'},
        {'cookie_samesite': 'None', 'cookie_secure': True},
        {'cookie_name': '__Host-s', 'cookie_secure': True},
        {
            'cookie_name': '__Secure-s',
            'cookie_secure': True,
            'cookie_path': '/a',
            'cookie_domain': 'b.example',
        },
        {'cookie_name': "aZ09!#$%&'*+-.^_`|~"},
        {'column_data': 'userid', 'column_userid': 'data'},
        {
            'ssl_cert': '/cert.pem',
            'ssl_key': '/key.pem',
            'ssl_mode': 'REQUIRED',
        },
        {'ssl_ca': '/ca.pem', 'ssl_mode': 'PREFERRED'},
        {'ssl_ca': '/ca.pem', 'read_default_file': '/my.cnf'},
        {'ssl_ca': '/ca.pem', 'pool': a_pool},
        {'host': '::1'},
        {'host': 'one.example:3306,two.example:3307'},
    ],
)
def test_settings_that_keep_the_rules_are_accepted(settings):
    parsed = read(**settings)

    assert all(check(parsed) is None for check in settings_module.CHECKS)


@pytest.mark.parametrize(
    ('given', 'expected'),
    [({}, (None, None)), ({'host': 'h', 'port': '1'}, ('h', 1))],
)
def test_option_file_is_not_hidden_by_defaults(given, expected):
    parsed = read(read_default_file='/etc/my.cnf', **given)

    assert (parsed.host, parsed.port) == expected


@pytest.mark.parametrize(
    ('name', 'shown'),
    [
        ('secret', 'required'),
        ('password', 'not set'),
        ('unix_socket', 'not set'),
        ('host', '``localhost``'),
        ('create_table', '``true``'),
        ('idle_timeout', '``86400``'),
    ],
)
def test_documentation_tells_the_default(name, shown):
    (doc,) = [each.doc for each in SETTINGS if each.name == name]
    page = as_rst()
    start = page.index(f'``mysql_session.{name}``\n    {doc}\n\n    | Value: ')

    assert f' Default: {shown}.\n' in page[start:].partition('\n\n``')[0]


def test_documentation_has_each_setting_in_one_sentence():
    lines = as_rst().splitlines()

    assert [line for line in lines if line.startswith('``')] == [
        f'``mysql_session.{name}``' for name in ROWS
    ]
    for setting in SETTINGS:
        assert setting.doc[0].isupper()
        assert setting.doc.endswith('.')


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('port', 'a port from 1 to 65535'),
        ('idle_timeout', 'whole seconds from 1 to 34560000, or none'),
        ('cookie_secure', 'true or false, or auto'),
        ('userid_key', 'text'),
        ('secret', 'one or more secrets, one a line'),
    ],
)
def test_documentation_says_what_a_setting_may_be(name, value):
    start = as_rst().index(f'``mysql_session.{name}``\n')

    assert f'\n    | Value: {value}. ' in as_rst()[start : start + 400]


def test_parts_of_the_documentation_begin_with_settings():
    assert set(PARTS) <= set(ROWS)
    # none is in front of all parts
    assert SETTINGS[0].name in PARTS


def test_example_lines_make_an_ini_file_that_is_accepted(monkeypatch):
    monkeypatch.setattr(converters, '_PLACEHOLDER', 'in no line')
    monkeypatch.setattr(
        converters, '_resolve', lambda value, expected: DOTTED[value]
    )
    parser = ConfigParser(interpolation=None)
    lines = [example(setting) for setting in SETTINGS]
    parser.read_string('\n'.join(['[app:main]', *lines]))

    parsed = parse(dict(parser['app:main']))

    assert all(parser['app:main'].values())
    assert set(vars(parsed)) == set(ROWS)


LIMITS = {
    **dict.fromkeys(
        ('connect_timeout', 'read_timeout', 'write_timeout'), 3600
    ),
    'connection_wait': 3600,
    'connection_max_idle': 28_800,
    'connection_max_age': 604_800,
    'lock_timeout': 3600,
    'purge_interval': 604_800,
    'idle_timeout': 34_560_000,
    'anonymous_idle_timeout': 34_560_000,
    'touch_interval': 34_560_000,
    'cookie_max_age': 34_560_000,
    'absolute_timeout': 315_360_000,
}


def test_each_duration_has_a_limit():
    durations = {
        setting.name for setting in SETTINGS if 'Seconds' in setting.doc
    }

    assert durations == set(LIMITS)


@pytest.mark.parametrize(('name', 'limit'), LIMITS.items())
@pytest.mark.parametrize('text', [True, False])
def test_duration_beyond_its_limit_is_refused(name, limit, text):
    together = {}
    if name == 'anonymous_idle_timeout':
        together = {'idle_timeout': limit}
    for value in (limit + 1, 10**12, 2**63 - 1, 10**4000):
        (problem,) = problems(**{name: str(value) if text else value})
        assert f'to {limit}, such as' in problem

    parsed = read(**{**together, name: str(limit) if text else limit})
    assert getattr(parsed, name) == limit


def test_idle_timeout_is_no_longer_than_the_absolute_one_by_default():
    assert read(absolute_timeout=60).idle_timeout == 60
    assert read(absolute_timeout=100_000).idle_timeout == 86400
    assert read(absolute_timeout=60, idle_timeout='').idle_timeout == 60
    settings = {'absolute_timeout': 60, 'idle_timeout': 'none'}
    assert read(**settings).idle_timeout is None


def test_number_of_thousands_of_digits_is_refused_and_not_shown():
    # which Python does not turn into text
    for name in ('idle_timeout', 'port', 'cookie_path'):
        (problem,) = problems(**{name: 10**5000})
        assert problem.startswith(f'mysql_session.{name} = (int): expected ')


def test_encryption_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(converters, 'find_spec', lambda name: None)

    assert problems(encrypt='true') == [
        "mysql_session.encrypt = 'true': expected false, unless cryptography "
        "is installed: pip install 'pyramid-mysql-session[encryption]'"
    ]
    assert read(encrypt='false').encrypt is False


@pytest.mark.parametrize(
    'value', ['no callable', 'os.path', 'os.nothing', 'nothing.at.all', 7]
)
def test_user_id_is_told_by_a_callable(value):
    (problem,) = problems(userid=value)

    assert 'expected the dotted name of a callable that takes' in problem


def test_pass_phrase_with_blanks_is_one_secret():
    assert read(secret='correct horse battery').secret == (
        'correct horse battery',
    )
    assert read(secret='\n  new one\n\n  old one\n').secret == (
        'new one',
        'old one',
    )


PLACEHOLDER = 'change-me-to-32-random-characters-or-more'


@pytest.mark.parametrize(
    'secret',
    [
        PLACEHOLDER,
        f' one\n {PLACEHOLDER} \n',
        f'"{PLACEHOLDER}"',
        f'{PLACEHOLDER}  # before we go live',
    ],
)
def test_secret_of_the_manual_is_refused(secret):
    assert problems(secret=secret) == [
        'mysql_session.secret = (not shown): expected a secret of your own, '
        f'not that of the manual, such as the output of {COMMAND}'
    ]
