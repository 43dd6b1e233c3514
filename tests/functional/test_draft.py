"""What merging and taking back do to the objects that a view holds."""

import copy
import gc
import threading
from contextlib import suppress

import pytest
from pyramid.response import Response

from pyramid_mysql_session import (
    PayloadNotSerializable,
    PayloadTooLarge,
    SessionMerged,
)
from tests.helpers import record, twin


class AppError(Exception):
    """An error of the application."""


def read(request):
    return dict(request.session)


def update(**data):
    return lambda request: request.session.update(data)


#: Ways to put an object into a session.
ENTRANCES = {
    'set': lambda session, value: session.__setitem__('it', value),
    'setdefault': lambda session, value: session.setdefault('it', value),
    'update': lambda session, value: session.update(it=value),
    '|=': lambda session, value: session.__ior__({'it': value}),
    'in a dict': lambda session, value: session.update(it={'a': value}),
    'in a list': lambda session, value: session.update(it=[value]),
    'in a tuple': lambda session, value: session.update(it=({'a': value},)),
    'appended': lambda session, value: session.setdefault('it', []).append(
        value
    ),
}


@pytest.mark.parametrize('entrance', ENTRANCES)
@pytest.mark.parametrize(
    ('ours', 'theirs'),
    [
        ({'colour': 'red', 'deep': {'x': [1]}}, {'address': 'Secret Street'}),
        ([1, [2, {'x': 3}]], ['my secret page']),
        ({}, {'address': 'Secret Street'}),
        ([], ['my secret page']),
    ],
)
class TestYoursStaysYours:
    def test_merge_does_not_change_what_the_application_put_in(
        self, app, entrance, ours, theirs
    ):
        app.run(update(start=1))
        constant = copy.deepcopy(ours)

        def view(request):
            ENTRANCES[entrance](request.session, constant)
            stored = copy.deepcopy(theirs)

            def other(request):
                ENTRANCES[entrance](request.session, stored)

            twin(app).run(other)

        app.run(view)

        assert constant == ours

    def test_failed_block_does_not_change_what_the_application_put_in(
        self, app, entrance, ours, theirs
    ):
        app.run(update(it=theirs))
        constant = copy.deepcopy(ours)

        def view(request):
            with suppress(AppError), request.session.locked():
                request.session.pop('it')
                ENTRANCES[entrance](request.session, constant)
                raise AppError
            return dict(request.session)

        assert app.run(view).json == {'it': theirs}
        assert constant == ours

    def test_block_that_fails_later_does_not_change_it_either(
        self, app, entrance, ours, theirs
    ):
        app.run(update(start=1))
        constant = copy.deepcopy(ours)

        def view(request):
            ENTRANCES[entrance](request.session, constant)
            before = copy.deepcopy(request.session.copy())
            with suppress(AppError), request.session.locked():
                if isinstance(constant, dict):
                    constant['mine'] = 1
                else:
                    constant.append('mine')
                request.session['more'] = 1
                raise AppError
            assert request.session.copy() == before

        app.run(view)

        if isinstance(ours, dict):
            assert constant == {**ours, 'mine': 1}
        else:
            assert constant == [*ours, 'mine']


class TestSharedObjects:
    @pytest.mark.parametrize('kind', [dict, list])
    @pytest.mark.parametrize('nested', [False, True])
    def test_change_under_one_of_two_keys_is_lost_under_neither(
        self, app, kind, nested
    ):
        app.run(update(a=kind()))

        def change(request):
            if kind is dict:
                request.session['a']['theirs'] = 1
            else:
                request.session['a'].append('theirs')

        def view(request):
            session = request.session
            session['b'] = {'c': [session['a']]} if nested else session['a']
            twin(app).run(change)

        app.run(view)

        stored = app.run(read).json
        found = stored['b']['c'][0] if nested else stored['b']
        assert 'theirs' in stored['a']
        assert list(found) in ([], ['theirs'])

    def test_both_change_an_object_with_two_keys(self, app):
        app.run(update(a={'x': 1}))

        def view(request):
            session = request.session
            session['b'] = session['a']
            session['a']['mine'] = 1
            twin(app).run(lambda request: request.session['a'].update(their=1))
            session.save()
            session['b']['later'] = 1

        app.run(view)

        stored = app.run(read).json
        assert stored['a'] == {'x': 1, 'mine': 1, 'their': 1, 'later': 1}
        assert stored['b']['mine'] == stored['b']['later'] == 1

    @pytest.mark.parametrize('locks', [True, False])
    def test_item_that_the_view_holds_stays_the_same_item(self, app, locks):
        app.run(update(items=[]))

        def add(name):
            return {'id': name, 'state': 'new'}

        def view(request):
            session, item = request.session, add('mine')
            session['items'].append(item)
            twin(app).run(
                lambda request: request.session['items'].append(add('theirs'))
            )
            if locks:
                with session.locked():
                    item['state'] = 'paid'
            else:
                session.save()
                item['state'] = 'paid'

        app.run(view)

        states = {
            item['id']: item['state'] for item in app.run(read).json['items']
        }
        assert states == {'mine': 'paid', 'theirs': 'new'}


