"""Data of many shapes, and what other requests make of it."""

import base64
import collections
import datetime
import json
import pickle

import pytest

from pyramid_mysql_session.errors import PayloadNotSerializable
from pyramid_mysql_session.session.serializers import JSONSerializer
from tests.unit.conftest import conclude


class Sorted:
    """JSON that does not keep the order of keys."""

    def dumps(self, data):
        return json.dumps(data, sort_keys=True)

    def loads(self, payload):
        return json.loads(payload)


class Wrapped:
    """Text in which no level shows."""

    def dumps(self, data):
        return base64.b64encode(pickle.dumps(data)).decode()

    def loads(self, payload):
        return pickle.loads(base64.b64decode(payload))  # noqa: S301


class Thing:
    """An object that does not say when it is equal to another."""

    def __init__(self, number):
        self.number = number


@pytest.fixture(params=[JSONSerializer(), Sorted(), Wrapped(), pickle])
def serializer(request):
    return request.param


@pytest.fixture
def visit(make_session):
    """
    Call it for a session whose data another request changes meanwhile.

    :param data: that was stored.
    :param mine: changes the session before, ``theirs`` the other one, and
        ``later`` is called after a save in between.
    :returns: what is stored in the end.
    """

    def run(serializer, data, mine, theirs, later=None):
        def make(session_id=None):
            return make_session(session_id, serializer=serializer)

        first = make()
        first.update(data)
        conclude(first)
        session = make(first.session_id)
        mine(session)
        for change in theirs if isinstance(theirs, list) else [theirs]:
            other = make(first.session_id)
            change(other)
            conclude(other)
        if later is not None:
            session.save()
            later(session)
        conclude(session)
        return dict(make(session.session_id))

    return run


def test_order_of_keys_mixes_nothing_up(visit, serializer):
    held = []

    def mine(session):
        held.append(session['m'])
        session['m']['z'] = [1]
        session['m']['y'] = [2]
        session.save()
        session['q'] = 1

    stored = visit(
        serializer,
        {'m': {}},
        mine,
        lambda session: session['m']['y'].append('new'),
        lambda session: held[0]['z'].append('mine'),
    )

    assert stored == {'m': {'z': [1, 'mine'], 'y': [2, 'new']}, 'q': 1}


@pytest.mark.parametrize('serializer', [Wrapped(), pickle])
def test_object_that_was_not_touched_yields_to_the_other_request(
    visit, serializer
):
    stored = visit(
        serializer,
        {'thing': Thing(1)},
        lambda session: session.update(mine=1),
        lambda session: setattr(session['thing'], 'number', 2),
    )

    assert stored['thing'].number == 2


def test_append_to_an_object_under_two_keys_happens_once(visit, serializer):
    def share(session):
        session['y'] = session['x']
        session.save()

    def theirs(session):
        session['x']['l'].append(1)
        if session['y'] is not session['x']:
            session['y']['l'].append(2)

    stored = visit(serializer, {'x': {'l': []}}, share, theirs)

    for key in 'xy':
        assert sorted(stored[key]['l']) in ([1], [1, 2], [2])
    assert 1 in stored['x']['l']


def test_same_change_under_two_keys_happens_once(visit):
    def share(session):
        session['y'] = session['x']
        session.save()

    def theirs(session):
        session['x']['new'] = [1]
        session['y']['new'] = [1]

    stored = visit(
        JSONSerializer(),
        {'x': {}},
        share,
        theirs,
        lambda session: session.update(mine=1),
    )

    assert stored == {'x': {'new': [1]}, 'y': {'new': [1]}, 'mine': 1}


def test_objects_that_pickle_keeps_shared_are_changed_once(visit):
    def share(data):
        data['y'] = data['x']
        return data

    stored = visit(
        pickle,
        share({'x': {'l': []}}),
        lambda session: session.update(q=1),
        lambda session: session['x']['l'].append(1),
    )

    assert stored == {'x': {'l': [1]}, 'y': {'l': [1]}, 'q': 1}


def test_number_as_a_key_loses_nothing(visit):
    held = []

    def mine(session):
        session[5] = 'b'
        held.append(session['cart'])
        session['cart'][5] += 1

    stored = visit(
        JSONSerializer(),
        {5: 'a', 'cart': {5: 1}},
        mine,
        lambda session: session.update(other=1),
        lambda session: held[0].update(z=1),
    )

    assert stored == {5: 'b', 'cart': {5: 2, 'z': 1}, 'other': 1}


def test_number_beside_the_text_that_names_it_is_refused(visit):
    with pytest.raises(PayloadNotSerializable, match='is a key beside'):
        visit(
            JSONSerializer(),
            {'cart': {'5': 1}},
            lambda session: session['cart'].update({5: 2}),
            lambda session: session.update(other=1),
        )


