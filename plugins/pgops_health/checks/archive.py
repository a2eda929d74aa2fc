"""WAL archiving: is it on, does it succeed, and does what is archived keep up."""

from __future__ import annotations

from collections.abc import Iterator

from pgops.checks import Check, Finding, critical, ok, skipped, unknown, unread, warning
from pgops.observe.lsn import SEGMENT_NAME, segment_start, segment_timeline
from pgops.observe.snapshot import Snapshot, View
from pgops.readings import known, within
from pgops.render.units import format_bytes, format_duration
from pgops_health.checks.replication import NO_PRIMARY

_NOTHING = {"", "(disabled)", "/bin/true", "true", "/usr/bin/true", ":", "cd .", "exit 0", "/bin/false", "false"}


def find_archiving(snapshot: Snapshot) -> Iterator[Finding]:
    """The primary's last archiving succeeded, and few segments wait."""
    if not snapshot.primaries:
        yield unknown("no primary to read the archiver from", because=NO_PRIMARY)
    limits = snapshot.cluster.thresholds
    for node in snapshot.primaries:
        reading = within(node.sql, lambda sql: sql.archiver)
        archiver = known(reading)
        settings = known(within(node.sql, lambda sql: sql.settings))
        if archiver is None:
            yield unread("its archiver could not be read", reading, node.name)
            continue
        if settings and "archive_mode" in settings and settings["archive_mode"].value == "off":
            yield skipped("archiving is off (see archive-mode)", node.name)
            continue
        files = known(node.files)
        waiting = files.ready_count if files else known(archiver.ready_count)
        wait_text = f"{waiting} segments wait" if waiting is not None else "how many segments wait is unknown"
        numbers = {"ready_count": waiting, "failed_count": archiver.failed_count}
        log = f"pgbackrest check on {node.name} (it switches WAL), and PostgreSQL's log there"
        if archiver.is_failing:
            since = archiver.last_archived_at
            ago = (
                f"the last success was {format_duration((snapshot.taken_at - since).total_seconds())} ago"
                if since
                else ""
            )
            yield critical(
                f"archiving fails at {archiver.last_failed_wal}; {ago or 'it has never succeeded'}; {wait_text}",
                node.name,
                next_step=f"{log}; WAL piles up in pg_wal until it works again{_explain(archiver.last_failed_wal)}",
                **numbers,
            )
        elif waiting is not None and waiting >= limits.ready_wal_critical_count:
            limit = limits.ready_wal_critical_count
            yield critical(f"{wait_text} for the archive (limit {limit})", node.name, next_step=log, **numbers)
        elif waiting is not None and waiting >= limits.ready_wal_warning_count:
            limit = limits.ready_wal_warning_count
            yield warning(f"{wait_text} for the archive (limit {limit})", node.name, next_step=log, **numbers)
        else:
            last = archiver.last_archived_at
            ago = f"{format_duration((snapshot.taken_at - last).total_seconds())} ago" if last else "never yet"
            yield ok(f"last archived {ago}, {wait_text}", node.name, **numbers)


def _explain(name: str | None) -> str:
    """The likely cause that the name tells. Source: PostgreSQL, xlog.c, CleanupAfterArchiveRecovery."""
    if name is None or not name.endswith(".partial"):
        return ""
    return ". If another member was promoted out of the same segment and archived first: pgops recover split-brain --dry-run"


def find_mode(snapshot: Snapshot) -> Iterator[Finding]:
    """archive_mode is on and archive_command stores something, on every member: any of them may be the next primary."""
    for node in snapshot.nodes:
        sql = known(node.sql)
        reading = within(node.sql, lambda sql: sql.settings)
        settings = known(reading)
        if sql is None or settings is None:
            yield unread("its settings could not be read", reading, node.name)
            continue
        mode, command, library = (settings.get(name) for name in ("archive_mode", "archive_command", "archive_library"))
        level = warning if sql.in_recovery else critical
        if mode is None or mode.value == "off":
            source = (
                f"set in {mode.source_file.rsplit('/', 1)[-1]}" if mode and mode.source_file else "by configuration"
            )
            override = "; ALTER SYSTEM hides Patroni's own value" if "auto.conf" in source else ""
            yield level(
                f"archive_mode is off ({source}{override}): no WAL is archived, no restore to a point in time",
                node.name,
                next_step="ALTER SYSTEM RESET archive_mode, then restart it" if override else "patronictl edit-config",
            )
        elif command is not None and command.value.strip() in _NOTHING and not (library and library.value):
            yield level(
                f"archive_command is {command.value.strip() or 'empty'!r}: WAL counts as archived and is stored nowhere",
                node.name,
                next_step="set archive_command to pgbackrest archive-push with patronictl edit-config",
            )
        else:
            yield ok(f"archive_mode {mode.value}", node.name)


def find_gap(snapshot: Snapshot) -> Iterator[Finding]:
    """The newest archived segment is near the primary's position. `max` is a name, no proof of continuity."""
    if snapshot.cluster.stanza is None:
        yield skipped("no pgBackRest stanza is configured")
        return
    limit = snapshot.cluster.thresholds.ready_wal_warning_count
    for node in snapshot.primaries:
        sql, stanza = known(node.sql), known(node.stanza)
        if sql is None or stanza is None or sql.flush_bytes is None or not sql.timeline:
            yield unread("not comparable", node.stanza if stanza is None else node.sql, node.name)
            continue
        newest = stanza.archive_max
        if newest is None or not SEGMENT_NAME.fullmatch(newest):
            yield critical(
                "the repository holds no WAL of this stanza", node.name, next_step="pgbackrest check on the primary"
            )
        elif segment_timeline(newest) != sql.timeline:
            theirs = segment_timeline(newest)
            if theirs > sql.timeline:
                yield critical(
                    f"the archive's newest segment is of timeline {theirs}, the primary is on {sql.timeline}: "
                    "somebody else archived to this stanza; standbys may follow",
                    node.name,
                    next_step="pgops health --deep; restart no standby until it is explained",
                )
            else:
                text = f"nothing of timeline {sql.timeline} is archived yet (newest: {newest})"
                written = sql.flush_bytes - segment_start(newest, sql.segment_bytes)
                late = written > limit * sql.segment_bytes
                yield (critical if late else ok)(text, node.name, **({"next_step": "pgbackrest check"} if late else {}))
        else:
            behind = max(0, sql.flush_bytes - segment_start(newest, sql.segment_bytes) - sql.segment_bytes)
            segments = behind // sql.segment_bytes
            text = f"newest archived {newest}, {format_bytes(behind)} behind the primary"
            if segments >= limit:
                yield warning(f"{text} (limit {limit} segments)", node.name, next_step="pgops health --check archiving")
            else:
                yield ok(text, node.name, archive_lag_bytes=behind)
    if not snapshot.primaries:
        yield unknown("no primary to compare the archive with", because=NO_PRIMARY)


_PRIMARY = frozenset({View.SQL, View.REST})

CHECKS = (
    Check("archiving", "WAL archiving succeeds and keeps up", _PRIMARY | {View.HOST}, find_archiving, _PRIMARY),
    Check("archive-mode", "archiving is on, on every member", frozenset({View.SQL}), find_mode),
    Check("archive-gap", "the archive is near the primary's position", frozenset({View.SQL, View.BACKUP}), find_gap),
)
