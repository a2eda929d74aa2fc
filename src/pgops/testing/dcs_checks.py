"""Checks of a DCS in trouble: an answer that is lost, and no answer any more, at every write of a run."""

from __future__ import annotations

from pgops.engine.lock import LEASE_S
from pgops.engine.outcome import Outcome
from pgops.errors import ExitCode, PgopsError
from pgops.testing.case import Case, fingerprint, leftovers, operator_host
from pgops.testing.crash_checks import assert_once
from pgops.testing.fake_world import FakeWorld


def check_lost_answers(case: Case) -> None:
    """The answer to a write is lost: the run ends well, or says that it did not and can be gone on with; nothing twice."""
    good = _undisturbed(case)
    for number in range(good.fake.dcs.writes):
        with operator_host():
            world = case.world()
            world.fake.dcs.lost_write = number
            _run_and_go_on(case, world, good, f"the answer to write {number} was lost")


def check_dcs_gone(case: Case) -> None:
    """After a write the DCS is gone: the run stops, and is gone on with when the DCS is back; nothing twice."""
    good = _undisturbed(case)
    for number in range(good.fake.dcs.writes):
        with operator_host():
            world = case.world()
            world.fake.dcs.last_write = number
            _run_and_go_on(case, world, good, f"the DCS was gone after write {number}")


def _run_and_go_on(case: Case, world: FakeWorld, good: FakeWorld, when: str) -> None:
    dcs = world.fake.dcs
    plan = case.plan(world)
    outcome: Outcome | None = None
    try:
        outcome = case.run_plan(world, plan)
    except PgopsError as error:
        assert world.fake.effects == [], f"{when}: raised after an effect: {error}"
        assert error.exit_code in (ExitCode.UNREACHABLE, ExitCode.LOCKED), f"{when}: {error}"
    same = fingerprint(world.fake, without=_own(world)) == fingerprint(good.fake)
    assert outcome is None or outcome.code is not ExitCode.DONE or same, f"{when}: a false success: {outcome}"
    dcs.unreachable, dcs.last_write, dcs.lost_write = False, None, None
    world.fake.advance(LEASE_S + 1)
    after = case.world(world.fake)
    if case.go_on(after) is None and not same:
        assert world.fake.effects == [], f"{when}: something was done, and the DCS knows of no run"
        case.run(after)
    assert_once(plan, world.fake.effects)
    assert leftovers(world.fake) == [], f"{when}: a record is left"
    assert fingerprint(world.fake) == fingerprint(good.fake), f"{when}: another end"


def _own(world: FakeWorld) -> frozenset[str]:
    """The records of the run itself, which a DCS that is gone cannot forget."""
    return frozenset(key.partition(world.cluster.prefix)[2] for key in leftovers(world.fake))


def _undisturbed(case: Case) -> FakeWorld:
    with operator_host():
        world = case.world()
        case.run(world)
        return world
