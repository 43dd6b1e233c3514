"""Sealed sessions: who reads or writes the table learns and forges nothing."""

import json
import os
import random
import subprocess

import pytest
from pyramid.events import NewResponse

from pyramid_mysql_session import (
    SchemaError,
    SessionError,
    SessionMerged,
    SessionRejected,
    get_store,
)
from pyramid_mysql_session.session.sealing import SessionSeal
from pyramid_mysql_session.store.keys import handle, stored_key
from pyramid_mysql_session.web.cookie import CookieSigner
from tests.helpers import SECRET, record, twin

# three times as many payloads are forged at random
ROUNDS = 200
WORDS = 'a plain word', 'another plain word'


def write(request):
    request.session['auth.userid'] = 'ada'
    request.session['list'] = [WORDS[0]]
    request.session.flash(WORDS[1])


def read(request):
    return dict(request.session)


def append(request):
    request.session['list'].append(1)


def payload(database):
    ((data,),) = database.query('SELECT data FROM sessions')
    return data


@pytest.fixture
def app(make_app):
    return make_app(encrypt='true', secret=SECRET)


class Text:
    """A serializer whose payloads are text, and not plain ASCII."""

    def dumps(self, data):
        return '\N{SNOWMAN}' + json.dumps(data)

    def loads(self, payload):
        head, _, text = payload.partition('\N{SNOWMAN}')
        if head:
            raise ValueError
        return json.loads(text)


def session_id(app):
    found, _ = CookieSigner([SECRET]).verify(app.cookies['session'])
    return found


def test_table_is_created_with_a_binary_column(app, database):
    app.run(write)

    ((kind,),) = database.query(
        'SELECT DATA_TYPE FROM information_schema.COLUMNS '
        "WHERE TABLE_SCHEMA = DATABASE() AND COLUMN_NAME = 'data'"
    )
    assert kind == 'mediumblob'


def test_statements_dump_and_table_hold_no_plain_word(
    app, database, statements
):
    with statements() as sent:
        app.run(write)
        app.run(append)
        app.run(lambda request: request.session.renew_id())
        app.run(append_locked)
        app.run(lambda request: request.session.confirm())
        kept = session_id(app)
        app.run(lambda request: request.session.peek_flash())
    dumped = str(database.query('SELECT * FROM sessions'))
    log = '\n'.join(sent)
    cookie = app.cookies['session']

    for hidden in (*WORDS, '_confirmed_', '_f_', 'list', kept, cookie):
        for form in (hidden, hidden.encode().hex()):
            assert form not in log
            assert form not in dumped
    assert 'INSERT' in log
    # where a user has sessions is to be seen
    assert b'ada'.hex() in log


def append_locked(request):
    with request.session.locked():
        append(request)


@pytest.mark.parametrize('track_devices', ['false', 'true'])
def test_statements_are_as_many_as_of_plain_sessions(
    make_app, statements, track_devices
):
    counts = []
    for encrypt in ('false', 'true'):
        app = make_app(
            encrypt=encrypt,
            track_devices=track_devices,
            table_name=f'sessions_{encrypt}',
        )
        app.run(write)
        counts.append([])
        for view in (
            write,
            read,
            append,
            lambda request: request.session.renew_id(),
            append_locked,
            log_in,
            lambda request: request.session.invalidate(),
        ):
            with statements() as sent:
                app.run(view)
            counts[-1].append([text.split()[0] for text in sent])

    assert counts[0] == counts[1]
    assert counts[0][:4] == [
        ['SELECT', 'UPDATE'],
        ['SELECT'],
        ['SELECT', 'UPDATE'],
        ['SELECT', 'UPDATE'],
    ]


def log_in(request):
    request.session['auth.userid'] = 'bob'
    request.session.renew_id()


def test_tampered_payloads_are_rejected_and_no_error(app, database):
    app.run(write)
    app.browser().run(write)
    mine = handle(session_id(app))
    ((sealed,), (foreign,)) = sorted(
        database.query('SELECT data FROM sessions'),
        key=lambda row: row[0] != of_handle(database, mine),
    )
    rejected = record(app, SessionRejected)
    chance = random.Random(7)
    forged = list(tamper(sealed, foreign, chance))

    for each in forged:
        database.query(
            'UPDATE sessions SET data = %s '
            "WHERE HEX(session_id) LIKE CONCAT(%s, '%%')",
            (each, mine),
        )
        assert twin(app).run(read).json == {}

    assert [event.reason for event in rejected] == (
        ['undecodable'] * len(forged)
    )


def of_handle(database, wanted):
    ((data,),) = database.query(
        'SELECT data FROM sessions '
        "WHERE HEX(session_id) LIKE CONCAT(%s, '%%')",
        (wanted,),
    )
    return data


def tamper(sealed, foreign, chance):
    yield from (b'', b'{}', b'\0', foreign, sealed[:-1], sealed + b'\0')
    yield b'{"auth.userid":"eve"}'
    yield sealed[:16] + foreign[16:]
    yield foreign[:16] + sealed[16:]
    for _ in range(ROUNDS):
        yield sealed[: chance.randrange(len(sealed))]
        yield sealed[:4] + os.urandom(chance.randrange(80))
        bit = chance.randrange(len(sealed) * 8)
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


