"""Archives and backups to reckon with: 16 MiB segments, and a clock that starts at noon."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from pgops.observe.facts import ArchiveFacts, Backup, WalRange
from pgops.observe.lsn import format_lsn
from pgops.observe.timelines import format_segment

SEGMENT = 16 * 1024 * 1024
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)


def at(minutes: float) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def name(number: int, timeline: int = 1) -> str:
    """The name of the `number`th segment."""
    return format_segment(timeline, number, SEGMENT)


def history(*forks: tuple[int, int]) -> str:
    """A history file: the ancestors, each with the byte at which it was left."""
    return "".join(f"{timeline}\t{format_lsn(switch)}\tno recovery target specified\n" for timeline, switch in forks)


def archive(
    *ranges: tuple[int, int, int], histories: dict[int, str] | None = None, repo_key: int = 1, archive_id: str = "15-1"
) -> ArchiveFacts:
    """An archive that holds these (timeline, first, last) segments."""
    return ArchiveFacts(
        repo_key=repo_key,
        archive_id=archive_id,
        ranges=tuple(WalRange(*each) for each in ranges),
        histories=histories or {},
        partial=(),
        segment_bytes=SEGMENT,
    )


def backup(
    label: str,
    first: int,
    last: int,
    stopped: float,
    *,
    kind: str = "full",
    timeline: int = 1,
    last_timeline: int | None = None,
    references: tuple[str, ...] = (),
    error: bool | None = False,
    repo_key: int = 1,
    database_id: int = 1,
    lsns: bool = True,
    annotations: dict[str, str] | None = None,
) -> Backup:
    """A backup from segment `first` to `last`, stopped so many minutes after noon, a minute after its start.

    It starts at byte 40 of its first segment, and stops at byte 256 of its last.
    """
    return Backup(
        label=label,
        kind=kind,
        repo_key=repo_key,
        started_at=at(stopped - 1),
        stopped_at=at(stopped),
        error=error,
        database_id=database_id,
        timeline=last_timeline or timeline,
        annotations=annotations or {},
        prior=references[-1] if references else None,
        references=references,
        wal_start=name(first, timeline),
        wal_stop=name(last, last_timeline or timeline),
        size_bytes=1000,
        delta_bytes=1000,
        repository_size_bytes=100,
        repository_delta_bytes=100,
        start_lsn_bytes=first * SEGMENT + 40 if lsns else None,
        stop_lsn_bytes=last * SEGMENT + 256 if lsns else None,
    )
