"""The timelines that the archive knows, by their history files: a member that reads it follows the highest of them.

What archives hold of WAL itself is `pgops.observe.archive`, which lists much more than is asked for here.
Sources: PostgreSQL, src/backend/access/transam/timeline.c (findNewestTimeLine); pgBackRest, src/command/archive/push/file.c
(history files lie as they are at the top of an archive).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace

from pgops.hosts.host import Host, HostFault
from pgops.observe.archive import archive_places
from pgops.observe.branches import wal_end
from pgops.observe.facts import StanzaFacts
from pgops.observe.snapshot import Snapshot
from pgops.pgbackrest.commands import Stanza, list_argv, read_argv
from pgops.pgbackrest.runner import run_pgbackrest
from pgops.readings import Known, Reading, Skipped, Unknown, known

_HISTORY = re.compile(r"([0-9A-F]{8})\.history")


def read_archived_timelines(snapshot: Snapshot, hosts: Mapping[str, Host]) -> Snapshot:
    """The snapshot with `archived_timelines`, by the lock holder's host, else by any that can list the archive.

    Only those from the lowest timeline of a member on are read, of every repository.
    """
    return replace(snapshot, archived_timelines=_read(snapshot, hosts))


def _read(snapshot: Snapshot, hosts: Mapping[str, Host]) -> Reading[Mapping[int, str]]:
    if snapshot.cluster.stanza is None:
        return Skipped("no pgBackRest stanza is configured")
    lowest = min((end[0] for node in snapshot.nodes if (end := wal_end(node)) is not None), default=0)
    deadline = time.monotonic() + snapshot.cluster.timeouts.deep_command_s
    why = "no host could list the repository"
    for node in sorted(snapshot.nodes, key=lambda node: (node.name != snapshot.leader, node.name)):
        facts, host = known(node.stanza), hosts.get(node.name)
        if facts is None or host is None:
            continue
        config = next((item for item in snapshot.cluster.hosts if item.name == node.name), None)
        stanza = Stanza(snapshot.cluster.stanza, config.pgbackrest_config if config else None)
        try:
            return Known(_read_host(host, stanza, facts, lowest, deadline))
        except (HostFault, ValueError) as fault:
            why = f"the archive as {node.name} sees it: {fault}"
    return Unknown(why)


def _read_host(host: Host, stanza: Stanza, facts: StanzaFacts, lowest: int, deadline: float) -> dict[int, str]:
    """Raises `HostFault`; ValueError where nothing lies there, as where the repository is not mounted."""

    def run(argv: tuple[str, ...]) -> str:
        return run_pgbackrest(host, argv, timeout_s=max(0.1, deadline - time.monotonic())).stdout

    found: dict[int, str] = {}
    for repo_key, archive_id in archive_places(facts):
        top = f"archive/{stanza.name}/{archive_id}"
        names = run(list_argv(stanza, top, repo=repo_key)).split()
        if not names:
            raise ValueError(f"nothing lies in {top} of repository {repo_key}")
        for name in names:
            match = _HISTORY.fullmatch(name)
            if match and int(match[1], 16) >= lowest:
                found[int(match[1], 16)] = run(read_argv(stanza, f"{top}/{name}", repo=repo_key))
    return dict(sorted(found.items()))
