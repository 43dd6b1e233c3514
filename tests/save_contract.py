"""What ``IMySQLSessionStore`` promises of ``save``, one test each."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from pyramid_mysql_session import PayloadTooLarge, StoreUnavailable
from pyramid_mysql_session.store import revisions

IDLE = 100


def id_of(number):
    """Return a session id; ids and stored keys are ordered by the number."""
    family = f'{number:08x}'
    return family + family.ljust(22, 'x') + 22 * 'x'


ONE, TWO, THREE = map(id_of, (1, 2, 3))


class SaveContract:
    """
    What a save of every store does; a part of ``contract.StoreContract``.

    A subclass has the fixtures ``clock``, with ``now`` and ``move(seconds)``,
    and ``make_store``, which takes ``absolute_timeout``,
    ``max_payload_bytes`` and ``purge_batch``.
    """

    @pytest.fixture(autouse=True)
    def different_numbers(self, monkeypatch):
        """Make revisions of numbers that never repeat, where random may."""
        counter = itertools.count(1)
        numbers = SimpleNamespace(
            randbits=lambda bits: (1 << bits) - next(counter)
        )
        monkeypatch.setattr(revisions, 'secrets', numbers)

    @pytest.fixture
    def store(self, make_store):
        return make_store()

    @pytest.fixture
    def revision(self, store):
        """The revision of session ``ONE``, which is stored."""
        return store.create(ONE, '{"a":1}', IDLE, 'ada')

    @pytest.fixture
    def expired(self, store, revision, clock):
        """The revision of session ``ONE``, which has just expired."""
        clock.move(IDLE + 1)
        return revision

    def test_save_replaces_payload_user_id_and_deadline(
        self, store, revision, clock
    ):
        clock.move(50)

        outcome = store.save(ONE, '{"b":2}', revision, IDLE, 'bob')

        assert outcome == (outcome.revision, None)
        assert outcome.revision not in (None, revision)
        assert store.load(ONE) == (
            '{"b":2}',
            clock.now - 50,
            clock.now + IDLE,
            outcome.revision,
            clock.now,
        )
        assert len(store.for_user('bob')) == 1
        assert store.for_user('ada') == []

    def test_save_may_shorten_the_idle_deadline(self, store, revision, clock):
        store.save(ONE, '{}', revision, 10)

        assert store.load(ONE).expires == clock.now + 10

    def test_save_never_passes_the_absolute_deadline(self, make_store, clock):
        store = make_store(absolute_timeout=150)
        revision = store.create(ONE, '{}', IDLE)
        clock.move(60)

        store.save(ONE, '{"b":2}', revision, IDLE)

        assert store.load(ONE).expires == clock.now - 60 + 150

    def test_save_with_another_revision_writes_nothing(self, store, revision):
        store.save(ONE, '{"b":2}', revision, IDLE)
        stored = store.load(ONE)

        assert store.save(ONE, '{"c":3}', revision, IDLE) == (None, stored)

        assert store.load(ONE) == stored

    def test_save_never_creates(self, store, revision):
        assert store.save(TWO, '{}', revision, IDLE) == (None, None)

        assert store.load(TWO) is None

    def test_save_never_revives(self, store, expired):
        before = store.load(ONE)

        assert store.save(ONE, '{"b":2}', expired, IDLE) == (None, None)

        assert store.load(ONE) == before

    def test_save_in_the_last_second_succeeds(self, store, revision, clock):
        clock.move(IDLE)

        assert store.save(ONE, '{"b":2}', revision, IDLE).revision

    def test_save_past_the_absolute_deadline_writes_nothing(
        self, make_store, clock
    ):
        revision = make_store().create(ONE, '{}', IDLE)
        clock.move(31)

        outcome = make_store(absolute_timeout=30).save(
            ONE, '{"b":2}', revision, IDLE
        )

        assert outcome == (None, None)

    def test_save_without_a_payload_keeps_payload_and_user_id(
        self, store, revision, clock
    ):
        clock.move(50)

        outcome = store.save(ONE, None, revision, IDLE, 'bob')

        record = store.load(ONE)
        assert record.payload == '{"a":1}'
        assert record.revision == outcome.revision != revision
        assert record.expires == clock.now + IDLE
        assert len(store.for_user('ada')) == 1

    def test_save_under_a_new_id_leaves_the_old_one_dead(
        self, store, revision, clock
    ):
        clock.move(50)

        store.save(ONE, '{"b":2}', revision, IDLE, new_session_id=TWO)

        assert store.load(ONE) is None
        record = store.load(TWO)
        assert (record.payload, record.created) == ('{"b":2}', clock.now - 50)

    def test_save_of_a_too_large_payload_keeps_the_stored_one(
        self, make_store
    ):
        store = make_store(max_payload_bytes=20)
        revision = store.create(ONE, '{}', IDLE)

        with pytest.raises(PayloadTooLarge):
            store.save(ONE, 21 * 'x', revision, IDLE)

        assert store.load(ONE).payload == '{}'

    def test_save_tried_again_is_applied_when_it_was_not(
        self, store, revision
    ):
        outcome = store.save(ONE, '{"b":2}', revision, IDLE, attempted=7)

        assert outcome == (7, None)
        assert store.load(ONE)[0::3] == ('{"b":2}', 7)

    @pytest.mark.parametrize('others', range(3))
    def test_save_tried_again_is_recognised_below_later_ones(
        self, store, revision, others
    ):
        mine = last = store.save(ONE, '{"a":[1]}', revision, IDLE).revision
        for _ in range(others):
            last = store.save(ONE, '{"a":[1,2]}', last, IDLE).revision
        stored = store.load(ONE)

        outcome = store.save(ONE, '{"a":[1]}', revision, IDLE, attempted=mine)

        assert outcome == (mine, None)
        assert store.load(ONE) == stored

    def test_save_tried_again_under_a_new_id_is_recognised(
        self, store, revision
    ):
        mine = store.save(
            ONE, '{"b":2}', revision, IDLE, new_session_id=TWO
        ).revision

        outcome = store.save(
            *(ONE, '{"b":2}', revision, IDLE),
            new_session_id=TWO,
            attempted=mine,
        )

        assert outcome == (mine, None)
        assert store.load(TWO).revision == mine

    def test_save_tried_again_after_another_one_writes_nothing(
        self, store, revision
    ):
        store.save(ONE, '{"c":3}', revision, IDLE)
        stored = store.load(ONE)
        mine = revisions.following(revision)

        outcome = store.save(ONE, '{"b":2}', revision, IDLE, attempted=mine)

        assert outcome == (None, stored)

    def test_save_tried_again_where_an_older_record_is_shown_returns_it(
        self, store, revision
    ):
        # as a server does that lags behind the one that was asked before
        stored = store.load(ONE)
        loaded = revisions.following(revision)
        mine = revisions.following(loaded)

        outcome = store.save(ONE, '{"b":2}', loaded, IDLE, attempted=mine)

        assert outcome == (None, stored)
        assert outcome.stored.precedes(loaded)
        assert store.load(ONE) == stored

    def test_save_tried_again_after_a_delete_writes_nothing(
        self, store, revision
    ):
        store.delete(ONE)

        outcome = store.save(ONE, '{"b":2}', revision, IDLE, attempted=7)

        assert outcome == (None, None)

    def test_save_tried_again_after_many_others_says_it_cannot_know(
        self, store, revision
    ):
        mine = last = revisions.following(revision)
        store.save(ONE, '{"b":2}', revision, IDLE, attempted=mine)
        for _ in range(3):
            last = store.save(ONE, '{"c":3}', last, IDLE).revision

        with pytest.raises(StoreUnavailable) as caught:
            store.save(ONE, '{"b":2}', revision, IDLE, attempted=mine)

        assert caught.value.outcome_unknown
        assert caught.value.attempted == mine
