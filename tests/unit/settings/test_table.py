import pickle

import pytest

from pyramid_mysql_session.errors import SettingsError
from pyramid_mysql_session.settings import table as settings_module
from pyramid_mysql_session.settings.table import (
    REQUIRED,
    SETTINGS,
    as_rst,
    parse,
)

NEEDED = {'secret': 'hunter2', 'user': 'ada', 'database': 'db'}


class Pool:
    """Looks like a PooledDB."""

    def dedicated_connection(self):
        raise NotImplementedError


a_pool = Pool()

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
    'pool': (f'{__name__}.a_pool', a_pool, a_pool),
    'close_pool': ('yes', True, True),
    'table_name': ('web.sessions', 'web.sessions', ('web', 'sessions')),
    'column_session_id': ('sid', 'sid', 'sid'),
    'column_expires': ('until', 'until', 'until'),
    'column_data': ('select', 'select', 'select'),
    'column_created': ('born', 'born', 'born'),
    'column_revision': ('rev', 'rev', 'rev'),
    'column_userid': ('us er', 'us er', 'us er'),
    'create_table': ('off', False, False),
    'shard_bytes': ('2', 2, 2),
    'idle_timeout': ('600', 600, 600),
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
    'userid_key': ('who', 'who', 'who'),
    'purge_expired': ('False', False, False),
    'purge_interval': ('8', 8, 8),
    'purge_batch': ('9', 9, 9),
}
WORDS = [
    ('absolute_timeout', 'None', None),
    ('touch_interval', 'auto', 'auto'),
    ('touch_interval', '0', 0),
    ('cookie_domain', 'none', None),
    ('cookie_max_age', 'none', None),
    ('cookie_secure', 'Auto', 'auto'),
    ('max_payload_bytes', 'none', None),
]
# both or none of them
TOGETHER = {
    'ssl_cert': {'ssl_key': 'key'},
    'ssl_key': {'ssl_cert': 'cert'},
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
            f'mysql_session.{setting.name}: required. {setting.doc}'
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
        ('time_out', 'read_timeout'),
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


@pytest.mark.parametrize('name', ['', 'ж', 'x' * 1000])
def test_unknown_name_that_is_close_to_none_fails(name):
    (problem,) = problems(**{name: '1'})

    assert problem.startswith(f'mysql_session.{name}: no such setting')


@pytest.mark.parametrize('value', ['20m', '-1', '1.5', 0, True])
def test_bad_value_is_shown_with_what_is_expected(value):
    assert problems(idle_timeout=value) == [
        f'mysql_session.idle_timeout = {value!r}: expected whole seconds of '
        '1 or more, such as 1200'
    ]


def test_all_problems_come_in_one_error():
    with pytest.raises(SettingsError) as caught:
        parse(
            prefixed({'port': 'x', 'usr': 'ada', 'create_table': 'yess'}),
        )

    assert str(caught.value).splitlines() == [
        'mysql_session.usr: no such setting, the closest is '
        'mysql_session.user',
        'mysql_session.secret: required. Text that signs the cookie: one or '
        'more secrets separated by white space; the first signs, all verify.',
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
    (
        {'column_data': 'DATA', 'column_userid': 'data'},
        'mysql_session.column_*: expected six different names, found '
        "'data' more than once",
    ),
    (
        {'column_data': 'created', 'column_userid': 'expires'},
        'mysql_session.column_*: expected six different names, found '
        "'created', 'expires' more than once",
    ),
    *(
        (
            {name: '/file.pem'},
            'mysql_session.ssl_cert and mysql_session.ssl_key: expected both '
            'or none',
        )
        for name in ('ssl_cert', 'ssl_key')
    ),
]


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
        {'ssl_cert': '/cert.pem', 'ssl_key': '/key.pem'},
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

    assert f'``mysql_session.{name}``\n    {doc} Default: {shown}.\n' in (
        as_rst()
    )


def test_documentation_has_each_setting_in_one_sentence():
    lines = as_rst().splitlines()

    assert lines[0::3] == [f'``mysql_session.{name}``' for name in ROWS]
    assert set(lines[2::3]) == {''}
    for setting in SETTINGS:
        assert setting.doc[0].isupper()
        assert setting.doc.endswith('.')
