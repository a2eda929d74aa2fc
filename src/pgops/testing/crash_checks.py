"""Checks of going on: a crash before and after every effect, then continue or abort."""

from __future__ import annotations

from pgops.engine.lock import LEASE_S
from pgops.errors import Refused
from pgops.plan import documents
from pgops.plan.actions import Action, Again, render_action
from pgops.plan.plan import Plan
from pgops.testing.case import Case, fingerprint, leftovers, operator_host
from pgops.testing.fake_world import FakeWorld
from pgops.testing.faults import Crash, Faults
from pgops.testing.plan_checks import WELL


def count_effects(case: Case) -> int:
    """How many effects an undisturbed run has."""
    with operator_host():
        world = case.world()
        case.run(world)
        return len(world.fake.effects)


def check_crashes(case: Case) -> None:
    """Continued, here or on another operator's host, each effect is done once, and the end is that of an undisturbed run.

    Around each effect there are two cuts: the one is gone on with here, the other elsewhere, in turns.
    """
    undisturbed = case.world()
    with operator_host():
        plan = case.plan(undisturbed)
        code = case.run_plan(undisturbed, plan).code
    effects = len(undisturbed.fake.effects)
    for number in range(effects):
        for after in (False, True):
            with operator_host():
                world = _crashed(case, number, after=after)
                if after is (number % 2 == 0):
                    with operator_host():
                        _continue(case, world, plan, undisturbed, code, number)
                else:
                    _continue(case, world, plan, undisturbed, code, number)


def _continue(case: Case, dead: FakeWorld, plan: Plan, undisturbed: FakeWorld, code: object, number: int) -> None:
    world = case.world(dead.fake)
    outcome = case.go_on(world)
    if outcome is None:
        assert dead.fake.effects == [], "something was done, and the DCS knows of no run"
        outcome = case.run(world)
    assert outcome.code is code, f"crash at effect {number}, continued: {outcome}"
    assert_once(plan, dead.fake.effects)
    assert fingerprint(dead.fake) == fingerprint(undisturbed.fake), f"crash at effect {number}: another end"
    assert leftovers(dead.fake) == []
    left = case.plan(world)
    assert left.is_empty, f"crash at effect {number}: something is left to do"


def check_abort(case: Case) -> None:
    """Aborted after a crash, the cluster is as before, also when the way back is cut off; without a way back: refused."""
    effects = count_effects(case)
    before = case.world()
    before.fake.turn()
    for number in range(effects):
        with operator_host():
            world = _crashed(case, number, after=True)
            again = case.world(world.fake)
            if case.procedure.way_back is None:
                try:
                    case.go_on(again, back=True)
                except Refused:
                    continue
                raise AssertionError("aborted without a way back")
            outcome = case.go_on(again, back=True)
            assert outcome is not None and outcome.code in WELL, f"aborted after effect {number}: {outcome}"
            steps_back = len(again.asked)
            _assert_restored(case, before, world, f"aborted after effect {number}")
        for cut in range(steps_back):
            with operator_host():
                world = _crashed(case, number, after=True)
                _abort_cut(case, world, cut)
                outcome = case.go_on(case.world(world.fake), back=True)
                assert outcome is None or outcome.code in WELL, f"the way back was cut at {cut}: {outcome}"
                _assert_restored(case, before, world, f"the way back from effect {number} was cut at {cut}")


def _assert_restored(case: Case, before: FakeWorld, after: FakeWorld, when: str) -> None:
    was, now = (fingerprint(world.fake, without=case.not_restored) for world in (before, after))
    assert leftovers(after.fake) == [], f"{when}: a record is left"
    assert now == was, f"{when}: {[(name, was[name], now[name]) for name in was if was[name] != now[name]]}"


def _abort_cut(case: Case, world: FakeWorld, cut: int) -> None:
    faults = Faults()
    faults.crash_after(cut)
    try:
        outcome = case.go_on(case.world(world.fake, faults), back=True)
    except Crash:
        world.fake.advance(LEASE_S + 1)
        return
    raise AssertionError(f"the way back did not come to its crash: {outcome}")


def _crashed(case: Case, number: int, *, after: bool) -> FakeWorld:
    faults = Faults()
    (faults.crash_after if after else faults.crash_before)(number)
    world = case.world(faults=faults)
    case.crash(world)
    return world


def assert_once(plan: Plan, effects: list[Action]) -> None:
    """Each planned action was done at most once, unless it may be repeated; nothing else was done."""
    planned = [(action, documents.to_document(action)) for step in plan.steps for action in step.actions]
    seen = [(action, documents.to_document(action)) for action in effects]
    for action, document in planned:
        times, most = (sum(documents.matches(document, other) for _, other in among) for among in (seen, planned))
        assert times <= most or action.again is Again.SAFE, f"done {times} times: {render_action(action)}"
    for action, document in seen:
        known = any(documents.matches(other, document) for _, other in planned)
        assert known, f"not planned: {render_action(action)}"
