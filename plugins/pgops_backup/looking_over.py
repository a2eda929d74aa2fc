"""Looks all over what backups depend on, in one go."""

from __future__ import annotations

from pgops.config.model import ClusterConfig
from pgops.errors import ConfigError
from pgops.observe.gather import observe
from pgops.observe.snapshot import Snapshot, View
from pgops_backup import archiving, checking, retention, trying
from pgops_backup.checking import Row, rows_of

_VIEWS = frozenset({View.BACKUP, View.SQL})


def check_backups(
    cluster: ClusterConfig, warnings: tuple[str, ...], *, push: bool, wait_s: int
) -> tuple[Snapshot, list[Row]]:
    """The look and its judgements. Raises `ConfigError` where no stanza is configured."""
    if cluster.stanza is None:
        raise ConfigError(
            f"no pgBackRest stanza is configured for {cluster.name}",
            next_step=f"set stanza under clusters.{cluster.name} in pgops.yml",
        )
    snapshot = observe(cluster, _VIEWS, warnings)
    if checking.shows_differences(snapshot):  # a backup may have come or gone between two members' looks
        snapshot = observe(cluster, _VIEWS, warnings)
    pushed, rules = trying.look(snapshot, push=push, wait_s=wait_s)
    return snapshot, [
        *rows_of("stanza", checking.find_stanza(snapshot)),
        *rows_of("identity", checking.find_identity(snapshot)),
        *rows_of("repository", checking.find_shared(snapshot)),
        *rows_of("archiving", archiving.find_settings(snapshot)),
        *rows_of("push", archiving.find_push(pushed)),
        *rows_of("retention", retention.find_retention(snapshot, rules)),
        *rows_of("versions", checking.find_versions(snapshot)),
    ]
