"""What an application can do with its sessions."""

import pytest
from pyramid.csrf import (
    LegacySessionCSRFStoragePolicy,
    SessionCSRFStoragePolicy,
    get_csrf_token,
    new_csrf_token,
)
from pyramid.interfaces import ISession
from pyramid.response import Response
from zope.interface.verify import verifyObject

from pyramid_mysql_session import SessionCreated
from tests.helpers import record, twin


def read(request):
    return dict(request.session)


def change(function):
    """Return a view that calls a function with the session."""

    def view(request):
        return function(request.session)

    return view


class TestData:
    def test_session_is_what_pyramid_expects(self, app):
        app.run(change(lambda session: verifyObject(ISession, session)))

    @pytest.mark.parametrize(
        'value',
        [
            'ä\N{GRINNING FACE}\0\ud800\\"\'%s ',
            '',
            0,
            -(2**70),
            1.5,
            True,
            None,
            [],
            {},
            {'a': [{'b': [1, [2, None]]}], '': '', 'a.b': 'ü'},
        ],
    )
    def test_value_comes_back_as_it_was(self, app, value):
        app.run(change(lambda session: session.update(value=value)))

        def view(request):
            found = request.session['value']
            assert (found, type(found)) == (value, type(value))

        app.run(view)

    @pytest.mark.parametrize(
        ('function', 'expected'),
        [
            (lambda s: s.update(a=9, d=4), {'a': 9, 'b': [2], 'd': 4}),
            (lambda s: s.setdefault('a', 9), {'a': 1, 'b': [2]}),
            (lambda s: s.setdefault('d', []).append(4), None),
            (lambda s: s.pop('a'), {'b': [2]}),
            (lambda s: s.pop('d', None), {'a': 1, 'b': [2]}),
            (lambda s: s.popitem(), {'a': 1}),
            (lambda s: s.__delitem__('a'), {'b': [2]}),
            (lambda s: s.__ior__({'d': 4}), {'a': 1, 'b': [2], 'd': 4}),
            (lambda s: s['b'].append(3), {'a': 1, 'b': [2, 3]}),
            (lambda s: s.get('b').append(3), {'a': 1, 'b': [2, 3]}),
            (lambda s: dict(s)['b'].append(3), {'a': 1, 'b': [2, 3]}),
            (lambda s: list(s.values())[1].clear(), {'a': 1, 'b': []}),
            (lambda s: [v.pop() for k, v in s.items() if k == 'b'], None),
            (lambda s: (s | {'d': 4})['b'].append(3), {'a': 1, 'b': [2, 3]}),
            (lambda s: (s.clear(), s.update(d=4)), {'d': 4}),
            (lambda s: s == {'a': 1}, {'a': 1, 'b': [2]}),
        ],
    )
    def test_each_way_to_change_it_is_saved(self, app, function, expected):
        data = {'a': 1, 'b': [2]}
        app.run(change(lambda session: session.update(data)))

        def view(request):
            function(request.session)
            return dict(request.session)

        seen = app.run(view).json

        assert seen == app.run(read).json
        if expected is not None:
            assert seen == expected

    def test_changed_is_accepted_and_not_needed(self, app):
        app.run(change(lambda session: session.changed()))
        app.run(change(lambda session: session.update(key=1)))
        app.run(change(lambda session: session.changed()))

        assert app.run(read).json == {'key': 1}

    def test_userid_is_copied_to_its_column(self, app, database):
        app.run(change(lambda session: session.update({'auth.userid': 7})))

        assert database.query('SELECT userid FROM sessions') == [('7',)]
        assert len(app.store.for_user('7')) == 1


class TestFlash:
    def test_messages_come_back_in_order_and_once(self, app):
        app.run(change(lambda session: session.flash('one')))
        app.run(change(lambda session: session.flash(['two'])))
        app.run(change(lambda session: session.flash('other', 'warning')))

        peek = change(lambda session: session.peek_flash())
        assert app.run(peek).json == ['one', ['two']]
        pop = change(lambda session: session.pop_flash())
        assert app.run(pop).json == ['one', ['two']]
        assert app.run(pop).json == []
        assert app.run(peek).json == []
        pop_warning = change(lambda session: session.pop_flash('warning'))
        assert app.run(pop_warning).json == ['other']

    @pytest.mark.parametrize('allow', [True, False])
    def test_duplicate_is_dropped_when_asked(self, app, allow):
        for _ in range(2):
            app.run(
                change(lambda session: session.flash('m', '', allow)),
            )

        pop = change(lambda session: session.pop_flash())
        assert app.run(pop).json == (['m', 'm'] if allow else ['m'])


@pytest.mark.parametrize(
    'policy', [LegacySessionCSRFStoragePolicy, SessionCSRFStoragePolicy]
)
class TestCSRF:
    @pytest.fixture
    def app(self, make_app, policy):
        def configure(config):
            config.set_csrf_storage_policy(policy())
            config.set_default_csrf_options(require_csrf=True)

        return make_app(configure=configure)

    def test_token_is_kept_and_demanded(self, app):
        token = app.run(get_csrf_token).json

        assert app.run(get_csrf_token).json == token
        app.run(read, method='POST', status=400)
        app.run(read, method='POST', status=400, POST={'csrf_token': 'x'})
        app.run(read, method='POST', POST={'csrf_token': token})

    def test_new_token_replaces_the_old_one(self, app):
        old = app.run(get_csrf_token).json
        new = app.run(new_csrf_token).json

        assert new != old
        assert app.run(get_csrf_token).json == new
        app.run(read, method='POST', status=400, POST={'csrf_token': old})

    def test_token_of_another_session_is_refused(self, app):
        token = app.browser().run(get_csrf_token).json

        app.run(read, method='POST', status=400, POST={'csrf_token': token})


