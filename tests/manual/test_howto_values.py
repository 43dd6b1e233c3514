"""Dates and money come back from the session, as the manual says."""

import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from pyramid_mysql_session import (
    PayloadNotSerializable,
    SessionMerged,
    SessionRejected,
)
from tests.helpers import record, twin
from tests.manual.blocks import executes
from tests.manual.modules import shop_module

__all__ = ['shop_module']

PAGE = 'howto/values.rst'
SERIALIZER = executes(PAGE, 'python', "'decimal'")
PACKED = executes(PAGE, 'python', 'msgpack')

SUMMER = timezone(timedelta(hours=2))
VALUES = {
    'day': date(2030, 1, 1),
    'moment': datetime(2030, 7, 1, 12, 30, 0, 5),
    'there': datetime(2030, 7, 1, 12, 30, tzinfo=SUMMER),
    'price': Decimal('19.90'),
    'id': UUID('9e2b6a52-6f0e-4bd8-8d3c-0f5a8a1b7c11'),
    'seen': {'cup', 'tin', 3},
    'days': frozenset([date(2030, 1, 1)]),
    'cart': {'items': [{'price': Decimal('1.0'), 'of': [date(2030, 1, 2)]}]},
    'plain': [1, 2.5, None, 'text', True, {'a': {}}],
    '$': 'of the application',
    'dollars': {'$': ['date', 'not one'], 'day': date(2030, 1, 3)},
    'keys': {1: date(2030, 1, 4), '~': 2},
}


@pytest.fixture
def make_shop(block, shop_module, make_app):
    """Call it for an application with the serializer of the block."""
    module = shop_module(block)
    name = f'{module.__name__}.Serializer'
    return lambda **settings: make_app(serializer=name, **settings)


def put(**data):
    return lambda request: request.session.update(data)


def same_types(one, other):
    """Tell whether two values are equal, and of the same types inside."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, dict):
        return all(same_types(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return all(map(same_types, one, other))
    return True


def found(browser):
    """Return what is in the session of a browser, as Python has it."""
    seen = []

    def view(request):
        seen.append(dict(request.session))

    browser.run(view)
    return seen[0]


@executes(PAGE, 'ini', 'shop.serializer')
@SERIALIZER
def test_values_come_back_as_they_were(
    blocks, shop_module, make_app, database
):
    shop_module(blocks[1])
    name, value = blocks[0].text.split(' = ')
    app = make_app(**{name.removeprefix('mysql_session.'): value.strip()})
    app.run(put(**VALUES))

    assert same_types(found(app), VALUES)
    assert found(app)['there'].utcoffset() == timedelta(hours=2)
    (session,) = app.store.iter_sessions()
    assert same_types(session.data(), VALUES)


@SERIALIZER
@pytest.mark.plain
def test_plain_data_is_stored_as_before(make_shop, make_app, database):
    data = {'a': [1, {'b': None}], 'keys': {1: 2}}
    plain, shop = make_app(), make_shop()
    plain.run(put(**data))
    shop.run(put(**data))

    ((one,), (two,)) = database.query('SELECT data FROM sessions')

    assert one == two
    assert found(twin(plain, shop)) == data


@SERIALIZER
def test_type_without_a_kind_is_refused_with_its_place(make_shop):
    shop = make_shop()

    with pytest.raises(PayloadNotSerializable, match=r'cart\.of\[1\]'):
        shop.run(put(cart={'of': [date(2030, 1, 1), timedelta(1)]}))


@SERIALIZER
def test_change_of_a_nested_set_is_noticed(make_shop):
    shop = make_shop()
    shop.run(put(cart={'seen': {'cup'}}))

    shop.run(lambda request: request.session['cart']['seen'].add('tin'))

    assert found(shop) == {'cart': {'seen': {'cup', 'tin'}}}


@SERIALIZER
def test_two_requests_merge_what_they_changed_of_a_dict_but_not_of_a_set(
    make_shop,
):
    shop = make_shop()
    merged = record(shop, SessionMerged)
    start = {
        'set': {'cup'},
        'dict': {'cup': True},
        'days': [date(2030, 1, 1)],
        'price': Decimal('1.5'),
    }
    shop.run(put(**start))

    def add(name, day):
        def change(request):
            request.session['set'].add(name)
            request.session['dict'][name] = True
            request.session['days'].append(day)

        return change

    def overtaken(request):
        add('tin', date(2030, 1, 2))(request)
        twin(shop).run(add('pot', date(2030, 1, 3)))

    shop.run(overtaken)

    assert len(merged) == 1
    assert same_types(
        found(shop),
        {
            'set': {'cup', 'tin'},
            'dict': {'cup': True, 'tin': True, 'pot': True},
            'days': [date(2030, 1, 1), date(2030, 1, 3), date(2030, 1, 2)],
            'price': Decimal('1.5'),
        },
    )


@SERIALIZER
@pytest.mark.parametrize(
    ('stored', 'equal'),
    [
        (Decimal('1.0'), Decimal('1.00')),
        (
            datetime(2030, 1, 1, 12, tzinfo=timezone.utc),
            datetime(2030, 1, 1, 14, tzinfo=SUMMER),
        ),
    ],
    ids=['decimal', 'moment'],
)
def test_value_that_is_equal_is_not_stored_again(
    make_shop, statements, stored, equal
):
    shop = make_shop()
    shop.run(put(value=stored))

    with statements() as log:
        shop.run(put(value=equal))

    assert [text.split()[0] for text in log] == ['SELECT']
    assert str(found(shop)['value']) == str(stored)


@SERIALIZER
def test_kind_that_is_not_known_is_an_error_and_no_loss(
    make_shop, monkeypatch
):
    shop = make_shop()
    shop.run(put(price=Decimal('1.5')))

    with monkeypatch.context() as patch:
        patch.delitem(sys.modules['shop.serializer'].READ, 'decimal')
        with pytest.raises(KeyError):
            found(shop)

    assert found(shop) == {'price': Decimal('1.5')}


@PACKED
def test_packed_values_come_back(make_shop, database):
    values = {
        'bytes': b'\0\xff',
        'moment': datetime(2030, 7, 1, 12, tzinfo=SUMMER),
        'keys': {1: [1.5, None]},
    }
    shop = make_shop()

    shop.run(put(**values))

    assert found(shop) == values
    assert found(shop)['moment'].utcoffset() == timedelta(0)


@PACKED
def test_json_is_no_packed_session(make_shop, make_app, database):
    plain = make_app()
    plain.run(put(a=1))
    database.query('ALTER TABLE sessions MODIFY data mediumblob NOT NULL')
    shop = twin(plain, make_shop())
    rejected = record(shop, SessionRejected)

    assert found(shop) == {}
    assert [event.reason for event in rejected] == ['undecodable']