class TestTakenBack:
    @pytest.fixture(params=[True, False], ids=['stored', 'new'])
    def app(self, app, request):
        if request.param:
            app.run(update(start={'list': [1]}))
        return app

    CHANGES = {
        'data': lambda session: session.update(lost=1),
        'nested data': lambda session: session['before']['list'].append(3),
        'deletion': lambda session: session.pop('before'),
        'clear': lambda session: session.clear(),
        'remember': lambda session: session.remember(99),
        'renew_id': lambda session: session.renew_id(),
        'invalidate': lambda session: session.invalidate(),
        'invalidate and data': lambda session: (
            session.invalidate(),
            session.update(lost=1),
        ),
    }

    @pytest.mark.parametrize('change', CHANGES)
    @pytest.mark.parametrize('inside', ['plain', 'inner block', 'save'])
    @pytest.mark.parametrize('end', ['error', 'unstorable', 'too large'])
    def test_failed_block_takes_back_what_it_did_and_no_more(
        self, app, change, inside, end
    ):
        cookie = app.cookies.get('session')
        start = app.run(read).json
        spoil = {
            'error': lambda session: 1 / 0,
            'unstorable': lambda session: session.update(bad=object()),
            'too large': lambda session: session.update(bad='x' * 2**24),
        }[end]
        errors = ZeroDivisionError, PayloadNotSerializable, PayloadTooLarge

        def do(session):
            if inside == 'inner block':
                with session.locked():
                    self.CHANGES[change](session)
            else:
                self.CHANGES[change](session)
            if inside == 'save':
                session.save()
            spoil(session)

        def view(request):
            session = request.session
            session['before'] = {'list': [2]}
            with pytest.raises(errors), session.locked():
                do(session)
            session['before']['list'].append(4)
            return dict(session)

        response = app.run(view)

        expected = {**start, 'before': {'list': [2, 4]}}
        assert response.json == expected
        assert app.run(read).json == expected
        if cookie is not None:
            assert app.cookies['session'] == cookie
        assert 'Max-Age' not in response.headers.get('Set-Cookie', '')


class TestOddData:
    def test_value_that_cannot_be_copied_may_be_removed_in_a_block(self, app):
        def view(request):
            request.session['odd'] = (i for i in ())
            with request.session.locked():
                del request.session['odd']
                request.session['fine'] = 1

        app.run(update(start=1))
        app.run(view)

        assert app.run(read).json == {'start': 1, 'fine': 1}

    @pytest.mark.parametrize('value', [threading.Lock(), (i for i in ())])
    @pytest.mark.parametrize('new', [True, False])
    def test_value_that_cannot_be_copied_is_named(self, app, value, new):
        if not new:
            app.run(update(start=1))

        def view(request):
            request.session['odd'] = value
            with (
                pytest.raises(PayloadNotSerializable) as info,
                request.session.locked(),
            ):
                request.session['more'] = 1
            assert info.value.path == 'odd'
            del request.session['odd']
            assert 'more' not in request.session

        app.run(view)

    def nested(self, levels, kind):
        value = 1
        for level in range(levels):
            if kind == 'both':
                value = {'k': value} if level % 2 else [value]
            else:
                value = {'k': value} if kind == 'dict' else [value]
        return value

    @pytest.mark.parametrize('kind', ['dict', 'list', 'both'])
    def test_99_levels_below_the_session_are_stored_and_merged(
        self, app, kind
    ):
        deep = self.nested(99, kind)
        app.run(update(deep=deep))
        merged = record(app, SessionMerged)

        def from_a_deep_stack(request, frames=150):
            if frames:
                return from_a_deep_stack(request, frames - 1)
            assert request.session['deep'] == deep
            request.session['mine'] = 1
            twin(app).run(update(theirs=1))
            return None

        app.run(from_a_deep_stack)

        assert app.run(read).json == {'deep': deep, 'mine': 1, 'theirs': 1}
        assert len(merged) == 1

    @pytest.mark.parametrize('kind', ['dict', 'list', 'both'])
    @pytest.mark.parametrize('levels', [100, 950, 100_000])
    @pytest.mark.parametrize('how', ['plain', 'save', 'locked', 'new'])
    def test_more_levels_are_refused(self, app, kind, levels, how):
        if how != 'new':
            app.run(update(start=1))
        deep = self.nested(levels, kind)

        def view(request):
            request.session['deep'] = deep
            if how == 'save':
                request.session.save()
            elif how == 'locked':
                with request.session.locked():
                    pass

        with pytest.raises(PayloadNotSerializable) as info:
            app.run(view)

        assert info.value.path == 'deep'
        assert '100 levels' in str(info.value)
        # a tree of this depth is not freed recursively
        while isinstance(deep, (dict, list)) and deep:
            deep = deep['k'] if isinstance(deep, dict) else deep[0]
        assert app.run(read).json == ({} if how == 'new' else {'start': 1})

    def test_data_that_contains_itself_is_refused_but_may_be_mended(self, app):
        app.run(update(d={}))

        def view(request):
            d = request.session['d']
            d['me'] = d['too'] = d
            with suppress(AppError), request.session.locked():
                raise AppError
            with pytest.raises(PayloadNotSerializable, match='itself'):
                request.session.save()
            del d['me'], d['too']
            d['fine'] = 1

        app.run(view)

        assert app.run(read).json == {'d': {'fine': 1}}

    @pytest.mark.plain
    def test_deep_row_of_somebody_else_is_an_error_and_no_new_session(
        self, app, database
    ):
        app.run(update(user='ada'))
        deep = '{"k":' * 100_000 + '1' + '}' * 100_000
        database.query(
            'UPDATE sessions SET data = %s',
            ('{"user":"ada","deep":' + deep + '}',),
        )

        with pytest.raises(RecursionError):
            app.run(read)

        assert database.query('SELECT COUNT(*) FROM sessions') == [(1,)]
        assert 'session' in app.cookies


