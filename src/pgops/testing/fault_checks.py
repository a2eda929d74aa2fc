"""Checks of faults: drift, tools that lie or fail after their effect, stale reads, a lock that is held or lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from pgops.engine.lock import LEASE_S, Locked, RecordKeys
from pgops.errors import ExitCode
from pgops.observe.record_facts import LockRecord
from pgops.observe.records import lock_value
from pgops.plan.plan import Plan, PlannedStep, parts_of
from pgops.plan.step import FirstOf, Step
from pgops.testing.case import PINNED, Case, fingerprint, leftovers, operator_host
from pgops.testing.crash_checks import assert_once, count_effects
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.fake_world import FakeWorld
from pgops.testing.faults import Faults


class _Impossible(Exception):
    """Nobody else can do that here."""


def _switch(fake: FakeCluster) -> None:
    able = [
        name
        for name, member in fake.members.items()
        if member.in_recovery and member.turns and member.postgres == "running"
    ]
    if not able:
        raise _Impossible
    fake.switch_leader(able[0])


def _depose(fake: FakeCluster) -> None:
    """Another member leads or, where none can, nobody does: the holder's Patroni dies and its lease ends."""
    try:
        _switch(fake)
    except _Impossible:
        holder = next((name for name, member in fake.members.items() if member.holds_lock and member.turns), None)
        if holder is None:
            raise
        fake.change(holder, patroni="dead", holds_lock=False)
        fake.change_host(holder, lambda host: replace(host, running=host.running - {"patroni"}))
        fake.plant("leader", None)


def _touch(fake: FakeCluster) -> None:
    fake.patch_config({"maximum_lag_on_failover": 4242})


def _join(fake: FakeCluster) -> None:
    fake.plant("members/stranger", json.dumps({"role": "replica", "state": "running"}))


def _replace_identity(fake: FakeCluster) -> None:
    fake.plant("initialize", "7000000000000000001")


DRIFTS: Mapping[str, Callable[[FakeCluster], None]] = {
    "leader": _depose,
    "timeline": _switch,
    "key:config": _touch,
    "members": _join,
    "system_identifier": _replace_identity,
}
"""Premise -> a change by somebody else that moves it."""


def check_drift(case: Case) -> None:
    """A premise that moved before the run: refused with nothing done. Moved between steps: stopped midway, nothing more."""
    for premise in case.procedure.premises:
        move = DRIFTS.get(premise)
        if move is None or (move in (_switch, _depose) and len(case.make_cluster().members) == 1):
            continue
        _check_drift_before(case, premise, move)
        _check_drift_between(case, premise, move)


def _check_drift_before(case: Case, premise: str, move: Callable[[FakeCluster], None]) -> None:
    with operator_host():
        world = case.world()
        plan = case.plan(world)
        if plan.is_empty:
            return
        move(world.fake)
        world.fake.turn()
        before = fingerprint(world.fake)
        outcome = case.run_plan(world, plan)
        assert outcome.code is ExitCode.PLAN_STALE, f"{premise} moved before the run: {outcome}"
        assert world.fake.effects == [] and outcome.run_id is None and leftovers(world.fake) == []
        assert fingerprint(world.fake) == before


def _check_drift_between(case: Case, premise: str, move: Callable[[FakeCluster], None]) -> None:
    for number in range(count_effects(case)):
        with operator_host():
            faults = Faults()
            faults.drift_after(number, move)
            world = case.world(faults=faults)
            plan = case.plan(world)
            at, last = _step_of(plan, number)
            try:
                outcome = case.run_plan(world, plan)
            except _Impossible:
                continue
            moved = frozenset().union(*(step.moves for step in _steps(case, plan)[: at + 1]))
            branch = plan.steps[at].option_of
            looks_again = any(branch is None or step.option_of != branch for step in plan.steps[at + 1 :])
            unseen = not looks_again or premise in moved
            allowed = {ExitCode.STOPPED_MIDWAY} | ({ExitCode.DONE, ExitCode.OUTCOME_UNKNOWN} if unseen else set())
            assert outcome.code in allowed, f"{premise} moved after effect {number}: {outcome}"
            if not unseen:
                assert len(world.fake.effects) <= last + 1, f"{premise} moved after effect {number}, and it went on"
                assert leftovers(world.fake), "it stopped midway, and left no record"


def check_lies(case: Case) -> None:
    """A tool that says done and did nothing never makes a success of what is none."""
    good = _undisturbed(case)
    for number in range(len(good.fake.effects)):
        with operator_host():
            faults = Faults()
            faults.lie(number)
            world = case.world(faults=faults)
            outcome = case.run(world)
            same = fingerprint(world.fake) == fingerprint(good.fake)
            assert outcome.code is not ExitCode.DONE or same, (
                f"a false success after the lie of effect {number}: {outcome}"
            )