class TestNew:
    def test_session_is_new_until_it_was_stored(self, app):
        new = change(lambda session: session.new)
        assert app.run(new).json is True
        assert app.run(new).json is True

        def view(request):
            request.session['key'] = 1
            return request.session.new

        assert app.run(view).json is True
        assert app.run(new).json is False

    def test_created_is_the_second_of_the_creation(self, app, database):
        app.run(change(lambda session: session.update(key=1)))
        database.query('UPDATE sessions SET created = 1000')

        created = change(lambda session: session.created)
        assert app.run(created).json == 1000
        assert app.browser().run(created).json > 1_600_000_000

    def test_first_save_is_told_once(self, app):
        events = record(app, SessionCreated)

        app.run(read)
        assert events == []
        for number in range(2):
            app.run(change(lambda session: session.update(key=number)))  # noqa: B023
        assert len(events) == 1
        assert events[0].request.session['key'] == 0


class TestEmpty:
    @pytest.mark.parametrize(
        'function',
        [
            lambda session: session.get('key'),
            lambda session: (session.update(key=1), session.clear()),
            lambda session: (session.flash('message'), session.pop_flash()),
            lambda session: session.invalidate(),
            lambda session: session.renew_id(),
            lambda session: session.changed(),
            lambda session: session.save(),
            lambda session: session.remember(60),
        ],
    )
    def test_new_session_that_stays_empty_leaves_nothing(
        self, app, rows, function
    ):
        app.store.create_table()

        response = app.run(change(lambda session: repr(function(session))))

        assert rows() == 0
        assert 'Set-Cookie' not in response.headers

    @pytest.mark.parametrize(
        'function',
        [
            lambda session: session.clear(),
            lambda session: session.pop('key'),
            lambda session: session.popitem(),
            lambda session: (session.renew_id(), session.clear()),
            lambda session: (session.clear(), session.renew_id()),
        ],
    )
    def test_emptied_session_loses_its_row_and_cookie(
        self, app, rows, function
    ):
        app.run(change(lambda session: session.update(key=1)))

        app.run(change(lambda session: repr(function(session))))

        assert rows() == 0
        assert app.cookies == {}

    def test_emptied_session_can_be_filled_again(self, app, rows):
        app.run(change(lambda session: session.update(key=1)))

        def view(request):
            request.session.clear()
            request.session.save()
            request.session['key'] = 2

        app.run(view)

        assert rows() == 1
        assert app.run(read).json == {'key': 2}


class TestInvalidate:
    def test_row_and_cookie_go(self, app, rows):
        app.run(change(lambda session: session.update(key=1)))
        other = twin(app)

        app.run(change(lambda session: session.invalidate()))

        assert rows() == 0
        assert app.cookies == {}
        assert other.run(read).json == {}

    @pytest.mark.plain
    def test_what_follows_goes_into_a_new_session(self, app, database):
        app.run(change(lambda session: session.update(old=1)))
        app.run(change(lambda session: session.remember(60)))
        database.query('UPDATE sessions SET created = 1000')
        cookie = app.cookies['session']

        def view(request):
            session = request.session
            session.invalidate()
            session['new'] = 2
            return [session.new, session.created > 1000, dict(session)]

        assert app.run(view).json == [True, True, {'new': 2}]
        assert app.cookies['session'] != cookie
        ((data, idle),) = database.query(
            'SELECT data, expires - created FROM sessions'
        )
        assert (data, idle) == ('{"new":2}', 86400)

    def test_session_never_looked_at_can_be_invalidated(self, app, rows):
        app.run(change(lambda session: session.update(key=1)))

        app.run(
            change(lambda session: (session.invalidate(), session.clear())[1])
        )

        assert rows() == 0
        assert app.cookies == {}


class TestRenewId:
    def test_data_and_creation_stay_and_the_old_id_is_dead(
        self, app, database
    ):
        app.run(change(lambda session: session.update(key=1)))
        database.query('UPDATE sessions SET created = 1000')
        other = twin(app)

        app.run(change(lambda session: session.renew_id()))

        view = change(lambda session: [dict(session), session.created])
        assert app.run(view).json == [{'key': 1}, 1000]
        assert len(database.query('SELECT 1 FROM sessions')) == 1
        assert other.run(read).json == {}

    def test_changes_before_and_after_it_are_saved(self, app):
        app.run(change(lambda session: session.update(key=1)))

        def view(request):
            request.session['before'] = 2
            request.session.renew_id()
            request.session['after'] = 3

        app.run(view)

        assert app.run(read).json == {'key': 1, 'before': 2, 'after': 3}

    def test_renewed_session_can_be_invalidated(self, app, rows):
        app.run(change(lambda session: session.update(key=1)))

        app.run(
            change(lambda session: (session.renew_id(), session.invalidate()))
        )

        assert rows() == 0
        assert app.cookies == {}


@pytest.mark.parametrize(
    ('method', 'status'), [('HEAD', 200), ('GET', 204), ('GET', 304)]
)
def test_response_without_a_body_saves_as_well(app, method, status):
    def view(request):
        request.session['key'] = 1
        return Response(status=status)

    app.run(view, method=method)

    assert app.run(read).json == {'key': 1}
