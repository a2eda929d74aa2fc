"""What a backup needs beside itself: the backups that it depends on. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pgops.observe.facts import Backup


def needed_labels(backup: Backup) -> tuple[str, ...]:
    """The labels of the backups that hold files of this one, and of the one that it was made against."""
    return tuple(dict.fromkeys((*backup.references, *((backup.prior,) if backup.prior else ()))))


def find_break(backup: Backup, there: Mapping[str, Backup]) -> str | None:
    """Why its chain is not whole, as a clause; `there` are its repository's backups by label. None: it is whole."""
    for label in needed_labels(backup):
        if label not in there:
            return f"it depends on {label}, which is not there"
        if there[label].error:
            return f"it depends on {label}, which has page checksum errors"
    return None