def check_failures_after_effect(case: Case) -> None:
    """A tool that fails after its effect: done only where it was seen; continued, nothing is done twice."""
    good = _undisturbed(case)
    for number in range(len(good.fake.effects)):
        with operator_host():
            faults = Faults()
            faults.fail_after(number)
            world = case.world(faults=faults)
            plan = case.plan(world)
            outcome = case.run_plan(world, plan)
            same = fingerprint(world.fake) == fingerprint(good.fake)
            assert outcome.code is not ExitCode.DONE or same, f"a false success after effect {number} failed: {outcome}"
            if leftovers(world.fake):
                case.go_on(case.world(world.fake))
                assert leftovers(world.fake) == [], f"effect {number} failed after it was done: it cannot be continued"
            assert_once(plan, world.fake.effects)
            assert fingerprint(world.fake) == fingerprint(good.fake), (
                f"effect {number} failed after it was done: another end"
            )


def check_stale_reads(case: Case) -> None:
    """Answers from before an effect decide nothing: no second effect, no false done."""
    good = _undisturbed(case)
    for number in range(len(good.fake.effects)):
        for looks, keys in ((2, True), (2, False), (10_000, True), (10_000, False)):
            with operator_host():
                faults = Faults()
                faults.stale(number, looks, keys=keys)
                world = case.world(faults=faults)
                plan = case.plan(world)
                outcome = case.run_plan(world, plan)
                assert_once(plan, world.fake.effects)
                same = fingerprint(world.fake) == fingerprint(good.fake)
                assert outcome.code is not ExitCode.DONE or same, f"a false success on stale answers: {outcome}"
                if looks == 2:
                    assert same, f"two stale looks after effect {number}: {outcome}"


def check_locked(case: Case) -> None:
    """While another operation holds the lock, it is refused and nothing is done."""
    world = case.world()
    keys = RecordKeys.of(world.cluster.prefix, case.procedure.lock, PINNED.run_id)
    record = LockRecord("topology", "20261123-0200-others", "bob", "there", 1, "something else", PINNED.moment)
    plan = case.plan(world)
    if plan.is_empty:
        return
    world.fake.dcs.plant(keys.lock, lock_value(record), world.fake.dcs.give_lease(LEASE_S))
    writes = world.fake.dcs.writes
    try:
        outcome = case.run_plan(world, plan)
    except Locked as locked:
        assert "bob" in str(locked), locked
        assert world.fake.effects == [] and world.asked == [] and world.fake.dcs.writes == writes
        return
    raise AssertionError(f"it ran while another operation held the lock: {outcome}")


def check_lease_lost(case: Case) -> None:
    """A run that slept past its lease does nothing more."""
    for number in range(count_effects(case)):
        with operator_host():
            world = case.world()
            outcome = case.run_plan(world, case.plan(world), _Sleeper(world, number))
            assert len(world.fake.effects) == number, f"effect {number} was done without the lock"
            wanted = ExitCode.STOPPED_MIDWAY if number else ExitCode.LOCKED
            assert outcome.code is wanted, f"the lease was lost before effect {number}: {outcome}"


class _Sleeper:
    """Lets the lease end when this effect is about to begin."""

    def __init__(self, world: FakeWorld, effect: int) -> None:
        self._world = world
        self._effect = effect

    def begin(self, plan: Plan, run_id: str) -> None:
        """Nothing."""

    def step(
        self, number: int, total: int, step: PlannedStep, state: str, detail: str, progress: float | None = None
    ) -> None:
        """See `pgops.engine.outcome.Listener`."""
        if state == "acting" and len(self._world.asked) == self._effect:
            self._world.fake.advance(LEASE_S + 1)


def _undisturbed(case: Case) -> FakeWorld:
    with operator_host():
        world = case.world()
        case.run(world)
        return world


def _steps(case: Case, plan: Plan) -> list[Step]:
    parts = parts_of(case.quick, case.params, PINNED, plan.first)
    return [step for part in parts for step in (part.options if isinstance(part, FirstOf) else (part,))]


def _step_of(plan: Plan, effect: int) -> tuple[int, int]:
    """The planned step that this effect belongs to, and the number of its last effect."""
    count = 0
    for at, step in enumerate(plan.steps):
        count += len(step.actions)
        if effect < count:
            return at, count - 1
    return len(plan.steps) - 1, count - 1
