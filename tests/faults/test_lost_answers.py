"""A statement whose answer was lost is neither lost nor applied twice."""

import threading

import pytest
from pyramid.events import NewResponse
from pyramid.response import Response

from pyramid_mysql_session import SessionEnded, StoreUnavailable
from tests.faults.proxy import lose_answer, lose_statement
from tests.faults.views import (
    append,
    data,
    increment,
    invalidate_and_append,
    locked_append,
    locked_data,
    log_out,
    renew,
    tab,
)
from tests.helpers import application, record

LOSSES = pytest.mark.parametrize('loss', [lose_statement, lose_answer])


@pytest.fixture
def rows(database):
    """Call it for the number of rows."""
    return lambda: len(database.query('SELECT 1 FROM sessions'))


@LOSSES
class TestOnce:
    def test_load_is_repeated(self, proxied, proxy, loss):
        proxied.run(append('mine'))
        rule = proxy.on('^SELECT `data`', loss)

        assert proxied.run(data).json == {'items': ['mine']}
        assert rule.matched == 1

    def test_create_leaves_one_row(self, proxied, proxy, rows, loss):
        rule = proxy.on('^INSERT', loss)

        proxied.run(append('mine'))

        assert rule.matched == 1
        assert proxied.run(data).json == {'items': ['mine']}
        assert rows() == 1

    def test_save_is_applied_once(self, proxied, proxy, lost, loss):
        proxied.run(append('first'))
        rule = proxy.on('^UPDATE', loss)

        proxied.run(append('mine'))

        assert rule.matched == 1
        assert proxied.run(data).json == {'items': ['first', 'mine']}
        assert lost == []

    def test_save_reaches_the_server_as_often_as_it_was_sent(
        self, proxied, proxy, statements, loss
    ):
        proxied.run(append('first'))
        proxy.on('^UPDATE', loss)

        with statements() as log:
            proxied.run(append('mine'))

        updates = [text for text in log if text.startswith('UPDATE')]
        # the second of two finds that the first was executed
        assert len(updates) == (2 if loss is lose_answer else 1)
        assert len(set(updates)) == 1

    def test_emptied_session_loses_its_row(
        self, proxied, proxy, rows, lost, loss
    ):
        proxied.run(append('first'))
        rule = proxy.on('^DELETE', loss)

        response = proxied.run(lambda request: request.session.clear())

        assert rule.matched == 1
        assert 'Max-Age=0' in response.headers['Set-Cookie']
        assert rows() == 0
        assert lost == []

    def test_log_out_loses_its_row(self, proxied, proxy, rows, lost, loss):
        proxied.run(append('first'))
        rule = proxy.on('^DELETE', loss)

        response = proxied.run(log_out)

        assert rule.matched == 1
        assert 'Max-Age=0' in response.headers['Set-Cookie']
        assert rows() == 0
        assert lost == []

    @pytest.mark.parametrize(
        ('changes', 'pattern'),
        [
            ('', '^UPDATE'),
            ('ADD note INT', '^START'),
            ('ADD note INT', '^DELETE'),
            ('ADD note INT', '^INSERT'),
            ('ADD note INT', '^COMMIT'),
        ],
    )
    def test_session_after_invalidate_replaces_the_old(
        self, proxied, proxy, database, rows, lost, loss, changes, pattern
    ):
        ended = record(proxied, SessionEnded)
        proxied.run(append('old'))
        old = tab(proxied).cookies['session']
        if changes:
            database.query(f'ALTER TABLE sessions {changes}')
        proxied.store.check_table()
        rule = proxy.on(pattern, loss)

        proxied.run(invalidate_and_append)

        assert rule.matched == 1
        assert proxied.cookies['session'] != old
        assert proxied.run(data).json == {'items': ['new']}
        assert rows() == 1
        assert lost == []
        assert [event.how for event in ended] == ['invalidate']

    def test_renewal_moves_the_row_once(
        self, proxied, proxy, rows, lost, loss
    ):
        proxied.run(append('first'))
        old = proxied.cookies['session']
        rule = proxy.on('^UPDATE', loss)

        proxied.run(renew)

        assert rule.matched == 1
        assert proxied.cookies['session'] != old
        assert proxied.run(data).json == {'items': ['first']}
        assert rows() == 1
        assert lost == []

    def test_touch_moves_the_deadline(
        self, proxied, proxy, database, lost, loss
    ):
        proxied.run(append('first'))
        database.query('UPDATE sessions SET expires = expires - 80000')
        rule = proxy.on('^UPDATE', loss)

        proxied.run(data)

        assert rule.matched == 1
        ((left,),) = database.query(
            'SELECT expires - UNIX_TIMESTAMP() FROM sessions'
        )
        assert 86_000 < left <= 86_400
        assert lost == []

    @pytest.mark.parametrize(
        'pattern', ['^START', 'FOR UPDATE$', '^UPDATE', '^COMMIT']
    )
    def test_locked_block_is_applied_once(
        self, proxied, proxy, lost, loss, pattern
    ):
        proxied.run(append('first'))
        rule = proxy.on(pattern, loss)

        proxied.run(locked_append)

        assert rule.matched == 1
        assert proxied.run(data).json == {'items': ['first', 'mine']}
        assert lost == []

    @pytest.mark.parametrize(
        'pattern', ['^START', 'FOR UPDATE$', '^COMMIT', '^SELECT `data`']
    )
    def test_locked_block_that_saves_nothing_goes_unnoticed(
        self, proxied, proxy, loss, pattern
    ):
        proxied.run(append('first'))
        proxy.on(pattern, loss)

        assert proxied.run(locked_data).json == {'items': ['first']}

    def test_locked_block_that_ends_the_session_goes_unnoticed(
        self, proxied, proxy, rows, loss
    ):
        def view(request):
            with request.session.locked():
                invalidate_and_append(request)

        proxied.run(append('first'))
        rule = proxy.on('^COMMIT', loss)

        proxied.run(view)

        assert rule.matched == 1
        assert proxied.run(data).json == {'items': ['new']}
        assert rows() == 1

    @pytest.mark.parametrize('pattern', ['^START', 'FOR UPDATE$', '^COMMIT'])
    def test_locked_block_of_a_session_that_is_gone_begins_another(
        self, proxied, proxy, database, rows, loss, pattern
    ):
        proxied.run(append('first'))
        database.query('DELETE FROM sessions')
        rule = proxy.on(pattern, loss)

        proxied.run(locked_append)

        assert rule.matched == 1
        assert proxied.run(data).json == {'items': ['mine']}
        assert rows() == 1

    @pytest.mark.parametrize('times', [1, 2])
    @pytest.mark.parametrize('pattern', ['^START', 'FOR UPDATE$', '^COMMIT'])
    def test_locked_block_of_a_session_that_ended_meanwhile_is_dropped(
        self, proxied, proxy, database, rows, lost, loss, pattern, times
    ):
        def view(request):
            data(request)
            database.query('DELETE FROM sessions')
            # a server that lags may not have it yet: it is locked twice
            proxy.on(pattern, loss, times=times)
            locked_append(request)

        proxied.run(append('first'))

        proxied.run(view)

        assert len(lost) == 1
        assert rows() == 0


