"""Each flash message is shown once, whoever pops and pushes meanwhile."""

import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyramid_mysql_session.session.merge import POPPED_KEY
from tests.unit.conftest import conclude


def refill(session):
    """Pop all messages and push them again, as a redirect may do."""
    for message in session.pop_flash():
        session.flash(message)


class TestCount:
    """What is stored of how many messages were popped."""

    @pytest.fixture
    def session(self, make_session, stored):
        return make_session(stored({'_f_': ['a', 'b'], 'other': [1]}))

    @pytest.fixture
    def counts(self, store):
        """Call it for how many messages were popped, as it is stored."""

        def counts():
            (row,) = store.rows.values()
            return json.loads(row.payload).get(POPPED_KEY)

        return counts

    def test_queue_that_was_popped_and_filled_again_is_written_once(
        self, session, store, counts
    ):
        refill(session)
        session.save()
        session.save()
        conclude(session)

        assert store.calls == ['load', 'save']
        assert counts() == {'_f_': 2}
        assert session == {'_f_': ['a', 'b'], 'other': [1]}

    def test_each_request_that_refills_the_queue_counts(
        self, session, make_session, counts
    ):
        for _ in range(3):
            refill(session)
            session.save()
            session = make_session(session.session_id)

        assert session == {'_f_': ['a', 'b'], 'other': [1]}
        assert counts() == {'_f_': 6}

    def test_each_save_of_a_request_counts(self, session, store, counts):
        for _ in range(3):
            refill(session)
            session.save()

        assert store.calls == ['load', *3 * ['save']]
        assert counts() == {'_f_': 6}

    def test_count_is_never_forgotten(self, session, make_session, counts):
        refill(session)
        session.save()
        session = make_session(session.session_id)
        session['other'] = 2
        session.save()
        assert counts() == {'_f_': 2}

        session.pop_flash()
        session.save()

        assert counts() == {'_f_': 4}

    @pytest.mark.parametrize(
        'use',
        [
            lambda session: session.flash('c'),
            lambda session: session.peek_flash().pop(0),
            lambda session: session.update(_f_=['b']),
            lambda session: session.pop_flash('other'),
            lambda session: session.pop('other'),
        ],
    )
    def test_queue_that_is_not_popped_is_not_counted(
        self, session, counts, use
    ):
        use(session)
        session.save()

        assert counts() is None

    @pytest.mark.parametrize(
        'use',
        [
            lambda session: session.pop_flash(),
            lambda session: (session.clear(), session.update(other=1)),
        ],
    )
    def test_queue_that_is_popped_is_counted(self, session, counts, use):
        use(session)
        session.save()

        assert counts() == {'_f_': 2}

    def test_queue_that_is_refilled_during_a_save_counts_in_the_next_one(
        self, session, meanwhile, counts
    ):
        meanwhile('save', lambda: refill(session))
        refill(session)
        session.save()
        assert counts() == {'_f_': 2}

        session.save()

        assert counts() == {'_f_': 4}

    def test_queue_that_is_new_is_not_counted(
        self, make_session, stored, counts
    ):
        session = make_session(stored({'a': 1}))
        session.flash('x')
        refill(session)
        session.save()

        assert counts() is None

    def test_queue_is_not_popped_by_the_removal_of_another_key(
        self, session, counts
    ):
        assert session.popitem() == ('other', [1])
        session.save()

        assert counts() is None


def test_message_that_others_pushed_is_shown_once_after_a_merge(
    make_session, stored
):
    session_id = stored({'_f_': ['a']})
    session, other, third = (make_session(session_id) for _ in range(3))
    assert session.pop_flash() == ['a']
    session.flash('mine')
    other.flash('theirs')
    other.save()
    assert third.pop_flash() == ['a', 'theirs']

    # it merges, and has not popped what it did not see
    session.save()
    third.save()

    assert make_session(session_id).peek_flash() == ['mine']


def test_message_that_is_pushed_again_is_shown_though_the_save_was_merged(
    make_session, stored
):
    session_id = stored({'_f_': ['a']})
    session, other, third = (make_session(session_id) for _ in range(3))
    refill(session)
    other['other'] = 1
    other.save()
    assert third.pop_flash() == ['a']

    session.save()
    third.save()

    assert make_session(session_id).peek_flash() == ['a']


class Request:
    """
    One request, and what its queue should be.

    :ivar queue: tuples that tell equal messages apart; the last item is the
        message.
    """

    def __init__(self, session, queue):
        self.session = session
        self.queue = list(queue)
        self.popped = []
        self.pushed = []

    def pop(self):
        assert self.session.pop_flash() == texts(self.queue)
        self.popped += self.queue
        self.queue = []

    def push(self, message):
        self.session.flash(message[-1])
        self.queue.append(message)
        self.pushed.append(message)

    def saved(self, stored):
        """Return what should be stored after a save."""
        stored = [
            message
            for message in [*stored, *self.pushed]
            if message not in self.popped
        ]
        self.popped, self.pushed = [], []
        return stored


def texts(messages):
    return [text for _, text in messages]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(
                ['load', 'pop', 'a', 'b', 'other', 'save', 'respond']
            ),
        ),
        max_size=14,
    )
)
def test_messages_are_shown_once_and_never_lost(
    make_session, stored, store, steps
):
    store.rows.clear()
    session_id = stored({'other': 0})
    numbers, requests, queue = itertools.count(1), {}, []

    for number, step in steps:
        if step == 'load' or number not in requests:
            session = make_session(session_id)
            assert session
            requests[number] = Request(session, queue)
        request = requests[number]
        if step == 'pop':
            request.pop()
        elif step in ('a', 'b'):
            request.push((next(numbers), step))
        elif step == 'other':
            request.session['other'] = next(numbers)
        elif step in ('save', 'respond'):
            if step == 'save':
                request.session.save()
            else:
                conclude(request.session)
            queue = request.saved(queue)
            assert make_session(session_id).peek_flash() == texts(queue)
            if request.session._saving._loop.at.revision == (
                store.load(session_id).revision
            ):
                # it has saved, and sees what the others have
                assert request.session.peek_flash() == texts(queue)
                request.queue = list(queue)
