"""`salvage remove` under the contract: the folder goes, the copy and what tells what was applied stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from contract.procedures.salvage_worlds import (
    APP,
    BEGUN,
    COPY,
    KEEP,
    RECORDS,
    RUN,
    applied,
    facts_of,
    set_up,
    world,
)
from pgops.observe.salvage_facts import CarriedFolder
from pgops.plan.actions import RunCommand
from pgops.plan.step import Params, Risk
from pgops.readings import Unknown
from pgops.testing.case import Case, operator_host
from pgops.testing.contract import CHECKS
from pgops.testing.fake_cluster import FakeCluster
from pgops_recover.discarding import REMOVE_FOLDERS
from pgops_recover.removing import REMOVE_COPIES

PARAMS: Params = {"run": RUN, "node": ""}
LEFT = CarriedFolder(RECORDS, "old", 9, 99)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_remove(check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(REMOVE_FOLDERS, PARAMS, world(carried={"n1": LEFT, "n3": replace(LEFT, begun=(BEGUN,))}), set_up()))


def test_what_goes_is_told_and_asked_for() -> None:
    copy = replace(COPY, applied=(applied("app", APP.sha256),))
    with operator_host():
        case = Case(REMOVE_FOLDERS, PARAMS, world(copy, carried={"n1": LEFT}), set_up())
        plan = case.plan(case.world())
    assert plan.risk is Risk.DESTROY
    told = "; ".join(step.verdict.reason for step in plan.steps)
    assert "it holds 9 files, 3456 bytes, 17 rows of 2 tables; app: 5 rows inserted" in told
    assert "not applied as it is now: other.sql" in told
    assert f"{RECORDS} on n1 holds 9 files, 99 bytes, of a run that did not end" in told
    words = [action.argv for step in plan.steps for action in step.actions if isinstance(action, RunCommand)]
    assert words[0][-3:] == (f"{KEEP}/salvage/applied.json", f"{KEEP}/applied-{plan.pinned.run_id}.json", KEEP)
    assert "summary.json" in words[1] and words[2] == ("rm", "-rf", "--", f"{KEEP}/salvage")
    assert words[3] == ("rm", "-rf", "--", RECORDS)


def test_what_alone_tells_of_an_application_stays_without_its_rows() -> None:
    left = replace(LEFT, applied=(applied("app", APP.sha256),))
    with operator_host():
        case = Case(REMOVE_FOLDERS, PARAMS, world(carried={"n1": left}), set_up())
        ended = case.world()
        assert case.run(ended).code == 0
        (there,) = facts_of(ended.fake, "n1")[1].carried
        assert there.applied == left.applied and (there.stamp, there.files) == (None, 0)
        assert "it alone tells what was applied" in case.plan(ended).steps[-1].verdict.reason


def test_afterwards_the_copy_alone_has_the_rows_and_is_not_removed_unasked() -> None:
    with operator_host():
        case = Case(REMOVE_FOLDERS, PARAMS, world(), set_up())
        ended = case.world()
        assert case.run(ended).code == 0
        removal = Case(REMOVE_COPIES, {**PARAMS, "unsalvaged": False}, lambda: ended.fake, set_up())
        blocked = removal.plan(removal.world()).blocked
    assert blocked is not None and "never read" in blocked.verdict.reason


def test_a_host_that_is_not_seen_may_have_rows() -> None:
    def make() -> FakeCluster:
        fake = world()()
        fake.facts["n3"]["salvages"] = Unknown("ssh: no answer")
        return fake

    with operator_host():
        case = Case(REMOVE_FOLDERS, PARAMS, make, set_up())
        blocked = case.plan(case.world()).blocked
    assert blocked is not None and blocked.verdict.unread and "n3: ssh: no answer" in blocked.verdict.reason


def test_a_run_without_copies_has_nothing_to_remove() -> None:
    with operator_host():
        case = Case(REMOVE_FOLDERS, {**PARAMS, "run": "x"}, world(), set_up())
        plan = case.plan(case.world())
    assert plan.is_empty and plan.blocked is None
