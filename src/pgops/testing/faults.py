"""What may go wrong in a fake world, switched on by the number of the effect (from 0) or of the look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgops.testing.fake_cluster import FakeCluster


class Crash(BaseException):
    """pgops dies here, as by SIGKILL: nothing of it may clean up, and the lock stays until its lease ends."""


Change = Callable[["FakeCluster"], None]


@dataclass
class Faults:
    """The faults of one `FakeWorld`. Numbers count the effects that this world was asked to perform, from 0."""

    crashes_before: set[int] = field(default_factory=set)
    crashes_after: set[int] = field(default_factory=set)
    lies: set[int] = field(default_factory=set)
    failures_after: set[int] = field(default_factory=set)
    refusals: set[int] = field(default_factory=set)
    drifts: list[tuple[int, Change]] = field(default_factory=list)
    drifts_after: dict[int, Change] = field(default_factory=dict)
    stale_after: dict[int, tuple[int, bool]] = field(default_factory=dict)

    def crash_before(self, effect: int) -> None:
        """Die when everything is written down, and the effect has not begun."""
        self.crashes_before.add(effect)

    def crash_after(self, effect: int) -> None:
        """Die when the effect has happened, and nobody was told."""
        self.crashes_after.add(effect)

    def lie(self, effect: int) -> None:
        """The tool says that it is done, and did nothing."""
        self.lies.add(effect)

    def fail_after(self, effect: int) -> None:
        """The tool did it, and says that it failed."""
        self.failures_after.add(effect)

    def refuse(self, effect: int) -> None:
        """The tool refuses, and certainly did nothing."""
        self.refusals.add(effect)

    def drift(self, look: int, change: Change) -> None:
        """Somebody else changes the cluster just before this look (from 0)."""
        self.drifts.append((look, change))

    def drift_after(self, effect: int, change: Change) -> None:
        """Somebody else changes the cluster just after this effect."""
        self.drifts_after[effect] = change

    def stale(self, effect: int, looks: int, *, keys: bool) -> None:
        """After this effect so many looks show the cluster as it was before it; the DCS's keys only with `keys`.

        A driver of the DCS promises reads that are not stale; what members say of themselves may be.
        """
        self.stale_after[effect] = (looks, keys)
