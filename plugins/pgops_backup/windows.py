"""The times that a repository's backups and WAL lead to, by timeline. Pure.

A restore to a time takes the newest backup that stopped in an earlier second, and replays WAL along the history of the
timeline that is wanted, until a transaction ended later than that time. So a time can be reached when such a backup is
whole, no segment is missing on the way, and a later end of a transaction is archived. Which that is only the WAL itself
tells: here it is left open (`Span.walk`). Sources: pgBackRest, src/command/restore/select.c.inc; PostgreSQL,
src/backend/access/transam/xlogrecovery.c, recoveryStopsBefore.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgops.observe.facts import ArchiveFacts, Backup
from pgops.observe.lsn import SEGMENT_NAME, segment_start, segment_timeline
from pgops.observe.timelines import Path, Piece, format_segment, path_to
from pgops_backup.chains import find_break
from pgops_backup.walks import Hole, Stored, Walk, walk

CURRENT = "current"
"""What pgBackRest's --target-timeline takes for the timeline of the backup itself, which needs no history file."""


@dataclass(frozen=True)
class Flaw:
    """A backup that cannot be restored from, and why."""

    label: str
    reason: str


@dataclass(frozen=True)
class Span:
    """WAL without a gap behind one backup or more, oldest first.

    `begins` is the first time for which pgBackRest takes the oldest of them. `first_bytes` is where it stopped: what ended
    before is in it. `walk` goes from the first segment that any of them needs to the last.
    """

    backups: tuple[Backup, ...]
    begins: datetime
    first_bytes: int
    walk: Walk


@dataclass(frozen=True)
class Gap:
    """Missing segments that end a span. `whole_from` is the first backup after it, None: there is none yet."""

    first: str
    count: int
    whole_from: str | None


@dataclass(frozen=True)
class TimelineWindow:
    """What one timeline of one repository leads to. `option` is pgBackRest's --target-timeline.

    `spans` and `gaps` are in the order of WAL. `fault`: why its history cannot be followed.
    """

    repo_key: int
    archive_id: str
    timeline: int
    option: str
    path: Path
    spans: tuple[Span, ...]
    gaps: tuple[Gap, ...]
    flaws: tuple[Flaw, ...]
    fault: str | None = None

    @property
    def fork(self) -> Piece | None:
        """The ancestor that it was forked from, None: it has none, or its history is not archived."""
        return self.path[-2] if len(self.path) > 1 else None


def find_windows(backups: Iterable[Backup], archive: ArchiveFacts, segment_bytes: int) -> tuple[TimelineWindow, ...]:
    """What one archive and the backups of its database lead to, newest timeline first."""
    own = sorted((item for item in backups if _belongs(item, archive)), key=lambda item: (item.stopped_at, item.label))
    stored = Stored(archive.ranges)
    broken = {label: flaw for label, flaw in ((item.label, _flaw(item, own)) for item in own) if flaw is not None}
    timelines = {*archive.histories, *stored.timelines, *(item.timeline for item in own if item.timeline)}
    return tuple(
        _window(timeline, own, broken, archive, stored, segment_bytes) for timeline in sorted(timelines, reverse=True)
    )


def _belongs(backup: Backup, archive: ArchiveFacts) -> bool:
    """Whether the archive is of the backup's database. Source: pgBackRest, src/info/infoPg.c, infoPgArchiveId."""
    return backup.repo_key == archive.repo_key and archive.archive_id.rpartition("-")[2] == str(backup.database_id)


def _flaw(backup: Backup, all_backups: Iterable[Backup]) -> str | None:
    """Why nothing can be restored from it, whatever the timeline."""
    if backup.error:
        return "it has page checksum errors"
    if not (_is_segment(backup.wal_start) and _is_segment(backup.wal_stop)):
        return "which WAL it needs is unknown"
    return find_break(backup, {item.label: item for item in all_backups})


def _is_segment(name: str | None) -> bool:
    return name is not None and SEGMENT_NAME.fullmatch(name) is not None


