"""What the manual has ask whether all is well."""

import http.client

import prometheus_client
import pytest
import yaml
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from private_server import free_port

from tests.helpers import wait_until
from tests.manual import balancer
from tests.manual.blocks import executes

HEALTH = executes('howto/health.rst', 'python', 'def ready')


def visit(request):
    request.session['seen'] = True


@pytest.fixture
def ends(blocks, recipe, make_app):
    """Two applications: the database of the second is down."""
    (module,) = [recipe(b) for b in blocks if b.language == 'python']
    return [
        make_app(configure=module.includeme, **settings)
        for settings in ({}, {'unix_socket': '/nowhere', 'host': None})
    ]


def status(port, path):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    connection.request('GET', path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


@HEALTH
def test_health_check_tells_of_the_database(ends, caplog):
    up, down = ends

    assert up.get('/alive').text == down.get('/alive').text == 'alive'
    assert up.get('/ready').text == 'ready'
    page = down.get('/ready', status=503)
    assert page.text == 'no database'
    assert 'Set-Cookie' not in page.headers
    assert 'not ready: MySQL cannot be reached' in caplog.text


@HEALTH
@executes('howto/health.rst', 'yaml', 'startupProbe')
def test_only_readiness_asks_the_database(blocks, ends, serve):
    probes = yaml.safe_load(blocks[1].text)

    answers = [
        {
            name: status(serve(end), probe['httpGet']['path'])
            for name, probe in probes.items()
        }
        for end in ends
    ]

    alive = {'startupProbe': 200, 'livenessProbe': 200}
    assert answers == [
        {**alive, 'readinessProbe': 200},
        {**alive, 'readinessProbe': 503},
    ]
    # of Kubernetes's own
    known = {'periodSeconds', 'timeoutSeconds', 'failureThreshold', 'httpGet'}
    assert all(known.issuperset(probe) for probe in probes.values())


@HEALTH
@executes('howto/health.rst', 'cfg', 'backend shop')
def test_load_balancer_leaves_who_has_no_database(
    blocks, ends, serve, tmp_path
):
    port, text = free_port(), blocks[1].text
    for number, end in enumerate(ends, 1):
        address = f'10.0.1.{number}:8080'
        assert address in text
        text = text.replace(address, f'127.0.0.1:{serve(end)}')
    # that is five seconds there
    assert 'inter 5s' in text
    text = text.replace('inter 5s', 'inter 100ms')
    head = (
        'defaults\n    mode http\n    timeout connect 5s\n'
        '    timeout client 30s\n    timeout server 30s\n'
        f'frontend web\n    bind 127.0.0.1:{port}\n    default_backend shop\n'
    )

    with balancer.running(tmp_path, head + text) as states:
        wait_until(lambda: states()['web2'] == 'DOWN')
        assert states()['web1'] == 'UP'
        assert [status(port, '/ready') for _ in range(4)] == [200] * 4


@pytest.fixture
def registry():
    """Prometheus's registry, which is as before afterwards."""
    registry = prometheus_client.REGISTRY
    before = set(registry._collector_to_names)
    yield registry
    for collector in set(registry._collector_to_names) - before:
        registry.unregister(collector)


@executes('howto/metrics.rst', 'python', 'prometheus_client')
def test_prometheus_is_told_of_events_and_of_the_table(
    block, recipe, make_app, registry
):
    app = make_app(configure=recipe(block).includeme)
    app.run(visit)
    app.browser().run(visit, headers={'Cookie': 'session=forged'})
    app.store.purge()

    lines = app.get('/metrics').text.splitlines()

    for line in (
        'shop_session_events_total{detail="",event="SessionCreated"} 2.0',
        'shop_session_events_total'
        '{detail="signature",event="SessionRejected"} 1.0',
        'shop_sessions_purged_total 0.0',
        'shop_sessions{state="live"} 2.0',
        'shop_sessions{state="dead"} 0.0',
        'shop_sessions_anonymous 2.0',
        'shop_users 0.0',
    ):
        assert line in lines
    # the table is asked once a minute at most
    app.browser().run(visit)
    assert 'shop_sessions{state="live"} 2.0' in app.get('/metrics').text


@executes('howto/metrics.rst', 'python', 'opentelemetry')
def test_opentelemetry_is_told_of_events_and_of_the_table(
    block, recipe, make_app, monkeypatch
):
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics, 'get_meter', provider.get_meter)
    app = make_app(configure=recipe(block).includeme)
    app.run(visit)

    found = {
        (metric.name, *sorted(point.attributes.items())): point.value
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }

    assert found == {
        ('shop.session.events', ('event', 'SessionCreated')): 1,
        ('shop.sessions', ('state', 'live')): 1,
        ('shop.sessions', ('state', 'dead')): 0,
    }
    provider.shutdown()
