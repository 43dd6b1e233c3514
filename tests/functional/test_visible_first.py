"""What is stored when the first byte leaves, and what comes after it."""

import gc
import http.client
import threading

import pytest
from pyramid.response import Response

from pyramid_mysql_session import SessionError, SessionLost, SessionMerged
from tests.helpers import record, twin

WARNING = (
    'a session was changed after it had been saved, and the change is lost: '
    'call save() after it'
)


def read(request):
    return dict(request.session)


def warnings(caplog):
    """Return what was logged about changes that nobody saved."""
    gc.collect()
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == 'pyramid_mysql_session.session.watching'
    ]


def streamed(function):
    """Return a view that calls a function while its body is streamed."""

    def view(request):
        def body():
            yield b'first'
            function(request)
            yield b'last'

        # the session is loaded, and saved, before the body begins
        request.session.setdefault('key', 1)
        return Response(app_iter=body())

    return view


class TestFirstByte:
    """A real server sends it while the application goes on."""

    @pytest.fixture
    def released(self):
        event = threading.Event()
        yield event
        event.set()

    @pytest.fixture
    def connect(self, make_app, serve, released):
        """Call it with a view's change for a connection to its server."""
        connections = []

        def connect(change):
            def view(request):
                change(request.session)
                return Response(app_iter=body())

            def body():
                yield b'first'
                assert released.wait(30)
                yield b'last'

            app = make_app(view=view)
            connection = http.client.HTTPConnection(
                '127.0.0.1', serve(app), timeout=30
            )
            connections.append(connection)
            return app, connection

        yield connect
        released.set()
        for connection in connections:
            connection.close()

    @pytest.mark.plain
    def test_row_is_there_before_the_first_byte(
        self, connect, released, database
    ):
        app, connection = connect(lambda session: session.update(a=1))
        connection.request('GET', '/')
        response = connection.getresponse()
        assert response.read(5) == b'first'

        assert database.query('SELECT data FROM sessions') == [('{"a":1}',)]
        cookie = response.headers['Set-Cookie'].split(';')[0]
        assert app.run(read, headers={'Cookie': cookie}).json == {'a': 1}

        released.set()
        assert response.read() == b'last'

    @pytest.mark.parametrize(
        ('change', 'expected'),
        [
            (lambda session: session.update(b=2), {'a': 1, 'b': 2}),
            (lambda session: session.invalidate(), {}),
            (lambda session: session.renew_id(), {}),
        ],
    )
    def test_next_request_with_the_cookie_sees_the_change(
        self, connect, released, change, expected
    ):
        app, connection = connect(change)
        app.run(lambda request: request.session.update(a=1))
        cookie = f'session={app.cookies["session"]}'
        connection.request('GET', '/', headers={'Cookie': cookie})
        response = connection.getresponse()
        assert response.read(5) == b'first'

        assert app.run(read).json == expected

        released.set()
        assert response.read() == b'last'


class TestAfterwards:
    def test_save_in_a_streamed_body_is_stored_at_once(self, app, caplog):
        app.run(lambda request: request.session.update(key=1))
        other = twin(app)
        seen = []

        def change(request):
            request.session['streamed'] = [2]
            request.session.save()
            seen.append(other.run(read).json)

        app.run(streamed(change))

        assert seen == [{'key': 1, 'streamed': [2]}]
        assert warnings(caplog) == []

    def test_first_save_of_a_session_may_be_followed_by_another(self, app):
        def change(request):
            request.session['streamed'] = 2
            request.session.save()

        app.run(streamed(change))

        assert app.run(read).json == {'key': 1, 'streamed': 2}

    def test_save_in_a_streamed_body_merges(self, app):
        app.run(lambda request: request.session.update(key=1))
        other = twin(app)
        merged = record(app, SessionMerged)

        def change(request):
            other.run(lambda request: request.session.update(theirs=1))
            request.session['mine'] = 1
            request.session.save()

        app.run(streamed(change))

        assert app.run(read).json == {'key': 1, 'mine': 1, 'theirs': 1}
        assert merged == [SessionMerged(None)]

    def test_save_in_a_streamed_body_does_not_revive(self, app, rows):
        app.run(lambda request: request.session.update(key=1))
        other = twin(app)
        lost = record(app, SessionLost)

        def change(request):
            other.run(lambda request: request.session.invalidate())
            request.session['mine'] = 1
            request.session.save()

        app.run(streamed(change))

        assert rows() == 0
        assert lost == [SessionLost(None)]

    @pytest.mark.parametrize(
        'change',
        [
            lambda session: session.update(lost=1),
            lambda session: session['list'].append(1),
            lambda session: session.clear(),
            lambda session: session.update(key=object()),
        ],
    )
    def test_change_that_nobody_saves_is_logged(self, app, caplog, change):
        app.run(lambda request: request.session.update(key=1, list=[]))

        app.run(streamed(lambda request: change(request.session)))

        assert warnings(caplog) == [WARNING]
        assert app.run(read).json == {'key': 1, 'list': []}

    def test_reading_in_a_streamed_body_is_no_change(self, app, caplog):
        app.run(lambda request: request.session.update(key=1, list=[]))

        def use(request):
            request.session.update(key=1)
            assert list(request.session.items())

        app.run(streamed(use))

        assert warnings(caplog) == []

    def test_change_by_a_thread_is_saved_or_logged(self, app, caplog):
        app.run(lambda request: request.session.update(key=1))
        answered = threading.Event()

        def change(session):
            assert answered.wait(30)
            session['saved'] = 1
            session.save()
            session['lost'] = 1

        def view(request):
            thread = threading.Thread(target=change, args=(request.session,))
            threads.append(thread)
            thread.start()
            return request.session['key']

        threads = []
        app.run(view)
        answered.set()
        threads.pop().join()

        assert warnings(caplog) == [WARNING]
        assert app.run(read).json == {'key': 1, 'saved': 1}

    @pytest.mark.parametrize('method', ['save', 'renew_id'])
    def test_id_that_the_browser_cannot_learn_is_refused(
        self, app, rows, caplog, method
    ):
        app.store.create_table()
        if method == 'renew_id':
            app.run(lambda request: request.session.update(key=1))

        def view(request):
            session = request.session
            assert session.get('key', 1) == 1
            return Response(app_iter=body(session))

        def body(session):
            with pytest.raises(SessionError) as info:
                change(session)
            yield str(info.value).encode()

        def change(session):
            session['key'] = 2
            getattr(session, method)()
            session.save()

        assert app.run(view).text == (
            'The response is on its way: the browser cannot learn the id of '
            'a new session any more. Create or renew a session before the '
            'response is returned.'
        )
        assert warnings(caplog) == [WARNING]
        assert rows() == (1 if method == 'renew_id' else 0)
