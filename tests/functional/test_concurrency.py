"""What becomes of a session when two requests meet."""

import http.client
import logging
import threading

import pytest

from pyramid_mysql_session import SessionLost, SessionMerged
from tests.helpers import record, twin

THREADS = 8


def read(request):
    return dict(request.session)


def overlap(app, slow, quick):
    """
    Have a request answered while another has used the session but not saved.

    :returns: the browser of the quick request.
    """
    other = twin(app)

    def view(request):
        slow(request.session)
        other.run(lambda request: repr(quick(request.session)))

    app.run(view)
    return other


DATA = {
    'a': 1,
    'b': 2,
    'deep': {'x': {'y': 1}, 'z': 1},
    'list': [1],
    '_f_': ['old'],
}


class TestMerged:
    @pytest.mark.parametrize(
        ('slow', 'quick', 'expected'),
        [
            (
                lambda s: s.update(c=3),
                lambda s: s.update(d=4),
                DATA | {'c': 3, 'd': 4},
            ),
            (
                lambda s: s['deep']['x'].update(y=2),
                lambda s: s['deep'].update(z=3),
                DATA | {'deep': {'x': {'y': 2}, 'z': 3}},
            ),
            (
                lambda s: s.update(new={'mine': 1}),
                lambda s: s.update(new={'theirs': 2}),
                DATA | {'new': {'mine': 1, 'theirs': 2}},
            ),
            (
                lambda s: s.update(a='slow'),
                lambda s: s.update(a='quick'),
                DATA | {'a': 'slow'},
            ),
            (
                lambda s: s['list'].append('slow'),
                lambda s: s['list'].append('quick'),
                DATA | {'list': [1, 'quick', 'slow']},
            ),
            (
                lambda s: s.setdefault('new', []).append('slow'),
                lambda s: s.setdefault('new', []).append('quick'),
                DATA | {'new': ['quick', 'slow']},
            ),
            (
                lambda s: s.flash('slow'),
                lambda s: s.flash('quick'),
                DATA | {'_f_': ['old', 'quick', 'slow']},
            ),
            (
                lambda s: s.flash('slow'),
                lambda s: s.pop_flash(),
                DATA | {'_f_': ['slow']},
            ),
            (
                lambda s: s.pop_flash(),
                lambda s: s.flash('quick'),
                DATA | {'_f_': ['quick']},
            ),
        ],
    )
    def test_changes_of_both_survive(self, app, slow, quick, expected):
        app.run(lambda request: request.session.update(DATA))
        merged = record(app, SessionMerged)

        overlap(app, slow, quick)

        assert app.run(read).json == expected
        assert len(merged) == 1

    @pytest.mark.parametrize('deletes', ['slow', 'quick'])
    def test_deleted_key_stays_deleted(self, app, deletes):
        def delete(session):
            del session['a'], session['deep']['x']

        def change(session):
            session['b'] = session['deep']['z'] = 9

        app.run(lambda request: request.session.update(DATA))

        pair = [delete, change]
        overlap(app, *(pair if deletes == 'slow' else reversed(pair)))

        expected = {**DATA, 'b': 9, 'deep': {'z': 9}}
        del expected['a']
        assert app.run(read).json == expected

    def test_popped_flash_is_shown_once(self, app):
        app.run(lambda request: request.session.flash('message'))
        shown = []

        overlap(
            app,
            lambda session: shown.extend(session.pop_flash('other')),
            lambda session: shown.extend(session.pop_flash()),
        )
        app.run(lambda request: shown.extend(request.session.pop_flash()))

        assert shown == ['message']

    def test_key_added_to_a_session_that_is_emptied_survives(self, app, rows):
        app.run(lambda request: request.session.update(a=1))

        other = overlap(
            app,
            lambda session: session.clear(),
            lambda session: session.update(b=2),
        )

        assert rows() == 1
        assert app.run(read).json == other.run(read).json == {'b': 2}

    def test_remember_and_a_change_survive(self, app, database):
        app.run(lambda request: request.session.update(a=1))

        overlap(
            app,
            lambda session: session.remember(1000),
            lambda session: session.update(b=2),
        )

        assert app.run(read).json == {'a': 1, 'b': 2}
        assert database.query(
            'SELECT expires - UNIX_TIMESTAMP() > 990, '
            'expires - UNIX_TIMESTAMP() <= 1000 FROM sessions'
        ) == [(1, 1)]

    def test_parts_that_the_application_holds_are_merged_in_place(self, app):
        app.run(lambda request: request.session.update(DATA))
        other = twin(app)

        def view(request):
            deep = request.session['deep']
            deep['mine'] = 1
            other.run(lambda request: request.session['deep'].update(z=5))
            request.session.save()
            assert deep == {'x': {'y': 1}, 'z': 5, 'mine': 1}
            deep['more'] = 1

        app.run(view)

        assert app.run(read).json['deep'] == {
            **{'x': {'y': 1}, 'z': 5, 'mine': 1, 'more': 1}
        }

    def test_conflict_that_changes_nothing_of_mine_is_no_event(self, app):
        app.run(lambda request: request.session.update(a=1))
        merged = record(app, SessionMerged)

        overlap(
            app,
            lambda session: session.update(a=1),
            lambda session: session.update(b=2),
        )

        assert merged == []
        assert app.run(read).json == {'a': 1, 'b': 2}


