"""What an expiry would remove, and whether a chain to restore from is left after it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from pgops.observe.facts import Backup, ExpiringHistory, ExpiringWal, ExpiryFacts, StanzaFacts
from pgops.observe.snapshot import Snapshot
from pgops.pgbackrest.commands import expire_argv
from pgops.plan.step import Params
from pgops.readings import Known, known, reason
from pgops.render.units import format_duration
from pgops_backup.chains import needed_labels
from pgops_backup.job_steps import stanza_of

Item = tuple[int, str]
"""(repository, label)."""

_NAMED = 12
"""How many labels are named where one is not there."""

_SEGMENT_SIGNS = 24
"""Of the name of a WAL segment; that of a directory of them has 16."""


@dataclass(frozen=True)
class Going:
    """What goes. `unlisted` are labels whose manifest is missing.

    `fault`: it cannot be told, and `next_step` is what to do then; `settled`: nor by another look.
    """

    backups: frozenset[Item] = frozenset()
    wal: tuple[ExpiringWal, ...] = ()
    history: tuple[ExpiringHistory, ...] = ()
    unlisted: frozenset[str] = frozenset()
    fault: str | None = None
    next_step: str = "pgops health --check backup"
    settled: bool = False

    @property
    def repositories(self) -> tuple[int, ...]:
        """Of the backups."""
        return tuple(sorted({key for key, _ in self.backups}))

    def __bool__(self) -> bool:
        return bool(self.backups or self.wal or self.history)


def find_going(params: Params, now: Snapshot) -> Going:
    """By the retention, as pgBackRest's own dry run tells it; with `set`, that backup and all that depend on it."""
    node = now.node(str(params["node"]))
    stanza = known(node.stanza) if node else None
    if node is None or stanza is None:
        return Going(fault=f"the repository cannot be read: {reason(node.stanza) if node else 'there is no such node'}")
    label, repo = params.get("set"), params.get("repo")
    if label is not None:
        found = find_set(stanza, str(label))
        return Going(frozenset(item for item in found if repo in (None, item[0])))
    facts = known(node.expiry)
    if facts is None:
        return Going(fault=f"what the retention no longer keeps cannot be read: {reason(node.expiry)}")
    if facts.fault is not None:
        return _puzzle(node.name, facts.fault, now)
    unlisted = frozenset(facts.unlisted)
    gone = {(item.repo_key, item.label) for item in facts.backups}
    gone |= {(item.repo_key, item.label) for item in stanza.backups if item.label in unlisted}
    return Going(
        frozenset(item for item in gone if repo in (None, item[0])),
        tuple(item for item in facts.wal if repo in (None, item.repo_key)),
        tuple(item for item in facts.history if repo in (None, item.repo_key)),
        unlisted,
    )


def _puzzle(node: str, fault: str, now: Snapshot) -> Going:
    """pgBackRest answered, and what it would remove cannot be told from that: a person must read it."""
    stanza = stanza_of(node, now)
    shown, done = (shlex.join(expire_argv(stanza, dry_run=dry)) for dry in (True, False))
    return Going(
        fault=f"what the retention no longer keeps cannot be told: {fault}",
        next_step=f"on {node}, as the owner of PostgreSQL's files, read: {shown}; when that is well: {done}",
        settled=True,
    )


def find_left(params: Params, planned: Going, now: Snapshot) -> Going:
    """What is still to go: of a set, whatever was planned and is listed; of the retention, what it still does not keep."""
    if params.get("set") is None:
        return find_going(params, now)
    node = now.node(str(params["node"]))
    stanza = known(node.stanza) if node else None
    if stanza is None:
        return find_going(params, now)
    return Going(planned.backups & {(item.repo_key, item.label) for item in stanza.backups})


def find_set(stanza: StanzaFacts, label: str) -> frozenset[Item]:
    """The backup of this label and all that depend on it, in each repository that has it."""
    found = {(item.repo_key, item.label) for item in stanza.backups if item.label == label}
    while True:
        more = {
            (item.repo_key, item.label)
            for item in stanza.backups
            if any((item.repo_key, needed) in found for needed in needed_labels(item))
        }
        if more <= found:
            return frozenset(found)
        found |= more


