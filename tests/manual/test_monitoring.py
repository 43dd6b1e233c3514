"""What docs/howto/health.rst shows."""

from tests.manual.blocks import executes


@executes('howto/health.rst', 'python', 'def ready')
def test_health_check_tells_of_the_database(block, recipe, make_app, caplog):
    module = recipe(block)
    up = make_app(configure=module.includeme)
    down = make_app(
        configure=module.includeme, unix_socket='/nowhere', host=None
    )

    assert up.get('/alive').text == down.get('/alive').text == 'alive'
    assert up.get('/ready').text == 'ready'
    page = down.get('/ready', status=503)
    assert page.text == 'no database'
    assert 'Set-Cookie' not in page.headers
    assert 'not ready: MySQL cannot be reached' in caplog.text