class Others:
    """
    An action: others save while the answer to a statement gets lost.

    :param views: what they do, one after the other, each in a request.
    """

    def __init__(self, app, loss, *views):
        self.browser = tab(app)
        self.loss = loss
        self.views = views

    def __call__(self, line):
        if self.loss is lose_answer:
            line.execute()
        else:
            # gives back the locks of its transaction
            line.hang_up()
        for view in self.views:
            self.browser.run(view)
        line.cut()


@LOSSES
class TestOthersSavedMeanwhile:
    @pytest.mark.parametrize('number', [1, 2])
    def test_save_is_applied_once(self, proxied, proxy, lost, loss, number):
        proxied.run(append('first'))
        others = [f'other {n}' for n in range(number)]
        proxy.on('^UPDATE', Others(proxied, loss, *map(append, others)))

        proxied.run(append('mine'))

        stored = proxied.run(data).json['items']
        assert sorted(stored) == sorted(['first', 'mine', *others])
        assert lost == []

    def test_save_that_nobody_can_tell_is_an_error(self, proxied, proxy, loss):
        proxied.run(append('first'))
        others = [f'other {n}' for n in range(4)]
        proxy.on('^UPDATE', Others(proxied, loss, *map(append, others)))

        with pytest.raises(
            StoreUnavailable, match='so many others have saved'
        ) as caught:
            proxied.run(append('mine'))

        assert caught.value.outcome_unknown
        written = ['mine'] if loss is lose_answer else []
        assert proxied.run(data).json['items'] == ['first', *written, *others]

    @pytest.mark.parametrize('number', [1, 2])
    def test_locked_block_counts_if_it_was_committed(
        self, proxied, proxy, loss, number
    ):
        proxied.run(increment)
        proxy.on('^COMMIT', Others(proxied, loss, *[increment] * number))

        if loss is lose_answer:
            proxied.run(increment)
            assert proxied.run(data).json == {'n': number + 2}
        else:
            with pytest.raises(StoreUnavailable, match='connection to MySQL'):
                proxied.run(increment)
            assert proxied.run(data).json == {'n': number + 1}

    def test_locked_block_that_saves_nothing_may_have_missed_their_save(
        self, proxied, proxy, loss
    ):
        proxied.run(append('first'))
        proxy.on('^COMMIT', Others(proxied, loss, append('other')))

        with pytest.raises(StoreUnavailable, match='connection to MySQL'):
            proxied.run(locked_data)

        assert proxied.run(data).json == {'items': ['first', 'other']}

    @pytest.mark.parametrize(
        'other',
        [append('other'), renew, log_out],
        ids=['save', 'renewal', 'log-out'],
    )
    def test_session_after_invalidate_replaces_the_old(
        self, proxied, proxy, rows, loss, other
    ):
        proxied.run(append('old'))
        proxy.on('^UPDATE', Others(proxied, loss, other))

        proxied.run(invalidate_and_append)

        assert proxied.run(data).json == {'items': ['new']}
        # who comes after the end begins a session of their own
        begun = loss is lose_answer and other not in (renew, log_out)
        assert rows() == 1 + begun

    def test_log_out_by_another_is_final(
        self, proxied, proxy, rows, lost, loss
    ):
        proxied.run(append('first'))
        proxy.on('^UPDATE', Others(proxied, loss, log_out))

        proxied.run(append('mine'))

        assert rows() == 0
        assert len(lost) == 1


