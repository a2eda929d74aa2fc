"""`pgops lab down`: ends every process of a lab and removes all it has on disk."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

from pgops.errors import PgopsError
from pgops.hosts.process import run
from pgops_lab import lab as labs
from pgops_lab import processes
from pgops_lab.booting import Tell
from pgops_lab.lab import Lab
from pgops_lab.locks import lab_locked

QUIT_S = 5.0
"""How long PostgreSQL gets for an immediate shutdown, in which it gives its shared memory back."""


def take_down(name: str, tell: Tell) -> None:
    """Leave nothing of the lab `name`: no process, no mount, no file. Other labs and the machine's services stay."""
    with lab_locked(name, tell):
        _take_down(labs.load(name), tell)


def _take_down(lab: Lab, tell: Tell) -> None:
    tell(f"ending the processes of {lab.name}")
    segments = _segments(lab)
    _end(lab)
    _remove_segments(segments)
    for mount in mounts_under(lab.directory):
        result = run(["umount", mount], timeout_s=20)
        if not result.ok:
            raise PgopsError("a file system of the lab cannot be unmounted", where=mount, why=result.fault)
    tell(f"removing {lab.directory}")
    _remove(lab.directory)


def mounts_under(directory: Path) -> list[str]:
    """What is mounted under `directory`, innermost first. Source: proc(5), /proc/self/mounts."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{directory}/")), key=len, reverse=True)


def _end(lab: Lab) -> None:
    """Keepers first, so that nothing is started anew; PostgreSQL by its immediate shutdown; then whatever is left."""
    for keeper in (("supervisord",), ("patroni", "python")):
        for process in processes.of_lab(lab):
            if process.name.startswith(keeper):
                _signal(process.pid, signal.SIGKILL)
    for process in processes.of_lab(lab):
        if process.name == "postgres" and _is_postmaster(process):
            _signal(process.pid, signal.SIGQUIT)
            _signal(process.pid, signal.SIGCONT)
    deadline = time.monotonic() + QUIT_S
    while time.monotonic() < deadline and any(process.name == "postgres" for process in processes.of_lab(lab)):
        time.sleep(0.1)
    deadline = time.monotonic() + 10
    while left := processes.of_lab(lab):
        for process in left:
            _signal(process.pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise PgopsError(
                "processes of the lab do not end", why=", ".join(f"{process.pid} {process.name}" for process in left)
            )
        time.sleep(0.1)


def _is_postmaster(process: processes.Process) -> bool:
    """PostgreSQL's own children show a title instead of the words they were started with."""
    return bool(process.words) and process.words[0].endswith("/postgres")


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _segments(lab: Lab) -> set[str]:
    """The System V shared memory that the lab's postmasters noted: last number of line 7 of postmaster.pid.

    Source: PostgreSQL, src/include/utils/pidfile.h.
    """
    found = set()
    for file in lab.directory.glob("n*/data*/postmaster.pid"):
        lines = file.read_text().splitlines()
        if len(lines) > 6 and len(words := lines[6].split()) == 2 and words[1].isdigit():
            found.add(words[1])
    return found


def _remove_segments(segments: set[str]) -> None:
    """Remove those that a kill left behind: nobody is attached to them. Source: proc(5), /proc/sysvipc/shm."""
    table = Path("/proc/sysvipc/shm")
    if not segments or not table.exists():
        return
    head, *rows = (line.split() for line in table.read_text().splitlines())
    for row in rows:
        seen = dict(zip(head, row, strict=False))
        if seen["shmid"] in segments and seen["nattch"] == "0":
            run(["ipcrm", "-m", seen["shmid"]], timeout_s=5)


def _remove(directory: Path) -> None:
    """Remove the directory, the marker last, so that a run cut off can be repeated."""
    entries = [path for path in directory.iterdir() if path.name != labs.MARKER]
    for path in entries:
        if path.is_dir() and not path.is_symlink():
            _make_removable(path)
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.rmtree(directory)


def _make_removable(directory: Path) -> None:
    """Give back to the owner what an incident took away; only directories without write permission are touched."""
    for root, names, _ in os.walk(directory):
        for path in [Path(root), *(Path(root) / name for name in names)]:
            if not path.is_symlink() and not path.stat().st_mode & 0o200:
                path.chmod(0o700)
