"""One lock file for each thing that two pgops at once must not do."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pgops.errors import PgopsError


@contextmanager
def locked(path: Path, *, waiting_for: str, tell: Callable[[str], None], timeout_s: float) -> Iterator[None]:
    """Hold the lock file `path`. While another pgops has it, say once what is waited for; then `PgopsError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _acquire(handle, path, waiting_for, tell, timeout_s)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, path: Path, waiting_for: str, tell: Callable[[str], None], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                raise PgopsError(f"waited {timeout_s:.0f} s in vain: {waiting_for}", where=str(path)) from None
            if not told:
                tell(f"waiting: {waiting_for}")
                told = True
            time.sleep(0.2)
        else:
            return
