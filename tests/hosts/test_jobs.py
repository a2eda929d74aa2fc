"""A job as a transient unit: it outlives the connection, is found from another, and its account outlives a boot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from hosts.harness.cluster import PatroniCluster
from hosts.harness.reach import CONFIG, opened
from pgops.config.model import ServiceConfig
from pgops.hosts.fence import Fence, FencedOff, run_fenced
from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.jobs import JobState, open_jobs

pytestmark = [pytest.mark.hosts, pytest.mark.xdist_group("hosts")]

FENCE = Fence(7, "/service/jobs/")
JOBS = open_jobs(ServiceConfig(), CONFIG)
HOSTILE = ("it's $HOME", "${PATH}", "$$", "%h %i", "two\nlines", "\\x41", "")


def state(host: Host, name: str) -> JobState:
    return JOBS.state(host, name, identity=Identity.OWNER, timeout_s=10)


def start(host: Host, name: str, *argv: str) -> None:
    JOBS.start(host, name, argv, identity=Identity.OWNER, fence=FENCE, timeout_s=20)


def log(host: Host, name: str) -> str:
    return JOBS.log(host, name, identity=Identity.OWNER, last_bytes=10_000, timeout_s=10)


def forget(host: Host, name: str) -> None:
    JOBS.forget(host, name, identity=Identity.OWNER, fence=FENCE, timeout_s=10)


def wait(until: Callable[[], bool], what: str, limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not until():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def test_a_job_outlives_the_connection(cluster: PatroniCluster) -> None:
    with opened(cluster.hosts, "h1") as host:
        assert state(host, "copy").state == "absent"
        start(host, "copy", "sh", "-c", 'id -un; printf "%s|" "$@"; sleep 4; exit 3', "sh", *HOSTILE)
        running = state(host, "copy")
        assert running.state == "running" and running.pid and running.started_at
        cgroup = host.run(["cat", f"/proc/{running.pid}/cgroup"]).stdout
        assert "pgops-job-copy.service" in cgroup
    with opened(cluster.hosts, "h1") as host:
        assert state(host, "copy") == running
        start(host, "copy", "false")
        with pytest.raises(HostFault, match="the job runs"):
            forget(host, "copy")
        wait(lambda: state(host, "copy").state == "ended", "the job ends")
        ended = state(host, "copy")
        assert (ended.exit_code, ended.started_at, ended.pid) == (3, running.started_at, None)
        assert log(host, "copy") == "postgres\n" + "".join(f"{word}|" for word in HOSTILE)
        listed = host.run(["systemctl", "--failed", "--no-legend", "--plain"]).stdout
        assert "pgops-job-copy.service" in listed
        start(host, "copy", "false")
        assert state(host, "copy") == ended
        forget(host, "copy")
        assert state(host, "copy").state == "absent"
        start(host, "copy", "true")
        wait(lambda: state(host, "copy").exit_code == 0, "its name is free again")
        forget(host, "copy")


def test_starts_at_once_make_one_job(cluster: PatroniCluster) -> None:
    with opened(cluster.hosts, "h1") as host:
        faults: list[Exception] = []

        def work() -> None:
            try:
                start(host, "once", "sh", "-c", "echo x; sleep 3")
            except HostFault as fault:
                faults.append(fault)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        wait(lambda: state(host, "once").exit_code == 0, "it ends")
        assert log(host, "once") == "x\n"
        forget(host, "once")


def test_a_killed_job_and_a_stopped_one_ended(cluster: PatroniCluster) -> None:
    with opened(cluster.hosts, "h1") as host:
        start(host, "killed", "sleep", "300")
        host.run(["systemctl", "kill", "--signal=SIGKILL", "pgops-job-killed.service"])
        wait(lambda: state(host, "killed").state == "ended", "it was killed")
        assert state(host, "killed").exit_code in (None, 137)
        start(host, "stopped", "sleep", "300")
        JOBS.stop(host, "stopped", identity=Identity.OWNER, fence=FENCE, timeout_s=15)
        assert state(host, "stopped").exit_code == 143
        for name in ("killed", "stopped"):
            forget(host, name)


def test_a_job_that_a_power_failure_cut_off_is_not_started_again(cluster: PatroniCluster) -> None:
    leader = cluster.wait_until_well()
    name = next(each for each in cluster.hosts.names if each != leader)
    with opened(cluster.hosts, name) as host:
        start(host, "cut", "sleep", "300")
        started = state(host, "cut").started_at
        run_fenced(host, ["sync"], fence=FENCE, identity=Identity.ROOT, timeout_s=30)
    cluster.hosts[name].power_off()
    cluster.hosts[name].power_on()
    with opened(cluster.hosts, name) as host:
        start(host, "cut", "sleep", "300")
        assert state(host, "cut") == JobState("ended", None, started, None)
        forget(host, "cut")
        old = Fence(6, FENCE.prefix)
        with pytest.raises(FencedOff, match="token 6 is lower than 7"):
            JOBS.start(host, "late", ["true"], identity=Identity.OWNER, fence=old, timeout_s=10)
        assert state(host, "late").state == "absent"
    cluster.wait_until_well()
