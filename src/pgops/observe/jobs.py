"""The jobs of pgops on a host, as their own account there tells them."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping

from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.job_scripts import LIST, jobs_directory, parse_state
from pgops.observe.facts import JobFacts
from pgops.readings import Known, Reading, Unknown
from pgops.render.text import printable

LOG_TAIL_BYTES = 4096


def read_jobs(
    host: Host, state_dir: str | None, *, timeout_s: float, identity: Identity = Identity.OWNER
) -> Reading[Mapping[str, JobFacts]]:
    """Every job that this identity has there, by name; none where there never was one."""
    argv = ["sh", "-c", LIST, "pgops-job", jobs_directory(state_dir, identity), "-", str(LOG_TAIL_BYTES)]
    try:
        answer = host.run(argv, identity=identity, timeout_s=timeout_s)
        if not answer.ok:
            return Unknown(f"the jobs there: {printable(answer.fault)}")
        return Known(parse_jobs(answer.stdout))
    except HostFault as fault:
        return Unknown(str(fault))


def parse_jobs(output: str) -> dict[str, JobFacts]:
    """The output of the script: a line a job (name, state, code, pid, start, log in base64). Raises `HostFault`."""
    found = {}
    for line in output.splitlines():
        words = line.split(" ")
        try:
            tail = b64decode(words[5], validate=True).decode("utf-8", "replace")
        except (IndexError, ValueError):
            raise HostFault(f"a job's account on the host is damaged: {line[:200]!r}") from None
        state = parse_state(" ".join(words[1:5]))
        if state.state != "absent":  # it was forgotten this very moment
            found[words[0]] = JobFacts(state.state == "running", state.exit_code, state.started_at, tail)
    return found
