"""`recover split-brain` under the contract in rarer worlds: recycled WAL, three branches, one out of reach, sync mode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import pytest

from contract.procedures.split_worlds import (
    archive_knows_more,
    archive_tells_another_way,
    barred,
    out_of_reach,
    recycled,
    recycled_and_archived,
    recycled_and_archived_in_part,
    synchronous,
    three_branches,
    three_off_one_timeline,
)
from contract.procedures.test_recover import copies, let_leases_end
from pgops.engine.outcome import Silent
from pgops.plan.plan import PlannedStep
from pgops.testing.case import Case, operator_host
from pgops.testing.contract import CHECKS, check_refused
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.fake_member import history_text
from pgops_recover.recovering import RECOVER

World = Callable[[], FakeCluster]


def case_of(world: World, survivor: str, without: str = "") -> Case:
    """The recovery in this world."""
    params = {"survivor": survivor, "without": without}
    return Case(RECOVER, params, world, partial(let_leases_end, survivor=survivor))


def back_in_reach() -> FakeCluster:
    """The member that was left out at first answers again, and still takes writes."""
    with operator_host():
        case = case_of(out_of_reach, "n3", "n1=off")
        world = case.world()
        outcome = case.run(world)
        assert outcome.code == 0, outcome
    fake = world.fake
    fake.effects.clear()
    fake.dcs.writes = 0
    fake.change("n1", host_up=True)
    fake.turn()
    return fake


CASES: list[tuple[World, str, str]] = [
    (recycled, "n2", ""),
    (recycled_and_archived, "n2", ""),
    (recycled_and_archived_in_part, "n2", ""),
    (three_branches, "n3", ""),
    (three_branches, "n2", ""),
    (three_branches, "n1", ""),
    (three_off_one_timeline, "n2", ""),
    (three_off_one_timeline, "n3", ""),
    (out_of_reach, "n3", "n1=off"),
    (back_in_reach, "n3", ""),
    (synchronous, "n2", ""),
    (synchronous, "n1", ""),
    (archive_knows_more, "n2", ""),
    (archive_knows_more, "n1", ""),
    (barred, "n2", ""),
    (archive_tells_another_way, "n2", ""),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    ("world", "survivor", "without"), CASES, ids=[f"{world.__name__}-{name}" for world, name, _ in CASES]
)
def test_recover(world: World, survivor: str, without: str, check: Callable[[Case], None]) -> None:
    with operator_host():
        check(case_of(world, survivor, without))


@dataclass
class _Told(Silent):
    """What was said when a step was done."""

    said: dict[str, str] = field(default_factory=dict)

    def step(
        self, number: int, total: int, step: PlannedStep, state: str, detail: str, progress: float | None = None
    ) -> None:
        if state == "done":
            self.said[step.id] = detail


def recovered(case: Case) -> tuple[FakeCluster, dict[str, str]]:
    """The cluster after an undisturbed run, and what was said of each step."""
    with operator_host():
        world, told = case.world(), _Told()
        outcome = case.run(world, told)
        assert outcome.code == 0, outcome
        assert world.fake.destroyed == [], "somebody was rewound"
        return world.fake, told.said


@pytest.mark.parametrize(
    ("world", "whole"),
    [(recycled, False), (recycled_and_archived, True), (recycled_and_archived_in_part, False)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_wal_that_neither_the_loser_nor_the_archive_has_is_told(world: World, whole: bool) -> None:
    fake, said = recovered(case_of(world, "n2"))
    (copy,) = copies(fake, "n1")
    assert copy.accounted and copy.incomplete is not whole
    assert ("part of it is unknown: pgops copies show" in said["account-n1"]) is not whole
    assert said["account-n1"].startswith(f"what only it has is counted in {copy.path}/account")


@pytest.mark.parametrize("survivor", ["n1", "n2", "n3"])
def test_of_three_branches_the_two_that_lose_are_kept(survivor: str) -> None:
    fake, said = recovered(case_of(three_branches, survivor))
    others = [name for name in fake.members if name != survivor]
    assert all(copies(fake, name)[0].has("data") for name in others)
    at = [[step for step in said if step.endswith(name)][-1] for name in others]
    assert at == [f"rejoin-{name}" for name in others], "one after the other, to the end"
    assert fake.members[survivor].holds_lock and fake.members[survivor].timeline == (4 if survivor == "n3" else 6)


def test_who_is_left_out_is_told_and_not_touched() -> None:
    case = case_of(out_of_reach, "n3", "n1=off")
    fake, _ = recovered(case)
    assert fake.members["n1"] == out_of_reach().members["n1"], "it was touched"
    with operator_host():
        again = case.plan(case.world(fake))
    evidence = again.steps[0]
    assert again.is_empty
    assert "no member that is seen has anything that it has not" in evidence.verdict.reason
    assert "what n1 alone may have is left as it is: run this again once it is back" in evidence.verdict.reason


def test_who_was_left_out_is_kept_once_it_is_back() -> None:
    fake, said = recovered(case_of(back_in_reach, "n3"))
    assert copies(fake, "n1")[0].accounted and "rejoin-n1" in said and "rejoin-n2" not in said
    assert fake.members["n1"].timeline == fake.members["n3"].timeline


def test_a_survivor_that_was_no_synchronous_standby_may_lead() -> None:
    """Patroni promotes nobody whom the key does not name, and nobody who is too far behind what the last leader told."""
    fake = synchronous()
    assert fake.dcs.peek("/service/demo/sync").value == '{"leader": "n2", "sync_standby": "n3"}'  # type: ignore[union-attr] # it is there
    fake, said = recovered(case_of(synchronous, "n1"))
    assert said["drop-keys"] == "none is there"
    assert fake.members["n1"].holds_lock and fake.members["n1"].timeline > 3
    fake.advance(20)
    assert fake.dcs.peek("/service/demo/sync").value == '{"leader": "n1", "sync_standby": "n2"}'  # type: ignore[union-attr]


@pytest.mark.parametrize("survivor", ["n1", "n2"])
def test_the_survivor_goes_on_above_what_only_the_archive_knows(survivor: str) -> None:
    fake, said = recovered(case_of(archive_knows_more, survivor))
    assert said[f"lift-{survivor}"] == f"{survivor} is above timeline 4"
    assert [member.timeline for member in fake.members.values()] == [6, 6, 6]
    assert all(member.postgres == "running" for member in fake.members.values())


def test_nobody_is_left_out_where_the_archive_knows_more() -> None:
    said = check_refused(case_of(archive_knows_more, "n2", "n3=off"))
    assert "a member that is left as it is (n3) could take the lock, or lead others astray" in said, said


def test_what_the_archive_knows_may_be_unknown() -> None:
    def world() -> FakeCluster:
        fake = archive_knows_more()
        fake.archive_unread = "no answer in time"
        return fake

    with operator_host():
        case = case_of(world, "n2")
        plan = case.plan(case.world())
    assert "whether the archive knows a higher timeline than n2 is on is unknown: no answer in time" in (
        plan.steps[0].verdict.reason
    )


def test_what_bars_the_survivor_goes_and_it_is_not_lifted_for_it() -> None:
    fake, said = recovered(case_of(barred, "n2"))
    (copy,) = copies(fake, "n1")
    assert copy.quarantined and fake.barring == () and "lift-n2" not in said
    with operator_host():
        case = case_of(barred, "n2")
        (step,) = [step for step in case.plan(case.world()).steps if step.id == "quarantine-n1"]
    (item,) = barred().barring
    assert (
        step.verdict.reason == f"the archive has another {item.name} than the survivor's, and so takes nothing of its"
    )


def test_a_survivor_whose_way_the_archive_does_not_know_goes_on_above_it() -> None:
    fake, said = recovered(case_of(archive_tells_another_way, "n2"))
    (archive,) = fake.archives
    assert archive.histories[3] == history_text(3, fake.origins), "its own way is archived"
    assert "lift-n2" in said and fake.members["n2"].timeline > 3


@pytest.mark.parametrize("unseen", [False, True])
def test_what_bars_the_survivor_and_is_nobodys_is_told(unseen: bool) -> None:
    fake = barred()
    (item,) = fake.barring
    fake.barring = (replace(item, holders=()),)
    with operator_host():
        case = case_of(barred, "n2")
        world = case.world(fake)
        if unseen:
            fake.archive_unread = "the repository is not mounted"
        evidence = case.plan(world).steps[0]
    said = "the repository is not mounted" if unseen else f"another {item.name} than n2's, which nobody who loses has"
    assert said in evidence.verdict.reason and (unseen or f"keep {item.path} (" in evidence.verdict.reason)


def test_what_bars_a_leader_is_told_where_nobody_loses() -> None:
    fake = FakeCluster()
    fake.barring = tuple(replace(item, holders=(), strangers=("n1",)) for item in barred().barring)
    with operator_host():
        case = case_of(FakeCluster, "n1")
        plan = case.plan(case.world(fake))
    assert plan.is_empty and "remove it there (pgbackrest repo-rm)" in plan.steps[0].verdict.reason
