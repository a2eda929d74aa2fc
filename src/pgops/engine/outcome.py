"""How a run ended, and what is told while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pgops.errors import ExitCode
from pgops.plan.plan import Plan, PlannedStep
from pgops.plan.step import Rest


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `run_id` None: nothing was done, so there is nothing to go on with. `effects`: actions performed."""

    code: ExitCode
    sentence: str
    effects: int = 0
    run_id: str | None = None
    why: str | None = None
    next_step: str | None = None
    unproven: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    rest: Rest | None = None


class Listener(Protocol):
    """Is told what happens; a listener never decides anything."""

    def begin(self, plan: Plan, run_id: str) -> None:
        """The run begins."""
        ...

    def step(
        self, number: int, total: int, step: PlannedStep, state: str, detail: str, progress: float | None = None
    ) -> None:
        """A step is now in `state`: `skipped`, `acting`, `waiting`, `done`, `unproven`. `progress`: 0 to 1, where known."""
        ...


class Silent:
    """Tells nobody."""

    def begin(self, plan: Plan, run_id: str) -> None:
        """Nothing."""

    def step(
        self, number: int, total: int, step: PlannedStep, state: str, detail: str, progress: float | None = None
    ) -> None:
        """Nothing."""