def find_absent(stanza: StanzaFacts, label: str | None, repo: int | None) -> tuple[str, str] | None:
    """What was named and is not there, and what there is, as two clauses; None: it is there."""
    repositories = sorted({item.key for item in stanza.repositories} | {item.repo_key for item in stanza.backups})
    if repo is not None and repo not in repositories:
        return f"there is no repository {repo}", f"there are: {', '.join(map(str, repositories)) or 'none'}"
    if label is None:
        return None
    elsewhere = sorted({item.repo_key for item in stanza.backups if item.label == label} - {repo})
    there = [item for item in stanza.backups if repo in (None, item.repo_key)]
    if any(item.label == label for item in there):
        return None
    where = f" in repository {repo}" if repo is not None else ""
    if elsewhere:
        return f"there is no backup {label}{where}", f"it is in repository {', '.join(map(str, elsewhere))}"
    labels = sorted({item.label for item in there}, reverse=True)
    older = f" and {len(labels) - _NAMED} older ones" if len(labels) > _NAMED else ""
    return f"there is no backup {label}{where}", f"there are: {', '.join(labels[:_NAMED]) or 'none'}{older}"


def find_broken(stanza: StanzaFacts, going: Iterable[Item]) -> int | None:
    """The first repository in which no full backup of its present database, without error, would be left."""
    gone = frozenset(going)
    present: dict[int, int] = {}
    for database in stanza.databases:
        present[database.repo_key] = max(database.id, present.get(database.repo_key, 0))
    for key in sorted({key for key, _ in gone}):
        database_id = present.get(key, stanza.current_database_id)
        left = [
            item
            for item in stanza.backups
            if item.repo_key == key and item.kind == "full" and item.database_id == database_id and not item.error
        ]
        if all((key, item.label) in gone for item in left):
            return key
    return None


def tell(going: Going, stanza: StanzaFacts | None, now: datetime) -> str:
    """What goes, as one line."""
    known_backups = {(item.repo_key, item.label): item for item in (stanza.backups if stanza else ())}
    parts = [
        _tell_backup(item, known_backups.get(item), now, lost=item[1] in going.unlisted)
        for item in sorted(going.backups)
    ]
    for wal in going.wal:
        parts.append(f"WAL of {wal.archive_id} in repository {wal.repo_key}: {_tell_span(wal)}")
    parts += [f"{item.what}, in repository {item.repo_key}" for item in going.history]
    return "; ".join(parts)


def _tell_span(wal: ExpiringWal) -> str:
    if wal.first is None:
        return "all"
    # Before 2.55 pgBackRest tells the last of the whole directories that go as the first.
    if len(wal.first) < _SEGMENT_SIGNS:
        return f"up to {wal.last}"
    return wal.first if wal.first == wal.last else f"{wal.first} to {wal.last}"


def _tell_backup(item: Item, backup: Backup | None, now: datetime, *, lost: bool) -> str:
    key, label = item
    if backup is None:
        return f"{label} of repository {key} (not listed: it was cut off, or is being made on another host)"
    age = format_duration(max(0.0, (now - backup.stopped_at).total_seconds()))
    return f"{label} of repository {key} ({backup.kind}, {age} old{', its manifest is missing' if lost else ''})"


def without(node: str, going: frozenset[Item], now: Snapshot) -> Snapshot:
    """The snapshot after that, as a plan foresees it."""
    found = now.node(node)
    stanza = known(found.stanza) if found else None
    if found is None or stanza is None:
        return now
    left = tuple(backup for backup in stanza.backups if (backup.repo_key, backup.label) not in going)
    expiry = Known(ExpiryFacts()) if known(found.expiry) is not None else found.expiry
    return now.with_node(replace(found, stanza=Known(replace(stanza, backups=left)), expiry=expiry))
