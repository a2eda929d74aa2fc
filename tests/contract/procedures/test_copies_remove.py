"""`copies remove` under the contract: a kept copy with a tablespace elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from pgops.observe.branch_facts import CopyFacts
from pgops.observe.snapshot import View
from pgops.plan.actions import RunCommand
from pgops.plan.step import Params
from pgops.readings import Known, Unknown, known
from pgops.testing.case import Case, operator_host
from pgops.testing.contract import CHECKS, check_refused
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.fake_world import FakeWorld
from pgops_recover.removing import REMOVE_COPIES

RUN = "20261122-0300-abcdef"
PARAMS: Params = {"run": RUN, "node": "", "unsalvaged": False}
MADE_AT = datetime(2026, 11, 22, 3, 0, tzinfo=timezone.utc)
KEEP = f"/var/lib/postgresql/data.pgops-{RUN}"
SPACE = f"/srv/space.pgops-{RUN}"
PARTS = (("wal", f"{KEEP}/wal"), ("data", f"{KEEP}/data"), ("tablespace", SPACE))
COPY = CopyFacts(
    KEEP, RUN, "recover-split-brain", "n1", MADE_AT, "alice@here", "", PARTS, accounted=True, salvaged=True
)
OTHER = replace(COPY, run="20261121-0300-abcdef", path="/var/lib/postgresql/data.pgops-20261121-0300-abcdef")


def world(copy: CopyFacts = COPY) -> Callable[[], FakeCluster]:
    def make() -> FakeCluster:
        fake = FakeCluster()
        fake.facts["n1"] = {"copies": Known((OTHER, copy))}
        return fake

    return make


def set_up(world: FakeWorld) -> None:
    def rm(fake: FakeCluster, host: str, argv: tuple[str, ...]) -> int:
        assert argv[:3] == ("rm", "-rf", "--")
        node = fake.snapshot(frozenset({View.COPIES})).node(host)
        left = tuple(copy for copy in (known(node.copies) if node else None) or () if copy.path != argv[3])
        fake.facts[host] = {"copies": Known(left)}
        return 0

    world.commands.update({"rm": rm, "find": lambda _fake, _host, _argv: 0})


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_remove(check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(REMOVE_COPIES, PARAMS, world(), set_up))


def test_what_lies_elsewhere_goes_along_and_the_manifest_goes_last() -> None:
    with operator_host():
        case = Case(REMOVE_COPIES, PARAMS, world(), set_up)
        plan = case.plan(case.world())
    (step,) = [step for step in plan.steps if step.id == "remove-n1"]
    words = [action.argv for action in step.actions if isinstance(action, RunCommand)]
    assert words[0] == ("rm", "-rf", "--", SPACE) and words[-1] == ("rm", "-rf", "--", KEEP)
    assert words[1][:2] == ("find", KEEP) and "manifest.json" in words[1]


@pytest.mark.parametrize("place", ["/srv/space", "/", f"relative.pgops-{RUN}", "/var/lib/postgresql/data"])
def test_a_manifest_that_names_other_places_is_not_followed(place: str) -> None:
    copy = replace(COPY, parts=(*PARTS, ("tablespace", place)))
    assert "which do not end in" in check_refused(Case(REMOVE_COPIES, PARAMS, world(copy), set_up))


def test_what_was_never_read_is_not_removed_unasked() -> None:
    copy = replace(COPY, salvaged=False)
    assert "never read" in check_refused(Case(REMOVE_COPIES, PARAMS, world(copy), set_up))
    with operator_host():
        case = Case(REMOVE_COPIES, {"run": RUN, "unsalvaged": True}, world(copy), set_up)
        ended = case.world()
        assert case.run(ended).code == 0
        node = ended.fake.snapshot(frozenset({View.COPIES})).node("n1")
        assert node is not None and known(node.copies) == (OTHER,)


def test_a_host_that_cannot_be_seen_may_have_another_copy() -> None:
    def make() -> FakeCluster:
        fake = world()()
        fake.facts["n2"] = {"copies": Unknown("ssh: no answer")}
        return fake

    with operator_host():
        case = Case(REMOVE_COPIES, PARAMS, make, set_up)
        blocked = case.plan(case.world()).blocked
    assert blocked is not None and blocked.verdict.next_step == f"pgops copies remove {RUN} --node n1"
