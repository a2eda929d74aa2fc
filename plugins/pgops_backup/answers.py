"""Whether one time can be restored to, from which backup and how; else why not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgops.observe.facts import Backup
from pgops.readings import Known, reason
from pgops_backup.reaches import Line, Reach


@dataclass(frozen=True)
class Way:
    """How to get to a time. `others` are further timelines (with their repository) that lead there as well."""

    line: Line
    reach: Reach
    backup: Backup
    others: tuple[Line, ...]


@dataclass(frozen=True)
class NoWay:
    """Why a time cannot be reached, as a sentence; `certain` False: it cannot be told."""

    why: str
    certain: bool = True


def find_way(lines: Sequence[Line], moment: datetime, present: int | None) -> Way | NoWay:
    """The way to `moment`: on the present timeline where that leads there, else on the newest that does."""
    ordered = order(lines, present)
    ways = [(line, reach) for line in ordered for reach in line.reaches if reach.holds(moment)]
    if ways:
        line, reach = ways[0]
        others = tuple(other for other, _ in ways[1:])
        return Way(line, reach, choose_backup(reach, moment), others)
    open_ends = [(line, reach) for line in ordered for reach in line.reaches if reach.holds(moment) is None]
    if open_ends:
        line, reach = open_ends[0]
        assert reach.ends is not None  # noqa: S101 - it would hold nothing
        why = f"where {_name(line)} ends is unknown: {reason(reach.ends)}"
        return NoWay(why, certain=False)
    return NoWay(_why_not(ordered, moment))


def order(lines: Iterable[Line], present: int | None) -> list[Line]:
    """The present timeline first, then the newest; of one timeline the first repository."""
    return sorted(
        lines, key=lambda line: (line.window.timeline != present, -line.window.timeline, line.window.repo_key)
    )


def choose_backup(reach: Reach, moment: datetime) -> Backup:
    """The newest that had stopped in an earlier second: least WAL is left to replay."""
    return max(
        (item for item in reach.span.backups if item.stopped_at + timedelta(seconds=1) <= moment),
        key=lambda item: item.stopped_at,
    )


def _why_not(ordered: Sequence[Line], moment: datetime) -> str:
    """The reason on the best line that leads anywhere at all."""
    live = [line for line in ordered if line.ends]
    if not live:
        whys = dict.fromkeys(reach.why for line in ordered for reach in line.reaches if reach.why)
        return "; ".join(whys) or "no backup can be restored from"
    first = min(reach.span.begins for line in live for reach in line.reaches if reach.ends is not None)
    if moment < first:
        return f"it is before the end of the first usable backup; the earliest time is {first.isoformat()}"
    last = max(end for line in live for end in line.ends)
    if moment > last:
        return f"it is after the last archived end of a transaction; the latest time is {last.isoformat()}"
    return "; ".join(_why_not_on(line, moment) for line in live)


def _why_not_on(line: Line, moment: datetime) -> str:
    before = max((end for end in line.ends if end < moment), default=None)
    begins = [reach.span.begins for reach in line.reaches if isinstance(reach.ends, Known)]
    after = min((each for each in begins if each > moment), default=None)
    if before is None:
        return f"{_name(line)} begins at {after.isoformat() if after else 'no time'}"
    if after is None:
        return f"{_name(line)} ends at {before.isoformat()}"
    missing = [gap for gap, reach in zip(line.window.gaps, line.reaches, strict=False) if _ends_at(reach, before)]
    count = f" and {missing[0].count - 1} more" if missing and missing[0].count > 1 else ""
    hole = f" ({missing[0].first}{count} missing)" if missing else ""
    rest = f"that leads up to {before.isoformat()}, and on from {after.isoformat()}"
    return f"on {_name(line)} it is in a gap in WAL{hole}: {rest}"


def _ends_at(reach: Reach, moment: datetime) -> bool:
    return isinstance(reach.ends, Known) and reach.ends.value == moment


def _name(line: Line) -> str:
    return f"timeline {line.window.timeline} of repository {line.window.repo_key}"
