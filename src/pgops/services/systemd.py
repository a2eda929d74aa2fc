"""systemd: the states of units, read without any right, and how a unit is held.

A unit file in /etc/systemd/system cannot be masked, and a runtime mask is gone at the next boot. So a hold is a drop-in with
an assertion on a file of ours: the start fails, whoever asks for it. The restart that systemd itself makes (Restart=) does
not look at assertions any more since it goes from one state of starting to the next (systemd 257, unit_start in unit.c),
hence ExecCondition= as well. Sources: man systemd.unit, AssertPathExists=; man systemd.service, ExecCondition=.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pgops.config.model import ServiceConfig
from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.process import CommandResult
from pgops.render.text import printable
from pgops.services import HoldFile, ServiceState

HOLD_DROP_IN = "50-pgops-hold.conf"
"""The drop-in by which pgops keeps a unit from starting, while its file in `HOLD_DIRECTORY` is there."""

HOLD_DIRECTORY = "/etc/pgops/hold"
UNIT_DIRECTORY = "/etc/systemd/system"
_TEXT_LIMIT_BYTES = "4096"

_PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,MainPID,UnitFileState,DropInPaths,"
    "AssertResult,AssertTimestampMonotonic,Result,InactiveEnterTimestampMonotonic"
)
_STOCK = ("postgresql.service", "postgresql@*.service")
_STOCK_PROPERTIES = "Id,ActiveState,UnitFileState,Wants"
_ENABLED = {"enabled": True, "enabled-runtime": True, "disabled": False, "masked": False, "masked-runtime": False}
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,245}")
"""Source: man systemd.unit, the characters of a unit name."""
_RUNNING = ("active", "reloading", "refreshing")


class SystemdServices:
    """Asks `systemctl show` once for all units of a host; holds by a drop-in and a file."""

    def __init__(self, config: ServiceConfig) -> None:
        self._config = config

    def states(self, host: Host, names: Sequence[tuple[str, str]], *, timeout_s: float) -> tuple[ServiceState, ...]:
        """See `pgops.services.ServiceManager`. A unit that does not exist has the state `not-found`."""
        if not names:
            return ()
        units = [_full_name(unit) for _, unit in names]
        answer = host.run(["systemctl", "show", f"--property={_PROPERTIES}", "--", *units], timeout_s=timeout_s)
        if not answer.ok:
            raise HostFault(f"systemctl: {printable(answer.fault)}")
        stock = host.run(["systemctl", "show", f"--property={_STOCK_PROPERTIES}", "--", *_STOCK], timeout_s=timeout_s)
        files = _list_hold_files(host, timeout_s)
        told = tuple(_read_hold(host, state, files, timeout_s) for state in parse_states(answer.stdout, names))
        return told + (parse_stock(stock.stdout) if stock.ok else ())

    @property
    def hold_identity(self) -> Identity:
        """See `pgops.services.ServiceManager`: root."""
        return Identity.ROOT

    def hold_files(self, unit: str, text: str) -> tuple[HoldFile, ...]:
        """See `pgops.services.ServiceManager`: the drop-in, then the file without which it holds nothing."""
        name = _full_name(unit)
        path = hold_path(unit)
        escaped = path.replace("\\", "\\\\")
        condition = f"[Unit]\nAssertPathExists=!{path}\n[Service]\nExecCondition=+/usr/bin/test ! -e {escaped}\n"
        return (
            HoldFile(f"{UNIT_DIRECTORY}/{name}.d/{HOLD_DROP_IN}", condition),
            HoldFile(path, text),
        )

    def reload_argv(self) -> tuple[str, ...]:
        """See `pgops.services.ServiceManager`."""
        return ("systemctl", "--no-ask-password", "daemon-reload")

    def start_argv(self, unit: str) -> tuple[str, ...]:
        """See `pgops.services.ServiceManager`."""
        return ("systemctl", "--no-ask-password", "start", "--", _full_name(unit))

    def restart_argv(self, unit: str) -> tuple[str, ...]:
        """See `pgops.services.ServiceManager`. Which processes of the unit end with it is its KillMode's to say."""
        return ("systemctl", "--no-ask-password", "restart", "--", _full_name(unit))

    def assert_argv(self, unit: str) -> tuple[str, ...]:
        """See `pgops.services.ServiceManager`."""
        return ("systemd-analyze", "condition", f"--unit={_full_name(unit)}")

    def pid_argv(self, unit: str) -> tuple[str, ...]:
        """See `pgops.services.ServiceManager`."""
        return ("systemctl", "show", "--property=MainPID", "--value", "--", _full_name(unit))

    def refused(self, result: CommandResult) -> bool:
        """See `pgops.services.ServiceManager`. Source: systemd, src/shared/bus-wait-for-jobs.c."""
        return result.exit_code == 1 and "Assertion failed on job for" in result.stderr


