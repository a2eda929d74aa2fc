"""A lab's life: up, up again, its keeper killed, up once more, down; and nothing is left of it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgops.hosts.process import CommandResult, run
from pgops_lab import ports, processes
from pgops_lab.lab import Lab, load

pytestmark = pytest.mark.practice

PGOPS = str(Path(sys.executable).parent / "pgops")
NAME = f"it-life-{os.getpid()}"


def _lab(*arguments: str) -> CommandResult:
    return run([PGOPS, "lab", *arguments], timeout_s=240)


def _status() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(_lab("status", NAME, "-f", "json").stdout)
    return told


@pytest.fixture
def lab() -> Iterator[Lab]:
    result = _lab("up", NAME)
    assert result.exit_code == 0, result.stderr
    yield load(NAME)
    _lab("down", NAME)


def test_a_lab_lives_and_leaves_nothing(lab: Lab) -> None:
    status = _status()
    assert status["up"], status
    assert {program["state"] for program in status["programs"]} == {"RUNNING"}

    again = _lab("up", NAME)
    assert (again.exit_code, "nothing was done" in again.stderr) == (0, True), again.stderr
    assert f"export PGOPS_CONFIG={lab.pgops_config}" in again.stdout
    assert _pids(_status()) == _pids(status), "a program was started anew although it ran"

    _kill_keeper(lab)
    down = _status()
    assert (down["supervised"], down["orphan_count"] > 0) == (False, True)
    revived = _lab("up", NAME)
    assert revived.exit_code == 0, revived.stderr
    assert _status()["up"]

    other = _lab("up", NAME, "--members", "5")
    assert other.exit_code == 3, "a lab that is there was taken for another"

    postgres_pid = next(process.pid for process in processes.of_lab(lab) if process.name == "postgres")
    os.kill(postgres_pid, signal.SIGSTOP)
    _kill_keeper(lab)
    segments = _segments(lab)
    gone = _lab("down", NAME)
    assert gone.exit_code == 0, gone.stderr
    _assert_nothing_left(lab, segments)
    assert _lab("down", NAME).exit_code == 3, "there is nothing left to take down"


def _kill_keeper(lab: Lab) -> None:
    pid = int((lab.run_dir / "supervisord.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while processes.is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _segments(lab: Lab) -> set[str]:
    return {
        path.read_text().splitlines()[6].split()[1]
        for path in lab.directory.glob("n*/data/postmaster.pid")
        if len(path.read_text().splitlines()) > 6
    }


def _assert_nothing_left(lab: Lab, segments: set[str]) -> None:
    assert processes.of_lab(lab) == ()
    assert not lab.directory.exists()
    assert ports.taken(lab.endpoints) == ()
    rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    assert not segments & {row[1] for row in rows}
    assert str(lab.directory) not in Path("/proc/self/mounts").read_text()
    assert [path.name for path in lab.directory.parent.glob(f".*{NAME}*")] == []


def _pids(status: dict[str, Any]) -> dict[str, int]:
    return {program["name"]: program["pid"] for program in status["programs"]}


def test_a_held_program_is_not_started_by_anybody(lab: Lab) -> None:
    (lab.hold_dir / "patroni-n3").write_text("a test\n")
    _lab_program_killed(lab, "patroni-n3")
    result = _lab("up", NAME)
    assert "patroni-n3 is held and stays down" in result.stderr
    states = {program["name"]: program for program in _status()["programs"]}
    assert states["patroni-n3"]["held"]
    assert states["patroni-n3"]["state"] in ("BACKOFF", "FATAL", "STARTING")
    mended = _lab("mend", "--name", NAME)
    assert mended.exit_code == 0, mended.stderr
    assert _status()["up"]


def _lab_program_killed(lab: Lab, program: str) -> None:
    pid = next(item["pid"] for item in _status()["programs"] if item["name"] == program)
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(item["name"] == program and item["state"] == "RUNNING" for item in _status()["programs"]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
