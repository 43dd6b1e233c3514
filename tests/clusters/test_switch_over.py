"""Planned switch-overs between a server and its replica."""

import pytest

from tests.clusters.switch_over_contract import SwitchOverContract


class TestReplicated(SwitchOverContract):
    @pytest.fixture
    def cluster(self, replicated):
        return replicated
