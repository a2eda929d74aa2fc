"""Finds what can be restored: looks at the cluster and its archive, and into the archive's last segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pgops.config.model import ClusterConfig
from pgops.errors import Refused, Unreachable
from pgops.observe.facts import ArchiveFacts, StanzaFacts
from pgops.observe.gather import observe
from pgops.observe.snapshot import Snapshot, View
from pgops.readings import known, reason
from pgops_backup import seeing
from pgops_backup.answer_text import Told
from pgops_backup.answers import NoWay, find_way, order
from pgops_backup.estimates import estimate
from pgops_backup.looking import Looker
from pgops_backup.reaches import Line, find_reaches
from pgops_backup.replay import find_replay
from pgops_backup.windows import find_windows

_VIEWS = frozenset({View.ARCHIVE, View.BACKUP, View.SQL})


class Search:
    """One look at a cluster's archive. Raises `Unreachable` where nothing could be read, `ConfigError`, `Refused`."""

    def __init__(self, cluster: ClusterConfig, warnings: tuple[str, ...], repo_key: int | None) -> None:
        self._snapshot = snapshot = observe(cluster, _VIEWS, warnings)
        self._witnesses = seeing.need_witnesses(snapshot)
        first = self._witnesses[0]
        self._stanza = first.stanza
        archives = _need_archives(snapshot)
        self._unread = _unread(self._stanza, archives, repo_key)
        self._archives = _pick(archives, self._unread, repo_key)
        self.seen = seeing.Seen(cluster.name, first.name, snapshot.taken_at, seeing.present_timeline(snapshot))
        hosts = {host.name: host for host in cluster.hosts}
        self._looker = Looker(cluster, [hosts[witness.name] for witness in self._witnesses])

    def lines(self) -> tuple[Line, ...]:
        """Every timeline of every repository, the present one first."""
        lines: list[Line] = []
        for archive in self._archives:
            windows = find_windows(self._stanza.backups, archive, archive.segment_bytes)
            lines += find_reaches(windows, archive.segment_bytes, self._looker.read)
        return tuple(order(lines, self.seen.present))

    def remarks(self) -> tuple[str, ...]:
        """What a reader must know beside."""
        found = list(seeing.remarks(self._snapshot, self._witnesses))
        if self.seen.present is None:
            found.append("which timeline is the present one is unknown: no single primary could be asked")
        shown = {(archive.repo_key, archive.archive_id.rpartition("-")[2]) for archive in self._archives}
        repos = {archive.repo_key for archive in self._archives}
        old = [item.label for item in self._stanza.backups if item.repo_key in repos]
        left = [
            item.label
            for item in self._stanza.backups
            if item.repo_key in repos and (item.repo_key, str(item.database_id)) not in shown
        ]
        if old and left:
            found.append(f"of an earlier database, and left out here: {', '.join(left)}")
        return tuple(found)

    def answer(self, moment: datetime) -> Told | NoWay:
        """How to get to that time."""
        lines = self.lines()
        way = find_way(lines, moment, self.seen.present)
        if isinstance(way, NoWay):
            dark = [f"repository {key} could not be read: {why}" for key, why in self._unread.items()]
            return NoWay("; ".join([way.why, *dark]), certain=way.certain and not dark)
        window = way.line.window
        place = (window.repo_key, window.archive_id)
        archive = next(each for each in self._archives if (each.repo_key, each.archive_id) == place)
        replay = find_replay(way.reach, way.backup, window.repo_key, moment, archive.segment_bytes, self._looker.read)
        keys = known(self._snapshot.keys)
        drill = keys.drill_record if keys else None
        expected = estimate(drill, way.backup.size_bytes, replay.count * archive.segment_bytes)
        return Told(way, moment, replay, archive.segment_bytes, expected)

    def close(self) -> None:
        """End what was kept open."""
        self._looker.close()


def _need_archives(snapshot: Snapshot) -> tuple[ArchiveFacts, ...]:
    archives = known(snapshot.archives)
    if archives is None:
        raise Unreachable(
            "the archive could not be listed",
            where=f"stanza {snapshot.cluster.stanza}",
            why=reason(snapshot.archives),
            next_step="pgbackrest repo-ls archive on a member's host",
        )
    return archives


def _unread(stanza: StanzaFacts, archives: Sequence[ArchiveFacts], repo_key: int | None) -> Mapping[int, str]:
    """The repositories that are asked for and could not be looked into, each with the reason."""
    there = {archive.repo_key for archive in archives}
    faults = {repo.key: "its archive could not be listed" for repo in stanza.repositories if repo.key not in there}
    faults |= seeing.unread_repositories(stanza)
    return {key: why for key, why in faults.items() if repo_key in (None, key)}


def _pick(
    archives: Sequence[ArchiveFacts], unread: Mapping[int, str], repo_key: int | None
) -> tuple[ArchiveFacts, ...]:
    picked = tuple(each for each in archives if repo_key in (None, each.repo_key))
    if picked:
        return picked
    if unread:
        why = "; ".join(f"repository {key}: {text}" for key, text in unread.items())
        raise Unreachable("no archive could be read", why=why, next_step="pgbackrest check on the primary")
    there = ", ".join(str(each.repo_key) for each in archives) or "none"
    raise Refused(f"there is no repository {repo_key}", why=f"there are: {there}")
