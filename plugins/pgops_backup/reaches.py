"""Windows with their upper ends: from when till when exactly. Pure, given when the last transactions ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgops.observe.timelines import format_segment
from pgops.readings import Known, Reading, Unknown
from pgops_backup.last_commit import LastEnd
from pgops_backup.walks import Walk
from pgops_backup.windows import Span, TimelineWindow

LOOK_BYTES = 256 * 1024 * 1024
"""So much WAL is searched for the last end of a transaction."""

_STEP = timedelta(microseconds=1)


@dataclass(frozen=True)
class Tail:
    """The end of a walk, to be searched for the last end of a transaction: segment names, newest first.

    `whole`: there is no more behind the oldest backup. `leave_bytes` as in `Walk`.
    """

    repo_key: int
    names: tuple[str, ...]
    leave_bytes: int | None
    whole: bool


@dataclass(frozen=True)
class Reach:
    """One span, and the last time that it leads to. `ends` None: no time at all, and `why` says why."""

    span: Span
    ends: Reading[datetime] | None
    why: str = ""

    def holds(self, moment: datetime) -> bool | None:
        """Whether that time can be reached; None: it cannot be told."""
        if self.ends is None or moment < self.span.begins:
            return False
        return moment <= self.ends.value if isinstance(self.ends, Known) else None


@dataclass(frozen=True)
class Line:
    """A timeline's window and what its spans reach, in the same order."""

    window: TimelineWindow
    reaches: tuple[Reach, ...]

    @property
    def ends(self) -> tuple[datetime, ...]:
        """The known ends."""
        return tuple(reach.ends.value for reach in self.reaches if isinstance(reach.ends, Known))


def segment_names(walk: Walk, segment_bytes: int, *, first: int, last: int) -> tuple[str, ...]:
    """The names of a walk's segments from number `first` to `last`, newest first."""
    names = []
    for stretch in reversed(walk.stretches):
        end = walk.end - 1 if stretch.last is None else stretch.last
        for number in range(min(end, last), max(stretch.first, first) - 1, -1):
            names.append(format_segment(stretch.timeline, number, segment_bytes))
    return tuple(names)


def find_tail(window: TimelineWindow, span: Span, segment_bytes: int) -> Tail:
    """What must be searched for a span's end."""
    count = max(2, LOOK_BYTES // segment_bytes)
    newest = span.walk.end - 1
    oldest = max(span.first_bytes // segment_bytes, newest - count + 1)
    names = segment_names(span.walk, segment_bytes, first=oldest, last=newest)
    return Tail(window.repo_key, names, span.walk.leave_bytes, oldest == span.first_bytes // segment_bytes)


def find_reaches(
    windows: Sequence[TimelineWindow], segment_bytes: int, read: Callable[[Tail], Reading[LastEnd]]
) -> tuple[Line, ...]:
    """The windows with their ends. `read` is asked once for each distinct tail."""
    seen: dict[Tail, Reading[LastEnd]] = {}
    lines = []
    for window in windows:
        reaches = []
        for span in window.spans:
            tail = find_tail(window, span, segment_bytes)
            if tail not in seen:
                seen[tail] = read(tail)
            reaches.append(judge(span, tail, seen[tail]))
        lines.append(Line(window, tuple(reaches)))
    return tuple(lines)


def judge(span: Span, tail: Tail, last: Reading[LastEnd]) -> Reach:
    """What a span reaches, given the last end of a transaction in its tail.

    A target that no later end proves to be reached makes PostgreSQL 13 and later refuse to start.
    """
    if not isinstance(last, Known):
        return Reach(span, last)
    at = last.value.at
    if at is None and not tail.whole:
        return Reach(
            span, Unknown(f"no transaction ended in the last {last.value.read} segments, and no further was read")
        )
    if at is None or at - _STEP < span.begins:
        label = span.backups[0].label
        return Reach(
            span, None, f"no transaction that ended after {label} is archived: only its own end can be restored"
        )
    return Reach(span, Known(at - _STEP))
