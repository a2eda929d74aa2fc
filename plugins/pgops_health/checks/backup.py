"""Backups: is the stanza sound, are the backups young and without error, and do all members see one repository."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pgops.checks import Check, Finding, critical, ok, skipped, unknown, warning
from pgops.observe.facts import Backup, StanzaFacts
from pgops.observe.snapshot import Node, Snapshot, View
from pgops.pgbackrest.statuses import explain_status
from pgops.readings import Known, Skipped, reason
from pgops.render.units import format_duration

_FULL = "pgops backup --type full"


def _witnesses(snapshot: Snapshot) -> list[tuple[Node, StanzaFacts]]:
    """The members whose view of the repository is known, the lock holder first."""
    seen = [(node, node.stanza.value) for node in snapshot.nodes if isinstance(node.stanza, Known)]
    return sorted(seen, key=lambda pair: pair[0].name != snapshot.leader)


def _nothing(snapshot: Snapshot) -> Finding:
    """Why no member's view is known."""
    if all(isinstance(node.stanza, Skipped) for node in snapshot.nodes):
        why = next((reason(node.stanza) for node in snapshot.nodes), "no member is known")
        return skipped(why)
    by_reason: dict[str, list[str]] = {}
    for node in snapshot.nodes:
        if not isinstance(node.stanza, Skipped):
            by_reason.setdefault(reason(node.stanza), []).append(node.name)
    why = "; ".join(f"{', '.join(names)}: {text}" for text, names in by_reason.items())
    step = "pgbackrest info on the member's host"
    return unknown(f"backups could not be listed: {why}", next_step=step, because=f"backups on {why}")


def find_stanza(snapshot: Snapshot) -> Iterator[Finding]:
    """Every repository of the stanza reports ok, and no backup is marked with an error."""
    witnesses = _witnesses(snapshot)
    if not witnesses:
        yield _nothing(snapshot)
        return
    node, stanza = witnesses[0]
    bad = [repo for repo in stanza.repositories if repo.code]
    for repo in bad:
        meaning, next_step = explain_status(repo.code, repo.message)
        seen = f"(status code {repo.code}, as {node.name} sees it)"
        yield critical(f"repository {repo.key}: {meaning} {seen}", next_step=next_step)
    if stanza.code and not bad:
        meaning, next_step = explain_status(stanza.code, stanza.message)
        yield critical(f"stanza: {meaning} (status code {stanza.code})", next_step=next_step)
    newest: dict[int, Backup] = {}
    for backup in sorted(stanza.backups, key=lambda item: item.stopped_at):
        newest[backup.repo_key] = backup
    for key, backup in newest.items():
        if backup.error:
            yield critical(
                f"repository {key}: the newest backup {backup.label} found page checksum errors",
                next_step=f"pgbackrest --stanza={snapshot.cluster.stanza} --set={backup.label} info names the files",
            )
    older = [item.label for item in stanza.backups if item.error and item not in newest.values()]
    if older:
        yield warning(f"older backups with errors: {', '.join(older[-3:])}", next_step="do not restore from these")
    if not stanza.code and not bad and not any(item.error for item in stanza.backups):
        running = ", one is running" if stanza.backup_running else ""
        yield ok(f"no backup has errors ({len(stanza.backups)} in all{running})", backups_count=len(stanza.backups))


def find_age(snapshot: Snapshot) -> Iterator[Finding]:
    """The newest backup, and the newest full one, of the present database are young enough, in every repository.

    A backup counts whichever member sees it, so that this is silent exactly as long as backups are made somewhere; that
    the members see different ones is for `repository` to tell. One with errors is none.
    """
    witnesses = _witnesses(snapshot)
    if not witnesses:
        yield _nothing(snapshot)
        return
    sights = [(node.name, item) for node, stanza in witnesses for item in _good(stanza)]
    if not sights:
        yield critical("there is no backup of this database", next_step=_FULL)
        return
    keys = sorted(
        {item.repo_key for _, item in sights} | {repo.key for _, stanza in witnesses for repo in stanza.repositories}
    )
    for key in keys:
        mine = [(name, item) for name, item in sights if item.repo_key == key]
        yield _age(snapshot, key if len(keys) > 1 else None, [item for _, item in mine], _tell_sight(witnesses, mine))


