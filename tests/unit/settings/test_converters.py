"""What the converters accept, and what they say otherwise."""

import json
import pickle
import re

import pytest

from pyramid_mysql_session.session.serializers import JSONSerializer
from pyramid_mysql_session.settings import converters

NAME = (
    'a name of 1 to 64 characters, none of them NUL or outside the basic '
    'multilingual plane, that does not end with a space'
)
SERIALIZER = (
    'json, or the dotted name of an object or class with dumps and loads'
)
POOL = (
    'a DBUtils PooledDB, or the dotted name of one or of a callable that '
    'returns one'
)


class Pool:
    """Looks like a PooledDB."""

    def dedicated_connection(self):
        raise NotImplementedError


a_pool = Pool()


def make_pool():
    return a_pool


class Boxed:
    """A serializer that is made by calling its class."""

    def dumps(self, data):
        return json.dumps(['box', data])

    def loads(self, payload):
        return json.loads(payload)[1]


class Lossy(Boxed):
    def loads(self, payload):
        return None


class Textless(Boxed):
    def dumps(self, data):
        return data


class Demanding(Boxed):
    def __init__(self, argument):
        raise NotImplementedError


class Broken(Boxed):
    def loads(self, payload):
        raise KeyError(payload)


def refuses(convert, value, expected, more=''):
    """Check that a converter says what it had expected, and perhaps more."""
    pattern = rf'^{re.escape(expected)}{more}$'
    with pytest.raises(ValueError, match=pattern):
        convert(value)
    return True


def dotted(name):
    return f'{__name__}.{name}'


def test_text_is_taken_as_it_is():
    assert converters.text(' any thing ') == ' any thing '


@pytest.mark.parametrize('value', [1, None, b'bytes', ['text']])
def test_text_is_nothing_else(value):
    assert refuses(converters.text, value, 'text')


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        ('one', ('one',)),
        (' one\n\ttwo ', ('one', 'two')),
        (['one', 'two with spaces'], ('one', 'two with spaces')),
        (('one',), ('one',)),
    ],
)
def test_secrets_are_one_or_more(value, expected):
    assert converters.secrets(value) == expected


@pytest.mark.parametrize('value', ['', ' \n', [], [''], ['one', 2], 3, b'one'])
def test_secrets_are_nothing_else(value):
    assert refuses(
        converters.secrets,
        value,
        'one or more secrets, one a line, such as the output of '
        'python -c "import secrets; print(secrets.token_urlsafe(48))"',
    )


@pytest.mark.parametrize('value', ['true', 'YES', ' On ', '1', 1, True])
def test_boolean_is_true(value):
    assert converters.boolean(value) is True


@pytest.mark.parametrize('value', ['false', 'NO', ' Off ', '0', 0, False])
def test_boolean_is_false(value):
    assert converters.boolean(value) is False


@pytest.mark.parametrize('value', ['yess', 't', '', '2', 2, None, []])
def test_boolean_is_nothing_else(value):
    assert refuses(converters.boolean, value, 'true or false')


@pytest.mark.parametrize('value', [2, '2', ' 7 ', 7])
def test_whole_number_is_within_its_limits(value):
    assert converters.whole('eggs', 2, 7, 3)(value) == int(value)


@pytest.mark.parametrize(
    'value', ['', '1', 8, -2, '2.5', 2.0, '3x', True, None, [3], '20m']
)
def test_whole_number_is_nothing_else(value):
    convert = converters.whole('eggs', 2, 7, 3)

    assert refuses(convert, value, 'eggs from 2 to 7, such as 3')


def test_whole_number_may_have_no_upper_limit():
    convert = converters.whole('eggs', 2, None, 3)

    assert convert(10**30) == 10**30
    assert refuses(convert, 1, 'eggs of 2 or more, such as 3')


@pytest.mark.parametrize(
    ('value', 'expected'),
    [(' AUTO ', 'auto'), ('None', None), (None, None), ('yes', True)],
)
def test_either_takes_its_words_besides(value, expected):
    convert = converters.either(
        {'auto': 'auto', 'none': None}, converters.boolean
    )

    assert convert(value) is expected


@pytest.mark.parametrize('value', ['otto', 7])
def test_either_is_nothing_else(value):
    convert = converters.either(
        {'auto': 'auto', 'never': None}, converters.boolean
    )

    assert refuses(convert, value, 'true or false, or auto or never')


def test_either_takes_none_only_where_a_word_means_it():
    convert = converters.either({'auto': 'auto'}, converters.boolean)

    assert refuses(convert, None, 'true or false, or auto')


@pytest.mark.parametrize('value', ['Lax', 'lax', ' LAX '])
def test_one_of_takes_its_words_in_any_case(value):
    assert converters.one_of('Lax', 'None')(value) == 'Lax'


@pytest.mark.parametrize('value', ['loose', '', 1])
def test_one_of_takes_nothing_else(value):
    convert = converters.one_of('Lax', 'None')

    assert refuses(convert, value, 'one of Lax, None')


@pytest.mark.parametrize(
    'value', ['a', 'ä' * 64, 'order', 'a b', 'a`b', 'a.b', '\uffff', '1']
)
def test_identifier_is_what_mysql_takes_quoted(value):
    assert converters.identifier(value) == value


