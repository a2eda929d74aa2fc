"""What a health check is: a name, the views it needs, and a pure function from the snapshot to findings.

A plugin gives a sequence of `Check` and `pgops health` runs them beside its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Union

from pgops.observe.snapshot import Snapshot, View
from pgops.readings import Reading, Skipped, reason

Number = Union[int, float, str, bool, None]  # noqa: UP007 - an alias evaluated at run time on Python 3.10


class Verdict(str, Enum):
    """A finding's verdict. Worst first: critical, unknown, warning, ok. Skipped is no fault and does not count."""

    CRITICAL = "critical"
    UNKNOWN = "unknown"
    WARNING = "warning"
    OK = "ok"
    SKIPPED = "skipped"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Verdict).index(self)

    @property
    def exit_code(self) -> int:
        """Nagios: 0 ok (and skipped), 1 warning, 2 critical, 3 unknown."""
        return {Verdict.CRITICAL: 2, Verdict.UNKNOWN: 3, Verdict.WARNING: 1}.get(self, 0)


@dataclass(frozen=True)
class Finding:
    """What a check found. `subject` is a member's name, or empty for the whole cluster.

    `text` is one line with the numbers and the threshold. `next_step` is the next command when the verdict is not ok.
    `numbers` are the same numbers for machines; their keys carry the unit (`lag_bytes`, `age_s`), None is "unknown".
    """

    verdict: Verdict
    text: str
    subject: str = ""
    next_step: str | None = None
    numbers: dict[str, Number] = field(default_factory=dict)
    because: str | None = None
    """Why something is unknown, where other findings may share that reason: the table tells them together."""


@dataclass(frozen=True)
class Check:
    """A named check. `views` are what it reads where it may; without those in `needs` it cannot say anything.

    `--quick` reads REST and DCS only and runs the checks that need no more. `needs` None: all of `views`.
    `find` gives at least one finding; one that raises becomes an `unknown` finding that names the plugin's bug.
    """

    name: str
    summary: str
    views: frozenset[View]
    find: Callable[[Snapshot], Iterable[Finding]]
    needs: frozenset[View] | None = None

    def runs_with(self, views: frozenset[View]) -> bool:
        """Whether it can say something when these views were read."""
        return (self.views if self.needs is None else self.needs) <= views


def ok(text: str, subject: str = "", **numbers: Number) -> Finding:
    """All is well, said in one line."""
    return Finding(Verdict.OK, text, subject, None, numbers)


def warning(text: str, subject: str = "", *, next_step: str, **numbers: Number) -> Finding:
    """Look at it in working hours."""
    return Finding(Verdict.WARNING, text, subject, next_step, numbers)


def critical(text: str, subject: str = "", *, next_step: str, **numbers: Number) -> Finding:
    """Get up for it."""
    return Finding(Verdict.CRITICAL, text, subject, next_step, numbers)


def unknown(
    text: str, subject: str = "", *, next_step: str | None = None, because: str | None = None, **numbers: Number
) -> Finding:
    """It could not be seen; the text says why."""
    return Finding(Verdict.UNKNOWN, text, subject, next_step, numbers, because)


def unread(what: str, reading: Reading[object], subject: str = "") -> Finding:
    """`what` could not be judged since this reading is not known: skipped where nothing is configured, else unknown."""
    why = reason(reading)
    if isinstance(reading, Skipped):
        return skipped(f"{what}: {why}", subject)
    return unknown(f"{what}: {why}", subject, because=why)


def skipped(text: str, subject: str = "") -> Finding:
    """Nothing is configured there, so nothing was looked at."""
    return Finding(Verdict.SKIPPED, text, subject)
