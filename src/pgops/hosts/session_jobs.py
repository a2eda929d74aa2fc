"""Jobs as sessions of their own, for hosts without systemd. Only the start differs from `systemd_jobs`."""

from __future__ import annotations

from collections.abc import Sequence

from pgops.config.model import HostConfig
from pgops.hosts import job_scripts
from pgops.hosts.fence import Fence, run_fenced
from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.jobs import JobState
from pgops.render.text import printable

_SPARE_S = 2.0
"""Of the time to stop, what is kept for the connection."""


class SessionJobs:
    """See `pgops.hosts.jobs.Jobs`."""

    def __init__(self, config: HostConfig) -> None:
        self._owner = config.become
        self._state_dir = config.state_dir

    def start(
        self, host: Host, name: str, argv: Sequence[str], *, identity: Identity, fence: Fence, timeout_s: float
    ) -> None:
        """See `pgops.hosts.jobs.Jobs`. All of it runs as the job's own user."""
        _, _, *runner = job_scripts.runner_argv(self._state_dir, identity, name, argv)
        starter = ["sh", "-c", job_scripts.START_SESSION, "pgops-job", *runner]
        result = run_fenced(host, starter, fence=fence, identity=identity, timeout_s=timeout_s)
        if not result.ok:
            raise HostFault(f"starting the job {name}: {printable(result.fault)}")

    def state(self, host: Host, name: str, *, identity: Identity, timeout_s: float) -> JobState:
        """See `pgops.hosts.jobs.Jobs`."""
        argv = job_scripts.script_argv(job_scripts.STATE, self._state_dir, identity, name)
        result = host.run(argv, identity=identity, timeout_s=timeout_s)
        if not result.ok:
            raise HostFault(f"the state of the job {name}: {printable(result.fault)}")
        return job_scripts.parse_state(result.stdout)

    def log(self, host: Host, name: str, *, identity: Identity, last_bytes: int, timeout_s: float) -> str:
        """See `pgops.hosts.jobs.Jobs`."""
        argv = job_scripts.script_argv(job_scripts.LOG, self._state_dir, identity, name, str(last_bytes))
        result = host.run(argv, identity=identity, timeout_s=timeout_s)
        if not result.ok:
            raise HostFault(f"the log of the job {name}: {printable(result.fault)}")
        return result.stdout

    def stop(self, host: Host, name: str, *, identity: Identity, fence: Fence, timeout_s: float) -> None:
        """See `pgops.hosts.jobs.Jobs`."""
        fifths = str(max(1, int((timeout_s - _SPARE_S) * 5)))
        argv = job_scripts.script_argv(job_scripts.STOP, self._state_dir, identity, name, fifths)
        result = run_fenced(host, argv, fence=fence, identity=identity, timeout_s=timeout_s)
        if not result.ok:
            raise HostFault(f"stopping the job {name}: {printable(result.fault)}")

    def forget(self, host: Host, name: str, *, identity: Identity, fence: Fence, timeout_s: float) -> None:
        """See `pgops.hosts.jobs.Jobs`."""
        argv = job_scripts.script_argv(job_scripts.FORGET, self._state_dir, identity, name)
        result = run_fenced(host, argv, fence=fence, identity=identity, timeout_s=timeout_s)
        if not result.ok:
            raise HostFault(f"forgetting the job {name}: {printable(result.fault)}")
