"""The contract suite finds what it is there to find: procedures with one fault each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action, Again, RunCommand
from pgops.plan.step import FirstOf, Params, Part, Pinned, Procedure, Step, Verdict, needed, satisfied, unchanged
from pgops.readings import Known, known
from pgops.testing.case import Case, operator_host
from pgops.testing.contract import CHECKS
from pgops.testing.crash_checks import check_abort, check_crashes
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.fake_world import FakeWorld
from pgops.testing.fault_checks import check_failures_after_effect, check_lies
from pgops.testing.plan_checks import (
    check_effects_are_planned,
    check_planning_is_pure,
    check_prediction,
    check_reached_goal_is_empty,
)
from pgops_pause.pausing import PAUSE

HOST = "n2"
DATA = "/var/lib/postgresql/data"
_numbers = count()


def names(now: Snapshot) -> frozenset[str]:
    node = now.node(HOST)
    files = known(node.files) if node else None
    return files.names if files else frozenset()


def with_name(now: Snapshot, name: str) -> Snapshot:
    nodes = []
    for node in now.nodes:
        files = known(node.files)
        mine = node.name == HOST and files is not None
        nodes.append(replace(node, files=Known(replace(files, names=files.names | {name}))) if mine and files else node)
    return replace(now, nodes=tuple(nodes))


def mark(name: str, *actions: Action, after: str | None = None) -> Step:
    """A step that leaves a file of that name."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        if after is not None and after in names(now):
            return satisfied(f"{after} will do")
        return satisfied("there") if name in names(now) else needed("not there")

    own = actions or (RunCommand(HOST, ("mark", name)),)
    return Step(
        name,
        "why",
        check,
        frozenset({View.HOST}),
        lambda _first, _now: own,
        lambda now: with_name(now, name),
        frozenset({HOST}),
        timeout_s=0.1,
    )


def procedure(*parts: Part) -> Procedure:
    return Procedure("sample", lambda _p, cluster: f"mark {cluster}", frozenset({View.HOST}), lambda _p, _i, _f: parts)


def serve(world: FakeWorld) -> None:
    def put(fake: FakeCluster, host: str, argv: tuple[str, ...]) -> int:
        fake.change_host(host, lambda item: item.with_file(f"{DATA}/{argv[1]}", ""))
        return 0

    def add(fake: FakeCluster, host: str, _argv: tuple[str, ...]) -> int:
        before = fake.hosts[host].files.get(f"{DATA}/sum", "")
        fake.change_host(host, lambda item: item.with_file(f"{DATA}/sum", f"{before}x"))
        return 0

    world.commands["mark"] = put
    world.commands["add"] = add
    world.commands["nothing"] = lambda _fake, _host, _argv: 0


def _random(_params: Params, _pinned: Pinned, _first: Snapshot) -> tuple[Part, ...]:
    return (mark("a", RunCommand(HOST, ("mark", "a", str(next(_numbers))))),)


def _without_moves(params: Params, pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    return tuple(
        part if isinstance(part, FirstOf) else replace(part, moves=frozenset())
        for part in PAUSE.steps(params, pinned, first)
    )


ADD, MARK = RunCommand(HOST, ("add",)), RunCommand(HOST, ("mark", "a"))

FAULTY: list[tuple[str, Procedure, Callable[[Case], None]]] = [
    ("another plan each time", replace(procedure(), steps=_random), check_planning_is_pure),
    (
        "a prediction that is not made",
        procedure(replace(mark("a"), expect=unchanged), mark("b", after="a")),
        check_prediction,
    ),
    (
        "a prediction that is wrong",
        procedure(replace(mark("a"), expect=lambda now: with_name(now, "b")), mark("b")),
        check_effects_are_planned,
    ),
    ("an effect that leaves nothing", procedure(mark("a", RunCommand(HOST, ("nothing",)))), check_effects_are_planned),
    ("a check that sees one of two effects", procedure(mark("a", ADD, MARK)), check_lies),
    ("an effect that cannot be seen or repeated", procedure(mark("a", ADD, MARK)), check_crashes),
    (
        "one that may not be repeated",
        procedure(mark("a", replace(ADD, again=Again.SAFE), MARK)),
        check_failures_after_effect,
    ),
    ("a key that moves, and nobody said so", replace(PAUSE, steps=_without_moves), check_effects_are_planned),
    ("a way back that goes nowhere", replace(PAUSE, way_back=lambda _p, _i, _f: ()), check_abort),
    (
        "a goal that is never reached",
        procedure(
            replace(
                mark("a"),
                check=lambda first, now: needed("more") if first is now or first == now else satisfied("done"),
            )
        ),
        check_reached_goal_is_empty,
    ),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_faultless_one_passes(check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(procedure(mark("a"), mark("b")), {}, FakeCluster, serve))


@pytest.mark.parametrize(("faulty", "check"), [item[1:] for item in FAULTY], ids=[item[0] for item in FAULTY])
def test_a_fault_is_found(faulty: Procedure, check: Callable[[Case], None]) -> None:
    with operator_host(), pytest.raises(AssertionError):
        check(Case(faulty, {"reason": None, "expires_s": None}, FakeCluster, serve))
