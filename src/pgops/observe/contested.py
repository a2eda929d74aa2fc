"""What the archive holds of a timeline that two branches wrote: whose each file is, the hash in its name tells.

A member that is promoted leaves its former timeline within a segment, which it archives as far as that goes, as `.partial`.
Two that leave one timeline in the same segment have two files of that name.
Source: pgBackRest, src/command/archive/push/file.c (the name of a stored segment ends in the SHA-1 of the raw segment; a
second one of that name with another content is refused with exit code 45, so that whoever came first bars the other);
PostgreSQL, src/backend/access/transam/xlog.c (CleanupAfterArchiveRecovery) and src/backend/postmaster/pgarch.c (the oldest
file goes first, and nothing else before it is archived).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from pgops.hosts.host import Host, HostFault
from pgops.observe.archive import archive_places
from pgops.observe.branch_facts import SameTimeline, StoredWal
from pgops.observe.branches import wal_end
from pgops.observe.host import read_files, read_identity
from pgops.observe.lsn import segment_start, segment_timeline
from pgops.observe.places import data_dir_of
from pgops.observe.snapshot import Node, Snapshot
from pgops.observe.stanza import parse_stored, parse_stored_partial
from pgops.observe.timelines import format_segment
from pgops.pgbackrest.commands import Stanza, list_argv
from pgops.pgbackrest.runner import run_pgbackrest
from pgops.readings import Known, Reading, Skipped, Unknown, known, reason, within

_PARTIAL = re.compile(r"[0-9A-F]{24}\.partial")


def read_stored(
    snapshot: Snapshot, hosts: Mapping[str, Host], pair: SameTimeline, fork_bytes: int, segment_bytes: int
) -> Reading[tuple[StoredWal, ...]]:
    """Every stored WAL file of the pair's timeline that ends behind the fork, with the members that have just that one."""
    if snapshot.cluster.stanza is None:
        return Skipped("no pgBackRest stanza is configured")
    members = [node for name in (pair.one, pair.other) if (node := snapshot.node(name)) is not None]
    why = "no host of the two could list the repository"
    for node in members:
        facts, host = known(node.stanza), hosts.get(node.name)
        if facts is None or host is None:
            continue
        config = next(item for item in snapshot.cluster.hosts if item.name == node.name)
        stanza = Stanza(snapshot.cluster.stanza, config.pgbackrest_config)
        try:
            found = []
            for repo_key, archive_id in archive_places(facts):
                found += _list(snapshot, host, stanza, repo_key, archive_id, pair.timeline, fork_bytes, segment_bytes)
            return _name_holders(snapshot, hosts, members, found)
        except (HostFault, ValueError) as fault:
            why = f"the archive as {node.name} sees it: {fault}"
    return Unknown(why)


def read_barring(snapshot: Snapshot, hosts: Mapping[str, Host]) -> Snapshot:
    """The snapshot with `barring`, of every member that takes writes. Whose a file is: who has just that one."""
    return replace(snapshot, barring=_read_barring(snapshot, hosts))


def _read_barring(snapshot: Snapshot, hosts: Mapping[str, Host]) -> Reading[tuple[StoredWal, ...]]:
    if snapshot.cluster.stanza is None:
        return Skipped("no pgBackRest stanza is configured")
    found: list[StoredWal] = []
    for node in snapshot.nodes:
        archiver, facts, host = (
            known(within(node.sql, lambda sql: sql.archiver)),
            known(node.stanza),
            hosts.get(node.name),
        )
        name = archiver.last_failed_wal if archiver and archiver.is_failing and node.is_primary else None
        if name is None or not _PARTIAL.fullmatch(name):
            continue
        if facts is None or host is None:
            return Unknown(f"what bars {name} of {node.name} cannot be seen: {reason(node.stanza)}")
        config = next(item for item in snapshot.cluster.hosts if item.name == node.name)
        stanza = Stanza(snapshot.cluster.stanza, config.pgbackrest_config)
        try:
            for repo_key, archive_id in archive_places(facts):
                found += _list_partial(snapshot, host, stanza, repo_key, archive_id, name)
        except (HostFault, ValueError) as fault:
            return Unknown(f"what bars {name} of {node.name}: {fault}")
    names = sorted({item.name for item in found})
    for node in snapshot.nodes if names else ():
        host, data_dir = hosts.get(node.name), data_dir_of(snapshot, node)
        if host is None or data_dir is None:
            continue
        own = known(read_identity(host, data_dir, names, timeout_s=snapshot.cluster.timeouts.command_s))
        hashes = own.segments if own else {}
        found = [_name_one(item, node.name, hashes.get(item.name)) for item in found]
    return Known(tuple(item for item in found if item.strangers))


