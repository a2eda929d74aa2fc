"""Service managers: systemd and supervisor are the suite's own, plugins may give others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pgops.config.model import ServiceConfig
from pgops.hosts.host import Host, Identity
from pgops.hosts.process import CommandResult


@dataclass(frozen=True)
class ServiceState:
    """One service. `state` is the manager's own word (`active`, `failed`, `RUNNING`, `STOPPED`, `not-found`).

    `enabled` None: the manager has no such notion. `held` says that a start would be refused by a pgops hold, and
    `hold_text` what its file says (None: not held, or not ours to read). `pid` None: no main process. `refused`: a
    mark of the last start if it was refused as a hold does it, another one for each such start; None: it was not.
    `hold_left`: something of a hold is there, though it may not hold any more. `moving`: the manager starts or stops it, or
    is about to try again, so that what is seen of it holds for a moment alone.
    """

    role: str
    unit: str
    running: bool
    state: str
    enabled: bool | None = None
    pid: int | None = None
    held: bool = False
    hold_text: str | None = None
    refused: str | None = None
    hold_left: bool = False
    moving: bool = False


@dataclass(frozen=True)
class HoldFile:
    """One file of a hold."""

    path: str
    content: str
    mode: int = 0o644


class ServiceManager(Protocol):
    """Reads the services of one host, and tells by which files and commands one is started, held and released.

    It gives those as values and performs none. A hold keeps a unit from being started by anybody, at boot as well, and
    leaves one that runs alone. To hold: write `hold_files` in their order, then run `reload_argv`. To release: remove them
    in the opposite order, then run `reload_argv`.
    """

    def __init__(self, config: ServiceConfig) -> None: ...

    def states(self, host: Host, names: Sequence[tuple[str, str]], *, timeout_s: float) -> tuple[ServiceState, ...]:
        """The state of each (role, unit); raises `pgops.hosts.host.HostFault` when the manager gave no answer."""
        ...

    @property
    def hold_identity(self) -> Identity:
        """As whom the files are written and the commands below are run."""
        ...

    def hold_files(self, unit: str, text: str) -> tuple[HoldFile, ...]:
        """The files of a hold; `text` says who holds it and why. Raises `HostFault` for what is no unit."""
        ...

    def reload_argv(self) -> tuple[str, ...] | None:
        """The command that makes the manager heed the files; None: it needs none."""
        ...

    def start_argv(self, unit: str) -> tuple[str, ...]:
        """The command that starts the unit."""
        ...

    def restart_argv(self, unit: str) -> tuple[str, ...]:
        """The command that ends the unit's main process by SIGTERM, waits for that, and starts the unit again."""
        ...

    def assert_argv(self, unit: str) -> tuple[str, ...]:
        """A command that starts nothing and ends with 0 when the files on disk let the unit start, with another when not."""
        ...

    def pid_argv(self, unit: str) -> tuple[str, ...]:
        """A command that prints the id of the unit's main process, 0 where it has none."""
        ...

    def refused(self, result: CommandResult) -> bool:
        """Whether a start ended as one that a hold refuses does."""
        ...
