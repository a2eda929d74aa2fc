"""A stanza that is well, with these backups."""

from __future__ import annotations

from pgops.observe.facts import Backup, RepositoryStatus, StanzaFacts


def stanza(*backups: Backup, current_database_id: int = 1) -> StanzaFacts:
    """As one member sees it."""
    return StanzaFacts(
        code=0,
        message="ok",
        repositories=(RepositoryStatus(1, 0, "ok"),),
        backups=backups,
        current_database_id=current_database_id,
        current_system_identifier="7711099966935465950",
        archive_max=None,
        archive_id="15-1",
        backup_running=False,
        progress_size_bytes=None,
        progress_done_bytes=None,
    )
