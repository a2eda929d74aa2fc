"""Folding: digests, seals, blocked steps, branches, and the exact lines of actions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pgops.dcs import Compare, Delete, Put
from pgops.hosts.host import Identity
from pgops.observe.snapshot import Snapshot
from pgops.plan.actions import (
    Action,
    CallRest,
    CarryFolder,
    ChangeKeys,
    Hole,
    RunCommand,
    RunSql,
    StartJob,
    WriteFile,
    render_action,
)
from pgops.plan.plan import NOT_REACHED, Plan, derive_plan, plan_document, seal_plan
from pgops.plan.step import FirstOf, Part, Procedure, Risk, Step, Verdict, blocked, needed, satisfied, unproven
from pgops.testing.case import PINNED
from pgops.testing.fake_cluster import FakeCluster

ACT = RunCommand("n1", ("true",))


def step(name: str, verdict: Verdict, risk: Risk = Risk.CHANGE, *actions: Action) -> Step:
    return Step(
        name, "why", lambda _first, _now: verdict, frozenset(), lambda _first, _now: actions or (ACT,), risk=risk
    )


def folded(*parts: Part, **changes: object) -> Plan:
    procedure = Procedure("sample", lambda _params, cluster: f"try {cluster}", frozenset(), lambda _p, _i, _f: parts)
    seen: Snapshot = FakeCluster().snapshot(frozenset())
    return derive_plan(replace(procedure, **changes), {}, PINNED, seen)  # type: ignore[arg-type] # its own fields


def test_after_a_blocked_step_nothing_is_reached() -> None:
    plan = folded(
        step("a", satisfied("yes")), step("b", blocked("no", "do that")), step("c", needed("yes"), Risk.DESTROY)
    )
    assert plan.blocked is plan.steps[1]
    assert plan.steps[2].verdict.reason == NOT_REACHED and plan.steps[2].actions == ()
    assert plan.is_empty and plan.risk is Risk.READ


def test_a_branch_is_blocked_where_all_its_options_are() -> None:
    no, yes = step("a", blocked("no")), step("b", needed("yes"), Risk.INTERRUPT)
    assert folded(FirstOf("x", "why", (no, yes))).blocked is None
    assert folded(FirstOf("x", "why", (no, yes))).risk is Risk.INTERRUPT
    shut = folded(FirstOf("x", "why", (no, replace(no, id="b"))), step("c", needed("yes")))
    assert shut.blocked is shut.steps[0] and shut.steps[2].verdict.reason == NOT_REACHED


def test_a_step_is_judged_on_what_the_earlier_ones_leave() -> None:
    first = replace(step("a", needed("yes")), expect=lambda now: replace(now, warnings=("done",)))
    then = Step("b", "why", lambda _first, now: satisfied("yes") if now.warnings else needed("no"), frozenset())
    assert folded(first, then).steps[1].verdict.passed
    assert not folded(then).steps[0].verdict.passed


def test_unproven_steps_are_told() -> None:
    plan = folded(step("a", unproven("n3 is silent")))
    assert [item.id for item in plan.unproven] == ["a"] and plan.is_empty


def test_the_digest_covers_what_is_done_and_nothing_that_moves_by_itself() -> None:
    plan = folded(step("a", needed("3 s ago")))
    assert folded(step("a", needed("4 s ago"))).digest == plan.digest
    later = replace(plan, pinned=replace(PINNED, moment=PINNED.moment + timedelta(hours=1)))
    assert later.digest == plan.digest
    for other in (
        folded(step("b", needed("yes"))),
        folded(step("a", satisfied("yes"))),
        folded(step("a", needed("yes"), Risk.DESTROY)),
        folded(step("a", needed("yes"), Risk.CHANGE, RunCommand("n2", ("true",)))),
        folded(step("a", needed("yes")), step("b", needed("yes"))),
        folded(step("a", needed("yes")), premises=("leader",)),
        folded(step("a", needed("yes")), name="other"),
    ):
        assert other.digest != plan.digest


def test_the_seal_covers_the_whole_text() -> None:
    document = plan_document(folded(step("a", needed("yes"))))
    assert seal_plan(document) == document["seal"]
    for name in document:
        if name != "seal":
            assert seal_plan({**document, name: "edited"}) != document["seal"], name


@pytest.mark.parametrize(
    ("action", "line"),
    [
        (RunCommand("n1", ("rm", "a b", Hole("label"))), "[n1 as the owner of PostgreSQL's files] rm 'a b' <label>"),
        (StartJob("n1", "j", ("sleep", "1"), Identity.ROOT), "[n1 as root] (job j) sleep 1"),
        (
            CallRest("PATCH", "/config", {"b": None, "a": 1}),
            '[Patroni of any member] PATCH /config {"a": 1, "b": null}',
        ),
        (CallRest("POST", "/reload", member="n2"), "[Patroni of n2] POST /reload"),
        (RunSql("n1", "select\n  pg_promote($1)", ("x",)), "[PostgreSQL of n1] select pg_promote($1) with x"),
        (
            ChangeKeys((Compare("/a", 0), Compare("/b", 7)), (Put("/a", "1"), Delete("/b"))),
            "[DCS] put /a 1; delete /b (only if /a is absent, /b has revision 7)",
        ),
        (WriteFile("n1", "/x y", "a\nb\n", 0o644, Identity.LOGIN), "[n1] write '/x y' (mode 0644): 'a\\nb'"),
        (WriteFile("n1", "/x", None), "[n1 as the owner of PostgreSQL's files] remove /x"),
        (
            CarryFolder("n2", "/a b", "n1", "/c", "0123456789abcdef"),
            "[n1 as the owner of PostgreSQL's files] carry '/a b' of n2 to /c (only while its stamp is 0123456789ab)",
        ),
        (
            CarryFolder("n2", "/a", "n1", "/c", whole=False, identity=Identity.LOGIN),
            "[n1] carry the files of /a of n2 into /c",
        ),
    ],
)
def test_an_action_is_one_line(action: Action, line: str) -> None:
    assert render_action(action) == line
    hash(action)
