"""The output of `pgops backup list`: a table for people, a document for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pgops.render.table import render_table
from pgops.render.text import printable
from pgops.render.units import format_bytes, format_duration, format_time
from pgops_backup.listing import Row, Underway
from pgops_backup.seeing import Seen

_HEADERS = (
    "label",
    "type",
    "repo",
    "age",
    "took",
    "size",
    "in repo",
    "TL",
    "WAL from",
    "WAL to",
    "chain",
    "errors",
    "made by",
)


def render(seen: Seen, rows: Sequence[Row], underway: Sequence[Underway], remarks: Sequence[str]) -> str:
    """For a terminal."""
    parts = [printable(f"{seen.cluster}: backups at {format_time(seen.taken_at)}, as {seen.host} sees them")]
    if rows:
        parts.append(render_table(_HEADERS, [[printable(cell) for cell in _cells(row)] for row in rows]))
    else:
        parts.append("there is no backup")
    told = [_underway(item) for item in underway] + [f"note: {remark}" for remark in remarks]
    told += [f"note: {row.backup.label}: {row.broken}" for row in rows if row.broken]
    if told:
        parts.append("\n".join(printable(line) for line in told))
    return "\n\n".join(parts) + "\n"


def _cells(row: Row) -> list[str]:
    backup = row.backup
    return [
        backup.label,
        backup.kind,
        str(backup.repo_key),
        format_duration(row.age_s),
        format_duration(row.duration_s),
        _size(backup.size_bytes),
        _size(backup.repository_delta_bytes),
        "unknown" if backup.timeline is None else str(backup.timeline),
        backup.wal_start or "unknown",
        backup.wal_stop or "unknown",
        _chain(row),
        {True: "ERRORS", False: "none", None: "unknown"}[backup.error],
        row.run or "-",
    ]


def _size(count: int | None) -> str:
    return "unknown" if count is None else format_bytes(count)


def _chain(row: Row) -> str:
    parts = ["BROKEN" if row.broken else "whole"]
    if row.needs:
        base = row.backup.prior or row.needs[-1]
        others = len([label for label in row.needs if label != base])
        parts.append(f"on {base}" + (f" and {others} more" if others else ""))
    if not row.present:
        parts.append("earlier database")
    return ", ".join(parts)


def _underway(item: Underway) -> str:
    where = (
        f"pgBackRest works on {item.host}" if item.host else "pgBackRest itself is not seen to work on any member yet"
    )
    what = f"running now: {item.what or 'not a run of pgops'}: {where}"
    if item.by is not None and item.since is not None:
        run = f", run {item.run}" if item.run else ""
        what += f" (by {item.by} since {format_time(item.since)}{run})"
    if item.done_bytes is None or item.size_bytes is None:
        return f"{what}; how far is unknown" if item.host else what
    share = f"{item.share:.0%} of " if item.share is not None else ""
    return f"{what}; {format_bytes(item.done_bytes)}, {share}{format_bytes(item.size_bytes)}"


def document(seen: Seen, rows: Sequence[Row], underway: Sequence[Underway], remarks: Sequence[str]) -> dict[str, Any]:
    """For machines: units stand in the keys, null is unknown."""
    return {
        "schema": 1,
        "kind": "pgops-backup-list",
        "cluster": seen.cluster,
        "taken_at": seen.taken_at.isoformat(timespec="milliseconds"),
        "seen_from": seen.host,
        "backups": [_record(row) for row in rows],
        "running": [_running_record(item) for item in underway],
        "remarks": list(remarks),
    }


def _record(row: Row) -> dict[str, Any]:
    backup = row.backup
    return {
        "label": backup.label,
        "type": backup.kind,
        "repository": backup.repo_key,
        "database_id": backup.database_id,
        "present_database": row.present,
        "started_at": backup.started_at.isoformat(),
        "stopped_at": backup.stopped_at.isoformat(),
        "age_s": round(row.age_s),
        "duration_s": round(row.duration_s),
        "size_bytes": backup.size_bytes,
        "delta_bytes": backup.delta_bytes,
        "repository_size_bytes": backup.repository_size_bytes,
        "repository_delta_bytes": backup.repository_delta_bytes,
        "timeline": backup.timeline,
        "wal_start": backup.wal_start,
        "wal_stop": backup.wal_stop,
        "prior": backup.prior,
        "needs": list(row.needs),
        "chain_whole": row.broken is None,
        "chain_fault": row.broken,
        "error": backup.error,
        "pgops_run": row.run,
        "annotations": dict(backup.annotations),
    }


def _running_record(item: Underway) -> dict[str, Any]:
    return {
        "host": item.host,
        "what": item.what,
        "by": item.by,
        "pgops_run": item.run,
        "since": item.since.isoformat() if item.since else None,
        "size_bytes": item.size_bytes,
        "done_bytes": item.done_bytes,
    }
