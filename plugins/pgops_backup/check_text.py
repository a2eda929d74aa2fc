"""The judgements of `pgops backup check` for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pgops.checks import Verdict
from pgops.observe.snapshot import Snapshot
from pgops.render.text import printable
from pgops.render.units import format_time
from pgops_backup.checking import Row, exit_code

_HEADINGS = {0: "ALL WELL", 1: "SOMETHING IS WRONG", 5: "NOT ALL COULD BE SEEN"}


def render(snapshot: Snapshot, rows: Sequence[Row]) -> str:
    """A heading, then a line for each judgement in the order of looking, with what to do below those that are not ok."""
    heading = f"{snapshot.cluster.name}: {_HEADINGS[exit_code(rows)]} at {format_time(snapshot.taken_at)}"
    lines = [printable(heading), ""]
    for row in rows:
        finding = row.finding
        where = f" {finding.subject}" if finding.subject else ""
        lines.append(f"{finding.verdict.value.upper():<8} {printable(f'{row.name}{where}: {finding.text}')}")
        if finding.next_step and finding.verdict not in (Verdict.OK, Verdict.SKIPPED):
            lines.append(f"         next: {printable(finding.next_step)}")
    lines += [f"note: {printable(text)}" for text in snapshot.warnings]
    return "\n".join(lines) + "\n"


def document(snapshot: Snapshot, rows: Sequence[Row]) -> dict[str, Any]:
    """For machines: units stand in the keys, null is unknown."""
    return {
        "schema": 1,
        "kind": "pgops-backup-check",
        "cluster": snapshot.cluster.name,
        "taken_at": snapshot.taken_at.isoformat(timespec="milliseconds"),
        "exit_code": int(exit_code(rows)),
        "findings": [
            {
                "check": row.name,
                "verdict": row.finding.verdict.value,
                "subject": row.finding.subject,
                "text": row.finding.text,
                "next_step": row.finding.next_step,
                "numbers": row.finding.numbers,
            }
            for row in rows
        ],
    }
