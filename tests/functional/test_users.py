"""Sessions of a user: who has which, from where, and how they end."""

import threading

import pytest
from pyramid.authentication import AuthTktCookieHelper
from pyramid.config import Configurator

from pyramid_mysql_session import (
    SessionEnded,
    SessionLost,
    get_store,
    session_factory_from_settings,
)
from tests.helpers import Application, record, twin


def log_in(request):
    request.session['auth.userid'] = request.params.get('user', 'ada')
    request.session.renew_id()
    return {}


def read(request):
    return dict(request.session)


def handle(app):
    return app.run(lambda request: request.session.handle).json


def devices(request):
    return [
        {
            'handle': each.handle,
            'current': each.current,
            'ip': each.ip,
            'agent': each.agent,
            'seen': each.seen,
        }
        for each in get_store(request).for_user('ada')
    ]


class TestLists:
    def test_request_knows_its_own_session(self, app):
        other = app.browser()
        app.run(log_in)
        other.run(log_in)
        mine, others = handle(app), handle(other)

        assert {
            each['handle']: each['current'] for each in app.run(devices).json
        } == {mine: True, others: False}
        assert {
            each['handle']: each['current'] for each in other.run(devices).json
        } == {mine: False, others: True}
        assert {each.current for each in app.store.for_user('ada')} == {False}

    @pytest.mark.plain
    def test_data_is_read_when_it_is_asked_for(self, app, statements):
        app.run(log_in)
        with statements() as sent:
            (found,) = app.store.for_user('ada')
            assert len(sent) == 0
        assert len(sent) == 1
        with statements() as sent:
            assert found.data() == {'auth.userid': 'ada'}
        assert len(sent) == 1

        app.run(lambda request: request.session.invalidate())
        assert found.data() is None

    @pytest.mark.plain
    def test_data_is_the_application_s_alone(self, app):
        app.run(log_in)
        app.run(lambda request: request.session.confirm())
        app.run(lambda request: request.session.remember(60))

        (found,) = app.store.for_user('ada')
        assert found.data() == {'auth.userid': 'ada'}

    def test_list_alone_reads_the_session_of_the_request(self, app):
        app.run(log_in)
        response = app.run(
            lambda request: len(get_store(request).for_user('ada'))
        )

        # for what the page shows depends on the cookie
        assert response.headers['Vary'] == 'Cookie'

    def test_other_questions_leave_the_session_alone(self, app):
        app.run(log_in)
        response = app.run(lambda request: get_store(request).count())

        assert 'Vary' not in response.headers


