"""Jobs: long work on a host that outlives the connection and pgops itself.

A job's name is its once-only key. What is known of it stands in a directory of its user's own, so that it is found from any
operator's machine, and still after the host was booted again. See `job_scripts` for what is in there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from pgops.config.model import HostConfig, ServiceConfig
from pgops.hosts.fence import Fence
from pgops.hosts.host import Host, Identity


@dataclass(frozen=True)
class JobState:
    """A job. `exit_code` None of one that ended: it was killed together with what watched it, or the host went down.

    128 + N means ended by signal N, as a shell says it. `pid` leads the job's session, while it runs.
    """

    state: Literal["absent", "running", "ended"]
    exit_code: int | None = None
    started_at: datetime | None = None
    pid: int | None = None


class Jobs(Protocol):
    """Jobs of one host. All methods raise `pgops.hosts.host.HostFault`; those with a fence, `FencedOff` as well."""

    def start(
        self, host: Host, name: str, argv: Sequence[str], *, identity: Identity, fence: Fence, timeout_s: float
    ) -> None:
        """Start it as `identity`. One of that name that runs or ended already is left as it is, which is no fault."""
        ...

    def state(self, host: Host, name: str, *, identity: Identity, timeout_s: float) -> JobState:
        """Where it stands."""
        ...

    def log(self, host: Host, name: str, *, identity: Identity, last_bytes: int, timeout_s: float) -> str:
        """The end of what it printed; empty for one that is absent."""
        ...

    def stop(self, host: Host, name: str, *, identity: Identity, fence: Fence, timeout_s: float) -> None:
        """Ask it to end (SIGTERM to all of it) and wait. Still running after `timeout_s` is a fault; nothing is killed."""
        ...

    def forget(self, host: Host, name: str, *, identity: Identity, fence: Fence, timeout_s: float) -> None:
        """Remove what an ended job left, which frees its name. One that runs is a fault."""
        ...


def open_jobs(services: ServiceConfig, config: HostConfig) -> Jobs:
    """Transient units where systemd manages the host's services, else sessions of their own."""
    if services.manager == "systemd":
        from pgops.hosts.systemd_jobs import SystemdJobs

        return SystemdJobs(config)
    from pgops.hosts.session_jobs import SessionJobs

    return SessionJobs(config)
