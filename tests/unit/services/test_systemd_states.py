"""What `systemctl show` prints, as recorded on Debian 12 (systemd 252), read as service states."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pgops.config.model import ServiceConfig
from pgops.hosts.host import HostFault, Identity
from pgops.hosts.process import OUTPUT_LIMIT_BYTES, CommandResult
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


DROP_IN = "/etc/systemd/system/patroni.service.d/50-pgops-hold.conf"
FILE = "/etc/pgops/hold/patroni.service"


class RecordedHost:
    """Answers every command with one recorded result."""

    name = "n1"
    hold = (0, "why\n", "")
    """How reading a hold file ends."""
    files = f"{DROP_IN}\n{FILE}\n"
    """What of holds lies on the disk."""

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
        limit_bytes: int = OUTPUT_LIMIT_BYTES,
    ) -> CommandResult:
        assert identity is Identity.LOGIN, "reading unit states needs no right"
        self.asked.append(tuple(argv))
        if argv[0] == "head":
            exit_code, stdout, stderr = self.hold
        elif argv[0] == "find":  # it ends with 1 where the hold directory is not there
            exit_code, stdout, stderr = 1, self.files, ""
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
    assert [argv[0] for argv in host.asked] == ["systemctl", "systemctl", "find", "head"], (
        "units, stock units, holds, one hold"
    )
    assert host.asked[0][-4:] == ("patroni.service", "etcd.service", "haproxy.service", "pgbouncer.service")
    assert "--" in host.asked[0]
    assert (patroni.running, patroni.state, patroni.enabled, patroni.pid) == (True, "active", True, 812)
    assert (patroni.held, patroni.hold_text) == (True, "why\n")
    assert host.asked[3][-1] == FILE
    assert (etcd.running, etcd.state, etcd.enabled, etcd.pid, etcd.held) == (False, "failed", False, None, False)
    assert (haproxy.running, haproxy.state, haproxy.enabled) == (False, "not-found", None)
    assert (pgbouncer.state, pgbouncer.enabled) == ("masked", False)


@pytest.mark.parametrize(
    ("files", "loaded", "held", "left"),
    [
        ((DROP_IN, FILE), True, True, True),
        ((DROP_IN,), True, False, True),
        ((FILE,), False, False, True),
        ((DROP_IN, FILE), False, False, True),
        ((), True, False, True),
        ((), False, False, False),
    ],
)
def test_a_loaded_drop_in_and_its_file_hold(files: tuple[str, ...], loaded: bool, held: bool, left: bool) -> None:
    host = RecordedHost(0, OUTPUT if loaded else OUTPUT.replace("50-pgops-hold.conf", "60-other.conf"))
    host.files = "".join(f"{path}\n" for path in files)
    state = SystemdServices(ServiceConfig()).states(host, NAMES, timeout_s=5)[0]
    assert (state.held, state.hold_left) == (held, left)


def test_a_hold_that_is_not_ours_to_read_holds_all_the_same() -> None:
    host = RecordedHost(0, OUTPUT)
    host.hold = (1, "", f"head: cannot open '{FILE}' for reading: Permission denied\n")
    state = SystemdServices(ServiceConfig()).states(host, NAMES, timeout_s=5)[0]
    assert (state.held, state.hold_text) == (True, None)


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
    shown = [argv[-1] for argv in host.asked if argv[0] == "systemctl" and "postgresql.service" not in argv]
    assert shown == ["patroni@15-main.service", "patroni.target"]


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
