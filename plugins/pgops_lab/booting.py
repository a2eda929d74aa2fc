"""Starts a lab's programs in their order, from whatever is running already."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from pgops.errors import PgopsError
from pgops_lab import ports, probes, processes, programs, supervisor
from pgops_lab.lab import Lab
from pgops_lab.waiting import wait_for

Tell = Callable[[str], None]


def start_supervisord(lab: Lab, tell: Tell) -> None:
    """Have supervisord answer. When it was killed, what it left behind is ended first; PostgreSQL is left to Patroni."""
    if supervisor.is_up(lab):
        return
    _end_orphans(lab, tell)
    ports.refuse_taken(lab, ports.taken(_endpoints_of_programs(lab)))
    (lab.run_dir / "supervisord.pid").unlink(missing_ok=True)
    argv = [str(lab.environment / "bin/supervisord"), "-c", str(lab.supervisord_config)]
    programs.check_run(lab, argv, timeout_s=20)
    wait_for("supervisord answers", lambda: supervisor.is_up(lab), timeout_s=15, lab=lab, program="supervisord")


def _end_orphans(lab: Lab, tell: Tell) -> None:
    """End Patroni, etcd and HAProxy that nobody keeps any more: Patroni first, so that it does nothing in between."""
    left = [process for process in processes.of_lab(lab) if process.name != "postgres"]
    if left:
        tell(f"supervisord is gone; ending {len(left)} processes that it left behind")
    for process in sorted(left, key=lambda process: "patroni" not in " ".join(process.words)):
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    wait_for(
        "the processes left behind have ended",
        lambda: all(process.name == "postgres" for process in processes.of_lab(lab)),
        timeout_s=10,
    )


def _endpoints_of_programs(lab: Lab) -> tuple[tuple[str, int], ...]:
    """The lab's endpoints, but for those of a PostgreSQL of its own that still runs."""
    running = {word for process in processes.of_lab(lab) for word in process.words}
    own = {member.address for member in lab.members if str(member.data_dir) in running}
    return tuple((address, port) for address, port in lab.endpoints if not (port == 5432 and address in own))


def start_dead(lab: Lab, names: tuple[str, ...], tell: Tell) -> tuple[str, ...]:
    """Start those of `names` that do not run. A held one is left, and told. Gives the names that were started."""
    started = []
    for program in supervisor.programs(lab):
        if program.name not in names or program.state == "RUNNING":
            continue
        if (lab.hold_dir / program.name).exists():  # supervisord tries it again and again: STARTING, and down at once
            tell(f"{program.name} is held and stays down")
            continue
        if program.state == "STARTING":
            continue
        supervisor.start(lab, program.name)
        started.append(program.name)
    return tuple(started)


def wait_for_etcd(lab: Lab) -> None:
    """Wait until a quorum of etcd members is healthy."""
    needed = lab.size // 2 + 1

    def healthy() -> bool:
        return sum(probes.etcd(member, "health", timeout_s=2)[0] == 200 for member in lab.members) >= needed

    wait_for("etcd has a quorum", healthy, timeout_s=30, lab=lab, program="etcd-n1")


def wait_for_leader(lab: Lab, *, timeout_s: float = 60, program: str = "patroni-n1") -> None:
    """Wait until a member leads. A Patroni that gave up ends the wait at once."""

    def leads() -> bool:
        if probes.leader(lab) is not None:
            return True
        for member in lab.members:
            name = f"patroni-{member.name}"
            if supervisor.program(lab, name).state == "FATAL" and not (lab.hold_dir / name).exists():
                raise PgopsError(f"{name} does not stay up", where=str(lab.log_dir / f"{name}.log"))
        return False

    wait_for("a member leads", leads, timeout_s=timeout_s, lab=lab, program=program)


def wait_for_replicas(lab: Lab, expected: frozenset[str], *, timeout_s: float = 60) -> None:
    """Wait until every expected member but the leader streams."""

    def stream() -> bool:
        first = probes.leader(lab)
        return first is not None and expected - {first.name} <= probes.streaming(lab)

    missing = next(iter(sorted(expected)), "n1")
    wait_for("every replica streams", stream, timeout_s=timeout_s, lab=lab, program=f"patroni-{missing}")


def wait_for_members(lab: Lab, expected: frozenset[str]) -> None:
    """Wait until every expected member's Patroni says that it is well, and HAProxy has seen it so."""

    def well() -> bool:
        first = probes.leader(lab)
        if first is None or first.name not in expected:
            return False
        others = expected - {first.name}
        if {member.name for member in probes.replicas(lab)} != others:
            return False
        ups = probes.proxy_ups(lab)
        return (
            expected <= ups.get("all", frozenset())
            and {first.name} == ups.get("primary", frozenset()) & expected
            and others <= ups.get("replicas", frozenset())
        )

    wait_for("every member is well and in HAProxy's rotation", well, timeout_s=30, lab=lab, program="haproxy")


class Progress:
    """Tells each step as it is reached, with the seconds since the start."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._started = time.monotonic()

    def __call__(self, text: str) -> None:
        self._tell(f"{self.seconds:5.1f} s  {text}")

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started
