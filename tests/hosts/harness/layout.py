"""Where the hosts live on this machine, and how to remove everything that an earlier run left behind.

One run at a time. Namespaces are found by their names and directories by a marker file; nothing without them is touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hosts.harness.command import HarnessFault, call

STATE = Path("/var/lib/pgops-tests")
"""Holds `machines/` (root alone), `repository/` (shared by the hosts) and `operator/` (the operator's keys and files)."""

NAMESPACE_PREFIX = "pgops-test-"
"""Every network namespace of the harness begins with it."""

_MARKER = ".pgops-tests-hosts"
_LOCK = Path("/run/pgops-tests-hosts.lock")


@contextmanager
def own_state() -> Iterator[Path]:
    """The empty state directory, for this process alone; waits for another run to end. Cleans before and after."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        clean()
        STATE.mkdir(mode=0o755, parents=True)
        (STATE / _MARKER).touch()
        try:
            yield STATE
        finally:
            clean()


def clean() -> None:
    """Kill the hosts, unmount their file systems, delete their networks and files; does nothing where there are none."""
    for name in _namespaces():
        _kill_inside(name)
        call(["ip", "netns", "delete", name])
    for mount in _mounts():
        _unmount(mount)
    if (STATE / _MARKER).exists():
        shutil.rmtree(STATE)
    elif STATE.exists():
        raise HarnessFault(f"{STATE} is not the harness's own: it has no {_MARKER}; look at it and remove it")


def _namespaces() -> list[str]:
    names = [line.split()[0] for line in call(["ip", "netns", "list"]).splitlines() if line.strip()]
    return [name for name in names if name.startswith(NAMESPACE_PREFIX)]


def _kill_inside(namespace: str) -> None:
    """Kill whatever runs in the namespace: a container's init there takes the whole host with it."""
    deadline = time.monotonic() + 10.0
    while pids := call(["ip", "netns", "pids", namespace]).split():
        if time.monotonic() > deadline:
            raise HarnessFault(f"processes in network namespace {namespace} do not die: {' '.join(pids)}")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.1)


def _mounts() -> list[Path]:
    """Mount points below the state directory, innermost first."""
    points = (Path(line.split()[1]) for line in Path("/proc/self/mounts").read_text().splitlines())
    return sorted((point for point in points if point.is_relative_to(STATE)), reverse=True)


def _unmount(mount: Path) -> None:
    """Unmount, giving a dying host a moment to let go of it."""
    deadline = time.monotonic() + 10.0
    while True:
        try:
            call(["umount", str(mount)])
            return
        except HarnessFault:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
