"""Whether the backup that a run made can be trusted. Pure."""

from __future__ import annotations

from pgops.observe.facts import ArchiveFacts, Backup
from pgops.observe.lsn import segment_start, segment_timeline
from pgops.observe.snapshot import Snapshot
from pgops.plan.step import Verdict, failed, needed, satisfied
from pgops.readings import known, reason
from pgops.render.units import format_bytes, format_duration
from pgops_backup.jobs import find_job

ANNOTATION = "pgops-run"


def find_made(node: str, run_id: str, now: Snapshot) -> Backup | None:
    """The backup that carries the run's id, as the node sees the repository."""
    found = now.node(node)
    stanza = known(found.stanza) if found else None
    return next(
        (item for item in (stanza.backups if stanza else ()) if item.annotations.get(ANNOTATION) == run_id), None
    )


def judge_made(node: str, run_id: str, first: Snapshot, now: Snapshot) -> Verdict:
    """Satisfied once it is proved; blocked where it is suspect; needed while something is still awaited or unread."""
    made = find_made(node, run_id, now)
    if made is None:
        found = now.node(node)
        stanza = found.stanza if found else None
        if stanza is not None and known(stanza) is None:
            return needed(f"the repository cannot be read: {reason(stanza)}")
        job = find_job(node, f"backup-{run_id}", now)
        foreseen = job is not None and not isinstance(job, str) and job.started_at is None
        return needed(
            "it is looked up in the repository" if foreseen else "the new backup is not in the repository yet"
        )
    if made.error:
        return _suspect(
            made, "pgBackRest found invalid page checksums", f"pgbackrest --set={made.label} info names the files"
        )
    moved = _tell_moved(node, made, first, now)
    if moved is not None:
        return _suspect(made, moved, "make another: the leader changed while it was made")
    missing = _find_missing(made, now)
    if isinstance(missing, str):
        return needed(f"the backup {made.label} is suspect: {missing}")
    took = format_duration((made.stopped_at - made.started_at).total_seconds())
    size = (
        "size unknown" if made.repository_delta_bytes is None else f"{format_bytes(made.repository_delta_bytes)} stored"
    )
    return satisfied(
        f"{made.label} ({made.kind}, {size}, {took}): no error, its WAL is archived, timeline {made.timeline}"
    )


def _suspect(made: Backup, why: str, next_step: str) -> Verdict:
    return failed(f"the backup {made.label} is suspect: {why}", next_step)


def _tell_moved(node: str, made: Backup, first: Snapshot, now: Snapshot) -> str | None:
    """What changed of the leader between the beginning and now, or in the backup itself."""
    keys = known(now.keys)
    if keys is not None and keys.leader != node:
        return f"the leader was {node} when it began, and is {keys.leader or 'nobody'} now"
    at_first, here = first.node(node), now.node(node)
    before, after = (known(item.sql) if item else None for item in (at_first, here))
    if after is not None and after.in_recovery:
        return f"{node} is a replica now"
    if before is not None and after is not None and before.timeline != after.timeline:
        return f"the timeline was {before.timeline} when it began, and is {after.timeline} now"
    first_wal = segment_timeline(made.wal_start) if made.wal_start else None
    if (
        before is not None
        and None not in (made.timeline, before.timeline)
        and {made.timeline, first_wal} != {before.timeline}
    ):
        return f"its WAL is of timeline {first_wal} to {made.timeline}, the leader's of {before.timeline}"
    return None


def _find_missing(made: Backup, now: Snapshot) -> str | None:
    """What of its WAL is not in the archive, or cannot be told; None: all is there."""
    archives = known(now.archives)
    if archives is None:
        return f"the archive cannot be read: {reason(now.archives)}"
    archive = next((item for item in archives if item.repo_key == made.repo_key), None)
    if made.wal_start is None or made.wal_stop is None or archive is None:
        return "which WAL it needs is not told"
    first, last = (
        segment_start(name, archive.segment_bytes) // archive.segment_bytes for name in (made.wal_start, made.wal_stop)
    )
    if _holds(archive, segment_timeline(made.wal_stop), first, last):
        return None
    return f"WAL from {made.wal_start} to {made.wal_stop} is not all in the archive"


def _holds(archive: ArchiveFacts, timeline: int, first: int, last: int) -> bool:
    return any(item.timeline == timeline and item.first <= first and last <= item.last for item in archive.ranges)
