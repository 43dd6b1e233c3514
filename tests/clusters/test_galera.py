"""The soak test on a Galera cluster."""

import pytest

from tests.clusters.scenarios import ONE, SEVERAL, name


@pytest.mark.soak
@pytest.mark.parametrize('scenario', ONE['galera'], ids=name)
def test_one_writing_node_loses_nothing(galera, soaked, scenario):
    tally = soaked(galera, scenario)

    assert tally.counts['requests'] > 10
    assert tally.faults == [], str(tally)


@pytest.mark.soak
@pytest.mark.parametrize('scenario', SEVERAL['galera'], ids=name)
def test_several_writing_nodes_lose_nothing(galera, soaked, scenario):
    tally = soaked(galera, scenario, several=True)

    assert tally.counts['requests'] > 10
    assert tally.faults == [], str(tally)