@pytest.mark.parametrize('key', [1, True, None, 1.5])
@pytest.mark.parametrize('serializer', [JSONSerializer(), Sorted(), pickle])
def test_key_that_is_no_text_stays_what_it_is_in_this_request(
    visit, serializer, key
):
    def mine(session):
        session['counts'] = {key: [1]}

    def later(session):
        session['counts'][key].append(2)

    stored = visit(
        serializer, {}, mine, lambda session: session.update(a=1), later
    )

    assert [*stored['counts'].values()] == [[1, 2]]


@pytest.mark.parametrize('serializer', [Wrapped(), pickle, JSONSerializer()])
def test_cycle_is_refused_by_every_serializer(make_session, serializer):
    session = make_session(serializer=serializer)
    cycle = {}
    cycle['a'] = cycle['b'] = cycle
    session['cycle'] = cycle

    with pytest.raises(PayloadNotSerializable) as info:
        conclude(session)

    assert info.value.path == 'cycle'


@pytest.mark.parametrize(
    'kind', [collections.OrderedDict, collections.Counter]
)
def test_dict_of_another_kind_keeps_its_kind(visit, kind):
    stored = visit(
        pickle,
        {'it': kind(a=1, b=1)},
        lambda session: session['it'].update(a=1, mine=1),
        lambda session: session['it'].update(theirs=1),
    )

    assert type(stored['it']) is kind
    assert set(stored['it']) == {'a', 'b', 'mine', 'theirs'}


def test_failed_block_keeps_the_kinds_of_objects(make_session):
    Pair = collections.namedtuple('Pair', 'one other')
    session = make_session(serializer=pickle)
    session['it'] = collections.defaultdict(list, a=[1])
    session['pair'] = Pair([1], [2])

    def fail():
        session['it']['b'].append(2)
        session['pair'].one.append(3)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), session.locked():
        fail()

    assert session == {'it': {'a': [1]}, 'pair': ([1], [2])}
    assert type(session['it']) is collections.defaultdict
    assert type(session['pair']) is Pair


@pytest.mark.parametrize('serializer', [pickle, JSONSerializer(), Sorted()])
def test_item_of_a_list_is_followed_by_its_content(visit, serializer):
    held = []
    day = datetime.date if serializer is pickle else str

    def item(who):
        when = day(2020, 1, 1) if day is not str else '2020'
        return {'who': who, 'when': when}

    stored = visit(
        serializer,
        {'l': [item('mine')]},
        lambda session: (held.append(session['l'][0]), session.update(k=1)),
        lambda session: session['l'].insert(0, item('theirs')),
        lambda session: held[0].update(n=1),
    )

    assert [(each['who'], 'n' in each) for each in stored['l']] == [
        ('theirs', False),
        ('mine', True),
    ]


def pop(session):
    return session.pop_flash()


def push(session):
    session.flash('m')


@pytest.mark.parametrize(
    ('mine', 'theirs', 'left'),
    [
        (pop, [pop, push], ['m']),
        (pop, [pop, push, pop], []),
        (pop, [push], ['m']),
        (push, [pop], ['m']),
        (push, [pop, push], ['m', 'm']),
        (lambda session: (pop(session), push(session)), [pop], ['m']),
        (pop, [lambda session: (pop(session), push(session))], ['m']),
        (
            lambda session: (pop(session), push(session)),
            [lambda session: (pop(session), push(session))],
            ['m', 'm'],
        ),
        (lambda session: session.popitem(), [pop], []),
        (lambda session: session.update(a=1), [pop], []),
        (lambda session: session.update(a=1), [pop, push], ['m']),
    ],
)
def test_message_is_shown_as_often_as_it_was_flashed(
    visit, mine, theirs, left
):
    stored = visit(
        JSONSerializer(), {'_f_': ['m'], 'keep': 1, 'z': 1}, mine, theirs
    )

    assert stored.get('_f_', []) == left


def test_request_that_pops_nothing_keeps_the_count_of_others(
    make_session, stored
):
    session_id = stored({'_f_': ['m'], 'keep': 1})
    slow, adding, popping = (make_session(session_id) for _ in range(3))
    assert slow.pop_flash() == popping.pop_flash() == ['m']
    conclude(popping)
    other = make_session(session_id)
    assert other.pop_flash() == []
    adding['new'] = 1
    conclude(adding)
    other.flash('m')
    conclude(other)

    conclude(slow)

    assert make_session(session_id).pop_flash() == ['m']


def test_change_through_a_view_of_the_session_is_saved_later(
    make_session, stored
):
    session_id = stored({'d': {}, 'e': {}})
    session = make_session(session_id)
    values, mapping = session.values(), session.keys().mapping
    conclude(session)
    session._saving.leave()
    session._draft.let_go()

    next(iter(values))['late'] = 1
    session.save()
    mapping['e']['later'] = 1
    session.save()

    assert make_session(session_id) == {'d': {'late': 1}, 'e': {'later': 1}}
