"""Waits, bounded, until something is seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from pgops.errors import PgopsError
from pgops_lab.lab import Lab

T = TypeVar("T")
INTERVAL_S = 0.25


def wait_for(
    what: str, probe: Callable[[], T | None], *, timeout_s: float, lab: Lab | None = None, program: str | None = None
) -> T:
    """What `probe` gives as soon as it is neither None nor False.

    Raises `PgopsError` that says what was waited for, with the last lines of the log of `program` in `lab`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        seen = probe()
        if seen is not None and seen is not False:
            return seen
        if time.monotonic() > deadline:
            raise PgopsError(
                f"waited {timeout_s:.0f} s in vain: {what}",
                where=str(lab.log_dir / f"{program}.log") if lab and program else None,
                why=log_tail(lab, program) if lab and program else None,
                next_step=f"pgops lab status --name {lab.name}" if lab else None,
            )
        time.sleep(INTERVAL_S)


def log_tail(lab: Lab, program: str, lines: int = 5) -> str | None:
    """The last lines of a program's log, or None when there is none."""
    try:
        with (lab.log_dir / f"{program}.log").open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - 8192))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return None
    return "\n".join(line[:240] for line in text.splitlines()[-lines:]) or None


class LogReader:
    """What a program writes to its log from now on."""

    def __init__(self, lab: Lab, program: str) -> None:
        self._path = lab.log_dir / f"{program}.log"
        self._start = self._path.stat().st_size if self._path.exists() else 0

    def says(self, words: str) -> bool:
        """Whether `words` were written since."""
        with self._path.open("rb") as stream:
            stream.seek(self._start)
            return words.encode() in stream.read()
