"""``with request.session.locked()``: read, modify and write as one."""

import threading
import time
from contextlib import suppress

import pytest

from pyramid_mysql_session import (
    LockTimeout,
    PayloadNotSerializable,
    SessionLost,
    SessionMerged,
    SessionRejected,
)
from tests.helpers import connections, record, twin, wait_until


class AppError(Exception):
    """An error of the application."""


@pytest.fixture
def app(make_app):
    app = make_app(connection_limit=1, connection_wait=1, lock_timeout=1)
    app.run(lambda request: request.session.update(count=0, list=[1]))
    return app


@pytest.fixture
def other(make_app, app):
    """A browser with the same session, at another application."""
    return twin(app, make_app(lock_timeout=5))


@pytest.fixture
def stranger(database, app):
    """A connection that holds the lock of the only row."""
    with database.connect() as connection:
        connection.query('BEGIN')
        connection.query('UPDATE sessions SET userid = NULL')
        yield connection


def read(request):
    return dict(request.session)


def increment(request):
    with request.session.locked():
        request.session['count'] += 1


class TestReadModifyWrite:
    def test_block_sees_what_others_saved_since_the_session_was_read(
        self, app, other
    ):
        def view(request):
            assert request.session['count'] == 0
            other.run(increment)
            increment(request)
            return request.session['count']

        assert app.run(view).json == 2
        assert app.run(read).json['count'] == 2

    def test_end_of_the_block_saves(self, app, other):
        def view(request):
            increment(request)
            return other.run(read).json['count']

        assert app.run(view).json == 1

    def test_others_read_but_do_not_write_during_the_block(
        self, app, other, database
    ):
        def view(request):
            with request.session.locked():
                assert other.run(read).json['count'] == 0
                writer.start()
                wait_until(
                    lambda: any(
                        'UPDATE' in (statement or '')
                        for statement in connections(database).values()
                    )
                )
                request.session['count'] += 1
            writer.join()

        writer = threading.Thread(
            target=twin(other).run,
            args=(lambda request: request.session.update(other=1),),
        )
        app.run(view)

        assert app.run(read).json == {'count': 1, 'list': [1], 'other': 1}

    def test_changes_before_the_block_are_saved_with_it(self, app, other):
        merged = record(app, SessionMerged)

        def view(request):
            request.session['before'] = 1
            request.session['list'].append(2)
            other.run(lambda request: request.session['list'].append(3))
            with request.session.locked():
                seen = dict(request.session)
                request.session['count'] += 1
            return [seen, other.run(read).json]

        seen, stored = app.run(view).json
        assert seen == {'count': 0, 'list': [1, 3, 2], 'before': 1}
        assert stored == {**seen, 'count': 1}
        assert len(merged) == 1

    def test_inner_block_belongs_to_the_outer_one(self, app, other):
        def view(request):
            session = request.session
            with session.locked():
                session['count'] += 1
                with session.locked():
                    session['count'] += 1
                session.save()
                seen = other.run(read).json['count']
                session['count'] += 1
            return seen

        assert app.run(view).json == 0
        assert app.run(read).json['count'] == 3

    def test_block_that_changes_nothing_writes_nothing(self, app, statements):
        def view(request):
            with request.session.locked():
                request.session['count'] = 0

        with statements() as log:
            app.run(view)

        verbs = [statement.split()[0] for statement in log]
        assert verbs == ['START', 'SELECT', 'COMMIT']

    def test_session_without_a_row_needs_no_lock(self, app, rows, statements):
        def view(request):
            with request.session.locked():
                request.session['count'] = 1
                with request.session.locked():
                    request.session['count'] += 1
            # the id, and so the row, begins with the response
            return rows()

        with statements() as log:
            assert app.browser().run(view).json == 1

        assert [statement.split()[0] for statement in log] == ['INSERT']

    def test_session_of_this_request_may_be_saved_and_locked(self, app, rows):
        browser = app.browser()

        def view(request):
            request.session['count'] = 1
            request.session.save()
            assert request.session.session_id is None
            increment(request)

        browser.run(view)

        assert browser.run(read).json == {'count': 2}
        assert rows() == 2


