"""What `pgops backup list` tells: a record for each backup, and for what is running. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from pgops.observe.facts import Backup, StanzaFacts
from pgops.observe.snapshot import Snapshot
from pgops.readings import known
from pgops_backup.chains import find_break, needed_labels
from pgops_backup.seeing import Witness

RUN_ANNOTATION = "pgops-run"
"""Under this key a backup says which run of pgops made it."""


@dataclass(frozen=True)
class Row:
    """One backup. `broken`: why its chain is not whole. `run` None: it was not made by pgops."""

    backup: Backup
    age_s: float
    duration_s: float
    needs: tuple[str, ...]
    broken: str | None
    present: bool
    run: str | None


@dataclass(frozen=True)
class Underway:
    """What works on the repository now. `host`: the member where pgBackRest holds its lock; None: only pgops's is held.

    `what`, `by`, `run` and `since` are of pgops's own lock; None: no run of pgops holds it.
    """

    host: str | None
    what: str | None
    by: str | None
    run: str | None
    since: datetime | None
    size_bytes: int | None
    done_bytes: int | None

    @property
    def share(self) -> float | None:
        """How much of it is done, from 0 to 1; None: unknown."""
        if self.size_bytes is None or self.done_bytes is None or self.size_bytes <= 0:
            return None
        return min(1.0, self.done_bytes / self.size_bytes)


def list_rows(stanza: StanzaFacts, now: datetime) -> tuple[Row, ...]:
    """The backups by repository, oldest first."""
    ordered = sorted(stanza.backups, key=lambda item: (item.repo_key, item.stopped_at, item.label))
    return tuple(_row(item, stanza, now) for item in ordered)


def _row(backup: Backup, stanza: StanzaFacts, now: datetime) -> Row:
    there = {item.label: item for item in stanza.backups if item.repo_key == backup.repo_key}
    return Row(
        backup,
        age_s=(now - backup.stopped_at).total_seconds(),
        duration_s=(backup.stopped_at - backup.started_at).total_seconds(),
        needs=needed_labels(backup),
        broken=find_break(backup, there),
        present=backup.database_id == stanza.current_database_id,
        run=backup.annotations.get(RUN_ANNOTATION),
    )


def find_underway(snapshot: Snapshot, witnesses: Iterable[Witness]) -> tuple[Underway, ...]:
    """What runs now: a lock of pgBackRest is seen only on the host where the command runs, so every witness counts."""
    keys = known(snapshot.keys)
    lock = next((lock for lock in keys.locks if lock.name == "backup"), None) if keys else None
    idle = Underway(None, None, None, None, None, None, None)
    own = (
        replace(idle, what=lock.what, by=f"{lock.by} on {lock.host}", run=lock.run, since=lock.since) if lock else idle
    )
    found = [
        replace(
            own,
            host=witness.name,
            size_bytes=witness.stanza.progress_size_bytes,
            done_bytes=witness.stanza.progress_done_bytes,
        )
        for witness in witnesses
        if witness.stanza.backup_running
    ]
    return tuple(found) if found or lock is None else (own,)
