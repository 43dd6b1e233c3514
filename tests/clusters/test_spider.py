"""Every operation of the store on a table that Spider spreads."""

import threading

import pytest

from pyramid_mysql_session import StoreUnavailable
from pyramid_mysql_session.store.keys import (
    handle,
    make_session_id,
    renew_session_id,
    stored_key,
)
from tests.helpers import SECRET, application, bury, count, twin

IDLE = 1000
# enough for each data node to have some, but for one chance in 10**6
MANY = 40


@pytest.fixture
def sharded(spider):
    """A database, see :class:`.Sharded`."""
    database = spider.create_database()
    yield database
    database.drop()


@pytest.fixture
def app(sharded):
    app = application(
        sharded,
        secret=SECRET,
        shard_bytes=1,
        create_table=False,
        userid_key='user',
    )
    yield app
    app.close()


@pytest.fixture
def store(app):
    return app.store


@pytest.fixture
def session_id():
    return make_session_id()


@pytest.fixture
def revision(store, session_id):
    """The revision of the session, which is stored."""
    return store.create(session_id, '{"a":1}', IDLE, 'ada')


@pytest.fixture
def many(store):
    """The ids of many sessions of one user."""
    ids = [make_session_id() for _ in range(MANY)]
    for each in ids:
        store.create(each, '{}', IDLE, 'ada')
    return ids


def home(sharded, session_id):
    """Return the data node that has the row of a session, and no other."""
    key = stored_key(session_id, 1)
    (part,) = [
        part
        for part in sharded.parts
        if part.query('SELECT 1 FROM sessions WHERE session_id = %s', (key,))
    ]
    return part.server


def change(request):
    request.session['n'] = request.session.get('n', 0) + 1


def read(request):
    return request.session.get('n')


def invalidate(request):
    request.session.invalidate()


def renew(request):
    request.session.renew_id()


def increment(request):
    with request.session.locked():
        change(request)


def test_table_is_accepted_with_a_word_on_the_purge(store):
    (warning,) = store.check_table()

    assert 'has the engine SPIDER' in warning
    assert 'run the purge on its data nodes' in warning


def test_created_session_is_loaded(store, session_id, revision):
    record = store.load(session_id)

    assert (record.payload, record.revision) == ('{"a":1}', revision)


def test_sessions_are_spread_over_all_data_nodes(sharded, many):
    numbers = [count(part) for part in sharded.parts]

    assert sum(numbers) == MANY
    assert all(numbers), numbers


def test_save_replaces_the_revision_that_was_loaded(
    store, session_id, revision
):
    outcome = store.save(session_id, '{"b":2}', revision, IDLE, 'bob')

    assert outcome.stored is None
    assert store.load(session_id).payload == '{"b":2}'


def test_save_of_an_older_revision_gives_the_record(
    store, session_id, revision
):
    saved = store.save(session_id, '{"b":2}', revision, IDLE)

    outcome = store.save(session_id, '{"c":3}', revision, IDLE)

    assert outcome.revision is None
    assert outcome.stored.revision == saved.revision


def test_renewed_session_stays_on_its_data_node(
    sharded, store, session_id, revision
):
    before = home(sharded, session_id)
    renewed = renew_session_id(session_id)

    outcome = store.save(session_id, None, revision, IDLE, None, renewed)

    assert outcome.revision is not None
    assert store.load(session_id) is None
    assert store.load(renewed).payload == '{"a":1}'
    assert home(sharded, renewed) is before


def test_renewed_id_is_told_from_an_unknown_one(store, session_id, revision):
    renewed = renew_session_id(session_id)
    store.save(session_id, None, revision, IDLE, None, renewed)

    assert store.is_renewed(session_id)
    assert not store.is_renewed(make_session_id())
    assert store.find_live([session_id, renewed]) == ([renewed], [session_id])


def test_touch_moves_the_deadline(store, session_id, revision):
    before = store.load(session_id).expires

    assert store.touch(session_id, 2 * IDLE) is True
    assert store.load(session_id).expires >= before + IDLE
    assert store.touch(session_id, IDLE, revision) is True
    assert store.touch(session_id, IDLE, revision + 1) is None
    assert store.touch(make_session_id(), IDLE) is False


