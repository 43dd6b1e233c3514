"""When a session expires: the server's clock decides, the row tells."""

import time

import pytest
from pyramid.httpexceptions import HTTPFound
from pyramid.response import Response

from pyramid_mysql_session import SessionLost, SessionRejected
from tests.helpers import record, twin

DAY = 86400


@pytest.fixture
def left(database):
    """Call it for the seconds that the only session has left."""

    def seconds():
        ((left,),) = database.query(
            'SELECT CAST(expires AS SIGNED) - UNIX_TIMESTAMP() FROM sessions'
        )
        return left

    return seconds


@pytest.fixture
def move(database):
    """Call it to let seconds pass for the column of the only session."""

    def move(column, seconds):
        database.query(f'UPDATE sessions SET {column} = {column} - {seconds}')

    return move


def about(seconds):
    """Equal seconds of a moment ago: tests take their time."""
    return pytest.approx(seconds, abs=5)


def read(request):
    return dict(request.session)


def write(request):
    request.session['key'] = 'value'


def remember(seconds):
    return lambda request: request.session.remember(seconds)


class TestIdle:
    def test_session_expires_after_the_idle_timeout(
        self, make_app, left, move
    ):
        app = make_app(idle_timeout=100)
        app.run(write)
        assert left() == about(100)

        move('expires', 90)
        assert app.run(read).json == {'key': 'value'}
        move('expires', 101)
        assert app.run(read).json == {}

    def test_each_save_starts_it_anew(self, make_app, left, move):
        app = make_app(idle_timeout=100, touch_interval='never')
        app.run(write)
        move('expires', 90)

        app.run(lambda request: request.session.update(more=1))

        assert left() == about(100)

    def test_clock_of_the_application_does_not_matter(
        self, app, left, monkeypatch
    ):
        for now in (0, 2**32 + 1):
            monkeypatch.setattr(time, 'time', lambda now=now: now)
            browser = app.browser()
            browser.run(write)
            assert left() == about(DAY)
            assert browser.run(read).json == {'key': 'value'}
            app.store.clear()


class TestAbsolute:
    @pytest.fixture
    def app(self, make_app):
        return make_app(
            idle_timeout=100, absolute_timeout=150, touch_interval=0
        )

    def test_session_expires_however_busy_it_is(self, app, move):
        events = record(app, SessionRejected)
        app.run(write)
        move('created', 140)
        assert app.run(read).json == {'key': 'value'}

        move('created', 11)
        assert app.run(read).json == {}
        assert [event.reason for event in events] == ['expired']

    @pytest.mark.parametrize(
        'action', [read, lambda request: request.session.update(more=1)]
    )
    def test_neither_touch_nor_save_passes_it(self, app, left, move, action):
        app.run(write)
        move('created', 120)
        move('expires', 90)

        app.run(action)

        assert left() == about(30)

    def test_remember_does_not_pass_it(self, app, left, move):
        app.run(write)
        app.run(remember(1000))
        assert left() == about(150)

        move('created', 151)
        assert app.run(read).json == {}

    def test_renewing_the_id_does_not_prolong_it(self, app, left, move):
        app.run(write)
        move('created', 120)

        app.run(lambda request: request.session.renew_id())

        assert left() == about(30)

    def test_a_shorter_one_counts_for_sessions_that_are_there(
        self, make_app, app, move
    ):
        app.run(write)
        move('created', 60)
        stricter = twin(app, make_app(idle_timeout=50, absolute_timeout=50))

        assert stricter.run(read).json == {}
        assert stricter.store.count() == 0


class TestRemember:
    def test_session_has_an_idle_timeout_of_its_own(self, app, left, move):
        app.run(write)
        app.run(remember(1000))
        assert left() == about(1000)

        move('expires', 500)
        assert app.run(read).json == {'key': 'value'}
        assert left() == about(1000)
        app.run(lambda request: request.session.update(more=1))
        assert left() == about(1000)

    def test_new_session_can_be_remembered(self, app, left):
        def view(request):
            request.session.remember(10 * DAY)
            write(request)

        app.run(view)

        assert left() == about(10 * DAY)
        assert app.run(read).json == {'key': 'value'}

    def test_none_returns_to_the_settings(self, app, left):
        app.run(write)
        app.run(remember(1000))

        app.run(remember(None))

        assert left() == about(DAY)

    def test_renewing_the_id_keeps_it(self, app, left):
        app.run(write)
        app.run(remember(1000))

        app.run(lambda request: request.session.renew_id())

        assert left() == about(1000)

    def test_invalidating_forgets_it(self, app, left):
        app.run(write)
        app.run(remember(1000))

        def view(request):
            request.session.invalidate()
            write(request)

        app.run(view)

        assert left() == about(DAY)

    @pytest.mark.parametrize('seconds', [0, -1, 1.5, True, '60', 10**12])
    def test_what_is_no_number_of_seconds_is_refused(self, app, seconds):
        def view(request):
            with pytest.raises(ValueError) as info:  # noqa: PT011 (asserted)
                request.session.remember(seconds)
            return str(info.value)

        assert app.run(view).json == (
            f'seconds = {seconds!r}: expected whole seconds from 1 to '
            '34560000, or None'
        )


