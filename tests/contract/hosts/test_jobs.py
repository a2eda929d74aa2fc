"""Jobs without systemd: started once, whoever asks; found again by anybody; never running for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from contract.hosts.conftest import Acted
from pgops.config.model import ServiceConfig
from pgops.hosts.fence import FencedOff
from pgops.hosts.host import Host, HostFault
from pgops.hosts.jobs import Jobs, JobState, open_jobs
from pgops.observe.facts import JobFacts
from pgops.observe.jobs import read_jobs
from pgops.readings import Known


def jobs(acted: Acted) -> Jobs:
    return open_jobs(ServiceConfig(manager="supervisor"), acted.config)


def start(acted: Acted, name: str, *argv: str, host: Host | None = None, token: int = 5) -> None:
    jobs(acted).start(host or acted.host, name, argv, identity=acted.identity, fence=acted.fence(token), timeout_s=30)


def state(acted: Acted, name: str, host: Host | None = None) -> JobState:
    return jobs(acted).state(host or acted.host, name, identity=acted.identity, timeout_s=30)


def wait(until: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def gate(acted: Acted) -> Path:
    """Jobs of these tests end when this file appears: however slow the machine is, they run until they were looked at."""
    return acted.place / "gate"


def until_open(acted: Acted, then: str) -> str:
    """A shell script that waits for the gate."""
    return f"while [ ! -e {gate(acted)} ]; do sleep 0.1; done; {then}"


def test_a_job_from_start_to_end(acted: Acted) -> None:
    assert state(acted, "restore-1") == JobState("absent")
    start(
        acted,
        "restore-1",
        "sh",
        "-c",
        'printf "%s|" "$@"; ' + until_open(acted, "exit 3"),
        "sh",
        "it's $HOME",
        "a\nb",
        "",
    )
    running = state(acted, "restore-1")
    assert running.state == "running" and running.pid and running.started_at
    assert abs(running.started_at.timestamp() - time.time()) < 10
    with pytest.raises(HostFault, match="the job runs"):
        jobs(acted).forget(acted.host, "restore-1", identity=acted.identity, fence=acted.fence(), timeout_s=30)
    gate(acted).touch()
    wait(lambda: state(acted, "restore-1").state == "ended", "it ends")
    assert state(acted, "restore-1") == JobState("ended", 3, running.started_at, None)
    log = jobs(acted).log(acted.host, "restore-1", identity=acted.identity, last_bytes=6, timeout_s=30)
    assert log == "|a\nb||"
    start(acted, "restore-1", "true")
    assert state(acted, "restore-1").exit_code == 3, "its name was used already"
    jobs(acted).forget(acted.host, "restore-1", identity=acted.identity, fence=acted.fence(), timeout_s=30)
    assert state(acted, "restore-1").state == "absent"


def test_two_operators_at_once_start_it_once(acted: Acted) -> None:
    mark = acted.place / "marks"
    hosts = [acted.another() for _ in range(4)]
    faults: list[Exception] = []

    def work(host: Host) -> None:
        try:
            start(acted, "once", "sh", "-c", f"echo x >>{mark}; {until_open(acted, 'true')}", host=host)
        except HostFault as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(host,)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert state(acted, "once").state == "running"
    gate(acted).touch()
    wait(lambda: state(acted, "once").exit_code == 0, "it ends")
    assert mark.read_text() == "x\n"
    for host in hosts:
        host.close()


def test_an_overtaken_run_starts_nothing(acted: Acted) -> None:
    start(acted, "first", "true", token=9)
    with pytest.raises(FencedOff):
        start(acted, "second", "true", token=8)
    assert state(acted, "second").state == "absent"


OPERATOR = """
import sys, time
from pathlib import Path
from pgops.config.model import *
from pgops.hosts.factory import open_host
from pgops.hosts.fence import Fence
from pgops.hosts.host import Identity
from pgops.hosts.jobs import open_jobs
config = eval(sys.argv[1])
fence = eval(sys.argv[2])
open_jobs(ServiceConfig(manager="supervisor"), config).start(
    open_host(config, Timeouts()), "long", ["sh", "-c", sys.argv[3]], identity=Identity.OWNER, fence=fence,
    timeout_s=30)