class TestUnread:
    """A session that the request has not read is loaded under the lock."""

    def test_others_wait_for_the_block(self, app, make_app):
        # one connection each, and a second of waiting
        other = twin(app, make_app(lock_timeout=1))

        def view(request):
            with request.session.locked():
                assert other.run(read).json['count'] == 0
                with pytest.raises(LockTimeout):
                    other.run(increment)
                request.session['count'] += 1

        app.run(view)
        other.run(increment)

        assert app.run(read).json['count'] == 2

    @pytest.mark.parametrize(
        ('end', 'reason'),
        [
            ('DELETE FROM sessions', 'unknown'),
            ('UPDATE sessions SET expires = UNIX_TIMESTAMP() - 1', 'expired'),
            ("UPDATE sessions SET data = '{'", 'undecodable'),
        ],
    )
    def test_session_that_is_gone_is_a_new_one_without_a_lock(
        self, app, other, database, end, reason
    ):
        database.query(end)
        rejected = record(app, SessionRejected)
        cookie = app.cookies['session']

        def view(request):
            # there is one connection
            with request.session.locked():
                assert request.session == {}
                assert request.session.new
                assert app.store.count() == (reason == 'undecodable')
                request.session['count'] = 7

        app.run(view)

        assert [event.reason for event in rejected] == [reason]
        assert app.cookies['session'] != cookie
        assert app.run(read).json == {'count': 7}

    def test_renewed_session_is_left_alone(self, app, other):
        other.run(lambda request: request.session.renew_id())
        rejected = record(app, SessionRejected)

        def view(request):
            with request.session.locked():
                return dict(request.session)

        assert app.run(view).json == {}
        assert [event.reason for event in rejected] == ['renewed']
        assert other.run(read).json == {'count': 0, 'list': [1]}

    def test_session_is_read_though_its_lock_was_not_given(
        self, app, stranger
    ):
        def view(request):
            with pytest.raises(LockTimeout), request.session.locked():
                raise AssertionError
            return dict(request.session)

        assert app.run(view).json == {'count': 0, 'list': [1]}


class TestError:
    def test_exception_takes_back_what_the_block_changed(self, app):
        def view(request):
            session = request.session
            session['before'] = items = session['list']
            with suppress(AppError), session.locked():
                session['count'] += 1
                session['list'].append(2)
                del session['before']
                session.remember(60)
                raise AppError
            assert session['list'] is items
            return dict(session)

        expected = {'count': 0, 'list': [1], 'before': [1]}
        response = app.run(view)
        assert response.json == expected
        assert 'Set-Cookie' not in response.headers
        assert app.run(read).json == expected

    @pytest.mark.parametrize('method', ['invalidate', 'renew_id', 'clear'])
    def test_exception_takes_back_the_end_of_the_session(self, app, method):
        cookie = app.cookies['session']

        def view(request):
            with suppress(AppError), request.session.locked():
                getattr(request.session, method)()
                request.session['new'] = 1
                raise AppError

        app.run(view)

        assert app.cookies['session'] == cookie
        assert app.run(read).json == {'count': 0, 'list': [1]}

    def test_exception_takes_back_the_inner_block_only(self, app):
        def view(request):
            session = request.session
            with session.locked():
                session['count'] = 1
                with suppress(AppError), session.locked():
                    session['count'] = 2
                    raise AppError
                session['list'].append(session['count'])

        app.run(view)

        assert app.run(read).json == {'count': 1, 'list': [1, 1]}

    def test_exception_in_a_session_without_a_row_takes_back(self, app):
        def view(request):
            request.session['before'] = 1
            with suppress(AppError), request.session.locked():
                request.session['lost'] = 1
                raise AppError

        browser = app.browser()
        browser.run(view)

        assert browser.run(read).json == {'before': 1}

    def test_value_that_cannot_be_stored_is_taken_back(self, app):
        def view(request):
            session = request.session
            with pytest.raises(PayloadNotSerializable), session.locked():
                session['count'] = object()
            increment(request)

        app.run(view)

        assert app.run(read).json == {'count': 1, 'list': [1]}

    def test_unhandled_exception_releases_lock_and_connection(
        self, app, other
    ):
        def view(request):
            with request.session.locked():
                request.session['count'] = 9
                raise AppError

        with pytest.raises(AppError):
            app.run(view)

        for browser in (app, other):
            browser.run(increment)
        assert app.run(read).json['count'] == 2


