"""`node hold` and `node release` under the contract, by both service managers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from pgops.config.model import ServiceConfig
from pgops.observe.records import HoldRecord, hold_value
from pgops.testing.case import Case, operator_host
from pgops.testing.contract import CHECKS, check_refused
from pgops.testing.fake_cluster import FakeCluster, fake_config
from pgops.testing.fake_host import FakeHost, unit_names
from pgops_node.holding import HOLD, RELEASE

NAMES = ("n1", "n2", "n3")
SYSTEMD = ServiceConfig()
SUPERVISOR = ServiceConfig("supervisor", (("patroni", "patroni-{host}"),), "/lab/supervisord.conf")
BOB = hold_value(HoldRecord("bob@there", "disk change", datetime(2026, 11, 22, tzinfo=timezone.utc)))
PARAMS = {"node": "n2", "service": "patroni", "reason": "moving racks"}

Change = Callable[[FakeCluster], None]


def running(_fake: FakeCluster) -> None:
    pass


def stopped(fake: FakeCluster) -> None:
    fake.change_host("n2", lambda host: replace(host, running=frozenset()))
    fake.change("n2", patroni="dead", postgres="stopped")
    fake.advance(31)


def _write_hold(fake: FakeCluster, count: int | None) -> None:
    (unit,) = [unit for role, unit in unit_names(fake.config.services, "n2") if role == "patroni"]

    def hold(host: FakeHost) -> FakeHost:
        for file in fake.manager.hold_files(unit, BOB)[:count]:
            host = host.with_file(file.path, file.content)
        return replace(host, loaded=frozenset(host.files))

    fake.change_host("n2", hold)


def held(fake: FakeCluster) -> None:
    _write_hold(fake, None)


def held_and_stopped(fake: FakeCluster) -> None:
    _write_hold(fake, None)
    stopped(fake)


def half_held(fake: FakeCluster) -> None:
    """By systemd: the drop-in without its file, as a hold that was cut off leaves it."""
    _write_hold(fake, 1)


def world(services: ServiceConfig, change: Change) -> Callable[[], FakeCluster]:
    def make() -> FakeCluster:
        fake = FakeCluster(NAMES, config=fake_config(NAMES, services))
        change(fake)
        return fake

    return make


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("change", [running, stopped], ids=lambda change: change.__name__)
@pytest.mark.parametrize("services", [SYSTEMD, SUPERVISOR], ids=lambda services: services.manager)
def test_hold(services: ServiceConfig, change: Change, check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(HOLD, PARAMS, world(services, change)))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("change", [held, held_and_stopped], ids=lambda change: change.__name__)
@pytest.mark.parametrize("services", [SYSTEMD, SUPERVISOR], ids=lambda services: services.manager)
def test_release(services: ServiceConfig, change: Change, check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(RELEASE, PARAMS, world(services, change)))


@pytest.mark.parametrize(
    "check", [check for check in CHECKS if check.__name__ != "check_abort"], ids=lambda c: c.__name__
)
def test_release_of_half_a_hold(check: Callable[[Case], None]) -> None:
    """What holds nothing is removed, and no way back makes a hold of it."""
    with operator_host():
        check(Case(RELEASE, PARAMS, world(SYSTEMD, half_held)))


def test_a_held_node_that_stands_is_not_started() -> None:
    with operator_host():
        case = Case(HOLD, PARAMS, world(SYSTEMD, stopped))
        fake = case.make_cluster()
        case.run(case.world(fake))
        assert fake.members["n2"].patroni == "dead" and fake.hosts["n2"].running == frozenset()
        assert fake.hosts["n2"].refused == {"patroni": "start 1"}


def test_unreachable_is_neither_held_nor_stopped() -> None:
    make = world(SYSTEMD, lambda fake: fake.change("n2", host_up=False))
    assert "cannot be seen" in check_refused(Case(HOLD, PARAMS, make))
    assert "cannot be seen" in check_refused(Case(RELEASE, PARAMS, make))
    assert "no host n9 is configured" in check_refused(Case(HOLD, {**PARAMS, "node": "n9"}, world(SYSTEMD, running)))