@LOSSES
class TestDoubt:
    """Nobody told whether it was done, and the application goes on."""

    def test_save_after_a_failed_save_does_it_once(self, proxied, proxy, loss):
        proxied.run(append('first'))
        proxy.on('^UPDATE', loss, times=None)

        def view(request):
            append('mine')(request)
            with pytest.raises(StoreUnavailable) as caught:
                request.session.save()
            assert caught.value.outcome_unknown
            proxy.clear()
            append('more')(request)

        proxied.run(view)

        assert proxied.run(data).json == {'items': ['first', 'mine', 'more']}

    def test_renewal_of_unknown_outcome_is_tried_once_more(
        self, proxied, proxy, rows, lost, loss
    ):
        proxied.run(append('first'))
        old = proxied.cookies['session']
        # as often as the pool tries
        proxy.on('^UPDATE', loss, times=3)

        proxied.run(renew)

        assert proxied.cookies['session'] != old
        assert proxied.run(data).json == {'items': ['first']}
        assert rows() == 1
        assert lost == []

    def test_creation_of_unknown_outcome_is_tried_once_more(
        self, proxied, proxy, rows, loss
    ):
        proxied.store.create_table()
        proxy.on('^INSERT', loss, times=3)

        proxied.run(append('first'))

        assert proxied.run(data).json == {'items': ['first']}
        assert rows() == 1

    @pytest.mark.parametrize('times', range(1, 5))
    def test_replacement_of_unknown_outcome_is_tried_once_more(
        self, proxied, proxy, rows, lost, loss, times
    ):
        ended = record(proxied, SessionEnded)
        proxied.run(append('old'))
        # the first attempt has one statement, those that follow have several
        proxy.on('^(UPDATE|COMMIT)', loss, times=times)

        proxied.run(invalidate_and_append)

        assert proxied.run(data).json == {'items': ['new']}
        assert rows() == 1
        assert len(ended) == 1
        assert lost == []

    def test_end_of_unknown_outcome_is_tried_once_more(
        self, proxied, proxy, rows, lost, loss
    ):
        proxied.run(append('first'))
        proxy.on('^DELETE', loss, times=3)

        proxied.run(lambda request: request.session.clear())

        assert rows() == 0
        assert proxied.cookies == {}
        assert lost == []

    def test_failed_save_is_merged_with_those_of_others(
        self, proxied, proxy, loss
    ):
        proxied.run(append('first'))
        others = tab(proxied)
        proxy.on('^UPDATE', loss, times=None)

        def view(request):
            append('mine')(request)
            with pytest.raises(StoreUnavailable):
                request.session.save()
            proxy.clear()
            others.run(append('other'))

        proxied.run(view)

        assert sorted(proxied.run(data).json['items']) == [
            'first',
            'mine',
            'other',
        ]

    def test_failed_block_is_not_done_again(self, proxied, proxy, loss):
        proxied.run(increment)
        proxy.on('^(COMMIT|UPDATE)', loss, times=None)

        def view(request):
            with pytest.raises(StoreUnavailable) as caught:
                increment(request)
            assert caught.value.outcome_unknown
            proxy.clear()

        proxied.run(view)

        done = loss is lose_answer
        assert proxied.run(data).json == {'n': 2 if done else 1}

    def test_error_of_the_new_connection_leaves_it_open(
        self, proxied, proxy, loss
    ):
        proxied.run(append('first'))
        # refuse first: the client is back as soon as its line is cut
        proxy.on('^UPDATE', lambda line: (proxy.refuse(), loss(line)))

        with pytest.raises(StoreUnavailable) as caught:
            proxied.run(append('mine'))

        assert caught.value.outcome_unknown


