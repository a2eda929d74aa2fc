"""What a run acts on: the real cluster, or a fake one of `pgops.testing`, under the same engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pgops.config.model import ClusterConfig
from pgops.dcs import Dcs, Put
from pgops.engine.lock import Lock
from pgops.engine.stopping import Clock
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action


class ActionFault(Exception):
    """An action did not do what it should, as far as its tool said; the text is a clause for a person.

    `happened` False: it certainly had no effect. None: it may have had one, and looking decides; `answered` says that the
    tool has ended, so that an effect would show soon.
    """

    def __init__(self, reason: str, *, happened: bool | None = None, answered: bool = False) -> None:
        super().__init__(reason)
        self.happened = happened
        self.answered = answered or happened is False


class Eyes(Protocol):
    """A cluster to look at."""

    cluster: ClusterConfig

    def observe(self, views: frozenset[View], hosts: frozenset[str] | None) -> Snapshot:
        """Look. `hosts` names the hosts to log in to (None: every one). Never raises for what could not be read."""
        ...


class World(Eyes, Protocol):
    """A cluster to look at and to act on."""

    @property
    def dcs(self) -> Dcs:
        """The DCS, for locks and records. Opened at first use."""
        ...

    @property
    def clock(self) -> Clock:
        """The time by which a run waits here."""
        ...

    def perform(self, action: Action, lock: Lock, now: Snapshot, tied: Sequence[Put] = ()) -> None:
        """Perform one action under the lock. Raises `ActionFault`, and `LockLost` where nothing was done for want of it.

        `tied` are changes to pgops's own records that go into the transaction of a `ChangeKeys`; no other action has any.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
