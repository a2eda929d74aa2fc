"""Checks of planning: it is pure, effects are what was planned, a reached goal has nothing to do, predictions come true."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from pgops.errors import ExitCode
from pgops.observe.snapshot import Snapshot
from pgops.plan import documents
from pgops.plan.actions import Action
from pgops.plan.plan import Plan, PlannedStep, derive_plan, derive_step, parts_of
from pgops.plan.step import FirstOf, Standing, Step
from pgops.testing.case import PINNED, Case, leftovers
from pgops.testing.fake_cluster import FakeCluster

WELL = (ExitCode.DONE, ExitCode.OUTCOME_UNKNOWN)
"""How an undisturbed run may end: done, or done as far as can be seen."""


def check_planning_is_pure(case: Case) -> None:
    """The same snapshot gives the same plan, nothing is asked or written, and the digest knows no clock and no run."""
    world = case.world()
    plan = case.plan(world)
    looks, writes, keys = world.looks, world.fake.dcs.writes, world.fake.dcs.dump()
    document = documents.canonical(documents.to_document(plan.first))
    again = derive_plan(case.quick, case.params, PINNED, plan.first)
    assert again.steps == plan.steps, "the same snapshot gave another plan"
    assert again.digest == plan.digest and again.premises == plan.premises
    later = replace(
        PINNED, moment=PINNED.moment + timedelta(days=1), run_id="20261124-0300-zzzzzz", by="bob", host="there"
    )
    assert derive_plan(case.quick, case.params, later, plan.first).digest == plan.digest, (
        "the digest knows the clock or the run"
    )
    assert documents.canonical(documents.to_document(plan.first)) == document, "deriving changed the snapshot"
    assert (world.looks, world.fake.dcs.writes, world.fake.dcs.dump()) == (looks, writes, keys), (
        "planning touched the world"
    )
    assert world.asked == [] and world.fake.effects == []
    cluster = world.cluster
    assert documents.from_document(documents.to_document(plan.first), cluster) == plan.first, (
        "the snapshot is not kept whole"
    )


def check_effects_are_planned(case: Case) -> None:
    """What is done is what was planned, in that order, each once; the record and the lock are gone afterwards."""
    world = case.world()
    plan = case.plan(world)
    assert plan.blocked is None, f"blocked in this world: {plan.blocked}"
    outcome = case.run_plan(world, plan)
    assert outcome.code in WELL, outcome
    assert outcome.effects == len(world.fake.effects)
    assert_planned(plan, world.fake.effects)
    assert leftovers(world.fake) == []


def check_reached_goal_is_empty(case: Case) -> None:
    """After a run the plan of the same goal has nothing to do, and running it does nothing."""
    world = case.world()
    case.run(world)
    effects, writes = list(world.fake.effects), world.fake.dcs.writes
    plan = case.plan(world)
    assert plan.is_empty and plan.blocked is None, [step for step in plan.steps if not step.verdict.passed]
    outcome = case.run_plan(world, plan)
    assert outcome.code in WELL and outcome.effects == 0, outcome
    assert world.fake.effects == effects and world.fake.dcs.writes == writes


def check_prediction(case: Case) -> None:
    """After each step, every later one says of what is seen what it says of what was predicted."""
    world = case.world()
    plan = case.plan(world)
    watcher = _Watcher(world.fake)
    outcome = case.run_plan(world, plan, watcher)
    assert outcome.code in WELL, outcome
    parts = parts_of(case.quick, case.params, PINNED, plan.first)
    steps: list[Step] = [step for part in parts for step in (part.options if isinstance(part, FirstOf) else (part,))]
    predicted = plan.first
    for at, step in enumerate(steps):
        if at in watcher.skipped:
            return  # the run took another way than was foreseen: what was predicted after it is no prediction any more
        if at not in watcher.seen:
            continue
        if derive_step(step, None, plan.first, predicted).verdict.standing is Standing.NEEDED:
            predicted = step.expect(predicted)
        for later in steps[at + 1 :]:
            foreseen = _tell(derive_step(later, None, plan.first, predicted))
            found = _tell(derive_step(later, None, plan.first, watcher.seen[at]))
            assert documents.matches(foreseen, found), (
                f"after {step.id}, {later.id}: predicted {foreseen}, found {found}"
            )


def assert_planned(plan: Plan, effects: list[Action]) -> None:
    """The effects are the plan's actions, in order; of a branch those of the option that was taken, or tried."""
    wanted = [(step.option_of, documents.to_document(action)) for step in plan.steps for action in step.actions]
    seen = [documents.to_document(action) for action in effects]
    at = 0
    for branch, document in wanted:
        if at < len(seen) and documents.matches(document, seen[at]):
            at += 1
        else:
            assert branch is not None, f"not done, or not in its turn: {document}; done: {seen}"
    assert at == len(seen), f"done, and not planned: {seen[at:]}"


def _tell(step: PlannedStep) -> Any:
    """What a derivation comes to: it blocks, it does this, or it goes on; to wait a while and to go on are one."""
    if step.verdict.standing is Standing.BLOCKED:
        return "blocks"
    return [documents.to_document(action) for action in step.actions] or "goes on"


@dataclass
class _Watcher:
    """Looks at the cluster whenever a step is done."""

    fake: FakeCluster
    seen: dict[int, Snapshot] = field(default_factory=dict)
    skipped: set[int] = field(default_factory=set)

    def begin(self, plan: Plan, run_id: str) -> None:
        """Nothing."""

    def step(
        self, number: int, total: int, step: PlannedStep, state: str, detail: str, progress: float | None = None
    ) -> None:
        """See `pgops.engine.outcome.Listener`."""
        if state in ("done", "unproven"):
            self.seen[number - 1] = self.fake.snapshot(frozenset(self._views()))
        elif state == "skipped":
            self.skipped.add(number - 1)

    def _views(self) -> list[Any]:
        from pgops.observe.snapshot import ALL

        return list(ALL)
