"""How long a restore would take, from what a measured one took. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pgops.observe.record_facts import DrillRecord
from pgops.readings import Known, Reading, Unknown
from pgops.render.units import format_bytes, format_duration, format_time

LEAST_REPLAY_BYTES = 1024 * 1024
"""Less WAL than this says nothing about the pace of replay: starting takes longer."""


@dataclass(frozen=True)
class Estimate:
    """Seconds; `replay_s` None: the measured restore replayed no WAL to speak of. `source` says what was measured."""

    restore_s: float
    replay_s: float | None
    source: str


def estimate(drill: DrillRecord | None, restore_bytes: int | None, replay_bytes: int) -> Reading[Estimate]:
    """By proportion to the last drill, which restored in one place and replayed in one go."""
    if drill is None or not drill.restore_s or not drill.restore_bytes:
        return Unknown("not measured yet: pgops drill restore")
    if restore_bytes is None:
        return Unknown("the size of the backup is unknown")
    measured = f"{format_bytes(drill.restore_bytes)} in {format_duration(drill.restore_s)}"
    replay_s: float | None = None
    if drill.replay_s and (drill.replay_bytes or 0) >= LEAST_REPLAY_BYTES:
        assert drill.replay_bytes is not None  # noqa: S101 - see the line above
        replay_s = drill.replay_s * replay_bytes / drill.replay_bytes
        measured += f", WAL {format_bytes(drill.replay_bytes)} in {format_duration(drill.replay_s)}"
    source = f"the drill on {drill.node} at {format_time(drill.began_at)}: {measured}"
    return Known(Estimate(drill.restore_s * restore_bytes / drill.restore_bytes, replay_s, source))
