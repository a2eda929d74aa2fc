"""`salvage apply` under the contract: a salvage folder on one host, a leader on another one or the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from contract.procedures.salvage_worlds import (
    APP,
    BEGUN,
    COPY,
    FOLDER,
    KEEP,
    OTHER,
    RECORDS,
    RUN,
    applied,
    facts_of,
    put,
    set_up,
    world,
)
from pgops.errors import ExitCode
from pgops.observe.salvage_facts import CarriedFolder, FailedScript, SalvageFolder
from pgops.plan.actions import CarryFolder, RunCommand
from pgops.plan.step import Params, Standing
from pgops.readings import Known, Unknown
from pgops.testing.case import Case, operator_host
from pgops.testing.contract import CHECKS, check_refused
from pgops.testing.fake_cluster import FakeCluster
from pgops_recover.applying import APPLY

PARAMS: Params = {"run": RUN, "node": "", "superuser": "postgres"}
DONE = replace(COPY, applied=(applied("app", APP.sha256), applied("other", OTHER.sha256)))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_apply(check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(APPLY, PARAMS, world(), set_up()))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_apply_where_the_copys_own_host_leads(check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(APPLY, PARAMS, world(member="n1"), set_up()))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_apply_where_earlier_goes_left_something(check: Callable[[Case], None]) -> None:
    """One script was applied on n3 when that led, and nothing was noted; the other one was cut off there."""
    left = CarriedFolder(RECORDS, "old", 9, 99, (applied("other", OTHER.sha256, "n3"),), (BEGUN,))
    with operator_host():
        check(Case(APPLY, PARAMS, world(carried={"n3": left}), set_up()))


def test_it_is_carried_run_noted_and_taken_away() -> None:
    with operator_host():
        case = Case(APPLY, PARAMS, world(), set_up())
        plan = case.plan(case.world())
    done = [(step.id, action) for step in plan.steps for action in step.actions]
    assert [id_ for id_, _ in done] == [
        "carry-n2",
        "apply-n2-app",
        "note-n2-app",
        "apply-n2-other",
        "note-n2-other",
        "clean-n2-on-n1",
    ]
    assert done[0][1] == CarryFolder(
        "n2", f"{KEEP}/salvage", "n1", f"{RECORDS}/folder", FOLDER.stamp, timeout_s=86400.0
    )
    assert done[2][1] == CarryFolder("n1", f"{RECORDS}/back", "n2", f"{KEEP}/salvage", whole=False)
    run = done[1][1]
    assert isinstance(run, RunCommand) and run.host == "n1" and isinstance(run.argv[-1], str)
    wish = json.loads(run.argv[-1])
    assert wish["sha256"] == APP.sha256 and wish["folder"] == f"{RECORDS}/folder" and wish["database"] == "app"


def test_what_was_cut_off_elsewhere_is_asked_about() -> None:
    left = CarriedFolder(RECORDS, "old", 9, 99, (), (BEGUN,))
    with operator_host():
        case = Case(APPLY, PARAMS, world(carried={"n3": left}), set_up())
        plan = case.plan(case.world())
    wishes = {step.id: json.loads(str(step.actions[0].argv[-1])) for step in plan.steps if step.id.startswith("apply-")}  # type: ignore[union-attr] # they run commands
    assert wishes["apply-n2-app"]["earlier"] == [json.loads(BEGUN.text)]
    assert wishes["apply-n2-other"]["earlier"] == []
    assert plan.steps[-1].id == "clean-n2-on-n3" and plan.steps[-1].actions


def _folder(**changes: object) -> SalvageFolder:
    return replace(FOLDER, scripts=(replace(APP, **changes), OTHER))  # type: ignore[arg-type] # fields by name


def test_a_script_that_nobody_read_is_refused() -> None:
    said = check_refused(Case(APPLY, PARAMS, world(folder=_folder(ends="rollback")), set_up()))
    assert f"{KEEP}/salvage/app.sql on n2 ends in ROLLBACK: nobody has read it yet" in said
    said = check_refused(Case(APPLY, PARAMS, world(folder=_folder(ends=None, fault="it has no BEGIN")), set_up()))
    assert "cannot be run as one transaction: it has no BEGIN" in said


def test_what_there_is_not_is_refused() -> None:
    assert "left no copy" in check_refused(Case(APPLY, {**PARAMS, "run": "x"}, world(), set_up()))
    assert "has no salvage folder" in check_refused(Case(APPLY, PARAMS, world(folder=None), set_up()))

    def leaderless() -> FakeCluster:
        fake = world()()
        fake.facts["n2"]["salvages"] = Unknown("ssh: no answer")
        return fake

    with operator_host():
        case = Case(APPLY, PARAMS, leaderless, set_up())
        blocked = case.plan(case.world()).blocked
    assert blocked is not None and blocked.verdict.unread and "n2: ssh: no answer" in blocked.verdict.reason


def test_what_was_applied_is_told_and_an_edited_script_is_another_one() -> None:
    with operator_host():
        case = Case(APPLY, PARAMS, world(DONE), set_up())
        plan = case.plan(case.world())
        assert plan.is_empty and plan.blocked is None
        told = "; ".join(step.verdict.reason for step in plan.steps)
        assert "app: 5 rows inserted, 1 updated, 0 deleted on n1 at " in told and "as transaction 4711" in told

        case = Case(APPLY, PARAMS, world(DONE, _folder(sha256="d" * 64)), set_up())
        plan = case.plan(case.world())
        assert "with other content, SHA-256 aaaaaaaaaaaa, it was applied at" in plan.steps[3].verdict.reason
        ended = case.world()
        assert case.run(ended).code is ExitCode.DONE
        (copy,) = facts_of(ended.fake, "n2")[0]
        assert [each.sha256[0] for each in copy.applied] == ["a", "b", "d"]


def test_a_script_that_was_edited_between_plan_and_run_is_not_run() -> None:
    with operator_host():
        case = Case(APPLY, PARAMS, world(), set_up())
        ended = case.world()
        plan = case.plan(ended)
        copies, salvages = facts_of(ended.fake, "n2")
        edited = replace(_folder(sha256="d" * 64), stamp="e" * 64)
        ended.fake.facts["n2"] = {"copies": Known(copies), "salvages": Known(replace(salvages, folders=(edited,)))}
        outcome = case.run_plan(ended, plan)
    assert outcome.code is ExitCode.PLAN_STALE and outcome.effects == 0


def test_a_script_that_fails_ends_the_run_and_blocks_nothing() -> None:
    with operator_host():
        case = Case(APPLY, PARAMS, world(), set_up("failed"))
        ended = case.world()
        outcome = case.run(ended)
        assert outcome.code is ExitCode.FAILED and 'constraint "c"' in outcome.sentence, outcome
        assert outcome.next_step is not None and "mend" in outcome.next_step
        assert facts_of(ended.fake, "n2")[0][0].applied == ()
        copies, salvages = facts_of(ended.fake, "n1")
        (left,) = salvages.carried
        put(ended.fake, "n1", copies, replace(salvages, carried=(replace(left, failed=_of_another_run(left)),)))
        again = Case(APPLY, PARAMS, world(), set_up()).world(ended.fake)
        assert case.run(again).code is ExitCode.DONE, "what failed in an earlier run says nothing of this one"
        assert facts_of(ended.fake, "n1")[1].carried == ()


def _of_another_run(left: CarriedFolder) -> tuple[FailedScript, ...]:
    return tuple(replace(each, run="20261121-0300-zzzzzz") for each in left.failed)


def test_what_cannot_be_told_is_said_and_never_run_again() -> None:
    with operator_host():
        case = Case(APPLY, PARAMS, world(), set_up("unknown"))
        ended = case.world()
        outcome = case.run(ended)
        assert outcome.code is ExitCode.OUTCOME_UNKNOWN and "cannot be told any more" in outcome.unproven[0], outcome
        plan = case.plan(ended)
        assert plan.is_empty and {step.verdict.standing for step in plan.unproven} == {Standing.UNPROVEN}
        assert case.run_plan(ended, plan).code is ExitCode.OUTCOME_UNKNOWN
