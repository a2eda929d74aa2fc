"""systemd: the states of units, read without any right."""

from __future__ import annotations

from collections.abc import Sequence

from pgops.config.model import ServiceConfig
from pgops.hosts.host import Host, HostFault
from pgops.render.text import printable
from pgops.services import ServiceState

HOLD_DROP_IN = "50-pgops-hold.conf"
"""The drop-in by which pgops keeps a unit from starting."""

_PROPERTIES = "Id,LoadState,ActiveState,SubState,MainPID,UnitFileState,DropInPaths"
_STOCK = ("postgresql.service", "postgresql@*.service")
_STOCK_PROPERTIES = "Id,ActiveState,UnitFileState,Wants"
_ENABLED = {"enabled": True, "enabled-runtime": True, "disabled": False, "masked": False, "masked-runtime": False}
_RUNNING = ("active", "reloading", "refreshing")


class SystemdServices:
    """Asks `systemctl show` once for all units of a host."""

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
        return parse_states(answer.stdout, names) + (parse_stock(stock.stdout) if stock.ok else ())


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
        held=any(path.endswith(f"/{HOLD_DROP_IN}") for path in block.get("DropInPaths", "").split()),
    )


def _full_name(unit: str) -> str:
    """`patroni` -> `patroni.service`. A pattern would answer for units that nobody named."""
    if any(sign in unit for sign in "*?[") or not unit:
        raise HostFault(f"services: {printable(unit)!r} is not a unit name")
    kinds = (".service", ".target", ".socket", ".timer", ".mount", ".scope", ".slice", ".path")
    return unit if unit.endswith(kinds) else f"{unit}.service"
