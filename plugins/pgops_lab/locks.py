"""One lock file for each thing that two pgops at once must not do. The file is gone when nobody holds it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pgops.errors import ExitCode, PgopsError
from pgops_lab import places
from pgops_lab.files import make_dirs

LONGEST_WORK_S = 900.0


class Busy(PgopsError):
    """Another pgops is at it, and did not end in time."""

    exit_code = ExitCode.LOCKED


@contextmanager
def locked(path: Path, *, waiting_for: str, tell: Callable[[str], None], timeout_s: float) -> Iterator[None]:
    """Hold the lock file `path`. While another pgops has it, say once what is waited for; at last raise `Busy`."""
    make_dirs(path.parent)
    deadline = time.monotonic() + timeout_s
    told = False
    while (handle := _try(path)) is None:
        if time.monotonic() > deadline:
            raise Busy(f"waited {timeout_s:.0f} s in vain: {waiting_for}", where=str(path))
        if not told:
            tell(f"waiting: {waiting_for}")
            told = True
        time.sleep(0.2)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def lab_locked(name: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Be the only pgops that changes the lab `name`."""
    path = places.home() / "labs" / f".{places.check_name(name)}.lock"
    with locked(path, waiting_for=f"another pgops is at work on the lab {name}", tell=tell, timeout_s=LONGEST_WORK_S):
        yield


def _try(path: Path) -> int | None:
    """The handle of the locked file; None when another has it, or removed it while we were looking."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(handle).st_ino:
            return handle
    except OSError:
        pass
    os.close(handle)
    return None
