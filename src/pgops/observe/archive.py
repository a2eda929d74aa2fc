"""What the archive of each repository holds, as one host sees it: segments as ranges, and the history files.

Source of the names: pgBackRest, src/command/archive/push/file.c (SEGMENT-SHA1, with a suffix where it is compressed) and
common.h (one directory for each 16 first signs of a segment's name).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pgops.hosts.host import Host, HostFault
from pgops.observe.facts import ArchiveFacts, StanzaFacts, WalRange
from pgops.observe.lsn import segment_start, segment_timeline
from pgops.observe.places import segment_bytes_of
from pgops.observe.snapshot import Snapshot
from pgops.pgbackrest.commands import Stanza, list_argv, read_argv
from pgops.pgbackrest.runner import run_pgbackrest
from pgops.readings import Known, Reading, Skipped, Unknown, known

_LIMIT_BYTES = 128 * 1024 * 1024
"""About 1.5 million segments, at 80 bytes a line."""

_SEGMENT = re.compile(r"(?:[0-9A-F]{16}/)?([0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?")
_PARTIAL = re.compile(r"(?:[0-9A-F]{16}/)?([0-9A-F]{24}\.partial)-[0-9a-f]{40}(?:\.\w+)?")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")


def read_archives(snapshot: Snapshot, hosts: Mapping[str, Host]) -> Snapshot:
    """The snapshot with `archives`, from the lock holder's host, else from any that can list them."""
    return replace(snapshot, archives=_read(snapshot, hosts))


def _read(snapshot: Snapshot, hosts: Mapping[str, Host]) -> Reading[tuple[ArchiveFacts, ...]]:
    if snapshot.cluster.stanza is None:
        return Skipped("no pgBackRest stanza is configured")
    why = "no host could list the repository"
    for node in sorted(snapshot.nodes, key=lambda node: (node.name != snapshot.leader, node.name)):
        facts, host = known(node.stanza), hosts.get(node.name)
        if facts is None or host is None:
            continue
        config = next(item for item in snapshot.cluster.hosts if item.name == node.name)
        stanza = Stanza(snapshot.cluster.stanza, config.pgbackrest_config)
        timeout_s = snapshot.cluster.timeouts.deep_command_s
        try:
            return Known(_read_host(host, stanza, facts, segment_bytes_of(snapshot), timeout_s))
        except (HostFault, ValueError) as fault:
            why = f"the archive as {node.name} sees it: {fault}"
    return Unknown(why)


def _read_host(
    host: Host, stanza: Stanza, facts: StanzaFacts, segment_bytes: int, timeout_s: float
) -> tuple[ArchiveFacts, ...]:
    found = []
    for repo_key, archive_id in archive_places(facts):
        top = f"archive/{stanza.name}/{archive_id}"
        argv = list_argv(stanza, top, recurse=True, repo=repo_key)
        names = run_pgbackrest(host, argv, timeout_s=timeout_s, limit_bytes=_LIMIT_BYTES).stdout.splitlines()
        histories = {}
        for name in names:
            match = _HISTORY.fullmatch(name)
            if match:
                content = run_pgbackrest(host, read_argv(stanza, f"{top}/{name}", repo=repo_key), timeout_s=timeout_s)
                histories[int(match[1], 16)] = content.stdout
        found.append(replace(parse_archive(names, repo_key, archive_id, segment_bytes), histories=histories))
    return tuple(found)


def archive_places(facts: StanzaFacts) -> list[tuple[int, str]]:
    """(repository, archive id) of what the stanza archives into now, in each repository."""
    newest = {database.repo_key: database for database in sorted(facts.databases, key=lambda item: item.id)}
    return [(repo_key, f"{database.version}-{database.id}") for repo_key, database in sorted(newest.items())]


def parse_archive(names: Iterable[str], repo_key: int, archive_id: str, segment_bytes: int) -> ArchiveFacts:
    """The names below an archive's directory, as `repo-ls --recurse` prints them; other files count for nothing."""
    numbers: dict[int, list[int]] = {}
    partial = []
    for name in names:
        match = _SEGMENT.fullmatch(name)
        if match:
            number = segment_start(match[1], segment_bytes) // segment_bytes
            numbers.setdefault(segment_timeline(match[1]), []).append(number)
        elif match := _PARTIAL.fullmatch(name):
            partial.append(match[1])
    ranges = [WalRange(timeline, *pair) for timeline, found in sorted(numbers.items()) for pair in _merge(found)]
    return ArchiveFacts(repo_key, archive_id, tuple(ranges), {}, tuple(sorted(partial)), segment_bytes)


def _merge(numbers: Iterable[int]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if merged and number == merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], number)
        else:
            merged.append((number, number))
    return merged
