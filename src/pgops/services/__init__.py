"""Service managers: systemd and supervisor are the suite's own, plugins may give others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pgops.config.model import ServiceConfig
from pgops.hosts.host import Host


@dataclass(frozen=True)
class ServiceState:
    """One service. `state` is the manager's own word (`active`, `failed`, `RUNNING`, `STOPPED`, `not-found`).

    `enabled` None: the manager has no such notion. `held` says that a start would be refused by a pgops hold.
    `pid` None: no main process. `hold_text` is what stands in the hold file, None when there is none or it was not read.
    """

    role: str
    unit: str
    running: bool
    state: str
    enabled: bool | None = None
    pid: int | None = None
    held: bool = False
    hold_text: str | None = None


class ServiceManager(Protocol):
    """Reads (and later acts on) services of one host. `host.run` carries the commands."""

    def __init__(self, config: ServiceConfig) -> None: ...

    def states(self, host: Host, names: Sequence[tuple[str, str]], *, timeout_s: float) -> tuple[ServiceState, ...]:
        """The state of each (role, unit); raises `pgops.hosts.host.HostFault` when the manager gave no answer."""
        ...
