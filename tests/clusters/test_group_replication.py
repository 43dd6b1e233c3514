"""The soak test, and planned switch-overs, in a group of MySQL servers."""

import pytest

from tests.clusters.scenarios import ONE, SEVERAL, name
from tests.clusters.switch_over_contract import SwitchOverContract


@pytest.mark.soak
@pytest.mark.parametrize('scenario', ONE['gr'], ids=name)
def test_one_writing_node_loses_nothing(group, soaked, scenario):
    tally = soaked(group, scenario)

    assert tally.counts['requests'] > 10
    assert tally.faults == [], str(tally)


@pytest.mark.soak
@pytest.mark.parametrize('scenario', SEVERAL['gr'], ids=name)
def test_several_writing_nodes_lose_nothing(group, soaked, scenario):
    tally = soaked(group, scenario, several=True)

    assert tally.counts['requests'] > 10
    assert tally.faults == [], str(tally)


class TestSwitchOver(SwitchOverContract):
    @pytest.fixture
    def cluster(self, group):
        return group
