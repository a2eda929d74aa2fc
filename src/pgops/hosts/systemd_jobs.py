"""Jobs as transient units of systemd, `pgops-job-NAME.service`, which root starts. Source: man systemd-run.

The unit's process keeps the job's account, as without systemd: so the account outlives a boot of the host, which the unit
does not, and reading it takes no root. A unit whose job failed stays to be seen in `systemctl --failed`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from pgops.hosts import job_scripts
from pgops.hosts.fence import Fence, run_fenced
from pgops.hosts.host import Host, HostFault, Identity, NotStarted
from pgops.hosts.session_jobs import SessionJobs
from pgops.render.text import printable

_CLAIM_S = 5.0
"""How long the started unit may take to make its account."""

_PROPERTIES = (
    "--property=KillMode=control-group",
    # Nothing that a job began is killed for being slow to end.
    "--property=TimeoutStopSec=infinity",
)


class SystemdJobs(SessionJobs):
    """See `pgops.hosts.jobs.Jobs`."""

    def start(
        self, host: Host, name: str, argv: Sequence[str], *, identity: Identity, fence: Fence, timeout_s: float
    ) -> None:
        """See `pgops.hosts.jobs.Jobs`. The fence asked is root's."""
        deadline = time.monotonic() + timeout_s
        runner = job_scripts.runner_argv(self._state_dir, identity, name, argv)
        if self.state(host, name, identity=identity, timeout_s=timeout_s).state != "absent":
            return
        user = identity.user(self._owner) or self._ask_login(host, timeout_s)
        options = [
            f"--unit={unit_name(name)}",
            f"--uid={user}",
            "--service-type=exec",
            "--setenv=LC_ALL=C",
            *_PROPERTIES,
        ]
        # systemd would put variables in place of words with a dollar sign; `$$` stands for one (man systemd.service).
        words = [word.replace("$", "$$") for word in runner]
        command = ["systemd-run", "--quiet", "--no-ask-password", *options, "--", *words]
        result = run_fenced(
            host, command, fence=fence, identity=Identity.ROOT, timeout_s=max(0.1, deadline - time.monotonic())
        )
        # Refused is also what another start of the same name makes: then its account is there, or will be in a moment.
        until = min(deadline, time.monotonic() + _CLAIM_S)
        while self._seen_after_start(host, name, identity, timeout_s) == "absent":
            if time.monotonic() > until:
                said = printable(result.fault) or f"it gave no sign; see systemctl status {unit_name(name)}"
                raise HostFault(f"starting the job {name}: {said}")
            time.sleep(0.1)

    def _seen_after_start(self, host: Host, name: str, identity: Identity, timeout_s: float) -> str:
        """Its state; that the host cannot be asked any more says nothing of the start that was sent before."""
        try:
            return self.state(host, name, identity=identity, timeout_s=timeout_s).state
        except NotStarted as fault:
            raise HostFault(str(fault)) from None

    def forget(self, host: Host, name: str, *, identity: Identity, fence: Fence, timeout_s: float) -> None:
        """See `pgops.hosts.jobs.Jobs`. The failed unit goes first: what is cut off midway still has its account."""
        if self.state(host, name, identity=identity, timeout_s=timeout_s).state == "running":
            raise HostFault(f"forgetting the job {name}: the job runs")
        reset = ["systemctl", "reset-failed", unit_name(name)]
        result = run_fenced(host, reset, fence=fence, identity=Identity.ROOT, timeout_s=timeout_s)
        if not result.ok and "not loaded" not in result.stderr:
            raise HostFault(f"forgetting the job {name}: {printable(result.fault)}")
        super().forget(host, name, identity=identity, fence=fence, timeout_s=timeout_s)

    def _ask_login(self, host: Host, timeout_s: float) -> str:
        """Who we are there."""
        result = host.run(["id", "-un"], timeout_s=timeout_s)
        if not result.ok:
            raise HostFault(f"id -un: {result.fault}")
        return result.stdout.strip()


def unit_name(name: str) -> str:
    """The unit of a job."""
    return f"pgops-job-{job_scripts.checked_name(name)}.service"
