"""What all clusters have in common."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod

import health_check
import MySQLdb

from tests.clusters.nodes import VISITOR, Running
from tests.helpers import wait_until


class Cluster(Running, ABC):
    """
    Some nodes that hold the same data; a context manager.

    :ivar nodes: see :class:`.Node`.
    :ivar notice: how many seconds more than others it takes to notice that a
        node is gone.
    :ivar synchronous: variables of a connection that waits, on any node, for
        what the others have acknowledged.
    :ivar current: SQL after which a connection reads what every node has
        acknowledged.
    """

    notice = 0
    synchronous = {}
    current = 'DO 0'

    def __init__(self, nodes):
        self.nodes = nodes

    @abstractmethod
    def is_member(self, node):
        """Ask a node whether it has all that the others have."""

    @abstractmethod
    def view(self, node):
        """Return what a node takes for the cluster; it may be wrong."""

    @abstractmethod
    def rejoin(self, node):
        """Bring a node back that was killed, or was expelled."""

    @abstractmethod
    def switch(self, old, new, proxy):
        """
        Make another node the one that takes writes, as planned.

        Nobody cuts the connections to the old one, which can be read.
        """

    @abstractmethod
    def all_active(self):
        """Return a context manager: applications write to all nodes."""

    @abstractmethod
    def flow_control(self):
        """Return a context manager: all nodes wait early for the slowest."""

    def healthy(self, node):
        """Whether applications may use a node, as the manual's check says."""
        return health_check.answer({**node.tcp, **VISITOR}) == 200

    def primary(self):
        """Return the first node that applications may use."""
        return next(node for node in self.nodes if self.healthy(node))

    def heal(self):
        """Bring all nodes back; return when each has what the others have."""
        wait_until(self._is_whole)

    def _is_whole(self):
        for node in self.nodes:
            if not self._has_rejoined(node):
                self.rejoin(node)
        # one that was stopped has yet to learn what became of the others
        return len({self.view(node) for node in self.nodes}) == 1

    def wait_for(self, node):
        """Wait until a node is a member that is up to date."""
        wait_until(lambda: self._has_rejoined(node))

    @contextlib.contextmanager
    def variables(self, **values):
        """Give all nodes other values of global variables for a while."""
        before = [
            {name: node.value(name) for name in values} for node in self.nodes
        ]
        try:
            for node in self.nodes:
                node.set(**values)
            yield
        finally:
            for node, old in zip(self.nodes, before, strict=True):
                node.set(**old)

    def close(self):
        """Kill all nodes; may run twice."""
        for node in self.nodes:
            node.close()

    def _has_rejoined(self, node):
        try:
            return node.running and self.is_member(node)
        except MySQLdb.Error:
            return False
