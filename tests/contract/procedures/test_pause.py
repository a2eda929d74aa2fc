"""`pause` and `resume` under the contract, in worlds well and ill."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

import pytest

from pgops.observe.keys import record_prefix
from pgops.observe.record_facts import PauseRecord
from pgops.observe.records import pause_value
from pgops.testing.case import Case, operator_host
from pgops.testing.contract import CHECKS, check_refused
from pgops.testing.fake_cluster import TTL_S, FakeCluster
from pgops_pause.pausing import PAUSE
from pgops_pause.resuming import RESUME

BOB = PauseRecord("bob@there", "disk change", datetime(2026, 11, 22, tzinfo=timezone.utc), None)
WHY = {"reason": "moving racks", "expires_s": None}


def plain() -> FakeCluster:
    return FakeCluster()


def one_dead() -> FakeCluster:
    fake = FakeCluster()
    fake.change("n3", patroni="dead")
    fake.advance(TTL_S + 1)
    return fake


def one_frozen() -> FakeCluster:
    fake = FakeCluster()
    fake.change("n2", patroni="frozen")
    fake.advance(TTL_S + 1)
    return fake


def single() -> FakeCluster:
    return FakeCluster(("n1",))


def record_alone() -> FakeCluster:
    fake = FakeCluster()
    fake.dcs.plant(f"{record_prefix(fake.config.prefix)}pause", pause_value(BOB))
    return fake


def paused() -> FakeCluster:
    fake = FakeCluster()
    fake.patch_config({"pause": True})
    fake.turn()
    return fake


def paused_by_another() -> FakeCluster:
    fake = paused()
    fake.dcs.plant(f"{record_prefix(fake.config.prefix)}pause", pause_value(BOB))
    return fake


def two_primaries() -> FakeCluster:
    fake = paused()
    fake.begin_timeline("n2", 3)
    return fake


def unseen() -> FakeCluster:
    fake = paused()
    fake.change("n3", postgres="crashed", host_up=False)
    return fake


PAUSES: list[Callable[[], FakeCluster]] = [plain, one_dead, one_frozen, single, record_alone, paused]
LEFT_ALONE = frozenset({"pause"})
"""The record of a pause that ended otherwise says nothing any more, and no way back brings it back."""

RESUMES: list[Callable[[], FakeCluster]] = [paused, paused_by_another, record_alone]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("world", PAUSES, ids=lambda world: world.__name__)
def test_pause(world: Callable[[], FakeCluster], check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(PAUSE, WHY, world, not_restored=LEFT_ALONE if world is record_alone else frozenset()))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("world", RESUMES, ids=lambda world: world.__name__)
def test_resume(world: Callable[[], FakeCluster], check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(RESUME, {"without": None}, world, not_restored=LEFT_ALONE if world is record_alone else frozenset()))


def test_resume_is_refused_where_evidence_would_go() -> None:
    assert "n1, n2 all take writes" in check_refused(Case(RESUME, {"without": None}, two_primaries))
    assert "n3 cannot be seen" in check_refused(Case(RESUME, {"without": None}, unseen))
