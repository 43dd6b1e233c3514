"""What happens to a cluster while its sessions are in use."""

from __future__ import annotations

import threading
import time


class Stage:
    """
    A cluster under load, for one round.

    :param seconds: how long the round lasts.
    :ivar events: pairs: after how many seconds what happened.
    """

    def __init__(self, cluster, proxy, seconds):
        self.cluster = cluster
        self.proxy = proxy
        self.active = proxy.active()
        self.began = time.monotonic()
        self.events = []
        self._seconds = seconds
        self._never = threading.Event()

    @property
    def spare(self):
        """The node that takes over, or a secondary one."""
        nodes = self.cluster.nodes
        return nodes[(nodes.index(self.active) + 1) % len(nodes)]

    def reach(self, share):
        """Let the load go on until some share of the round is over."""
        end = self.began + share * self._seconds
        self._never.wait(max(0, end - time.monotonic()))

    def wait(self, seconds):
        """Let the load go on for so many seconds."""
        self._never.wait(seconds)

    def over(self, share):
        """Whether some share of the round is over."""
        return time.monotonic() > self.began + share * self._seconds

    def note(self, event):
        self.events.append((time.monotonic() - self.began, event))


def calm(stage):
    """Let nothing happen."""


def kill(stage):
    """Kill the active node, and bring it back."""
    stage.reach(0.1)
    stage.active.kill()
    stage.note(f'{stage.active.name} killed')
    stage.reach(0.7)
    stage.cluster.rejoin(stage.active)
    stage.note(f'{stage.active.name} back')


def pause(stage):
    """Stop the process of the active node, as a hanging machine would."""
    stage.reach(0.1)
    with stage.active.paused():
        stage.note(f'{stage.active.name} stopped')
        stage.reach(0.75)
    stage.note(f'{stage.active.name} goes on')


def isolate(stage):
    """Cut the active node off from the others; clients still reach it."""
    stage.reach(0.1)
    stage.cluster.isolate(stage.active)
    stage.note(f'{stage.active.name} isolated')
    stage.reach(0.75)
    stage.cluster.isolate(stage.active, False)
    stage.note(f'{stage.active.name} among the others')


def switch(stage):
    """
    Make another node the active one, as planned.

    Nobody cuts the connections to the old one, which can only be read.
    """
    stage.reach(0.1)
    stage.cluster.switch(stage.active, stage.spare, stage.proxy)
    stage.note(f'{stage.active.name} -> {stage.spare.name}')
    stage.reach(1)


def lag(stage):
    """Let a node that is not the active one get behind."""
    stage.reach(0.2)
    with stage.spare.lagging():
        stage.note(f'{stage.spare.name} lags')
        stage.reach(0.6)
    stage.note(f'{stage.spare.name} catches up')


def stutter(stage):
    """Let a node that hangs again and again slow down all: flow control."""
    with stage.cluster.flow_control():
        stage.reach(0.2)
        while not stage.over(0.6):
            with stage.spare.paused():
                stage.note(f'{stage.spare.name} hangs')
                # shorter than what makes the others give it up
                stage.wait(1)
            stage.wait(0.3)


def name(scenario):
    """Return what a scenario is called."""
    return scenario.__name__


#: The fail-overs that begin when the other nodes notice something.
UNNOTICED = (kill, pause)
#: What may happen where one node takes all writes, by kind of cluster.
ONE = {
    'galera': (kill, pause, isolate, switch, lag, stutter),
    'gr': (kill, pause, switch, lag, stutter),
}
#: Likewise where all nodes do.
SEVERAL = {
    'galera': (calm, kill, lag),
    'gr': (calm,),
}