print("started", flush=True)
time.sleep(60)
"""


def test_a_job_outlives_a_killed_operator_and_another_finds_it(acted: Acted) -> None:
    argv = [sys.executable, "-c", OPERATOR, repr(acted.config), repr(acted.fence()), until_open(acted, "echo done")]
    operator = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
    assert operator.stdout is not None
    assert operator.stdout.readline() == b"started\n"
    os.killpg(operator.pid, signal.SIGKILL)
    operator.wait(10)
    operator.stdout.close()
    other = acted.another()
    assert state(acted, "long", other).state == "running"
    gate(acted).touch()
    wait(lambda: state(acted, "long", other).exit_code == 0, "it ends")
    assert jobs(acted).log(other, "long", identity=acted.identity, last_bytes=99, timeout_s=30) == "done\n"
    other.close()


def test_a_stopped_job_ended_by_a_signal(acted: Acted) -> None:
    start(acted, "long", "sleep", "300")
    jobs(acted).stop(acted.host, "long", identity=acted.identity, fence=acted.fence(), timeout_s=8)
    assert state(acted, "long").exit_code == 143
    jobs(acted).stop(acted.host, "long", identity=acted.identity, fence=acted.fence(), timeout_s=8)
    start(acted, "deaf", "sh", "-c", "trap '' TERM; sleep 300 & wait; wait; sleep 300")
    with pytest.raises(HostFault, match="the job still runs"):
        jobs(acted).stop(acted.host, "deaf", identity=acted.identity, fence=acted.fence(), timeout_s=3)
    leader = state(acted, "deaf").pid
    assert leader
    os.killpg(leader, signal.SIGKILL)
    wait(lambda: state(acted, "deaf") == JobState("ended", None, state(acted, "deaf").started_at), "it was killed")


def test_a_job_runs_on_without_its_watcher_until_all_of_it_is_gone(acted: Acted) -> None:
    start(acted, "orphan", "sleep", "300")
    leader = state(acted, "orphan").pid
    assert leader
    (child,) = (int(pid) for pid in Path(f"/proc/{leader}/task/{leader}/children").read_text().split())
    os.kill(leader, signal.SIGKILL)
    time.sleep(0.3)
    assert state(acted, "orphan").state == "running"
    os.kill(child, signal.SIGKILL)
    wait(lambda: state(acted, "orphan").state == "ended", "all of it is gone")
    assert state(acted, "orphan").exit_code is None


def test_another_process_of_the_same_number_and_another_boot_are_not_the_job(acted: Acted) -> None:
    start(acted, "old", "sleep", "300")
    leader = state(acted, "old").pid
    assert leader
    account = acted.state_dir / acted.identity.value / "jobs" / "old" / "process"
    pid, born, boot = account.read_text().split()
    for changed in (f"{pid} {int(born) - 1} {boot}\n", f"{pid} {born} 00000000-0000-0000-0000-000000000000\n"):
        account.write_text(changed)
        assert state(acted, "old").state == "ended"
    os.killpg(leader, signal.SIGKILL)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "-x", ".x", "a b", "x" * 200])
def test_a_name_that_is_no_file_name_is_refused(acted: Acted, name: str) -> None:
    with pytest.raises(HostFault, match="is not the name of a job"):
        start(acted, name, "true")


def test_the_probe_tells_of_all_jobs(acted: Acted) -> None:
    def seen() -> Mapping[str, JobFacts]:
        reading = read_jobs(acted.host, acted.config.state_dir, timeout_s=30, identity=acted.identity)
        assert isinstance(reading, Known), reading
        return reading.value

    before = set(seen())
    start(acted, "long-1", "sh", "-c", "echo 10 %; sleep 60")
    start(acted, "short-1", "sh", "-c", "echo 'kept é'; exit 4")
    wait(lambda: not seen()["short-1"].running and "10 %" in seen()["long-1"].log_tail, "one ends, one has begun")
    told = seen()
    assert set(told) - before == {"long-1", "short-1"}
    assert (told["short-1"].exit_code, told["long-1"].exit_code) == (4, None)
    assert told["short-1"].log_tail == "kept é\n" and told["long-1"].running
    assert told["long-1"].started_at == state(acted, "long-1").started_at
    jobs(acted).stop(acted.host, "long-1", identity=acted.identity, fence=acted.fence(), timeout_s=30)
    assert not seen()["long-1"].running