@pytest.mark.parametrize('value', ['', 'x' * 65, 'a\0', 'a ', '😀', 1, None])
def test_identifier_is_nothing_else(value):
    assert refuses(converters.identifier, value, NAME)


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        ('sessions', (None, 'sessions')),
        ('web.sessions', ('web', 'sessions')),
        ('a table', (None, 'a table')),
        ('ta`ble', (None, 'ta`ble')),
        ('`sessions`', (None, 'sessions')),
        ('`web`.`sessions`', ('web', 'sessions')),
        ('web.`sessions`', ('web', 'sessions')),
        ('`ses``sions`', (None, 'ses`sions')),
        ('`my.web`.`my.sessions`', ('my.web', 'my.sessions')),
        ('`my``web`.`my.sessions`', ('my`web', 'my.sessions')),
    ],
)
def test_table_name_may_have_a_schema(value, expected):
    assert converters.table_name(value) == expected


@pytest.mark.parametrize(
    'value',
    ['', 'a.', '.a', 'a..b', '``', '`a', '`a`b', 'a.b.c', '`a`.`b`.`c`'],
)
def test_table_name_has_one_or_two_parts(value):
    assert refuses(converters.table_name, value, 'name or schema.name')


@pytest.mark.parametrize('value', ['x' * 65, 'web.a ', '`a\0`.sessions'])
def test_each_part_of_a_table_name_is_an_identifier(value):
    assert refuses(converters.table_name, value, NAME)


def test_table_name_is_text():
    assert refuses(converters.table_name, ('web', 'sessions'), 'text')


def test_serializer_json_is_ours():
    assert isinstance(converters.serializer('json'), JSONSerializer)


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        ('pickle', pickle),
        (pickle, pickle),
        (dotted('Boxed'), Boxed),
        (Boxed, Boxed),
        (Boxed(), Boxed),
    ],
)
def test_serializer_may_be_anybody_s(value, expected):
    found = converters.serializer(value)

    assert found is expected or type(found) is expected
    assert found.loads(found.dumps({'a': 1})) == {'a': 1}


@pytest.mark.parametrize(
    'value',
    [
        *('os', dotted('a_pool'), 3),
        *(Lossy, Textless, Demanding, Broken, dotted('Broken')),
    ],
)
def test_serializer_that_does_not_work_is_refused(value):
    assert refuses(converters.serializer, value, SERIALIZER, r'( \(.+\))?')


@pytest.mark.parametrize('value', ['jsonn', dotted('missing'), 'no such name'])
def test_serializer_that_is_not_found_is_refused(value):
    assert refuses(converters.serializer, value, SERIALIZER, r' \(.+\)')


@pytest.mark.parametrize(
    'value', [a_pool, make_pool, dotted('a_pool'), dotted('make_pool')]
)
def test_pool_may_be_named_or_made(value):
    assert converters.pool(value) is a_pool


@pytest.mark.parametrize(
    ('value', 'what'),
    [
        (3, 'of type int'),
        ({'password': 'hunter2'}, 'of type dict'),
        (dict, 'of type dict'),
        ('os', 'of type module'),
        ('os.getcwd', 'of type str'),
    ],
)
def test_pool_that_is_none_is_refused(value, what):
    assert refuses(converters.pool, value, f'{POOL} (not something {what})')


def test_address_is_refused_as_a_pool_and_not_repeated():
    value = 'mysql://shop:hunter2@db/shop'

    assert refuses(converters.pool, value, f'{POOL} (not such a text)')


@pytest.mark.parametrize('value', ['utf8mb4', 'UTF8', 'latin1', 'gbk'])
def test_charset_is_the_name_of_one(value):
    assert converters.charset(value) == value.lower()


@pytest.mark.parametrize('value', ['utf8mb4_bin', 'utf16', 'klingon', '', 3])
def test_charset_that_no_client_may_use_is_refused(value):
    assert refuses(
        converters.charset,
        value,
        'the name of a character set, such as utf8mb4 (not of a collation, '
        'such as utf8mb4_bin)',
    )


@pytest.mark.parametrize(
    ('value', 'variables'),
    [
        ('', ()),
        ('a = 1', ('a = 1',)),
        ('a=-1.5\n\n B.c = default ', ('a = -1.5', 'B.c = default')),
        ("a = 'x y'", ("a = _utf8mb4 x'782079'",)),
        (['a = ON'], ("a = _utf8mb4 x'4f4e'",)),
        (
            'a = 1; DROP TABLE x',
            ("a = _utf8mb4 x'313b2044524f50205441424c452078'",),
        ),
    ],
)
def test_session_variables_are_lines(value, variables):
    assert converters.session_variables(value) == variables


@pytest.mark.parametrize('value', [3, 'a', 'a b = 1', '= 1', 'a =', [3]])
def test_session_variables_that_are_no_lines_are_refused(value):
    assert refuses(
        converters.session_variables,
        value,
        'lines "name = value", such as "wsrep_sync_wait = 7"',
    )


@pytest.mark.parametrize('name', ['autocommit', 'SQL_MODE'])
def test_session_variable_that_is_ours_is_refused(name):
    assert refuses(
        converters.session_variables,
        f'{name} = 0',
        'lines "name = value", such as "wsrep_sync_wait = 7", but not '
        f'{name}, which this package sets itself',
    )


@pytest.mark.parametrize('value', ['no_such_module.pool', dotted('missing')])
def test_pool_that_is_not_found_is_refused(value):
    assert refuses(converters.pool, value, POOL, r' \(.+\)')
