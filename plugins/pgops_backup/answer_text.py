"""The output of `pgops backup window --at`: how to get to one time, for people and for machines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgops.readings import Reading, known, reason
from pgops.render.text import printable
from pgops.render.units import format_bytes, format_duration
from pgops_backup.answers import NoWay, Way
from pgops_backup.estimates import Estimate
from pgops_backup.moments import format_exact, format_target
from pgops_backup.replay import Replay
from pgops_backup.seeing import Seen


@dataclass(frozen=True)
class Told:
    """All that is told of a way."""

    way: Way
    moment: datetime
    replay: Replay
    segment_bytes: int
    estimate: Reading[Estimate]

    @property
    def options(self) -> tuple[str, ...]:
        """pgBackRest's, that lead exactly there."""
        window = self.way.line.window
        return (
            f"--repo={window.repo_key}",
            f"--set={self.way.backup.label}",
            "--type=time",
            f"--target={format_target(self.moment)}",
            f"--target-timeline={window.option}",
        )


def render(seen: Seen, told: Told) -> str:
    """For a terminal."""
    way, replay = told.way, told.replay
    window, backup = way.line.window, way.backup
    present = "unknown" if seen.present is None else str(seen.present)
    place = "the present one" if window.timeline == seen.present else f"NOT the present one, which is {present}"
    size = "of unknown size" if backup.size_bytes is None else format_bytes(backup.size_bytes)
    stopped = format_exact(backup.stopped_at)
    bound = "" if replay.exact else "at most "
    plural = "s" if replay.count != 1 else ""
    wal = f"{bound}{replay.count} segment{plural}, {format_bytes(replay.count * told.segment_bytes)}"
    lines = [
        f"{seen.cluster}: {format_exact(told.moment)} can be restored",
        f"  backup    {backup.label} ({backup.kind}, repository {window.repo_key}, {size}), stopped at {stopped}",
        f"  timeline  {window.timeline}, {place}",
        f"  WAL       {wal}: {replay.first} to {replay.last}",
        f"  duration  {_duration(told)}",
        f"  options   {' '.join(_quoted(option) for option in told.options)}",
    ]
    if way.others:
        names = ", ".join(
            f"timeline {item.window.timeline} of repository {item.window.repo_key}" for item in way.others
        )
        lines.append(f"  also on   {names}")
    lines.append(
        "  note      under Patroni a restore by hand drops the target and replays all WAL: do not start Patroni on it"
    )
    return "\n".join(printable(line) for line in lines) + "\n"


def _quoted(option: str) -> str:
    return f"'{option}'" if " " in option else option


def _duration(told: Told) -> str:
    estimate = known(told.estimate)
    if estimate is None:
        return reason(told.estimate)
    replay = "replay unknown" if estimate.replay_s is None else f"replay about {format_duration(estimate.replay_s)}"
    return f"restore about {format_duration(estimate.restore_s)}, {replay} ({estimate.source})"


def document(seen: Seen, told: Told) -> dict[str, Any]:
    """For machines."""
    window, backup, replay = told.way.line.window, told.way.backup, told.replay
    estimate = known(told.estimate)
    return {
        "schema": 1,
        "kind": "pgops-backup-window-at",
        "cluster": seen.cluster,
        "at": format_exact(told.moment),
        "reachable": True,
        "repository": window.repo_key,
        "backup": backup.label,
        "timeline": window.timeline,
        "target_timeline": window.option,
        "present_timeline": seen.present,
        "wal_first": replay.first,
        "wal_last": replay.last,
        "wal_segments": replay.count,
        "wal_bytes": replay.count * told.segment_bytes,
        "wal_exact": replay.exact,
        "restore_bytes": backup.size_bytes,
        "restore_s": estimate.restore_s if estimate else None,
        "replay_s": estimate.replay_s if estimate else None,
        "estimate_fault": reason(told.estimate) or None,
        "options": list(told.options),
        "also_on": [{"repository": item.window.repo_key, "timeline": item.window.timeline} for item in told.way.others],
    }


def refusal(moment: datetime, no: NoWay) -> str:
    """The sentence."""
    shown = format_exact(moment)
    return f"{shown} cannot be restored" if no.certain else f"whether {shown} can be restored cannot be told"


def no_document(seen: Seen, moment: datetime, no: NoWay) -> dict[str, Any]:
    """For machines: `reachable` null where it cannot be told."""
    return {
        "schema": 1,
        "kind": "pgops-backup-window-at",
        "cluster": seen.cluster,
        "at": format_exact(moment),
        "reachable": False if no.certain else None,
        "why": no.why,
    }