@pytest.mark.parametrize('forged', [b'', b'{}', b'\0\xffS1'])
def test_tampering_hides_no_error_of_the_application(
    make_app, database, forged
):
    def fail(request):
        database.query('UPDATE sessions SET data = %s', (forged,))
        raise ZeroDivisionError

    def subscribe(event):
        if 'fail' in event.request.params:
            event.request.add_finished_callback(fail)

    app = make_app(
        encrypt='true',
        configure=lambda config: config.add_subscriber(subscribe, NewResponse),
    )
    app.run(write)

    # the response that told the browser of the new id is not sent
    with pytest.raises(ZeroDivisionError):
        app.run(log_in, path='/?fail')
    assert app.run(read).json == {}


def test_visitor_who_writes_to_the_table_cannot_forge_their_own_session(
    app, database
):
    app.run(write)
    mine = session_id(app)
    forger = SessionSeal(stored_key, ['a guess'], text=True)
    forged = forger.close('{"auth.userid":"root"}', mine)
    database.query('UPDATE sessions SET data = %s', (forged,))

    assert app.run(read).json == {}


def test_change_of_the_secret_logs_nobody_out(make_app, app):
    new = 'another-secret-of-the-tests-that-is-long-enough'
    app.run(write)
    both = make_app(encrypt='true', secret=f'{new}\n{SECRET}')
    after = make_app(encrypt='true', secret=new)

    during = twin(app, both)
    assert during.run(read).json['list'] == [WORDS[0]]
    assert twin(during, after).run(read).json['list'] == [WORDS[0]]


def test_payload_of_an_earlier_id_is_of_no_use(app, database):
    app.run(write)
    old = payload(database)
    app.run(lambda request: request.session.renew_id())
    database.query('UPDATE sessions SET data = %s', (old,))

    assert app.run(read).json == {}


def test_lists_have_all_but_the_data(app):
    app.run(write)

    def view(request):
        (found,) = get_store(request).for_user('ada')
        with pytest.raises(SessionError, match='only its own cookie'):
            found.data()
        return [found.current, found.size > 32, found.handle]

    assert app.run(view).json == [True, True, handle(session_id(app))]


def test_concurrent_changes_are_merged(app):
    app.run(write)
    merged = record(app, SessionMerged)
    other = twin(app)

    def view(request):
        request.session['list'].append('outer')
        other.run(append)

    app.run(view)

    assert app.run(read).json['list'] == [WORDS[0], 1, 'outer']
    assert len(merged) == 1


class TestTransition:
    """From plain to sealed and back, and nobody is logged out."""

    def apps(self, make_app, *words):
        return [make_app(encrypt=word, secret=SECRET) for word in words]

    def test_plain_sessions_are_sealed_as_they_are_used(
        self, make_app, database
    ):
        before, ready, starting, after = self.apps(
            make_app, 'false', 'ending', 'starting', 'true'
        )
        before.run(write)
        assert twin(before, ready).run(read).json['list'] == [WORDS[0]]
        with pytest.raises(SchemaError) as caught:
            twin(before, starting).run(read)
        assert 'MODIFY COLUMN `data` mediumblob' in caught.value.remedy
        database.query(caught.value.remedy)

        # those that have not heard of it yet go on
        for app in (before, ready):
            assert twin(before, app).run(append).status_code == 200
        assert twin(before, after).run(read).json == {}
        assert twin(before, starting).run(read).json['list'][1:] == [1, 1]
        assert payload(database).startswith(b'\0\xffS1')
        for app in (ready, starting, after):
            assert twin(before, app).run(read).json['list'][1:] == [1, 1]
            assert payload(database).startswith(b'\0\xffS1') is (
                app is not ready
            )
            twin(before, starting).run(read)

    def test_sealed_sessions_are_plain_again_as_they_are_used(
        self, make_app, database
    ):
        before, ending, after = self.apps(make_app, 'true', 'ending', 'false')
        before.run(write)
        twin(before, ending).run(read)

        assert twin(before, after).run(read).json['list'] == [WORDS[0]]
        assert json.loads(payload(database))['list'] == [WORDS[0]]

    @pytest.mark.parametrize('word', ['false', 'ending', 'starting'])
    def test_serializer_of_text_gets_text_from_a_binary_column(
        self, make_app, database, word
    ):
        before = make_app(serializer=Text(), encrypt='false', secret=SECRET)
        before.run(write)
        database.query(
            'ALTER TABLE sessions MODIFY COLUMN data mediumblob NOT NULL'
        )
        app = make_app(serializer=Text(), encrypt=word, secret=SECRET)
        (found,) = app.store.for_user('ada')

        assert found.data()['list'] == [WORDS[0]]
        assert twin(before, app).run(append).status_code == 200
        assert twin(before, app).run(read).json['list'] == [WORDS[0], 1]

    def test_transition_trusts_no_forged_seal(self, make_app, database):
        (app,) = self.apps(make_app, 'starting')
        app.run(write)
        sealed = payload(database)
        database.query('UPDATE sessions SET data = %s', (sealed[:-1] + b'x',))

        assert app.run(read).json == {}


def test_dump_of_the_database_holds_no_plain_word(app, server, database):
    app.run(write)
    program = 'mariadb-dump' if server.kind == 'mariadb' else 'mysqldump'
    command = [
        program,
        f'--socket={server.socket}',
        f'--user={server.user}',
        f'--password={server.password}',
        database.name,
    ]
    try:
        done = subprocess.run(command, capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip(f'{program} is missing')

    assert b'INSERT INTO `sessions`' in done.stdout
    for word in WORDS:
        assert word.encode() not in done.stdout