def _window(
    timeline: int,
    backups: Iterable[Backup],
    broken: Mapping[str, str],
    archive: ArchiveFacts,
    stored: Stored,
    segment_bytes: int,
) -> TimelineWindow:
    option = str(timeline) if timeline == 1 or timeline in archive.histories else CURRENT
    try:
        path = path_to(timeline, archive.histories)
    except ValueError as error:
        fault = f"its history file cannot be understood: {error}"
        return TimelineWindow(archive.repo_key, archive.archive_id, timeline, option, (), (), (), (), fault)
    spans: list[Span] = []
    flaws: list[Flaw] = []
    for backup in backups:
        if backup.label in broken:
            if backup.timeline is None or any(piece.timeline == backup.timeline for piece in path):
                flaws.append(Flaw(backup.label, broken[backup.label]))
            continue
        if not _is_on(backup, path, segment_bytes):
            continue
        first, last = _number(backup.wal_start, segment_bytes), _number(backup.wal_stop, segment_bytes)
        way = walk(stored, path, first, segment_bytes)
        if way.end <= last:
            missing = format_segment(way.hole.timeline, way.hole.first, segment_bytes)
            flaws.append(Flaw(backup.label, f"its own WAL is not whole: {missing} is missing"))
        elif spans and spans[-1].walk.hole == way.hole:
            known = spans[-1]
            whole = max(known.walk, way, key=lambda each: each.count)  # one that stopped later may have started earlier
            spans[-1] = Span((*known.backups, backup), known.begins, known.first_bytes, whole)
        else:
            begins = backup.stopped_at + timedelta(seconds=1)
            stop_bytes = backup.stop_lsn_bytes if backup.stop_lsn_bytes is not None else last * segment_bytes
            spans.append(Span((backup,), begins, stop_bytes, way))
    return TimelineWindow(
        archive.repo_key,
        archive.archive_id,
        timeline,
        option,
        path,
        tuple(spans),
        _gaps(spans, segment_bytes),
        tuple(flaws),
    )


def _is_on(backup: Backup, path: Path, segment_bytes: int) -> bool:
    """Whether the path leads through all of the backup's WAL. Where positions are unknown, whole segments must do."""
    first_bytes = backup.start_lsn_bytes
    if first_bytes is None:
        first_bytes = _number(backup.wal_start, segment_bytes) * segment_bytes
    end_bytes = backup.stop_lsn_bytes
    if end_bytes is None:
        end_bytes = (_number(backup.wal_stop, segment_bytes) + 1) * segment_bytes
    assert backup.wal_start is not None and backup.wal_stop is not None  # noqa: S101 - else it would be a flaw
    starts = _piece(path, segment_timeline(backup.wal_start))
    stops = _piece(path, segment_timeline(backup.wal_stop))
    if starts is None or stops is None:
        return False
    begun = starts.begins_bytes // segment_bytes * segment_bytes <= first_bytes
    left = starts.ends_bytes is not None and first_bytes >= starts.ends_bytes
    return begun and not left and (stops.ends_bytes is None or end_bytes <= stops.ends_bytes)


def _piece(path: Path, timeline: int) -> Piece | None:
    return next((piece for piece in path if piece.timeline == timeline), None)


def _number(name: str | None, segment_bytes: int) -> int:
    assert name is not None  # noqa: S101 - else it would be a flaw
    return segment_start(name, segment_bytes) // segment_bytes


def _gaps(spans: list[Span], segment_bytes: int) -> tuple[Gap, ...]:
    """The holes that spans end at, where the archive goes on behind them."""
    found = []
    for number, span in enumerate(spans, 1):
        hole: Hole = span.walk.hole
        if hole.last is not None:
            first = format_segment(hole.timeline, hole.first, segment_bytes)
            again = spans[number].backups[0].label if number < len(spans) else None
            found.append(Gap(first, hole.last - hole.first + 1, again))
    return tuple(found)