class TestLockTimeout:
    """The connection is always returned: there is one, and no waiting."""

    @pytest.mark.parametrize(
        ('action', 'statement'),
        [
            (increment, 'SELECT'),
            (lambda request: request.session.update(count=1), 'UPDATE'),
            (lambda request: request.session.invalidate(), 'DELETE'),
        ],
    )
    def test_lock_of_a_stranger_is_waited_for_once(
        self, app, stranger, statements, action, statement
    ):
        with statements() as log:
            began = time.monotonic()
            with pytest.raises(LockTimeout) as info:
                app.run(action)
            waited = time.monotonic() - began

        assert str(info.value) == (
            "Somebody else kept the session's row locked. "
            'mysql_session.lock_timeout limits the wait. (MySQL error 1205)'
        )
        assert 0.9 < waited < 2
        waiting = [
            text
            for text in log
            if text.startswith(statement)
            and (statement != 'SELECT' or text.endswith('FOR UPDATE'))
        ]
        assert len(waiting) == 1
        stranger.rollback()
        assert app.run(read).json == {'count': 0, 'list': [1]}
        app.run(increment)
        assert app.run(read).json['count'] == 1

    def test_view_may_go_on_without_the_lock(self, app, stranger):
        def view(request):
            request.session['before'] = 1
            with pytest.raises(LockTimeout):
                increment(request)
            stranger.rollback()
            increment(request)

        app.run(view)

        assert app.run(read).json == {'before': 1, 'count': 1, 'list': [1]}


class TestIdsInside:
    """What becomes of the id is settled with the response."""

    def test_invalidate_ends_the_session_with_the_response(self, app, rows):
        def view(request):
            with request.session.locked():
                request.session.invalidate()
            return rows()

        assert app.run(view).json == 1
        assert rows() == 0
        assert app.cookies == {}

    def test_what_follows_invalidate_goes_into_a_new_session(self, app, rows):
        def view(request):
            with request.session.locked():
                request.session.invalidate()
                request.session['new'] = 1
            request.session['newer'] = 2

        app.run(view)

        assert rows() == 1
        assert app.run(read).json == {'new': 1, 'newer': 2}

    def test_renew_id_takes_place_with_the_response(self, app, other, rows):
        cookie = app.cookies['session']

        def view(request):
            with request.session.locked():
                request.session.renew_id()
                request.session['count'] += 1
            return other.run(read).json

        assert app.run(view).json == {'count': 1, 'list': [1]}
        assert rows() == 1
        assert app.cookies['session'] != cookie
        assert app.run(read).json == {'count': 1, 'list': [1]}
        assert other.run(read).json == {}

    def test_clear_is_seen_at_once_and_the_row_goes_with_the_response(
        self, app, other, rows
    ):
        def view(request):
            with request.session.locked():
                request.session.clear()
            return [rows(), other.run(read).json]

        assert app.run(view).json == [1, {}]
        assert rows() == 0
        assert app.cookies == {}


@pytest.mark.parametrize(
    'end',
    [
        'DELETE FROM sessions',
        'UPDATE sessions SET expires = UNIX_TIMESTAMP() - 1',
    ],
)
def test_session_that_is_gone_before_the_block_is_lost(app, database, end):
    lost = record(app, SessionLost)

    def view(request):
        session = request.session
        session['before'] = 1
        database.query(end)
        with session.locked():
            session['count'] += 1
        with session.locked():
            session['count'] += 1
        return session['count']

    response = app.run(view)

    assert response.json == 2
    assert len(lost) == 1
    assert 'Set-Cookie' not in response.headers
    assert app.run(read).json == {}
    assert app.store.count() == 0