class TestTouch:
    @pytest.mark.parametrize(
        ('settings', 'passed', 'expected'),
        [
            ({}, DAY // 10 - 60, DAY - DAY // 10 + 60),
            ({}, DAY // 10, DAY),
            ({'touch_interval': 60}, 50, DAY - 50),
            ({'touch_interval': 60}, 60, DAY),
            ({'touch_interval': 'never'}, DAY // 2, DAY // 2),
        ],
    )
    def test_reading_touches_once_in_an_interval(
        self, make_app, left, move, settings, passed, expected
    ):
        app = make_app(**settings)
        app.run(write)
        move('expires', passed)

        app.run(read)

        assert left() == about(expected)

    def test_interval_auto_follows_the_sessions_own_timeout(
        self, app, left, move
    ):
        app.run(write)
        app.run(remember(1000))
        move('expires', 50)
        app.run(read)
        assert left() == about(950)

        move('expires', 60)
        app.run(read)
        assert left() == about(1000)

    def test_request_that_does_not_read_does_not_touch(self, app, left, move):
        app.run(write)
        move('expires', DAY // 2)

        app.run(lambda request: None)

        assert left() == about(DAY // 2)

    def test_touch_does_not_shorten(self, app, left, move):
        app.run(write)
        move('expires', DAY // 2)

        def view(request):
            read(request)
            # somebody else gives the session more time
            move('expires', -10 * DAY)

        app.run(view)

        assert left() == about(10 * DAY + DAY // 2)

    @pytest.mark.parametrize('action', [read, write])
    def test_neither_touch_nor_save_revives(self, app, left, move, action):
        events = record(app, SessionLost)
        app.run(lambda request: request.session.update(old=1))
        cookie = app.cookies['session']
        move('expires', DAY // 2)

        def view(request):
            action(request)
            move('expires', DAY)

        app.run(view)

        assert left() == about(-DAY // 2)
        assert len(events) == 1
        assert app.run(read).json == {}
        assert app.cookies['session'] == cookie


class TestOverlapping:
    """A touch goes by what was loaded: it must not undo what others saved."""

    def test_touch_does_not_overrule_a_log_out_meanwhile(
        self, make_app, left, move
    ):
        app = make_app(idle_timeout=1000, anonymous_idle_timeout=30)
        app.run(lambda request: request.session.update({'auth.userid': 5}))
        move('expires', 500)
        other = twin(app)

        def view(request):
            read(request)
            other.run(
                lambda request: request.session.update({'auth.userid': None})
            )

        app.run(view)

        assert left() == about(30)

    def test_touch_does_not_shorten_the_cookie_that_another_has_prolonged(
        self, app, move
    ):
        app.run(write)
        app.run(remember(60))
        move('expires', 30)
        other = twin(app)

        def view(request):
            read(request)
            response = other.run(remember(900))
            assert 'Max-Age=900' in response.headers['Set-Cookie']

        assert 'Set-Cookie' not in app.run(view).headers

    def test_late_save_leaves_the_deadline_where_the_browser_was_told(
        self, make_app, left, move
    ):
        app = make_app(cookie_max_age=90, idle_timeout=1000)
        app.run(write)
        move('expires', 8)

        def view(request):
            session = request.session
            read(request)

            def stream():
                session['late'] = 1
                session.save()
                yield b'x'

            return Response(app_iter=stream())

        app.run(view)
        assert left() == about(992)

        move('expires', 1)
        assert 'Max-Age=90' in app.run(read).headers['Set-Cookie']
        assert left() == about(1000)


class TestExceptionViews:
    @pytest.fixture
    def app(self, make_app):
        def configure(config):
            config.add_exception_view(
                lambda request: Response(status=500), context=OSError
            )

        return make_app(
            configure=configure,
            set_on_exception=False,
            idle_timeout=100,
            cookie_max_age=90,
        )

    @pytest.mark.parametrize('error', [OSError, HTTPFound('/')])
    @pytest.mark.parametrize('change', [False, True])
    def test_session_that_is_used_lives_on_though_nothing_is_saved(
        self, app, left, move, error, change
    ):
        app.run(write)
        move('expires', 60)

        def view(request):
            read(request)
            if change:
                request.session['lost'] = 1
                request.session.remember(9999)
            raise error

        response = app.run(view, status='*')

        assert left() == about(100)
        assert 'Max-Age=90' in response.headers['Set-Cookie']
        assert app.run(read).json == {'key': 'value'}
        assert left() == about(100)


@pytest.mark.parametrize(
    ('stored', 'expected'),
    [
        ('315360000', 34_560_000),
        ('1000000000000', 34_560_000),
        ('0', DAY),
        ('-5', DAY),
        ('1.5', DAY),
        ('"x"', DAY),
        ('true', DAY),
        ('[]', DAY),
    ],
)
@pytest.mark.plain
def test_timeout_that_somebody_has_written_to_the_table_does_no_harm(
    app, database, left, stored, expected
):
    app.run(write)
    database.query(
        'UPDATE sessions SET expires = UNIX_TIMESTAMP() + 10, data = %s',
        (f'{{"a":1,"_idle_timeout_":{stored}}}',),
    )

    app.run(read)

    assert left() == about(expected)
