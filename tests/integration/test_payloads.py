"""What can be stored comes back equal, and what cannot is never sent."""

import datetime
import json

import pytest

from pyramid_mysql_session import (
    LockTimeout,
    PayloadNotSerializable,
    PayloadTooLarge,
    SchemaError,
    SessionRejected,
    UserIDError,
)
from pyramid_mysql_session.store import users
from pyramid_mysql_session.store.keys import (
    handle,
    make_session_id,
    renew_session_id,
)
from pyramid_mysql_session.store.statements import Statements
from tests import helpers

STRICT = 'STRICT_ALL_TABLES'
PACKET = 1024 * 1024


class RawJSON:
    """A serializer whose payloads are text, and not only ASCII."""

    def dumps(self, data):
        return json.dumps(data, ensure_ascii=False)

    def loads(self, payload):
        return json.loads(payload)


RAW_JSON = f'{__name__}.RawJSON'


def fill(request):
    request.session['text'] = 'x'


def read(request):
    return dict(request.session)


def put(value):
    """Return a view that stores a value."""

    def view(request):
        request.session['text'] = value

    return view


def of_size(payload_bytes, text='x'):
    """Return text that makes a payload of so many bytes."""
    left = payload_bytes - len('{"text":""}')
    assert left % len(text.encode()) == 0
    return text * (left // len(text.encode()))


def refused(app, statements, view, error):
    """Assert that a view's session is refused and that nothing is sent."""
    before = app.run(read).json
    with statements() as log, pytest.raises(error) as caught:
        app.run(view)

    assert not [text for text in log if text.startswith(('UPD', 'INS'))]
    assert app.run(read).json == before
    with statements() as log, pytest.raises(error):
        app.browser().run(view)
    assert not [text for text in log if text.startswith(('UPD', 'INS'))]
    app.run(put('y'))
    assert app.run(read).json == {**before, 'text': 'y'}
    return caught.value


@pytest.fixture
def app(make_app):
    app = make_app()
    app.run(fill)
    return app


class TestSize:
    @pytest.mark.parametrize('sql_mode', ['', STRICT])
    @pytest.mark.parametrize('size', [65_534, 65_536, 200_000, 5_000_000])
    def test_payload_of_any_size_comes_back_equal(
        self, server, database, make_app, size, sql_mode
    ):
        text = of_size(size)
        with helpers.variables(server, sql_mode=sql_mode):
            app = make_app()
            new = app.browser()
            app.run(fill)
            app.run(put(text))
            new.run(put(text))

            for browser in (app, new):
                assert browser.run(read).json == {'text': text}
            assert database.query('SELECT LENGTH(data) FROM sessions') == [
                (size,),
                (size,),
            ]

    @pytest.mark.parametrize(
        ('type_', 'limit'),
        [('TINYTEXT', 255), ('TEXT', 65_535), ('MEDIUMTEXT', 16_777_215)],
    )
    def test_payload_too_large_for_the_column_is_refused(
        self, server, database, make_app, statements, type_, limit
    ):
        make_app().store.create_table()
        database.query(f'ALTER TABLE sessions MODIFY data {type_} NOT NULL')
        # a server that would cut the text off
        with helpers.variables(
            server, sql_mode='', max_allowed_packet=64 * PACKET
        ):
            app = make_app()
            app.run(put(of_size(limit)))
            error = refused(
                app, statements, put(of_size(limit + 1)), PayloadTooLarge
            )

        assert (error.size, error.limit) == (limit + 1, limit)
        assert str(error) == (
            f'The payload in bytes is {limit + 1:,} long, the limit is '
            f'{limit:,}. Keep less in the session, or widen the data column '
            'and raise mysql_session.max_payload_bytes.'
        )

    def test_payload_too_large_for_the_setting_is_refused(
        self, make_app, statements
    ):
        app = make_app(max_payload_bytes=1000)
        app.run(put(of_size(1000)))

        error = refused(app, statements, put(of_size(1001)), PayloadTooLarge)

        assert (error.size, error.limit) == (1001, 1000)

    def test_payload_too_large_for_the_packet_is_refused(
        self, server, make_app, statements
    ):
        with helpers.variables(server, max_allowed_packet=PACKET):
            app = make_app()
            app.run(put(of_size(PACKET - 1000)))
            error = refused(
                app, statements, put(of_size(PACKET)), PayloadTooLarge
            )

        assert error.size > error.limit == PACKET
        assert str(error) == (
            'The statement that stores the session is '
            f'{error.size:,} long, the limit is 1,048,576. Raise '
            'max_allowed_packet of the server or keep less in the session.'
        )

    def test_statement_of_any_size_at_the_packet_limit_is_sent_or_refused(
        self, server, make_app
    ):
        with helpers.variables(server, max_allowed_packet=PACKET):
            app = make_app()
            app.run(fill)
            with pytest.raises(PayloadTooLarge) as caught:
                app.run(put(of_size(PACKET)))
            # of which the revision varies by a few digits
            longest = 2 * PACKET - caught.value.size
            ends = set()
            for size in range(longest - 9, longest + 9):
                text = of_size(size)
                try:
                    app.run(put(text))
                except PayloadTooLarge:
                    ends.add('refused')
                else:
                    ends.add('sent')
                    assert app.run(read).json['text'] == text

        assert ends == {'sent', 'refused'}

    def test_packet_limit_lowered_while_running_is_noticed(
        self, server, database, app, statements
    ):
        with helpers.variables(server, max_allowed_packet=PACKET):
            # open connections keep the limit that they began with
            helpers.kill_connections(database)
            error = refused(
                app, statements, put(of_size(2 * PACKET)), PayloadTooLarge
            )

        assert error.limit == PACKET

    def test_packet_limit_raised_while_running_is_noticed(
        self, server, database, make_app
    ):
        text = of_size(2 * PACKET)
        with helpers.variables(server, max_allowed_packet=PACKET):
            app = make_app()
            with pytest.raises(PayloadTooLarge):
                app.run(put(text))
        helpers.kill_connections(database)

        app.run(put(text))

        assert app.run(read).json == {'text': text}

    def test_size_is_counted_in_bytes(self, make_app, statements):
        app = make_app(serializer=RAW_JSON, max_payload_bytes=1000)
        # "text" and a space more than compact JSON has
        app.run(put(of_size(999, 'üü')))

        error = refused(
            app, statements, put(of_size(1003, 'üü')), PayloadTooLarge
        )

        assert error.size == 1004


class TestSerializers:
    @pytest.mark.parametrize(
        ('value', 'path', 'problem'),
        [
            (object(), 'text', 'has a value of type object'),
            ([1, {'a': {2}}], 'text[1].a', 'has a value of type set'),
            ({'a': [float('nan')]}, 'text.a[0]', 'is no finite number'),
            (b'bytes', 'text', 'has a value of type bytes'),
        ],
    )
    def test_value_that_cannot_be_serialized_is_refused(
        self, app, statements, value, path, problem
    ):
        error = refused(app, statements, put(value), PayloadNotSerializable)

        assert error.path == path
        assert str(error) == (
            f'The session cannot be stored: {path} {problem}. Store plain '
            'data, or name another mysql_session.serializer.'
        )

    def test_text_of_a_text_serializer_comes_back_equal(
        self, database, make_app
    ):
        text = '\0\b\n\r\x1a"\'\\%_ü表😀\u2028\uffff'
        app = make_app(serializer=RAW_JSON)
        app.run(fill)
        app.run(put(text))

        assert app.run(read).json == {'text': text}
        ((stored,),) = database.query('SELECT data FROM sessions')
        assert json.loads(stored) == {'text': text}
        assert 'ü表😀' in stored

    def test_lone_surrogate_of_a_text_serializer_is_refused(
        self, make_app, statements
    ):
        app = make_app(serializer=RAW_JSON)
        app.run(fill)

        error = refused(app, statements, put('\ud800'), PayloadNotSerializable)

        assert 'has a lone surrogate, which is no UTF-8' in str(error)

    def test_text_serializer_refuses_a_pool_that_loses_characters(
        self, make_app, make_pool
    ):
        app = make_app(
            serializer=RAW_JSON, pool=make_pool({'charset': 'latin1'})
        )

        with pytest.raises(SchemaError) as caught:
            app.run(fill)
        assert str(caught.value) == (
            '`sessions` cannot hold sessions: its text reaches the passed-in '
            'pool as latin1, which loses characters. Build the pool with '
            "charset='utf8mb4'."
        )

    def test_any_pool_brings_text_back_from_a_binary_column(
        self, database, make_app, make_pool
    ):
        before = make_app(serializer=RAW_JSON)
        before.run(put('ü表😀'))
        database.query(
            'ALTER TABLE sessions MODIFY COLUMN data mediumblob NOT NULL'
        )
        app = make_app(
            serializer=RAW_JSON, pool=make_pool({'charset': 'latin1'})
        )

        assert helpers.twin(before, app).run(read).json == {'text': 'ü表😀'}
        helpers.twin(before, app).run(put('😀é'))
        assert helpers.twin(before, app).run(read).json == {'text': '😀é'}

    @pytest.mark.parametrize('pool', [{}, {'charset': 'latin1'}])
    def test_binary_payload_comes_back_equal(
        self, database, make_app, make_pool, pool
    ):
        app = make_app(
            serializer='pickle', pool=make_pool(pool), userid_key='text'
        )
        values = [
            bytes(range(256)) * 300,
            {1, 2},
            datetime.date(2026, 2, 3),
            '\ud800\0ü',
        ]
        found = []
        app.run(lambda request: request.session.update(values=[]))
        app.run(lambda request: request.session['values'].extend(values))
        app.run(lambda request: found.extend(request.session['values']))

        assert found == values
        ((type_,),) = database.query(
            'SELECT DATA_TYPE FROM information_schema.COLUMNS '
            "WHERE TABLE_SCHEMA = DATABASE() AND COLUMN_NAME = 'data'"
        )
        assert type_ == 'mediumblob'

    def test_binary_payload_in_a_text_column_is_refused(self, app, make_app):
        binary = make_app(serializer='pickle')

        with pytest.raises(SchemaError, match='column `data` is mediumtext'):
            binary.run(fill)
        assert app.run(read).json == {'text': 'x'}

    @pytest.mark.parametrize(
        'payload', ['', '{', '[]', 'null', '"text"', '{"a":1}x', '\x80']
    )
    def test_undecodable_payload_is_a_new_session(
        self, database, app, payload
    ):
        rejected = helpers.record(app, SessionRejected)
        database.query('UPDATE sessions SET data = %s', (payload,))

        assert app.run(read).json == {}

        assert [event.reason for event in rejected] == ['undecodable']
        app.run(fill)
        assert app.run(read).json == {'text': 'x'}


class TestUserid:
    @pytest.mark.parametrize(
        ('userid', 'stored'),
        [
            (None, None),
            (7, '7'),
            (2**70, str(2**70)),
            ('Zoë', 'Zoë'),
            ('😀', '😀'),
            ('', ''),
            ('a\'b"c\\d\0', 'a\'b"c\\d\0'),
            ('me ', 'me '),
            ('x' * 255, 'x' * 255),
            ('😀' * 255, '😀' * 255),
        ],
    )
    def test_userid_is_copied_to_its_column(
        self, database, make_app, userid, stored
    ):
        def log_in(request):
            request.session['auth.userid'] = userid

        app = make_app()
        app.run(fill)
        app.run(log_in)

        assert database.query('SELECT userid FROM sessions') == [(stored,)]
        if stored is not None:
            (found,) = app.store.for_user(stored)
            assert found.userid == stored
        app.run(lambda request: request.session.pop('auth.userid') and None)
        assert database.query('SELECT userid FROM sessions') == [(None,)]

    @pytest.mark.parametrize('userid', [True, [1], {'id': 1}, 1.5])
    def test_userid_of_another_type_is_refused(
        self, database, make_app, userid
    ):
        app = make_app()
        app.run(fill)
        before = database.query('SELECT * FROM sessions')

        with pytest.raises(UserIDError):
            app.run(
                lambda request: request.session.update({'auth.userid': userid})
            )

        assert database.query('SELECT * FROM sessions') == before

    @pytest.mark.parametrize('sessions', [30, 31])
    def test_user_of_many_sessions_is_logged_out_everywhere(
        self, make_app, monkeypatch, sessions
    ):
        monkeypatch.setattr(users, 'KEYS_AT_ONCE', 2)
        store = make_app().store
        ids = [make_session_id() for _ in range(sessions)]
        for session_id in ids:
            store.create(session_id, '{}', 100, 'ada')

        assert store.delete_for_user('ada', keep=ids[3]) == sessions - 1
        assert store.count() == 1

    def test_who_ends_what_another_is_ending_meets_no_renewal(
        self, make_app, monkeypatch
    ):
        monkeypatch.setattr(users, 'KEYS_AT_ONCE', 1)
        store, other = make_app().store, make_app().store
        for _ in range(30):
            store.create(make_session_id(), '{}', 100, 'ada')
        delete = store._users._delete

        def late(*args):
            (newest,) = other.for_user('ada', limit=1)
            assert other.end(newest.handle)
            return delete(*args)

        monkeypatch.setattr(store._users, '_delete', late)

        assert store.delete_for_user('ada') == 0
        assert store.count() == 0

    def test_session_that_is_renewed_again_and_again_is_told(
        self, make_app, monkeypatch
    ):
        store = make_app().store
        ids = [make_session_id()]
        store.create(ids[0], '{}', 100, 'ada')
        has_key = Statements.has_key

        def renew_first(*args):
            revision = store.load(ids[-1]).revision
            ids.append(renew_session_id(ids[-1]))
            store.save(ids[-2], None, revision, 100, None, ids[-1])
            return has_key(*args)

        with monkeypatch.context() as patch:
            patch.setattr(Statements, 'has_key', renew_first)
            with pytest.raises(LockTimeout, match='renewed each time'):
                store.delete_for_user('ada')
            with pytest.raises(LockTimeout, match='renewed each time'):
                store.end(handle(ids[0]))

        assert store.delete_for_user('ada') == 1

    def test_session_that_is_renewed_meanwhile_is_deleted(
        self, make_app, monkeypatch
    ):
        store = make_app().store
        one, two = make_session_id(), make_session_id()
        store.create(one, '{}', 100, 'ada')
        store.create(two, '{}', 100, 'ada')
        has_key = Statements.has_key
        renewed = []

        def renew_once(*args):
            if not renewed:
                renewed.append(renew_session_id(one))
                revision = store.load(one).revision
                store.save(one, None, revision, 100, None, renewed[0])
            return has_key(*args)

        monkeypatch.setattr(Statements, 'has_key', renew_once)

        assert store.delete_for_user('ada') == 2
        assert store.count() == 0

    def test_users_are_told_apart_exactly(self, make_app):
        names = ['me', 'me ', 'Me', 'mé', 'me\0']
        app = make_app(userid_key='text')
        for name in names:
            app.browser().run(put(name))

        assert {
            name: [found.userid for found in app.store.for_user(name)]
            for name in names
        } == {name: [name] for name in names}
        assert app.store.delete_for_user('me ') == 1
        assert app.store.count() == len(names) - 1

    def test_userid_that_is_too_long_is_refused(self, make_app, statements):
        app = make_app(userid_key='text')
        app.run(fill)

        error = refused(app, statements, put('x' * 256), PayloadTooLarge)

        assert (error.size, error.limit) == (256, 255)
        assert str(error) == (
            'The user id in characters is 256 long, the limit is 255. Name '
            'another key with mysql_session.userid_key.'
        )

    def test_userid_with_a_lone_surrogate_is_refused(
        self, make_app, statements
    ):
        app = make_app(userid_key='text')
        app.run(fill)

        error = refused(app, statements, put('\ud800'), PayloadNotSerializable)

        assert error.path == 'the user id'
