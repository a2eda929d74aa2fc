"""The output of `pgops backup window`: the windows, for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pgops.observe.lsn import format_lsn
from pgops.readings import Known, reason
from pgops.render.table import render_table
from pgops.render.text import printable
from pgops.render.units import format_time
from pgops_backup.moments import format_exact
from pgops_backup.reaches import Line, Reach
from pgops_backup.seeing import Seen

_HEADERS = ("repo", "timeline", "from", "until", "backups", "restore with")


def render(seen: Seen, lines: Sequence[Line], remarks: Sequence[str]) -> str:
    """For a terminal."""
    title = (
        f"{seen.cluster}: times that can be restored, at {format_time(seen.taken_at)}, as {seen.host} sees the archive"
    )
    rows = [
        [printable(cell) for cell in _cells(line, reach, seen.present)]
        for line in lines
        for reach in (line.reaches or (None,))
    ]
    parts = [
        printable(title),
        render_table(_HEADERS, rows) if rows else "the archive holds no WAL and there is no backup",
    ]
    told = [text for line in lines for text in _notes(line)]
    told += [f"note: {remark}" for remark in remarks]
    if told:
        parts.append("\n".join(printable(text) for text in dict.fromkeys(told)))
    return "\n\n".join(parts) + "\n"


def _cells(line: Line, reach: Reach | None, present: int | None) -> list[str]:
    window = line.window
    timeline = f"{window.timeline}{' (present)' if window.timeline == present else ''}"
    head = [str(window.repo_key), timeline]
    if reach is None:
        return [*head, "-", "-", "none usable", "-"]
    count = len(reach.span.backups)
    labels = reach.span.backups[0].label + (f" and {count - 1} later" if count > 1 else "")
    if reach.ends is None:
        return [*head, "-", "no time", labels, "-"]
    until = format_exact(reach.ends.value) if isinstance(reach.ends, Known) else "unknown"
    return [*head, format_exact(reach.span.begins), until, labels, f"--target-timeline={window.option}"]


def _notes(line: Line) -> list[str]:
    window = line.window
    name = f"timeline {window.timeline} of repository {window.repo_key}"
    told = []
    if window.fork is not None and window.fork.ends_bytes is not None:
        told.append(f"{name} left timeline {window.fork.timeline} at {format_lsn(window.fork.ends_bytes)}")
    if window.fault is not None:
        told.append(f"{name}: {window.fault}")
    if window.option == "current":
        told.append(f"{name}: its history file is not archived, so only its own backups lead there")
    for gap in window.gaps:
        more = f" and {gap.count - 1} more segments are" if gap.count > 1 else " is"
        again = f"whole again from backup {gap.whole_from} on" if gap.whole_from else "no backup was made after it"
        told.append(f"gap on {name}: {gap.first}{more} missing; {again}")
    for reach in line.reaches:
        label = reach.span.backups[0].label
        if reach.ends is None:
            told.append(f"{name}: {reach.why}")
        elif not isinstance(reach.ends, Known):
            told.append(f"{name}, from {label} on: where it ends is unknown: {reason(reach.ends)}")
    told += [
        f"repository {window.repo_key}: backup {flaw.label} cannot be used: {flaw.reason}" for flaw in window.flaws
    ]
    return told


def document(seen: Seen, lines: Sequence[Line], remarks: Sequence[str]) -> dict[str, Any]:
    """For machines. `until` null: `why` says whether it is unknown or no time at all can be reached (`reachable` false)."""
    return {
        "schema": 1,
        "kind": "pgops-backup-window",
        "cluster": seen.cluster,
        "taken_at": seen.taken_at.isoformat(timespec="milliseconds"),
        "seen_from": seen.host,
        "present_timeline": seen.present,
        "windows": [_line_record(line) for line in lines],
        "remarks": list(remarks),
    }


def _line_record(line: Line) -> dict[str, Any]:
    window = line.window
    fork = window.fork
    return {
        "repository": window.repo_key,
        "archive_id": window.archive_id,
        "timeline": window.timeline,
        "target_timeline": window.option,
        "parent_timeline": fork.timeline if fork else None,
        "fork_lsn": format_lsn(fork.ends_bytes) if fork and fork.ends_bytes is not None else None,
        "fault": window.fault,
        "spans": [_reach_record(reach) for reach in line.reaches],
        "gaps": [
            {"first_segment": gap.first, "segments": gap.count, "whole_from": gap.whole_from} for gap in window.gaps
        ],
        "unusable_backups": [{"label": flaw.label, "reason": flaw.reason} for flaw in window.flaws],
    }


def _reach_record(reach: Reach) -> dict[str, Any]:
    known_end = isinstance(reach.ends, Known)
    return {
        "reachable": reach.ends is not None,
        "from": format_exact(reach.span.begins),
        "until": format_exact(reach.ends.value) if isinstance(reach.ends, Known) else None,
        "why": None if known_end else reach.why or (reason(reach.ends) if reach.ends is not None else None),
        "segments": reach.span.walk.count,
        "backups": [backup.label for backup in reach.span.backups],
    }