class TestGone:
    """Who saves a session that is gone writes nothing and is told."""

    @pytest.fixture
    def app(self, app):
        app.run(lambda request: request.session.update(a=1))
        return app

    @pytest.fixture
    def lost(self, app):
        return record(app, SessionLost)

    @pytest.mark.parametrize(
        'end',
        [
            lambda session: session.invalidate(),
            lambda session: session.clear(),
        ],
    )
    @pytest.mark.parametrize(
        'slow',
        [
            lambda session: session.update(b=2),
            lambda session: session.renew_id(),
            lambda session: session.remember(60),
        ],
    )
    def test_log_out_is_not_undone_by_a_slower_request(
        self, app, lost, rows, end, slow
    ):
        cookie = app.cookies['session']

        other = overlap(app, slow, end)

        assert rows() == 0
        assert len(lost) == 1
        assert other.cookies == {}
        # this browser sent it, and nobody gave it another
        assert app.cookies['session'] == cookie
        assert app.run(read).json == {}

    def test_two_that_log_out_are_no_loss(self, app, lost, rows):
        def end(session):
            session.invalidate()

        overlap(app, end, end)

        assert rows() == 0
        assert lost == []
        assert app.cookies == {}

    def test_who_only_reads_loses_nothing(self, app, lost, rows):
        overlap(
            app,
            lambda session: session['a'],
            lambda session: session.invalidate(),
        )

        assert rows() == 0
        assert lost == []

    def test_new_session_after_invalidate_survives_the_loss(self, app, rows):
        def invalidate(session):
            session.invalidate()
            session['new'] = 1

        overlap(app, invalidate, lambda session: session.invalidate())

        assert rows() == 1
        assert app.run(read).json == {'new': 1}


class TestRenewed:
    @pytest.fixture
    def app(self, app):
        app.run(lambda request: request.session.update(a=1))
        return app

    @pytest.fixture
    def lost(self, app):
        return record(app, SessionLost)

    @pytest.mark.parametrize(
        'slow',
        [
            lambda session: session.update(b=2),
            lambda session: session.remember(60),
            lambda session: session.renew_id(),
            lambda session: session.clear(),
        ],
    )
    def test_renewed_session_lives_and_the_old_one_is_dead(
        self, app, lost, rows, slow
    ):
        cookie = app.cookies['session']

        other = overlap(app, slow, lambda session: session.renew_id())

        assert rows() == 1
        assert len(lost) == 1
        assert other.run(read).json == {'a': 1}
        assert other.cookies['session'] != cookie
        # a browser has one cookie jar: the slow response must not touch it
        assert app.cookies['session'] == cookie
        assert app.run(read).json == {}

    def test_change_saved_before_the_renewal_is_kept(self, app, lost, rows):
        other = overlap(
            app,
            lambda session: session.renew_id(),
            lambda session: session.update(b=2),
        )

        assert rows() == 1
        assert lost == []
        assert app.run(read).json == {'a': 1, 'b': 2}
        assert other.run(read).json == {}


class TestManyAtOnce:
    """Eight threads of a real server, one session."""

    @pytest.fixture(autouse=True)
    def no_deadlock(self, caplog):
        caplog.set_level(logging.DEBUG, 'pyramid_mysql_session')
        yield
        # all that lock the row lock nothing before it
        assert 'trying again' not in caplog.text

    def test_320_keys_of_320_requests_survive(self, make_app, serve):
        barrier = threading.Barrier(THREADS)

        def view(request):
            key = request.params['key']
            request.session[key] = 1
            if key.endswith('-0'):
                # all have loaded the same revision: all but one must merge
                barrier.wait(30)

        app = make_app(view=view)
        app.run(lambda request: request.session.update(start=1))
        merged = record(app, SessionMerged)

        send(serve(app), app.cookies['session'], 40)

        keys = {f'{t}-{n}' for t in range(THREADS) for n in range(40)}
        assert app.run(read).json.keys() == keys | {'start'}
        assert len(merged) >= THREADS - 1

    def test_200_locked_increments_add_up(self, make_app, serve):
        def view(request):
            with request.session.locked():
                request.session['count'] += 1

        app = make_app(view=view)
        app.run(lambda request: request.session.update(count=0))

        send(serve(app), app.cookies['session'], 25)

        assert app.run(read).json == {'count': 200}


def send(port, cookie, requests):
    """Send requests from several threads, each over its own connection."""
    statuses = []

    def run(thread):
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
        for number in range(requests):
            connection.request(
                'GET',
                f'/?key={thread}-{number}',
                headers={'Cookie': f'session={cookie}'},
            )
            with connection.getresponse() as response:
                statuses.append(response.status)
                response.read()
        connection.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * THREADS * requests
