"""`drill restore` under the contract, and what it does where something fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from contract.procedures.drill_worlds import BASE, BROKEN, NEW, OLD, PARAMS, backup, drill_world
from pgops.errors import ExitCode, Unreachable
from pgops.observe.keys import record_prefix
from pgops.plan.actions import ForgetJob, StartJob, StopJob, WriteFile
from pgops.plan.plan import Plan, PlannedStep
from pgops.plan.step import Standing
from pgops.readings import Unknown
from pgops.testing.case import PINNED, Case, leftovers, operator_host
from pgops.testing.contract import CHECKS, check_refused
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.faults import Faults
from pgops.testing.plan_checks import (
    check_effects_are_planned,
    check_planning_is_pure,
    check_prediction,
    check_reached_goal_is_empty,
)
from pgops_drill.restoring import RESTORE

SQL = "select true; select 1 = 1;"
SCRATCH = f"{BASE}/pgops-drill-{PINNED.run_id}"


def case(make: Callable[[], FakeCluster] | None = None, **params: Any) -> Case:
    return Case(RESTORE, {**PARAMS, **params}, make or drill_world(), limit_s=0.08, not_restored=frozenset({"drill"}))


def record(fake: FakeCluster) -> dict[str, Any]:
    key = fake.dcs.peek(f"{record_prefix(fake.config.prefix)}drill")
    assert key is not None
    found: dict[str, Any] = json.loads(key.value)
    return found


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_drill(check: Callable[[Case], None]) -> None:
    """With assertions it has every stage there is."""
    with operator_host():
        check(case(assertions=SQL))


@pytest.mark.parametrize("params", [{}, {"keep": True}], ids=["plain", "kept"])
@pytest.mark.parametrize(
    "check",
    [check_planning_is_pure, check_effects_are_planned, check_reached_goal_is_empty, check_prediction],
    ids=lambda check: check.__name__,
)
def test_with_fewer_stages(params: dict[str, Any], check: Callable[[Case], None]) -> None:
    with operator_host():
        check(case(**params))


def test_a_good_backup_is_remembered_and_nothing_is_left() -> None:
    with operator_host():
        drill = case(assertions=SQL)
        world = drill.world()
        outcome = drill.run(world)
    assert outcome.code is ExitCode.DONE, outcome
    found = record(world.fake)
    assert (found["outcome"], found["label"], found["node"]) == ("passed", NEW, "n2")
    assert found["proven_at"] == PINNED.moment.isoformat() and found["restore_bytes"] == 30_000_000
    assert world.fake.hosts["n2"].jobs == {} and world.fake.hosts["n2"].files == {}


@pytest.mark.parametrize("stage", ["restore", "replay", "look", "amcheck", "assertions", "dump", "checksums"])
def test_what_fails_is_remembered_said_and_cleared_away(stage: str) -> None:
    with operator_host():
        drill = case(drill_world(fails=stage), assertions=SQL)
        world = drill.world()
        outcome = drill.run(world)
        left = drill.plan(world)
    assert outcome.code is ExitCode.FAILED, outcome
    assert outcome.sentence.startswith(f"the drill of backup {NEW} failed: "), outcome
    found = record(world.fake)
    assert found["outcome"] == "failed" and found["proven_at"] is None
    assert [item["name"] for item in found["checks"] if item["passed"] is False] == [stage]
    assert world.fake.hosts["n2"].jobs == {} and world.fake.hosts["n2"].files == {}
    assert leftovers(world.fake) == [], "a drill that failed blocks the next one"
    assert left.steps[-1].verdict.failed


def test_a_server_that_does_not_stop_keeps_the_run_and_an_abort_ends_it() -> None:
    with operator_host():
        drill = case(drill_world(fails="stop", stops=False))
        world = drill.world()
        outcome = drill.run(world)
        assert outcome.code is ExitCode.STOPPED_MIDWAY and "still runs" in (outcome.why or ""), outcome
        back = drill.go_on(drill.world(world.fake), back=True)
    assert back is not None and back.code is ExitCode.DONE, back
    assert world.fake.hosts["n2"].jobs == {} and leftovers(world.fake) == []


def test_a_drill_that_cannot_be_made_says_nothing_about_the_backup() -> None:
    with operator_host():
        drill = case(drill_world(fails="prepare", code=74), assertions=SQL)
        world = drill.world()
        outcome = drill.run(world)
    assert outcome.code is ExitCode.FAILED and "could not be made" in outcome.sentence, outcome
    assert record(world.fake)["outcome"] == "unmade"
    assert not [action for action in world.fake.effects if isinstance(action, WriteFile)], "where would it lie?"
    assert leftovers(world.fake) == []


def test_what_comes_after_a_failed_restore_is_not_said_to_fail() -> None:
    with operator_host():
        drill = case(drill_world(fails="restore", code=29))
        told: dict[str, str] = {}

        class Hearer:
            def begin(self, plan: Plan, run_id: str) -> None:
                pass

            def step(
                self, number: int, total: int, step: PlannedStep, state: str, detail: str, progress: float | None = None
            ) -> None:
                if state == "done":
                    told[step.id] = detail

        fake = drill.make_cluster()
        work = fake.jobs["nice"]
        fake.jobs["nice"] = lambda world, job: 1 if job.name.endswith("-dump") else work(world, job)
        outcome = drill.run(drill.world(fake), Hearer())
    assert "the restore failed" in outcome.sentence and "dump" not in outcome.sentence, outcome
    assert told["dump"] == "it came to nothing, since restore failed"
    assert told["restore"].startswith("it ended with exit code 29")


def test_when_it_was_proven_last_outlives_a_failure() -> None:
    with operator_host():
        good = case()
        world = good.world()
        good.run(world)
        before = record(world.fake)
        world.fake.jobs |= drill_world(fails="checksums")().jobs
        again = replace(PINNED, run_id="20261124-0300-bbbbbb")
        from pgops.engine.operation import make_plan, run_plan

        plan = make_plan(good.quick, good.params, world, again)
        outcome = run_plan(good.quick, plan, world, confirmed=True, log_file="/dev/null")
    assert outcome.code is ExitCode.FAILED, outcome
    after = record(world.fake)
    assert (after["outcome"], after["run"]) == ("failed", again.run_id)
    assert (after["proven_at"], after["proven_label"]) == (before["proven_at"], NEW)


def test_accounts_of_a_drill_that_was_given_up_are_forgotten_by_the_next() -> None:
    with operator_host():
        drill = case()
        world = drill.world()
        old = StartJob("n2", "drill-20261101-0300-aaaaaa-restore", ("nice",))
        from pgops.testing.fake_tools import perform_on_fake_host

        perform_on_fake_host(world.fake, old, 1, {})
        world.fake.turn()
        assert drill.run(world).code is ExitCode.DONE
    assert ForgetJob("n2", old.name) in world.fake.effects
    assert world.fake.hosts["n2"].jobs == {}


def test_what_cannot_be_removed_is_named_and_an_abort_tries_again() -> None:
    with operator_host():
        drill = case(drill_world(fails="remove", code=74))
        world = drill.world()
        outcome = drill.run(world)
        assert outcome.code is ExitCode.STOPPED_MIDWAY and SCRATCH in (outcome.why or ""), outcome
        assert record(world.fake)["outcome"] == "passed"
        world.fake.jobs |= drill_world()().jobs
        back = drill.go_on(drill.world(world.fake), back=True)
    assert back is not None and back.code is ExitCode.DONE, back
    assert world.fake.hosts["n2"].jobs == {} and leftovers(world.fake) == []
    assert record(world.fake)["outcome"] == "passed"


def test_a_host_that_goes_away_midway_leaves_a_run_to_go_on_with() -> None:
    """Its server runs on there: a run that was forgotten would leave it to nobody."""
    with operator_host():
        drill = case()
        faults = Faults()
        faults.refuse(6)
        world = drill.world(faults=faults)
        outcome = drill.run(world)
        assert outcome.code is ExitCode.STOPPED_MIDWAY and leftovers(world.fake), outcome
        again = drill.go_on(drill.world(world.fake))
    assert again is not None and again.code is ExitCode.DONE, again
    assert world.fake.hosts["n2"].jobs == {}


def test_an_abort_stops_what_runs_the_clients_first() -> None:
    def stuck(fake: FakeCluster) -> FakeCluster:
        work = fake.jobs["nice"]
        fake.jobs["nice"] = lambda world, job: None if job.name.endswith("-amcheck") else work(world, job)
        return fake

    with operator_host():
        drill = case(lambda: stuck(drill_world()()))
        faults = Faults()
        faults.crash_after(5)
        world = drill.world(faults=faults)
        drill.crash(world)
        jobs = {name.rpartition("-")[2]: job.state for name, job in world.fake.hosts["n2"].jobs.items()}
        assert jobs["amcheck"] == jobs["postgres"] == "running", jobs
        outcome = drill.go_on(drill.world(world.fake), back=True)
    assert outcome is not None and outcome.code is ExitCode.DONE, outcome
    stopped = [action.name.rpartition("-")[2] for action in world.fake.effects if isinstance(action, StopJob)]
    assert stopped == ["amcheck", "postgres"]
    assert world.fake.hosts["n2"].jobs == {}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"node": "n9"}, "no host n9 is configured"),
        ({"set": "20200101-000000F"}, "there is no backup 20200101-000000F"),
        ({"repo": 2}, "without error in repository 2"),
        ({"target": "2026-11-01T00:00:00+00:00"}, "ended before 2026-11-01"),
        ({"scratch": "/var/lib/postgresql/data/x"}, "which is production's"),
        ({"scratch": "/srv/" + "x" * 80}, "107 is the most"),
    ],
    ids=lambda value: "",
)
def test_refused(params: dict[str, Any], words: str) -> None:
    assert words in check_refused(case(**params))


def test_too_little_room_is_refused_with_the_numbers() -> None:
    huge = 2**50
    said = check_refused(case(drill_world(backup(NEW, 1_795_309_260, size=huge))))
    assert "too little room" in said and str(huge + huge // 10) in said


def test_a_leader_alone_among_dead_replicas_must_be_named() -> None:
    make = drill_world(names=("n1",))
    assert case(make).plan(case(make).world()).blocked is None, "the only host there is"


def test_backups_that_cannot_be_seen_are_not_said_to_be_none() -> None:
    def blind() -> FakeCluster:
        fake = drill_world()()
        fake.facts["n2"]["stanza"] = Unknown("pgbackrest info: no answer within 10.0 s")
        return fake

    with operator_host(), pytest.raises(Unreachable):
        case(blind, node="n2").run(case(blind, node="n2").world())


@pytest.mark.parametrize(
    ("params", "label"),
    [({}, NEW), ({"set": BROKEN}, BROKEN), ({"target": "2026-11-21T12:00:00+00:00"}, OLD)],
    ids=["newest-good", "named", "before-the-target"],
)
def test_which_backup(params: dict[str, Any], label: str) -> None:
    drill = case(**params)
    plan = drill.plan(drill.world())
    assert plan.steps[0].verdict.standing is Standing.SATISFIED and label in plan.steps[0].verdict.reason
    restore = next(step for step in plan.steps if step.id == "restore").actions[0]
    assert isinstance(restore, StartJob) and f"--set={label}" in restore.argv
