"""The health check of drills: when was a restore proven last, and how long did it take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgops.checks import Check, Finding, critical, ok, skipped, unknown, unread, warning
from pgops.observe.keys import record_prefix
from pgops.observe.record_facts import DrillRecord
from pgops.observe.snapshot import Snapshot, View
from pgops.readings import known
from pgops.render.units import format_bytes, format_duration
from pgops_drill.results import tell

_AGAIN = "pgops drill restore"


def find_drill(snapshot: Snapshot) -> Iterator[Finding]:
    """A restore was proven, not too long ago, and the last drill did not fail."""
    if snapshot.cluster.stanza is None:
        yield skipped("no pgBackRest stanza is configured")
        return
    keys = known(snapshot.keys)
    if keys is None:
        yield unread("when a restore was proven last is not known", snapshot.keys)
        return
    fault = keys.records_fault or keys.unread_records.get("drill")
    if fault:
        yield unknown(
            f"when a restore was proven last is not known: its record cannot be read ({fault})",
            next_step=f"see {record_prefix(snapshot.cluster.prefix)}drill",
        )
        return
    record = keys.drill_record
    if record is None:
        yield ok(f"no restore was ever proven here; {_AGAIN} does it")
        return
    numbers = _numbers(snapshot, record)
    if record.outcome == "failed":
        yield critical(f"{tell(record)}; {_last(snapshot, record)}", next_step=_AGAIN, **numbers)
    elif record.outcome == "unmade":
        yield warning(f"{tell(record)}; {_last(snapshot, record)}", next_step=_AGAIN, **numbers)
    elif numbers["proven_age_s"] is not None and numbers["proven_age_s"] > _limit_s(snapshot):
        limit = format_duration(_limit_s(snapshot))
        yield warning(f"{_last(snapshot, record)}, more than {limit} ago", next_step=_AGAIN, **numbers)
    else:
        yield ok(f"{_last(snapshot, record)}{_measured(record)}", "", **numbers)


def _limit_s(snapshot: Snapshot) -> float:
    return snapshot.cluster.thresholds.drill_age_warning_s


def _numbers(snapshot: Snapshot, record: DrillRecord) -> dict[str, Any]:
    age_s = (snapshot.taken_at - record.proven_at).total_seconds() if record.proven_at else None
    return {
        "proven_age_s": None if age_s is None else round(age_s, 1),
        "restore_s": record.restore_s,
        "restore_bytes": record.restore_bytes,
        "replay_s": record.replay_s,
        "replay_bytes": record.replay_bytes,
    }


def _last(snapshot: Snapshot, record: DrillRecord) -> str:
    if record.proven_at is None:
        return "no restore was ever proven here"
    age = format_duration((snapshot.taken_at - record.proven_at).total_seconds())
    return f"last proven restore {age} ago (backup {record.proven_label})"


def _measured(record: DrillRecord) -> str:
    """Of a drill that passed."""
    said = ""
    if record.restore_s is not None:
        size = f"{format_bytes(record.restore_bytes)} " if record.restore_bytes is not None else ""
        said = f": {size}restored on {record.node} in {record.restore_s:.1f} s"
    if record.replay_s is not None:
        wal = f" with {format_bytes(record.replay_bytes)} of WAL" if record.replay_bytes else ""
        said += f", started{wal} in {record.replay_s:.1f} s"
    return said


CHECKS = (Check("drill", "a restore was proven not too long ago", frozenset({View.DCS}), find_drill),)
