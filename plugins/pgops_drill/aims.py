"""What a drill is about: which backup, on which node, in which directory, and whether there is room for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pgops.config.model import HostConfig
from pgops.hosts.fence import state_directory
from pgops.hosts.host import Identity
from pgops.observe.facts import Backup, DiskUsage, StanzaFacts
from pgops.observe.snapshot import Node, Snapshot
from pgops.plan.step import Params, Pinned, Verdict, blocked, unread
from pgops.readings import Skipped, known, reason, within
from pgops.render.units import format_bytes

SOCKET_LIMIT_BYTES = 107
"""How long the path of a Unix socket may be; source: Linux, man 7 unix, sun_path."""

_SPARE_BYTES = 256 * 1024 * 1024
_SPARE_SHARE = 10
"""Beside the backup itself: WAL, and what the checks write; a tenth of the backup, and at least the bytes above."""


@dataclass(frozen=True)
class Aim:
    """One drill, wholly: everything that its steps need and that does not change any more.

    `chosen` says why this node. `base` is where `scratch`, the run's own directory, is made; `free_bytes` None: the run
    itself must measure it. `data_dir` is production's on that node.
    """

    run_id: str
    node: str
    chosen: str
    host: HostConfig
    stanza: str
    backup: Backup
    base: str
    data_dir: str
    need_bytes: int
    free_bytes: int | None

    @property
    def scratch(self) -> str:
        """The run's own directory."""
        return f"{self.base}/pgops-drill-{self.run_id}"

    def describe(self) -> str:
        """What is restored, where, and why there."""
        room = "the room there is measured by the run"
        if self.free_bytes is not None:
            room = f"{format_bytes(self.free_bytes)} free, {format_bytes(self.need_bytes)} needed"
        size = f" of {format_bytes(self.backup.size_bytes)}" if self.backup.size_bytes is not None else ""
        return (
            f"backup {self.backup.label}{size} (repository {self.backup.repo_key}), to {self.scratch} on {self.node}: "
            f"{self.chosen}; {room}"
        )


def choose_aim(params: Params, pinned: Pinned, first: Snapshot) -> Aim | Verdict:
    """The drill as it is to be, or why there can be none."""
    if first.cluster.stanza is None:
        return blocked("no pgBackRest stanza is configured", "set stanza in pgops.yml")
    candidates = _candidates(params, first)
    if isinstance(candidates, Verdict):
        return candidates
    aims = [_aim_at(params, pinned, first, node, why) for node, why in candidates]
    return next((aim for aim in aims if isinstance(aim, Aim)), aims[0])


def _candidates(params: Params, first: Snapshot) -> list[tuple[Node, str]] | Verdict:
    given = params.get("node")
    hosts = [node for node in first.nodes if node.configured]
    if given is not None:
        named = [node for node in hosts if node.name == given]
        return [(node, "it was named") for node in named] or blocked(f"no host {given} is configured", "pgops health")
    replicas = [node for node in hosts if node.name != first.leader and node.is_primary is not True]
    if replicas:
        return [(node, "a replica, so that the leader is left alone") for node in replicas]
    if len(hosts) == 1:
        return [(hosts[0], "the only host there is")]
    return blocked(
        "there is no replica, and a restore takes from the leader what clients need",
        f"pgops drill restore --node {first.leader}" if first.leader else "name a host: --node NODE",
    )


