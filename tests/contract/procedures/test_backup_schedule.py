"""`backup-schedule-install` and `-remove` under the contract, for cron and for systemd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from contract.procedures.test_backup import case as backup_case
from contract.procedures.test_backup import world as backup_world
from pgops.engine.operation import find_run_id, make_plan
from pgops.engine.outcome import Outcome
from pgops.errors import ExitCode, Refused, Unreachable
from pgops.hosts.host import Identity
from pgops.observe.facts import ScheduleFacts
from pgops.observe.records import LOCKS
from pgops.observe.schedules import UNITS, cron_path, link_path
from pgops.plan.actions import RunCommand, WriteFile
from pgops.readings import Known, Unknown
from pgops.testing.case import PINNED, Case, operator_host
from pgops.testing.contract import CHECKS
from pgops.testing.fake_cluster import FakeCluster, fake_config
from pgops.testing.fake_world import FakeWorld
from pgops.testing.faults import Faults
from pgops_backup.backing_up import BACKUP
from pgops_backup.installing import INSTALL, REMOVE

NAMES = ("n1", "n2", "n3")
CRON: dict[str, Any] = {"nodes": "n1 n2 n3", "keeper": "cron", "config": None, "path": "/usr/bin:/bin"}
SYSTEMD = {**CRON, "keeper": "systemd"}


def bare() -> FakeCluster:
    return FakeCluster(NAMES, config=fake_config(NAMES, stanza="demo"))


def systemctl(fake: FakeCluster, host: str, argv: tuple[str, ...]) -> int:
    """What enabling and disabling do to the links of timers."""
    verb, now, end, *units = argv[1:]
    assert (now, end) == ("--now", "--")
    for unit in units:
        if verb == "enable" and f"{UNITS}/{unit}" not in fake.hosts[host].files:
            return 1
        link = f"{UNITS}/timers.target.wants/{unit}"
        content = fake.hosts[host].files.get(f"{UNITS}/{unit}") if verb == "enable" else None
        fake.change_host(host, lambda item, link=link, content=content: item.with_file(link, content))  # type: ignore[misc]
    return 0


def set_up(world: FakeWorld) -> None:
    world.commands["systemctl"] = systemctl


def installed(params: dict[str, Any]) -> Callable[[], FakeCluster]:
    """Makes a cluster where this was installed."""

    def make() -> FakeCluster:
        case = Case(INSTALL, params, bare, set_up)
        with operator_host():
            world = case.world()
            case.run(world)
            world.fake.effects.clear()
        return world.fake

    return make


def run(case: Case) -> tuple[Outcome, FakeWorld]:
    with operator_host():
        world = case.world()
        return case.run(world), world


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    ("procedure", "params", "make"),
    [
        (INSTALL, CRON, bare),
        (INSTALL, {**SYSTEMD, "nodes": "n1 n3"}, bare),
        (REMOVE, {"nodes": "n1 n2 n3"}, installed(CRON)),
    ],
    ids=["cron", "systemd", "remove"],
)
def test_the_contract(check: Callable[[Case], None], procedure: Any, params: Any, make: Any) -> None:
    with operator_host():
        check(Case(procedure, params, make, set_up))


def test_the_files_are_roots_and_for_all_to_read() -> None:
    _, world = run(Case(INSTALL, CRON, bare, set_up))
    written = [action for action in world.fake.effects if isinstance(action, WriteFile)]
    assert [(action.host, action.path) for action in written] == [
        (name, f"/etc/cron.d/pgops-backup-demo-{name}") for name in NAMES
    ]
    assert {(action.mode, action.identity) for action in written} == {(0o644, Identity.ROOT)}


def test_timers_are_begun_and_ended() -> None:
    outcome, world = run(Case(INSTALL, SYSTEMD, bare, set_up))
    assert outcome.code is ExitCode.DONE
    enabled = next(action for action in world.fake.effects if isinstance(action, RunCommand))
    units = ("pgops-backup-demo-n1-full.timer", "pgops-backup-demo-n1-diff.timer")
    assert enabled.argv == ("systemctl", "enable", "--now", "--", *units)
    outcome, world = run(Case(REMOVE, {"nodes": "n1"}, lambda: world.fake, set_up))
    assert outcome.code is ExitCode.DONE
    assert world.fake.hosts["n1"].files == {}
    assert link_path(world.fake.config, "n2", "full") in world.fake.hosts["n2"].files


def test_cron_takes_the_place_of_timers() -> None:
    outcome, world = run(Case(INSTALL, CRON, installed(SYSTEMD), set_up))
    assert outcome.code is ExitCode.DONE
    assert [list(world.fake.hosts[name].files) for name in NAMES] == [
        [cron_path(world.fake.config, name)] for name in NAMES
    ]


def test_a_file_that_was_changed_by_hand_is_shown_before_it_is_replaced() -> None:
    def edited() -> FakeCluster:
        fake = installed(CRON)()
        path = cron_path(fake.config, "n2")
        text = fake.hosts["n2"].files[path].replace("25 * * * *", "17 * * * *")
        fake.change_host("n2", lambda host: host.with_file(path, text))
        return fake

    case = Case(INSTALL, CRON, edited, set_up)
    with operator_host():
        plan = case.plan(case.world())
    assert [bool(step.actions) for step in plan.steps] == [False, True, False]
    said = plan.steps[1].verdict.reason
    assert "- '17 * * * * root pgops backup" in said and "+ '25 * * * * root pgops backup" in said
    assert run(case)[0].code is ExitCode.DONE


def test_a_host_that_cannot_be_seen() -> None:
    def dark() -> FakeCluster:
        fake = bare()
        fake.facts["n2"] = {"schedules": Unknown("ssh: no answer in time")}
        return fake

    with pytest.raises(Unreachable) as caught:
        run(Case(INSTALL, CRON, dark, set_up))
    assert caught.value.next_step == "leave it out: --node"
    outcome, _ = run(Case(INSTALL, {**CRON, "nodes": "n1 n3"}, dark, set_up))
    assert outcome.code is ExitCode.DONE


@pytest.mark.parametrize(("cron", "said"), [("absent", "no cron is installed there"), ("stopped", "cron does not run")])
def test_a_table_that_nothing_would_read(cron: Any, said: str) -> None:
    def without() -> FakeCluster:
        fake = bare()
        fake.facts["n2"] = {"schedules": Known(ScheduleFacts({}, cron))}
        return fake

    with pytest.raises(Refused) as caught:
        run(Case(INSTALL, CRON, without, set_up))
    assert said in str(caught.value) and "--as systemd" in str(caught.value.next_step)


def test_an_unfinished_one_bars_no_backup() -> None:
    assert INSTALL.lock == REMOVE.lock == "schedule"
    assert "schedule" in LOCKS and BACKUP.lock != INSTALL.lock
    installing = Case(INSTALL, CRON, backup_world(), set_up)
    backing_up = backup_case(no_expire=True)
    with operator_host():
        faults = Faults()
        faults.crash_after(0)
        killed = installing.world(faults=faults)
        installing.crash(killed)
        there = backing_up.world(killed.fake)
        plan = make_plan(backing_up.quick, backing_up.params, there, replace(PINNED, run_id="20261123-0300-zzzzzz"))
        assert backing_up.run_plan(there, plan).code is ExitCode.DONE
        assert find_run_id(there, "schedule") == PINNED.run_id
