"""A world whose pgops dies, or is stopped, before or after its n-th action: what a power cut or a tired hand does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence

from pgops.config.model import ClusterConfig
from pgops.dcs import Dcs, Put
from pgops.engine.lock import Lock
from pgops.engine.stopping import Clock
from pgops.engine.world import World
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action

Blow = Callable[[], None]
"""What befalls the process; it may return, and then the run goes on."""


def send_oneself(number: signal.Signals) -> Blow:
    """The blow of a signal that this process gets from itself: SIGKILL ends it, SIGSTOP waits for a SIGCONT."""
    return lambda: os.kill(os.getpid(), number)


class KillingWorld:
    """Another world, in which the `at`th performed action (from 1) meets a blow.

    The blow comes when everything is written down and the action has not begun or, with `after`, when it has happened
    and its caller does not know yet. By default it is SIGKILL, so use this world in a process of its own: nothing is
    cleaned up, and the lock stays until its lease ends. An action that fails meets no blow after it.
    """

    def __init__(self, world: World, at: int, *, after: bool = False, blow: Blow | None = None) -> None:
        if at < 1:
            raise ValueError("actions are counted from 1")
        self._world = world
        self._at = at
        self._after = after
        self._blow = blow or send_oneself(signal.SIGKILL)
        self.cluster: ClusterConfig = world.cluster
        self.performed = 0
        """How many actions were asked for, the one that met the blow among them."""

    @property
    def dcs(self) -> Dcs:
        """The other world's."""
        return self._world.dcs

    @property
    def clock(self) -> Clock:
        """The other world's."""
        return self._world.clock

    def observe(self, views: frozenset[View], hosts: frozenset[str] | None) -> Snapshot:
        """As the other world sees it."""
        return self._world.observe(views, hosts)

    def perform(self, action: Action, lock: Lock, now: Snapshot, tied: Sequence[Put] = ()) -> None:
        """Perform it in the other world; the `at`th one meets the blow."""
        self.performed += 1
        struck = self.performed == self._at
        if struck and not self._after:
            self._blow()
        self._world.perform(action, lock, now, tied)
        if struck and self._after:
            self._blow()

    def close(self) -> None:
        """Close the other world."""
        self._world.close()
