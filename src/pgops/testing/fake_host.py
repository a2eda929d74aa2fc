"""One host of the fake cluster: its files, services, jobs, and the tokens that it has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pgops.config.model import ServiceConfig
from pgops.hosts.host import Identity
from pgops.services import ServiceManager, ServiceState


@dataclass(frozen=True)
class FakeJob:
    """Work that was started under a once-only name. `turns` counts how often it was given time."""

    name: str
    argv: tuple[str, ...]
    state: Literal["running", "ended"] = "running"
    exit_code: int | None = None
    turns: int = 0
    starts: int = 1


@dataclass(frozen=True)
class FakeHost:
    """A host. `files` maps a path to its content; `loaded` are the paths that its service manager has read.

    `running` and `refused` are by role; `refused` is the mark of the last start, where it was refused. `patroni_starts` and
    `postgres_starts` count how often each was started; a PostgreSQL goes with its Patroni unless that is paused.
    """

    name: str
    files: Mapping[str, str] = field(default_factory=dict)
    loaded: frozenset[str] = frozenset()
    running: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    starts: int = 0
    patroni_starts: int = 1
    postgres_starts: int = 1
    jobs: Mapping[str, FakeJob] = field(default_factory=dict)
    tokens: Mapping[Identity, int] = field(default_factory=dict)

    def with_file(self, path: str, content: str | None) -> FakeHost:
        """With that file, or (None) without it."""
        kept = {name: value for name, value in self.files.items() if name != path}
        return replace(self, files=kept if content is None else {**kept, path: content})


def unit_names(services: ServiceConfig, host: str) -> tuple[tuple[str, str], ...]:
    """(role, unit) of the host."""
    return tuple((role, unit.replace("{host}", host)) for role, unit in services.names)


def is_held(host: FakeHost, manager: ServiceManager, unit: str) -> bool:
    """Whether a start would be refused: all but the last file of a hold are loaded, and the last one lies there."""
    *conditions, switch = (file.path for file in manager.hold_files(unit, ""))
    needs_reload = manager.reload_argv() is not None
    return switch in host.files and (not needs_reload or all(path in host.loaded for path in conditions))


def service_states(
    host: FakeHost, manager: ServiceManager, names: tuple[tuple[str, str], ...]
) -> tuple[ServiceState, ...]:
    """The services as the manager of that host would tell them."""
    return tuple(_state(host, manager, role, unit) for role, unit in names)


def _state(host: FakeHost, manager: ServiceManager, role: str, unit: str) -> ServiceState:
    *conditions, switch = (file.path for file in manager.hold_files(unit, ""))
    held = is_held(host, manager, unit)
    there = host.files.keys() | (host.loaded if manager.reload_argv() is not None else frozenset())
    running = role in host.running
    refused = host.refused.get(role)
    return ServiceState(
        role,
        unit,
        running=running,
        state="active" if running else "failed" if refused else "inactive",
        enabled=True,
        pid=4000 + len(unit) if running else None,
        held=held,
        hold_text=host.files[switch] if held else None,
        refused=refused,
        hold_left=any(path in there for path in (*conditions, switch)),
    )
