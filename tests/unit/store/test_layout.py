"""Which types of columns will do, and which keep what others hold."""

import pytest

from pyramid_mysql_session.store.catalogue import Column
from pyramid_mysql_session.store.layout import DEFAULT_COLUMNS, Layout

UTF8 = 'CHARACTER SET utf8mb4 COLLATE utf8mb4_bin'


def layout(binary=False, plain=True):
    names = {name: name for name in DEFAULT_COLUMNS}
    return Layout(names, binary=binary, plain=plain)


def column(type_, character_set=None, octets=None):
    return Column('Name', type_, character_set, octets, True, False, None)


@pytest.mark.parametrize(
    ('name', 'found', 'widened'),
    [
        ('session_id', column('binary(16)', octets=16), 'binary(32) NOT NULL'),
        ('session_id', column('binary(33)', octets=33), None),
        ('session_id', column('char(32)', 'latin1', 32), None),
        ('expires', column('INT(11)'), 'bigint unsigned NOT NULL'),
        ('created', column('timestamp'), None),
        ('revision', column('decimal(20,0)'), None),
        (
            'userid',
            column('char(9)', 'latin1', 9),
            f'varchar(255) {UTF8} NULL',
        ),
        (
            'userid',
            column('varchar(300) /*M!100301 COMPRESSED*/', 'utf8mb3', 900),
            f'varchar(300) {UTF8} NULL',
        ),
        ('userid', column('bigint unsigned'), f'varchar(255) {UTF8} NULL'),
        ('userid', column('enum("a")', 'latin1', 1), None),
        ('userid', column('varbinary(9)', None, 9), None),
        ('data', column('char(9)', 'latin1'), f'mediumtext {UTF8} NOT NULL'),
        ('data', column('binary(9)'), 'mediumblob NOT NULL'),
        ('data', column('text', 'latin1'), f'mediumtext {UTF8} NOT NULL'),
        ('data', column('mediumtext', 'latin1'), f'longtext {UTF8} NOT NULL'),
        (
            'data',
            column('mediumtext', 'utf8mb4'),
            f'mediumtext {UTF8} NOT NULL',
        ),
        ('data', column('longtext', 'utf8mb4'), f'longtext {UTF8} NOT NULL'),
        ('data', column('longblob'), 'longblob NOT NULL'),
        ('data', column('geometry'), None),
    ],
)
def test_wider_type_keeps_what_a_column_holds(name, found, widened):
    assert layout().widened(name, found) == (widened and f'`Name` {widened}')


@pytest.mark.parametrize(
    ('found', 'widened'),
    [
        (column('text', 'utf8mb4'), 'mediumblob'),
        (column('longtext', 'utf8mb4'), 'longblob'),
        (column('varchar(9)', 'latin1'), 'mediumblob'),
        (column('json'), 'longblob'),
    ],
)
def test_bytes_need_a_column_for_bytes(found, widened):
    binary = layout(binary=True)

    assert not binary.fits('data', found)
    assert binary.widened('data', found) == f'`Name` {widened} NOT NULL'


def test_characters_need_a_character_set_for_all_of_them():
    found = column('longtext', 'utf8mb3')

    assert layout(plain=True).fits('data', found)
    assert not layout(plain=False).fits('data', found)
    assert (
        layout().widened('data', found) == f'`Name` longtext {UTF8} NOT NULL'
    )