def hold_path(unit: str) -> str:
    """The hold file of a unit."""
    return f"{HOLD_DIRECTORY}/{_full_name(unit)}"


def _list_hold_files(host: Host, timeout_s: float) -> frozenset[str]:
    """Every drop-in and hold file of ours on the host's disk; everybody may look there. Raises `HostFault`."""
    places = ["(", "-path", f"{HOLD_DIRECTORY}/*", "-o", "-name", HOLD_DROP_IN, ")"]
    argv = ["find", HOLD_DIRECTORY, UNIT_DIRECTORY, "-maxdepth", "2", "-type", "f", *places, "-printf", "%p\\n"]
    answer = host.run(argv, timeout_s=timeout_s)
    if answer.exit_code is None or answer.truncated:
        raise HostFault(f"find: {printable(answer.fault)}")
    return frozenset(answer.stdout.splitlines())  # it ends with 1 where the hold directory is not there


def _read_hold(host: Host, state: ServiceState, files: frozenset[str], timeout_s: float) -> ServiceState:
    """`state`, whose `held` says that the drop-in is loaded, with what lies on the disk; both together hold."""
    switch = hold_path(state.unit)
    drop_in = f"{UNIT_DIRECTORY}/{_full_name(state.unit)}.d/{HOLD_DROP_IN}"
    left = state.held or switch in files or drop_in in files
    if not state.held or switch not in files:
        return replace(state, held=False, hold_left=left)
    answer = host.run(["head", "-c", _TEXT_LIMIT_BYTES, "--", switch], timeout_s=timeout_s)
    return replace(state, hold_left=left, hold_text=answer.stdout if answer.ok else None)


def parse_stock(output: str) -> tuple[ServiceState, ...]:
    """Debian's own PostgreSQL services (role `stock`) that run, or that postgresql.service starts at the next boot.

    Source: postgresql-common, postgresql-generator: a cluster with start.conf `auto` becomes a want of postgresql.service.
    """
    found: dict[str, ServiceState] = {}
    for block in _blocks(output):
        if block.get("Id") == "postgresql.service":
            at_boot = _ENABLED.get(block.get("UnitFileState", ""))
            for unit in block.get("Wants", "").split():
                if unit.startswith("postgresql@") and unit not in found:
                    found[unit] = ServiceState("stock", unit, running=False, state="inactive", enabled=at_boot)
        elif block.get("ActiveState") in _RUNNING:
            earlier = found.get(block["Id"])
            enabled = earlier.enabled if earlier else False
            found[block["Id"]] = ServiceState("stock", block["Id"], True, block["ActiveState"], enabled=enabled)
    return tuple(found.values())


def _blocks(output: str) -> list[dict[str, str]]:
    """One mapping of properties for each unit that `systemctl show` told of."""
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in output.split("\n\n")]
    return [block for block in blocks if block]


def parse_states(output: str, names: Sequence[tuple[str, str]]) -> tuple[ServiceState, ...]:
    """The output of `systemctl show`: one block of `Name=value` lines a unit, in the order asked. Raises `HostFault`."""
    blocks = _blocks(output)
    if len(blocks) != len(names) or any("ActiveState" not in block for block in blocks):
        raise HostFault("systemctl show: its output is not the properties that were asked for")
    return tuple(_state(role, unit, block) for (role, unit), block in zip(names, blocks, strict=True))


def _state(role: str, unit: str, block: dict[str, str]) -> ServiceState:
    drop_in = any(path.endswith(f"/{HOLD_DROP_IN}") for path in block.get("DropInPaths", "").split())
    loaded = block.get("LoadState", "")
    active = block["ActiveState"]
    pid = block.get("MainPID", "0")
    return ServiceState(
        role=role,
        unit=unit,
        running=active in _RUNNING,
        state=active if loaded == "loaded" or active in _RUNNING else loaded or active,
        enabled=_ENABLED.get(block.get("UnitFileState", "")),
        pid=int(pid) if pid.isdigit() and pid != "0" else None,
        held=drop_in,
        refused=_refused_mark(block),
        moving=active in ("activating", "deactivating"),
    )


def _refused_mark(block: dict[str, str]) -> str | None:
    """When the last start was refused, on the host's monotonic clock: by an assertion, or by ExecCondition."""
    if block.get("AssertResult") == "no":
        return f"assertion at {block.get('AssertTimestampMonotonic')}"
    if block.get("Result") == "exec-condition":
        return f"condition at {block.get('InactiveEnterTimestampMonotonic')}"
    return None


def _full_name(unit: str) -> str:
    """`patroni` -> `patroni.service`. A pattern would answer for units that nobody named."""
    if not _UNIT.fullmatch(unit):
        raise HostFault(f"services: {printable(unit)!r} is not a unit name")
    kinds = (".service", ".target", ".socket", ".timer", ".mount", ".scope", ".slice", ".path")
    return unit if unit.endswith(kinds) else f"{unit}.service"