def _good(stanza: StanzaFacts) -> list[Backup]:
    return [item for item in stanza.backups if item.database_id == stanza.current_database_id and not item.error]


def _tell_sight(witnesses: list[tuple[Node, StanzaFacts]], sights: list[tuple[str, Backup]]) -> str:
    """Who sees the newest one, where the first witness does not."""
    newest = max((item for _, item in sights), key=lambda item: item.stopped_at, default=None)
    seers = [name for name, item in sights if newest is not None and item.label == newest.label]
    return f" (seen on {', '.join(seers)} alone)" if seers and witnesses[0][0].name not in seers else ""


def _age(snapshot: Snapshot, key: int | None, backups: list[Backup], sight: str) -> Finding:
    limits = snapshot.cluster.thresholds
    where = f"repository {key}: " if key is not None else ""
    any_s = _age_s(snapshot.taken_at, backups)
    full_s = _age_s(snapshot.taken_at, [item for item in backups if item.kind == "full"])
    if any_s is None or full_s is None:
        what = "no backup" if any_s is None else "no full backup"
        return critical(f"{where}{what} of this database", next_step=_FULL)
    numbers: dict[str, Any] = {"newest_age_s": round(any_s), "full_age_s": round(full_s)}
    if key is not None:
        numbers["repository"] = str(key)
    text = f"{where}newest {format_duration(any_s)} old{sight}, newest full {format_duration(full_s)} old"
    step = "pgops backup; why none was made by itself: the mail of cron, pgops runs list, pgops backup schedule"
    if any_s >= limits.backup_any_critical_s:
        return critical(f"{text} (limit {format_duration(limits.backup_any_critical_s)})", next_step=step, **numbers)
    if any_s >= limits.backup_any_warning_s:
        return warning(f"{text} (limit {format_duration(limits.backup_any_warning_s)})", next_step=step, **numbers)
    if full_s >= limits.backup_full_warning_s:
        limit = format_duration(limits.backup_full_warning_s)
        return warning(f"{text} (limit {limit} for a full one)", next_step=step, **numbers)
    return ok(text, **numbers)


def _age_s(now: datetime, backups: list[Backup]) -> float | None:
    """Age of what the newest backup holds: a backup is as old as its stop."""
    return min(((now - item.stopped_at).total_seconds() for item in backups), default=None)


def find_shared(snapshot: Snapshot) -> Iterator[Finding]:
    """All members see the same backups: with a repository per host, a new primary has none after a failover."""
    witnesses = _witnesses(snapshot)
    if not witnesses:
        yield _nothing(snapshot)
        return
    sets = {node.name: frozenset((item.repo_key, item.label) for item in stanza.backups) for node, stanza in witnesses}
    blind = {node.name: reason(node.stanza) for node in snapshot.nodes if node.name not in sets}
    if len(set(sets.values())) > 1:
        counts = ", ".join(f"{name} sees {len(labels)}" for name, labels in sets.items())
        yield critical(
            f"members see different backups: {counts}; after a failover the others' are out of reach",
            next_step="one shared or remote repository for all: repo1-host, object store or NFS",
        )
    for name, why in blind.items():
        yield (skipped if isinstance(_stanza_of(snapshot, name), Skipped) else unknown)(f"not seen: {why}", name)
    if len(set(sets.values())) == 1:
        count = len(next(iter(sets.values())))
        yield ok(f"{', '.join(sets)}: the same {count} backup{'s' if count != 1 else ''}", backups_count=count)


def _stanza_of(snapshot: Snapshot, name: str) -> object:
    node = snapshot.node(name)
    return node.stanza if node else None


_BACKUP = frozenset({View.BACKUP})

CHECKS = (
    Check("backup", "the stanza is sound and no backup has errors", _BACKUP, find_stanza),
    Check("backup-age", "the newest backups are young enough", _BACKUP, find_age),
    Check("repository", "all members see one repository", _BACKUP, find_shared),
)