def test_delete_ends_a_session_under_any_id(store, session_id, revision):
    renewed = renew_session_id(session_id)
    store.save(session_id, None, revision, IDLE, None, renewed)

    assert store.delete(session_id).done is True
    assert store.load(renewed) is None
    assert store.delete(session_id).done is False


def test_delete_of_a_revision_deletes_only_that(store, session_id, revision):
    saved = store.save(session_id, '{}', revision, IDLE).revision

    deletion = store.delete(session_id, revision)
    assert (deletion.done, deletion.stored.revision) == (False, saved)
    assert store.delete(session_id, saved).done is True
    assert store.load(session_id) is None


def test_replaced_session_is_gone(store, session_id, revision):
    other = make_session_id()

    store.create(other, '{}', IDLE, None, [session_id])

    assert store.load(session_id) is None
    assert store.load(other) is not None


def test_locked_session_is_saved_and_deleted(store, session_id, revision):
    with store.locked(session_id) as row:
        assert row.record.revision == revision
        row.save('{"b":2}', IDLE)
    record = store.load(session_id)
    assert record.payload == '{"b":2}'

    with store.locked(session_id) as row:
        assert row.delete() is True
    assert store.load(session_id) is None


def test_locked_session_loses_no_increment(app):
    app.run(change)
    browsers = [twin(app) for _ in range(4)]

    def work(browser):
        for _ in range(5):
            browser.run(increment)

    threads = [threading.Thread(target=work, args=(b,)) for b in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert app.run(read).json == 21


def test_session_of_a_browser_is_renewed_and_ended(app):
    app.run(change)
    old = twin(app)
    app.run(renew)
    assert app.run(read).json == 1

    app.run(invalidate)

    assert app.run(read).json is None
    assert old.run(read).json is None


def test_log_out_with_an_older_id_ends_the_session(app):
    app.run(change)
    old = twin(app)
    app.run(renew)

    old.run(invalidate)

    assert app.run(read).json is None


def test_sessions_of_a_user_are_found_and_deleted(store, many):
    other = make_session_id()
    store.create(other, '{}', IDLE, 'bob')

    assert len(store.for_user('ada')) == MANY
    assert store.delete_for_user('ada', many[0]) == MANY - 1
    assert len(store.for_user('ada')) == 1
    assert store.load(many[0]) is not None
    assert store.load(other) is not None


def test_all_sessions_are_counted_and_listed(store, many):
    assert store.count() == MANY
    handles = [session.handle for session in store.iter_sessions(batch=7)]
    assert handles == sorted(handle(each, 1) for each in many)


def test_clear_deletes_all_sessions(sharded, store, many):
    assert store.clear() == MANY
    assert [count(part) for part in sharded.parts] == [0, 0, 0]


def test_purge_on_each_data_node_deletes_what_expired(sharded, store, many):
    for number, part in enumerate(sharded.parts, 1):
        bury(part, number)
    purged = []
    for part in sharded.parts:
        local = application(
            part, secret=SECRET, shard_bytes=1, create_table=False
        )
        purged.append(local.store.purge(exclusive=True))
        local.close()

    assert purged == [1, 2, 3]
    assert store.count() == MANY


def test_data_node_that_is_gone_takes_only_its_sessions_along(
    spider, sharded, store, many
):
    victim = home(sharded, many[0])
    there = [each for each in many if home(sharded, each) is victim]
    elsewhere = [each for each in many if each not in there]
    victim.kill()
    try:
        for session_id in there[:3]:
            with pytest.raises(StoreUnavailable):
                store.load(session_id)
            with pytest.raises(StoreUnavailable) as failure:
                store.delete(session_id)
            assert failure.value.outcome_unknown
        for session_id in elsewhere:
            assert store.load(session_id) is not None
            assert store.touch(session_id, IDLE) is True
    finally:
        victim.start()

    assert [store.load(each) is None for each in many] == [False] * MANY
