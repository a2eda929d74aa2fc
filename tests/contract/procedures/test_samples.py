"""Jobs, holes and branches under the contract, by two small procedures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from contract.procedures.samples import BACKUP, DICE, LABEL, NODE, REJOIN, backup_world, forbid_rewind, serve
from pgops.engine.lock import LEASE_S
from pgops.errors import ExitCode
from pgops.plan.actions import Hole, RunCommand
from pgops.plan.step import Risk, Standing
from pgops.testing.case import Case, operator_host
from pgops.testing.contract import CHECKS, check_procedure
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.faults import Crash, Faults

BACKING_UP = Case(BACKUP, {}, backup_world, serve)
REJOINING = Case(REJOIN, {}, FakeCluster, serve)


def no_rewind() -> FakeCluster:
    fake = FakeCluster()
    forbid_rewind(fake)
    return fake


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_job(check: Callable[[Case], None]) -> None:
    with operator_host():
        check(BACKING_UP)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_branch(check: Callable[[Case], None]) -> None:
    with operator_host():
        check(REJOINING)


def test_a_branch_whose_first_option_is_blocked_from_the_start() -> None:
    check_procedure(REJOIN, {}, no_rewind, set_up=serve)


def test_a_hole_is_shown_and_then_filled() -> None:
    with operator_host():
        world = BACKING_UP.world()
        plan = BACKING_UP.plan(world)
        (noted,) = plan.steps[2].actions
        assert isinstance(noted, RunCommand) and noted.argv == ("note", Hole("label"))
        outcome = BACKING_UP.run_plan(world, plan)
        assert outcome.code is ExitCode.DONE, outcome
        done = world.fake.effects[-1]
        assert isinstance(done, RunCommand) and done.argv == ("note", LABEL)


def test_a_job_that_ended_while_pgops_was_dead_is_found_by_another_operator() -> None:
    with operator_host():
        faults = Faults()
        faults.crash_after(0)
        world = BACKING_UP.world(faults=faults)
        BACKING_UP.crash(world)
    assert [job.state for job in world.fake.hosts[NODE].jobs.values()] == ["ended"]
    with operator_host():
        outcome = BACKING_UP.go_on(BACKING_UP.world(world.fake))
    assert outcome is not None and outcome.code is ExitCode.DONE, outcome
    assert [(job.starts, job.state) for job in world.fake.hosts[NODE].jobs.values()] == [(1, "ended")]


def test_a_job_that_fails_is_no_success() -> None:
    with operator_host():
        case = Case(BACKUP, {}, lambda: backup_world(exit_code=1), serve)
        outcome = case.run(case.world())
        assert outcome.code is ExitCode.STOPPED_MIDWAY and "left none" in (outcome.why or ""), outcome


def test_both_options_are_planned_and_the_worse_risk_counts() -> None:
    plan = REJOINING.plan(REJOINING.world())
    assert [(step.id, step.option_of, step.verdict.standing) for step in plan.steps] == [
        ("rewind", "rejoin", Standing.NEEDED),
        ("clone", "rejoin", Standing.NEEDED),
    ]
    assert plan.risk is Risk.DESTROY and plan.blocked is None


def test_an_option_that_is_blocked_at_run_time_gives_way() -> None:
    with operator_host():
        world = REJOINING.world()
        plan = REJOINING.plan(world)
        forbid_rewind(world.fake)
        assert REJOINING.run_plan(world, plan).code is ExitCode.DONE
        assert [action.argv for action in world.fake.effects if isinstance(action, RunCommand)] == [("pg_basebackup",)]


@pytest.mark.parametrize("crash", [None, "before", "after"])
def test_an_option_that_surely_failed_gives_way_also_over_a_crash(crash: str | None) -> None:
    with operator_host():
        faults = Faults()
        faults.refuse(0)
        if crash:
            (faults.crash_before if crash == "before" else faults.crash_after)(1)
        world = REJOINING.world(faults=faults)
        if crash:
            REJOINING.crash(world)
            outcome = REJOINING.go_on(REJOINING.world(world.fake))
        else:
            outcome = REJOINING.run(world)
        assert outcome is not None and outcome.code is ExitCode.DONE, outcome
        assert [action.argv for action in world.fake.effects if isinstance(action, RunCommand)] == [("pg_basebackup",)]


def test_an_option_cut_off_before_its_effect_and_blocked_since_gives_way() -> None:
    with operator_host():
        faults = Faults()
        faults.crash_before(0)
        world = REJOINING.world(faults=faults)
        REJOINING.crash(world)
        forbid_rewind(world.fake)
        outcome = REJOINING.go_on(REJOINING.world(world.fake))
        assert outcome is not None and outcome.code is ExitCode.DONE, outcome
        assert [action.argv for action in world.fake.effects if isinstance(action, RunCommand)] == [("pg_basebackup",)]


def test_an_option_of_which_nobody_can_tell_ends_the_branch() -> None:
    """The tool failed, perhaps after its effect, and the look does not show one: another option may do harm now."""
    with operator_host():
        faults = Faults()
        faults.fail_after(0)
        faults.stale(0, 10_000, keys=False)
        world = REJOINING.world(faults=faults)
        outcome = REJOINING.run(world)
        assert outcome.code is ExitCode.STOPPED_MIDWAY, outcome
        assert [action.argv for action in world.fake.effects if isinstance(action, RunCommand)] == [("pg_rewind",)]


@pytest.mark.parametrize("after", [False, True])
def test_what_can_neither_be_seen_nor_repeated_ends_unknown(after: bool) -> None:
    case = Case(DICE, {}, FakeCluster)
    with operator_host():
        faults = Faults()
        (faults.crash_after if after else faults.crash_before)(0)
        world = case.world(faults=faults)
        world.commands["dice"] = lambda _fake, _host, _argv: 0
        with pytest.raises(Crash):
            case.run(world)
        world.fake.advance(LEASE_S + 1)
        outcome = case.go_on(case.world(world.fake))
        assert outcome is not None and outcome.code is ExitCode.OUTCOME_UNKNOWN, outcome
        assert len(world.fake.effects) == int(after)