class TestLater:
    """Nested data that is changed after the response."""

    @pytest.mark.parametrize('saves', [True, False])
    @pytest.mark.parametrize('holds_session', [True, False])
    def test_change_by_a_thread_is_stored_or_warned_of(
        self, app, caplog, saves, holds_session
    ):
        if saves and not holds_session:
            pytest.skip('nobody could save it')
        app.run(update(cart={'deep': [1]}))
        answered, threads = threading.Event(), []

        def change(deep, session):
            assert answered.wait(30)
            deep.append(2)
            if saves:
                session.save()

        def view(request):
            session = request.session if holds_session else None
            threads.append(
                threading.Thread(
                    target=change,
                    args=(request.session['cart']['deep'], session),
                )
            )
            threads[0].start()

        app.run(view)
        gc.collect()
        answered.set()
        threads.pop().join()
        gc.collect()

        expected = [1, 2] if saves else [1]
        assert app.run(read).json == {'cart': {'deep': expected}}
        warned = 'changed after it had been saved' in caplog.text
        assert warned == (not saves)

    @pytest.mark.parametrize(
        'get',
        [
            lambda session: session['cart'],
            lambda session: session.get('cart'),
            lambda session: session.copy()['cart'],
            lambda session: next(iter(session.values())),
            lambda session: dict(session.items())['cart'],
            lambda session: session.setdefault('cart', {}),
            lambda session: (session | {})['cart'],
        ],
    )
    @pytest.mark.parametrize('saves', [True, False])
    def test_change_by_a_streamed_body_is_stored_or_warned_of(
        self, app, caplog, get, saves
    ):
        app.run(update(cart={}))

        def view(request):
            cart = get(request.session)
            session = request.session

            def body():
                yield b'first'
                cart['late'] = 1
                if saves:
                    session.save()

            return Response(app_iter=body())

        app.run(view)
        gc.collect()

        assert app.run(read).json == {'cart': {'late': 1} if saves else {}}
        warned = 'changed after it had been saved' in caplog.text
        assert warned == (not saves)


class TestMeetings:
    def test_two_log_ins_are_not_mixed(self, app):
        app.run(update(start=1))

        def view(request):
            request.session['auth.userid'] = 'bob'
            request.session['mine'] = 1
            twin(app).run(update(**{'auth.userid': 'root', 'is_admin': True}))

        app.run(view)

        assert app.run(read).json == {
            'start': 1,
            'auth.userid': 'bob',
            'mine': 1,
        }

    def test_log_in_twice_as_the_same_user_is_merged(self, app):
        app.run(update(start=1))

        def view(request):
            request.session.update({'auth.userid': 'bob', 'mine': 1})
            twin(app).run(update(**{'auth.userid': 'bob', 'theirs': 1}))

        app.run(view)

        assert app.run(read).json == {
            'start': 1,
            'auth.userid': 'bob',
            'mine': 1,
            'theirs': 1,
        }

    def test_what_a_subscriber_of_the_merge_writes_stays(self, make_app):
        app = make_app(
            configure=lambda config: config.add_subscriber(
                lambda event: event.request.session.flash('merged'),
                SessionMerged,
            )
        )
        app.run(update(start=1))

        def view(request):
            request.session['mine'] = 1
            twin(app).run(update(theirs=1))

        app.run(view)

        assert app.run(read).json['_f_'] == ['merged']

    @pytest.mark.parametrize('first', ['pops', 'pops and flashes'])
    def test_message_that_is_flashed_again_is_shown_once_more(
        self, app, first
    ):
        app.run(update(stay=1))
        app.run(lambda request: request.session.flash('Saved'))

        def pop(request):
            return request.session.pop_flash()

        def again(request):
            shown = request.session.pop_flash()
            request.session.flash('Saved')
            return shown

        quick, slow = (pop, again) if first == 'pops' else (again, pop)

        def view(request):
            shown = slow(request)
            return [shown, twin(app).run(quick).json]

        assert app.run(view).json == [['Saved'], ['Saved']]
        assert app.run(pop).json == ['Saved']
        assert app.run(pop).json == []
        assert app.run(read).json == {'stay': 1}