def _aim_at(params: Params, pinned: Pinned, first: Snapshot, node: Node, why: str) -> Aim | Verdict:
    stanza = known(node.stanza)
    if stanza is None:
        refuse = blocked if isinstance(node.stanza, Skipped) else unread
        return refuse(
            f"the backups cannot be seen from {node.name}: {reason(node.stanza)}", "pgops health --check backup"
        )
    backup = choose_backup(params, stanza)
    if isinstance(backup, str):
        return blocked(backup, "pgops backup list")
    host = next(host for host in first.cluster.hosts if host.name == node.name)
    data_dir = host.data_dir or _told_directory(node)
    if data_dir is None:
        return unread(f"the data directory of {node.name} is not known", f"set hosts.{node.name}.data_dir in pgops.yml")
    base = _base(params, host, data_dir)
    sql = known(node.sql)
    for place in (data_dir, *(sql.tablespaces if sql else ())):
        if lies_in(base, place):
            return blocked(f"{base} lies inside {place}, which is production's", "name another place: --scratch DIR")
    size = backup.size_bytes or 0
    need = size + max(_SPARE_BYTES, size // _SPARE_SHARE)
    free = free_bytes(known(node.disks) or (), base)
    aim = Aim(pinned.run_id, node.name, why, host, first.cluster.stanza or "", backup, base, data_dir, need, free)
    return _fits(aim, int(str(params["port"])))


def _fits(aim: Aim, port: int) -> Aim | Verdict:
    socket = f"{aim.scratch}/run/.s.PGSQL.{port}"
    if len(socket.encode()) > SOCKET_LIMIT_BYTES:
        return blocked(
            f"the path of PostgreSQL's socket would have {len(socket.encode())} bytes, and {SOCKET_LIMIT_BYTES} is the most: "
            f"{socket}",
            "name a shorter place: --scratch DIR",
        )
    if aim.free_bytes is not None and aim.free_bytes < aim.need_bytes:
        return blocked(
            f"too little room on {aim.node}: {format_bytes(aim.free_bytes)} ({aim.free_bytes} bytes) are free in {aim.base}, "
            f"and the restore of {aim.backup.label} needs {format_bytes(aim.need_bytes)} ({aim.need_bytes} bytes)",
            "name another place or host: --scratch DIR, --node NODE",
        )
    return aim


def choose_backup(params: Params, stanza: StanzaFacts) -> Backup | str:
    """The backup that is named, else the newest good one of this database before the target; or why there is none."""
    repo, label, target = params.get("repo"), params.get("set"), target_of(params)
    seen = [backup for backup in stanza.backups if repo in (None, backup.repo_key)]
    where = f" in repository {repo}" if repo is not None else ""
    if label is not None:
        named = [backup for backup in seen if backup.label == label]
        return named[0] if named else f"there is no backup {label}{where}"
    good = [item for item in seen if not item.error and item.database_id == stanza.current_database_id]
    if target is not None:
        good = [backup for backup in good if backup.stopped_at < target]
    if not good:
        before = f" that ended before {target.isoformat()}" if target else ""
        return f"there is no backup without error{where}{before}"
    return max(good, key=lambda backup: (backup.stopped_at, -backup.repo_key))


def target_of(params: Params) -> datetime | None:
    """The time to restore to; None: as early as the backup allows, or all WAL."""
    target = params.get("target")
    return None if target is None else datetime.fromisoformat(str(target))


def free_bytes(disks: tuple[DiskUsage, ...], place: str) -> int | None:
    """What is free where `place` is, as far as the paths that were seen tell it."""
    for disk in disks:
        for path in disk.paths:
            if lies_in(place, path) or (lies_in(path, place) and lies_in(place, disk.mount)):
                nearer = any(
                    lies_in(place, other) and lies_in(other, path) and other != path
                    for item in disks
                    if item is not disk
                    for other in item.paths
                )
                if not nearer:
                    return disk.free_bytes
    return None


def lies_in(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or something in it, by name."""
    return f"{path.rstrip('/')}/".startswith(f"{directory.rstrip('/')}/")


def _base(params: Params, host: HostConfig, data_dir: str) -> str:
    given = params.get("scratch") or host.scratch_dir
    if given is not None:
        return str(given).rstrip("/")
    if host.state_dir is not None:
        return state_directory(host.state_dir, Identity.OWNER)
    return data_dir.rstrip("/").rpartition("/")[0]


def _told_directory(node: Node) -> str | None:
    settings = known(within(node.sql, lambda sql: sql.settings))
    found = settings.get("data_directory") if settings else None
    return found.value if found else None
