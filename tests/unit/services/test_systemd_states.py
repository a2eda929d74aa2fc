"""What `systemctl show` prints, as recorded on Debian 12 (systemd 252), read as service states."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pgops.config.model import ServiceConfig
from pgops.hosts.host import HostFault, Identity
from pgops.hosts.process import CommandResult
from pgops.services.systemd import SystemdServices, parse_states, parse_stock

NAMES = (("patroni", "patroni"), ("etcd", "etcd"), ("haproxy", "haproxy"), ("pgbouncer", "pgbouncer"))

OUTPUT = """\
MainPID=812
Id=patroni.service
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
DropInPaths=/etc/systemd/system/patroni.service.d/10-site.conf /etc/systemd/system/patroni.service.d/50-pgops-hold.conf

MainPID=0
Id=etcd.service
LoadState=loaded
ActiveState=failed
SubState=failed
UnitFileState=disabled

MainPID=0
Id=haproxy.service
LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
DropInPaths=

MainPID=0
Id=pgbouncer.service
LoadState=masked
ActiveState=inactive
SubState=dead
UnitFileState=masked
"""


class RecordedHost:
    """Answers every command with one recorded result."""

    name = "n1"
    hold = (0, "why\n", "")
    """How reading a hold file ends."""

    def __init__(self, exit_code: int, stdout: str, stderr: str = "") -> None:
        self.asked: list[tuple[str, ...]] = []
        self._said = (exit_code, stdout, stderr)

    def run(
        self,
        argv: Sequence[str],
        *,
        identity: Identity = Identity.LOGIN,
        timeout_s: float | None = None,
        stdin: bytes | None = None,
    ) -> CommandResult:
        assert identity is Identity.LOGIN, "reading unit states needs no right"
        self.asked.append(tuple(argv))
        if argv[0] == "head":
            exit_code, stdout, stderr = self.hold
        else:
            exit_code, stdout, stderr = (0, "", "") if "postgresql@*.service" in argv else self._said
        return CommandResult(tuple(argv), exit_code, stdout, stderr, 0.01)

    def address(self) -> str | None:
        return None

    def close(self) -> None:
        """Nothing is kept open."""


def test_one_command_tells_all_units() -> None:
    host = RecordedHost(0, OUTPUT)
    patroni, etcd, haproxy, pgbouncer = SystemdServices(ServiceConfig()).states(host, NAMES, timeout_s=5)
    assert len(host.asked) == 3, (
        "one command for the units, one for those of the distribution, one for a hold that is loaded"
    )
    assert host.asked[0][-4:] == ("patroni.service", "etcd.service", "haproxy.service", "pgbouncer.service")
    assert "--" in host.asked[0]
    assert (patroni.running, patroni.state, patroni.enabled, patroni.pid) == (True, "active", True, 812)
    assert (patroni.held, patroni.hold_text) == (True, "why\n")
    assert host.asked[2][-1] == "/etc/pgops/hold/patroni.service"
    assert (etcd.running, etcd.state, etcd.enabled, etcd.pid, etcd.held) == (False, "failed", False, None, False)
    assert (haproxy.running, haproxy.state, haproxy.enabled) == (False, "not-found", None)
    assert (pgbouncer.state, pgbouncer.enabled) == ("masked", False)


@pytest.mark.parametrize(
    ("hold", "held"),
    [
        (
            (1, "", "head: cannot open '/etc/pgops/hold/patroni.service' for reading: No such file or directory\n"),
            False,
        ),
        ((1, "", "head: cannot open '/etc/pgops/hold/patroni.service' for reading: Permission denied\n"), True),
    ],
)
def test_a_loaded_drop_in_holds_while_its_file_is_there(hold: tuple[int, str, str], held: bool) -> None:
    host = RecordedHost(0, OUTPUT)
    host.hold = hold
    patroni = SystemdServices(ServiceConfig()).states(host, NAMES, timeout_s=5)[0]
    assert (patroni.held, patroni.hold_text) == (held, None)


@pytest.mark.parametrize("unit", ["patroni", "patroni.service", "patroni@15-main"])
def test_a_hold_is_a_drop_in_and_the_file_it_looks_for(unit: str) -> None:
    name = unit if unit.endswith(".service") else f"{unit}.service"
    manager = SystemdServices(ServiceConfig())
    drop_in, file = manager.hold_files(unit, "why\n")
    assert drop_in.path == f"/etc/systemd/system/{name}.d/50-pgops-hold.conf"
    assert drop_in.content == (
        f"[Unit]\nAssertPathExists=!{file.path}\n[Service]\nExecCondition=+/usr/bin/test ! -e {file.path}\n"
    )
    assert (file.path, file.content, file.mode) == (f"/etc/pgops/hold/{name}", "why\n", 0o644)


@pytest.mark.parametrize(
    "output", ["", "garbage", OUTPUT.replace("ActiveState=failed\n", ""), OUTPUT + "\nId=x.service\n"]
)
def test_output_of_another_shape_is_a_fault(output: str) -> None:
    with pytest.raises(HostFault, match="not the properties"):
        parse_states(output, NAMES)


def test_a_machine_without_systemd_says_so() -> None:
    said = "System has not been booted with systemd as init system (PID 1). Can't operate."
    with pytest.raises(HostFault, match="has not been booted with systemd"):
        SystemdServices(ServiceConfig()).states(RecordedHost(1, "", said), NAMES, timeout_s=5)


@pytest.mark.parametrize("unit", ["pat*", "a?b", "a[b]", "", "a/b", "a b", "a%b"])
def test_a_pattern_is_no_unit_name(unit: str) -> None:
    host = RecordedHost(0, OUTPUT)
    with pytest.raises(HostFault, match="is not a unit name"):
        SystemdServices(ServiceConfig()).states(host, (("patroni", unit),), timeout_s=5)
    assert host.asked == []


def test_instances_and_other_unit_kinds_keep_their_name() -> None:
    host = RecordedHost(0, OUTPUT.partition("\n\n")[0])
    SystemdServices(ServiceConfig()).states(host, (("patroni", "patroni@15-main"),), timeout_s=5)
    SystemdServices(ServiceConfig()).states(host, (("patroni", "patroni.target"),), timeout_s=5)
    assert [argv[-1] for argv in host.asked if "head" not in argv][::2] == ["patroni@15-main.service", "patroni.target"]


STOCK_OUTPUT = """\
Id=postgresql.service
ActiveState=active
UnitFileState={enabled}
Wants=postgresql@17-main.service network.target

Id=postgresql@16-old.service
ActiveState=active
UnitFileState=disabled
Wants=

Id=postgresql@15-gone.service
ActiveState=failed
UnitFileState=disabled
Wants=
"""


@pytest.mark.parametrize("enabled", ["enabled", "disabled"])
def test_stock_units_are_those_that_run_or_that_the_next_boot_starts(enabled: str) -> None:
    waiting, running = parse_stock(STOCK_OUTPUT.format(enabled=enabled))
    assert (waiting.role, waiting.unit) == ("stock", "postgresql@17-main.service")
    assert (waiting.running, waiting.enabled) == (False, enabled == "enabled")
    assert (running.unit, running.running, running.enabled) == ("postgresql@16-old.service", True, False)


def test_a_machine_without_stock_units_has_none() -> None:
    assert parse_stock("") == ()
    assert parse_stock("Id=postgresql.service\nActiveState=active\nUnitFileState=enabled\nWants=\n") == ()
