"""`--deep`: are finished WAL segments and history files the same everywhere?

Two nodes promoted apart to one timeline number look well to Patroni and to PostgreSQL; only their finished segments of one
name differ. Source for the hash in the repository's file
names: pgBackRest, src/command/archive/push/file.c.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from pgops.hosts.host import Host, HostFault
from pgops.observe.facts import WalIdentity
from pgops.observe.fields import ShapeFault, as_mapping
from pgops.observe.host import read_identity
from pgops.observe.lsn import segment_start, segment_timeline
from pgops.observe.parallel import Late, Task
from pgops.observe.places import data_dir_of
from pgops.observe.snapshot import Node, Snapshot
from pgops.observe.stanza import parse_stored_segments
from pgops.pgbackrest.commands import Stanza, list_argv, read_argv
from pgops.pgbackrest.runner import run_pgbackrest
from pgops.readings import Known, Reading, Skipped, Unknown, known

NEWEST = 3
"""So many of the newest finished segments are hashed on each member, beside the first of its timeline."""


def read_deep(snapshot: Snapshot, hosts: Mapping[str, Host]) -> Snapshot:
    """The snapshot with `identity` of every member and of the repository."""
    finished = {node.name: finished_segments(snapshot, node) for node in snapshot.nodes}
    chosen = {name: choose(names, finished) for name, names in finished.items()}
    timeout_s = snapshot.cluster.timeouts.deep_command_s
    tasks = {}
    for node in snapshot.nodes:
        tasks[node.name] = Task(_identity_reader(snapshot, node, hosts.get(node.name), chosen[node.name], timeout_s))
    wanted = sorted({name for names in chosen.values() for name in names})
    repository = _read_repository(snapshot, hosts, wanted, timeout_s)
    deadline = time.monotonic() + timeout_s
    nodes = []
    for node in snapshot.nodes:
        try:
            nodes.append(replace(node, identity=tasks[node.name].result(deadline)))
        except Late:
            nodes.append(replace(node, identity=Unknown("hashing its WAL took too long")))
    return replace(snapshot, nodes=tuple(nodes), repository=repository)


def finished_segments(snapshot: Snapshot, node: Node) -> tuple[str, ...]:
    """The segments in this member's pg_wal that are complete and final, oldest first.

    Recycled files carry names of the future and a replaced timeline's last segment is cut at its switch point, so only those
    that end at or before the member's own position, and before their timeline's end, count.
    """
    files, position = known(node.files), _position(node)
    if files is None or position is None:
        return ()
    timeline, end_bytes, segment_bytes = position
    keys = known(snapshot.keys)
    ends = {entry.timeline: entry.switch_bytes for entry in keys.history} if keys else {}
    newest = max((timeline, *_timelines_seen(snapshot)))
    final = []
    for name in files.segments:
        own = segment_timeline(name)
        # A timeline that another has followed ended somewhere: without knowing where, none of its files is surely final.
        limit = 0 if own > timeline else min(end_bytes, ends.get(own, end_bytes if own == newest else 0))
        if segment_start(name, segment_bytes) + segment_bytes <= limit:
            final.append(name)
    return tuple(final)


def _timelines_seen(snapshot: Snapshot) -> Iterator[int]:
    """Every timeline that a history file or a server names."""
    for node in snapshot.nodes:
        files, sql = known(node.files), known(node.sql)
        yield from (int(name[:8], 16) for name in (files.histories if files else ()))
        if sql is not None and sql.timeline:
            yield sql.timeline


def choose(names: Sequence[str], finished: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Which of a member's finished segments to hash: the newest, the newest it shares, the first shared of its timeline."""
    places = Counter(name for others in finished.values() for name in others)
    shared = [name for name in names if places[name] > 1]
    newest_timeline = [name for name in shared if name[:8] == shared[-1][:8]]
    return tuple(sorted({*names[-NEWEST:], *shared[-NEWEST:], *newest_timeline[:1]}))


def _position(node: Node) -> tuple[int, int, int] | None:
    """(timeline, end of what it surely has in bytes, segment size in bytes)."""
    sql = known(node.sql)
    if sql is not None:
        end = sql.replay_bytes if sql.in_recovery else sql.flush_bytes
        return (sql.timeline, end, sql.segment_bytes) if sql.timeline and end is not None else None
    control = known(node.control)
    if control is None:
        return None
    return control.checkpoint_timeline, control.checkpoint_bytes, control.segment_bytes


def _identity_reader(
    snapshot: Snapshot, node: Node, host: Host | None, names: Sequence[str], timeout_s: float
) -> Callable[[], Reading[WalIdentity]]:
    files, data_dir = known(node.files), data_dir_of(snapshot, node)
    if host is None:
        return lambda: Skipped("no host is configured for this member")
    if files is None or data_dir is None:
        return lambda: Unknown("its pg_wal could not be listed")
    return lambda: read_identity(host, data_dir, [*names, *files.histories], timeout_s=timeout_s)


def _read_repository(
    snapshot: Snapshot, hosts: Mapping[str, Host], names: Sequence[str], timeout_s: float
) -> Reading[WalIdentity]:
    """Stored hashes of these segments, and the history files, as the first host that can read the repository sees them."""
    stanza = snapshot.cluster.stanza
    if stanza is None:
        return Skipped("no pgBackRest stanza is configured")
    for node in snapshot.nodes:
        facts, host = known(node.stanza), hosts.get(node.name)
        if facts is None or host is None or facts.archive_id is None:
            continue
        config = next(item for item in snapshot.cluster.hosts if item.name == node.name)
        reader = _Repository(host, Stanza(stanza, config.pgbackrest_config), timeout_s)
        top = f"archive/{stanza}/{facts.archive_id}"
        try:
            segments: dict[str, str] = {}
            for directory in sorted({name[:16] for name in names}):
                segments |= parse_stored_segments(reader.list(f"{top}/{directory}"))
            files = [name for name in reader.list(top) if name.endswith(".history")]
            histories = {name: reader.digest(f"{top}/{name}") for name in sorted(files)}
        except (HostFault, ShapeFault, ValueError) as fault:
            return Unknown(f"the repository as {node.name} sees it: {fault}")
        return Known(WalIdentity(segments, histories))
    return Unknown("no host could list the repository")


class _Repository:
    """`repo-ls` and `repo-get` on one host; both only read."""

    def __init__(self, host: Host, stanza: Stanza, timeout_s: float) -> None:
        self._host = host
        self._stanza = stanza
        self._timeout_s = timeout_s

    def list(self, path: str) -> Mapping[str, object]:
        """The names in one directory of the repository."""
        return as_mapping(
            json.loads(self._run(list_argv(self._stanza, path, as_json=True)) or "{}"), "the output of repo-ls"
        )

    def digest(self, path: str) -> str:
        """The SHA-1 of one file's content."""
        return hashlib.sha1(self._run(read_argv(self._stanza, path)).encode(), usedforsecurity=False).hexdigest()

    def _run(self, argv: Sequence[str]) -> str:
        return run_pgbackrest(self._host, argv, timeout_s=self._timeout_s).stdout
