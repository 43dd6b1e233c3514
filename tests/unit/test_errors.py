import pytest
from pyramid.exceptions import ConfigurationError

import pyramid_mysql_session
from pyramid_mysql_session.errors import (
    LockTimeout,
    PayloadNotSerializable,
    PayloadTooLarge,
    SchemaError,
    SessionError,
    SettingsError,
    StoreUnavailable,
)


@pytest.mark.parametrize(
    ('error', 'bases'),
    [
        (SettingsError, (SessionError, ConfigurationError)),
        (SchemaError, (SessionError,)),
        (StoreUnavailable, (SessionError,)),
        (LockTimeout, (StoreUnavailable,)),
        (PayloadTooLarge, (SessionError, ValueError)),
        (PayloadNotSerializable, (SessionError, TypeError)),
    ],
)
def test_error_is_public_and_what_callers_already_catch(error, bases):
    assert error.__bases__ == bases
    assert getattr(pyramid_mysql_session, error.__name__) is error


def test_settings_error_lists_its_problems_line_by_line():
    error = SettingsError(['one', 'two'])

    assert str(error) == 'one\ntwo'
    assert error.problems == ('one', 'two')


def test_schema_error_names_table_deviations_and_remedy():
    error = SchemaError('`t`', ['this is wrong', 'that too'], 'DROP TABLE t;')

    assert str(error) == (
        '`t` cannot hold sessions: this is wrong; that too. DROP TABLE t;'
    )
    assert error.table == '`t`'
    assert error.deviations == ('this is wrong', 'that too')
    assert error.remedy == 'DROP TABLE t;'


@pytest.mark.parametrize(
    ('code', 'text'),
    [
        (None, 'The server left. Look for it.'),
        (0, 'The server left. Look for it. (MySQL error 0)'),
        (2006, 'The server left. Look for it. (MySQL error 2006)'),
    ],
)
@pytest.mark.parametrize('kind', [StoreUnavailable, LockTimeout])
def test_store_unavailable_gives_reason_advice_and_number(kind, code, text):
    error = kind('The server left', 'Look for it.', code, True)

    assert str(error) == text
    assert error.reason == 'The server left'
    assert error.advice == 'Look for it.'
    assert error.code == code
    assert error.outcome_unknown is True
    assert kind('', '').outcome_unknown is False


def test_payload_too_large_gives_size_and_limit():
    error = PayloadTooLarge('The payload in bytes', 70000, 65535, 'Cut it.')

    assert str(error) == (
        'The payload in bytes is 70,000 long, the limit is 65,535. Cut it.'
    )
    assert (error.size, error.limit) == (70000, 65535)


@pytest.mark.parametrize(
    ('path', 'shown'),
    [('cart.items[2]', 'cart.items[2]'), ('', 'the session')],
)
def test_payload_not_serializable_gives_the_path(path, shown):
    error = PayloadNotSerializable(path, 'is odd')

    assert str(error) == (
        f'The session cannot be stored: {shown} is odd. Store plain data, or '
        'name another mysql_session.serializer.'
    )
    assert error.path == path