class TestNobodyToAsk:
    def test_server_that_is_gone_leaves_it_open(self, proxied, proxy):
        proxied.run(increment)
        proxy.on('^(COMMIT|UPDATE)', lose_answer, times=None)

        def view(request):
            with pytest.raises(StoreUnavailable):
                increment(request)
            # the connection that is open stays, and has a rule
            proxy.on('^SELECT', lose_statement, times=None)
            proxy.refuse()

        with pytest.raises(StoreUnavailable) as caught:
            proxied.run(view)

        assert caught.value.outcome_unknown

    @pytest.mark.parametrize('view', [invalidate_and_append, log_out, renew])
    def test_last_of_several_errors_leaves_it_open_as_well(
        self, database, proxy, view
    ):
        shown = []

        def answer(exc, request):
            shown.append(exc)
            return Response(status=503)

        app = application(
            database,
            configure=lambda config: config.add_exception_view(
                answer, context=StoreUnavailable
            ),
            **proxy.settings,
        )
        # whoever is notified of the response may change the session
        record(app, NewResponse)
        app.run(append('first'))
        # refuse first: the client is back as soon as its line is cut
        proxy.on(
            '^(UPDATE|DELETE)',
            lambda line: (proxy.refuse(), lose_answer(line)),
        )

        app.run(view, status=503)

        assert [exc.outcome_unknown for exc in shown] == [True] * len(shown)
        app.close()


class TestLate:
    @pytest.mark.parametrize(
        ('pattern', 'views', 'expected'),
        [
            ('^INSERT', [append('mine')], ['mine']),
            ('^UPDATE', [append('first'), append('mine')], ['first', 'mine']),
            ('^UPDATE', [append('first'), renew], ['first']),
            ('^UPDATE', [append('old'), invalidate_and_append], ['new']),
        ],
    )
    def test_statement_that_arrives_after_its_repetition_does_nothing(
        self, proxied, proxy, rows, pattern, views, expected
    ):
        repeated, arrived = threading.Event(), threading.Event()

        def arrive_late(line):
            line.cut()
            repeated.wait(30)
            line.execute()
            arrived.set()

        proxy.on(pattern, arrive_late)

        for view in views:
            proxied.run(view)
        repeated.set()
        arrived.wait(30)

        assert proxied.run(data).json == {'items': expected}
        assert rows() == 1

    def test_answer_that_arrives_after_others_saved_is_an_answer(
        self, proxied, proxy, statements
    ):
        def answer_late(line):
            line.execute()
            tab(proxied).run(append('other'))
            line.deliver()

        proxied.run(append('first'))
        proxy.on('^UPDATE', answer_late)

        with statements() as log:
            proxied.run(append('mine'))

        assert len([text for text in log if text.startswith('UPDATE')]) == 2
        assert proxied.run(data).json == {'items': ['first', 'mine', 'other']}
