"""What the tests of the table share."""

CREATE = """
    CREATE TABLE sessions (
        session_id BINARY(32) NOT NULL PRIMARY KEY,
        expires BIGINT UNSIGNED NOT NULL,
        data MEDIUMTEXT NOT NULL,
        created BIGINT UNSIGNED NOT NULL,
        revision BIGINT UNSIGNED NOT NULL,
        userid VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
        KEY (expires),
        KEY (userid)
    ) ENGINE=InnoDB
"""


def fill(request):
    request.session.update(text='ü😀\0"\\', numbers=[1], userid='Zoë')


def read(request):
    return dict(request.session)


def append(request):
    request.session['numbers'].append(2)


def append_locked_and_renew(request):
    with request.session.locked():
        request.session['numbers'].append(3)
    request.session.renew_id()


def use(app):
    """Run all kinds of statements on the application's table."""
    other = app.browser()
    for browser in (app, other):
        browser.run(fill)
        browser.run(append)
        browser.run(append_locked_and_renew)
        assert browser.run(read).json == {
            'text': 'ü😀\0"\\',
            'numbers': [1, 2, 3],
            'userid': 'Zoë',
        }
    store = app.store
    assert store.count() == 2
    assert len(store.for_user('Zoë')) == len(list(store.iter_sessions())) == 2
    other.run(lambda request: request.session.invalidate())
    assert store.purge(exclusive=True) == 0
    assert store.clear() == 1


def mended(database, store, remedy):
    """Execute a remedy and return what the check still finds."""
    database.query(remedy)
    return store.check_table()