def _list_partial(
    snapshot: Snapshot, host: Host, stanza: Stanza, repo_key: int, archive_id: str, name: str
) -> list[StoredWal]:
    """Raises `HostFault` or ValueError."""
    top = f"archive/{stanza.name}/{archive_id}/{name[:16]}"
    argv = list_argv(stanza, top, repo=repo_key)
    files = run_pgbackrest(host, argv, timeout_s=snapshot.cluster.timeouts.command_s).stdout.split()
    stored = [(file, found) for file in files if (found := parse_stored_partial(file)) is not None]
    return [StoredWal(repo_key, f"{top}/{file}", *found) for file, found in stored if found[0] == name]


def _name_one(item: StoredWal, member: str, own: str | None) -> StoredWal:
    if own is None:
        return item
    if own == item.sha1:
        return replace(item, holders=(*item.holders, member))
    return replace(item, strangers=(*item.strangers, member))


def _list(
    snapshot: Snapshot,
    host: Host,
    stanza: Stanza,
    repo_key: int,
    archive_id: str,
    timeline: int,
    fork_bytes: int,
    segment_bytes: int,
) -> list[StoredWal]:
    """Raises `HostFault` or ValueError."""
    top, timeout_s = f"archive/{stanza.name}/{archive_id}", snapshot.cluster.timeouts.deep_command_s
    first = format_segment(timeline, fork_bytes // segment_bytes, segment_bytes)
    found = []
    directories = run_pgbackrest(host, list_argv(stanza, top, repo=repo_key), timeout_s=timeout_s).stdout.split()
    for directory in sorted(directories):
        if len(directory) != 16 or directory[:8] != first[:8] or directory < first[:16]:
            continue
        names = run_pgbackrest(host, list_argv(stanza, f"{top}/{directory}", repo=repo_key), timeout_s=timeout_s).stdout
        for file in names.split():
            stored = parse_stored(file)
            if stored is not None and segment_start(stored[0], segment_bytes) + segment_bytes > fork_bytes:
                found.append(StoredWal(repo_key, f"{top}/{directory}/{file}", *stored))
    return found


def _name_holders(
    snapshot: Snapshot, hosts: Mapping[str, Host], members: list[Node], found: list[StoredWal]
) -> Reading[tuple[StoredWal, ...]]:
    """Whose each is. Members' files are listed only now: what one had pushed when the archive was listed, it has or had."""
    timeout_s = snapshot.cluster.timeouts.deep_command_s
    for node in members:
        host, data_dir, end = hosts.get(node.name), data_dir_of(snapshot, node), wal_end(node)
        if host is None or data_dir is None or end is None:
            return Unknown(f"the WAL files of {node.name} cannot be seen")
        files = read_files(host, data_dir, timeout_s=timeout_s)
        if not isinstance(files, Known):
            return Unknown(f"the WAL files of {node.name} cannot be seen: {reason(files)}")
        names = sorted({item.name for item in found} & set(files.value.segments))
        identity = read_identity(host, data_dir, names, timeout_s=timeout_s)
        if not isinstance(identity, Known):
            return identity
        last = max((name for name in files.value.segments if segment_timeline(name) == end[0]), default=None)
        found = [_judge(item, node.name, identity.value.segments.get(item.name), last) for item in found]
    return Known(tuple(found))


def _judge(item: StoredWal, member: str, own: str | None, last: str | None) -> StoredWal:
    """`own` is the hash of the member's file of that name, None: it has none; `last` is its last file of its timeline.

    One that was recycled leaves later files, so that a member without any such has not come that far.
    """
    beyond = own is None and last is not None and last[:8] == item.name[:8] and last < item.name
    return replace(item, strangers=(*item.strangers, member)) if beyond else _name_one(item, member, own)