class TestEnds:
    @pytest.fixture
    def ended(self, app):
        return record(app, SessionEnded)

    def test_ended_browser_is_out_at_its_next_request(self, app, ended):
        other = app.browser()
        for browser in (app, other):
            browser.run(log_in)
        victim = handle(other)

        def view(request):
            return get_store(request).end(victim, 'ada')

        assert app.run(view).json is True
        assert app.run(view).json is False
        assert other.run(read).json == {}
        assert app.run(read).json == {'auth.userid': 'ada'}
        (event,) = ended
        assert event[1:] == (victim, 'ada', 'end')
        assert event.request.path == '/'

    def test_session_of_another_user_is_out_of_reach(self, app, ended):
        other = app.browser()
        app.run(log_in)
        other.run(log_in, path='/?user=bob')
        victim = handle(other)

        def view(request):
            return get_store(request).end(
                victim, request.session['auth.userid']
            )

        assert app.run(view).json is False
        assert other.run(read).json == {'auth.userid': 'bob'}
        assert ended == []

    def test_ended_session_is_not_brought_back_by_a_request_under_way(
        self, app, ended
    ):
        app.run(log_in)
        lost = record(app, SessionLost)
        mine = handle(app)

        def view(request):
            request.session['late'] = 1
            assert app.store.end(mine)

        app.run(view)

        assert len(lost) == 1
        assert app.run(read).json == {}
        assert [event[1:] for event in ended] == [(mine, 'ada', 'end')]
        assert ended[0].request is None

    def test_all_but_this_one(self, app, ended):
        browsers = [app.browser() for _ in range(3)]
        for browser in (app, *browsers):
            browser.run(log_in)
        others = {handle(browser) for browser in browsers}

        def view(request):
            return get_store(request).delete_for_user(
                'ada', keep=request.session.handle
            )

        assert app.run(view).json == 3
        assert {browser.run(read).json == {} for browser in browsers} == {True}
        assert app.run(read).json == {'auth.userid': 'ada'}
        assert {event.handle for event in ended} == others
        assert {event.how for event in ended} == {'delete_for_user'}

    def test_log_in_beyond_a_number_ends_the_oldest(self, app, database):
        browsers = [app.browser() for _ in range(4)]
        for age, browser in enumerate(reversed(browsers)):
            browser.run(log_in)
            database.query(
                'UPDATE sessions SET created = created - %s '
                "WHERE HEX(session_id) LIKE CONCAT(%s, '%%')",
                (age * 10, handle(browser)),
            )

        def view(request):
            log_in(request)
            return get_store(request).limit_for_user(
                'ada', 2, keep=request.session.handle
            )

        # the oldest of all is the one that stays
        assert browsers[0].run(view).json == 1
        alive = [bool(browser.run(read).json) for browser in browsers]
        assert alive == [True, False, True, True]

    def test_log_out_tells_who_has_left(self, app, ended):
        app.run(log_in)
        mine = handle(app)

        def view(request):
            assert request.session
            request.session.invalidate()

        app.run(view)

        (event,) = ended
        assert event[1:] == (mine, 'ada', 'invalidate')
        assert event.request is not None

    @pytest.mark.parametrize('farewell', [False, True])
    def test_two_log_outs_at_once_end_a_session_once(
        self, app, ended, farewell
    ):
        app.run(log_in)
        other = twin(app)

        def log_out(request):
            assert request.session
            request.session.invalidate()
            if farewell:
                request.session.flash('bye')

        def view(request):
            log_out(request)
            other.run(log_out)

        app.run(view)

        assert [event[2:] for event in ended] == [('ada', 'invalidate')]

    def test_log_out_ends_all_sessions_of_a_browser_though_a_subscriber_fails(
        self, make_app
    ):
        def fail(event):
            raise ZeroDivisionError

        app = make_app(
            configure=lambda config: config.add_subscriber(fail, SessionEnded)
        )
        browsers = [app.browser() for _ in range(2)]
        for browser in browsers:
            browser.run(log_in)
        cookies = '; '.join(
            f'session={browser.cookies["session"]}' for browser in browsers
        )

        with pytest.raises(ZeroDivisionError):
            app.run(
                lambda request: request.session.invalidate(),
                headers={'Cookie': cookies},
            )
        assert app.store.count() == 0

    def test_factory_built_by_hand_tells_of_what_its_first_request_ends(
        self, app, database
    ):
        app.run(log_in)
        victim = handle(app)
        factory = session_factory_from_settings(
            database.settings(purge_expired=False)
        )
        with Configurator(session_factory=factory) as config:
            config.add_view(
                lambda request: get_store(request).end(victim), renderer='json'
            )
        other = Application(config.make_wsgi_app())
        ended = record(other, SessionEnded)

        assert other.run().json is True
        assert [event[1:] for event in ended] == [(victim, 'ada', 'end')]
        other.close()

    def test_many_that_end_a_session_end_it_once(self, app, ended):
        app.run(log_in)
        mine = handle(app)
        answers = []
        threads = [
            threading.Thread(
                target=lambda: answers.append(app.store.end(mine, 'ada'))
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(answers) == [False] * 7 + [True]
        assert len(ended) == 1


class TestDevices:
    @pytest.fixture
    def app(self, make_app):
        return make_app(track_devices='true', touch_interval=0)

    def test_device_of_the_last_request_is_noted(self, app, database):
        app.run(log_in, headers={'User-Agent': 'old'})
        database.query('UPDATE sessions SET seen = 7, expires = expires - 9')
        app.extra_environ['REMOTE_ADDR'] = '2001:db8::7'
        app.run(read, headers={'User-Agent': 'new'})

        (found,) = app.run(devices, headers={'User-Agent': 'other'}).json
        assert found['agent'] == 'new'
        assert found['ip'] == '2001:db8::7'
        assert found['seen'] > 7

    def test_header_of_a_proxy_is_not_trusted(self, app):
        app.extra_environ['REMOTE_ADDR'] = '192.0.2.1'
        app.run(log_in, headers={'X-Forwarded-For': '198.51.100.1'})

        (found,) = app.store.for_user('ada')
        assert found.ip == '192.0.2.1'

    def test_network_alone_can_be_noted(self, make_app):
        app = make_app(track_devices='truncated')
        app.extra_environ['REMOTE_ADDR'] = '192.0.2.77'
        app.run(log_in)

        (found,) = app.store.for_user('ada')
        assert found.ip == '192.0.2.0'

    @pytest.mark.parametrize(
        'agent',
        [
            '',
            'x' * 8190,
            "'; DROP TABLE sessions; --",
            '%s %(x)s \\',
            'caf\xe9 \xff\x00',
            '\xf0\x9f\xa6\x8a' * 300,
        ],
    )
    def test_no_agent_breaks_a_request(self, app, agent):
        app.extra_environ['HTTP_USER_AGENT'] = agent
        for view in (log_in, read, log_in):
            app.run(view)

        (found,) = app.store.for_user('ada')
        assert len(found.agent or '') <= 255

    def test_statements_are_as_many_as_without(
        self, make_app, database, statements
    ):
        counts = []
        for track in ('false', 'true'):
            app = make_app(
                track_devices=track,
                table_name=f'sessions_{track}',
                touch_interval=60,
            )
            app.run(log_in)
            counts.append([])
            for view in (read, log_in, read, lambda r: r.session.save()):
                # now a request that only reads touches it
                database.query(
                    f'UPDATE sessions_{track} SET expires = expires - 90'
                )
                with statements() as sent:
                    app.run(view)
                counts[-1].append([text.split()[0] for text in sent])

        assert counts[0] == counts[1]
        assert counts[0][0] == ['SELECT', 'UPDATE']

    def test_switching_it_on_and_off_logs_nobody_out(self, make_app, database):
        before = make_app(track_devices='false')
        before.run(log_in)
        on = make_app(track_devices='true')
        with pytest.raises(Exception, match='ADD COLUMN `seen`') as caught:
            on.store.check_table()
        database.query(caught.value.remedy)

        assert before.run(read).json == {'auth.userid': 'ada'}
        assert twin(before, on).run(log_in).status_code == 200
        (found,) = on.store.for_user('ada')
        assert found.seen
        before.browser().run(log_in)
        assert len(on.store.for_user('ada')) == 2


# where users are in a cookie of Pyramid's own
helper = AuthTktCookieHelper('a secret of the tests')


def who(request):
    identity = helper.identify(request)
    return None if identity is None else identity['userid']


class TestUserIDsFromElsewhere:
    @pytest.fixture
    def app(self, make_app):
        return make_app(userid=f'{__name__}.who')

    @staticmethod
    def write(request):
        request.session['n'] = request.session.get('n', 0) + 1

    @staticmethod
    def remember(request):
        request.response.headerlist += helper.remember(request, 'ada')

    @staticmethod
    def forget(request):
        request.response.headerlist += helper.forget(request)

    def test_log_in_is_seen_by_the_next_request_that_uses_the_session(
        self, app
    ):
        app.run(self.write)
        assert app.store.count('ada') == 0
        app.run(self.remember)
        app.run(read)

        (found,) = app.store.for_user('ada')
        assert found.userid == 'ada'
        app.run(self.forget)
        app.run(read)
        assert app.store.for_user('ada') == []
        assert app.store.count() == 1

    def test_callable_that_uses_the_session_is_no_loop(self, make_app):
        app = make_app(userid=lambda request: request.session.get('who'))
        app.run(lambda request: request.session.update(who='ada'))
        app.run(read)

        assert len(app.store.for_user('ada')) == 1

    @pytest.mark.parametrize('farewell', [False, True])
    def test_callable_may_end_the_session(self, make_app, farewell):
        def ask(request):
            if 'banned' in request.params and not request.session.new:
                request.session.invalidate()
                if farewell:
                    request.session.flash('bye')
            return None

        app = make_app(userid=ask)
        for view in (read, self.write):
            app.run(self.write)
            app.run(view, path='/?banned')

            assert app.run(read).json == ({'_f_': ['bye']} if farewell else {})
            app.run(lambda request: request.session.clear())
        assert app.store.count() == 0

    def test_callable_may_renew_save_and_lock_the_session(self, make_app):
        def ask(request):
            request.session.renew_id()
            request.session.save()
            with request.session.locked():
                request.session['asked'] = True
            return 'ada' if request.session.confirmed(60) else 'somebody'

        app = make_app(userid=ask)
        app.run(self.write)
        before = app.cookies['session']
        app.run(self.write)

        assert app.cookies['session'] != before
        assert app.run(read).json == {'n': 2, 'asked': True}
        assert app.store.count('somebody') == 1

    @pytest.mark.parametrize('locked', [False, True])
    def test_request_that_began_before_a_log_in_does_not_undo_it(
        self, make_app, locked
    ):
        app = make_app(userid=lambda request: request.params.get('user'))
        app.run(self.write, path='/?user=ada')
        other = twin(app)

        def log_in_again(request):
            request.session.confirm()

        def view(request):
            request.session['more'] = 1
            other.run(log_in_again, path='/?user=bob')
            if locked:
                with request.session.locked():
                    self.write(request)
            request.session['more'] = 2

        app.run(view, path='/?user=ada')

        (found,) = app.store.iter_sessions()
        assert found.userid == 'bob'
        assert app.run(
            lambda request: request.session.confirmed(60), path='/?user=bob'
        ).json

    def test_callable_that_fails_fails_the_request(self, make_app):
        def fail(request):
            raise ZeroDivisionError

        app = make_app(userid=fail)
        with pytest.raises(ZeroDivisionError):
            app.run(self.write)

        assert app.store.count() == 0
