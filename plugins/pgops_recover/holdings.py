"""What copies hold and how much room they take, read on their own hosts by the commands that show it.

No view of the snapshot has this: the steps of a recovery look at the copies again and again, and must not pay for a `du`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pgops.clients.json_text import parse_json
from pgops.config.model import ClusterConfig, HostConfig
from pgops.hosts.host import HostFault, Identity
from pgops.observe.branch_facts import CopyFacts
from pgops.observe.fields import ShapeFault, as_list, as_mapping, integer, text
from pgops.observe.parallel import Late, Task
from pgops.readings import Known, Reading, Skipped, Unknown, known
from pgops.render.text import printable
from pgops_recover.programs import argv_of

BUDGET_S = 20.0
"""For all that is measured on one host, in seconds; each directory has its share of it."""
_MARGIN_S = 10.0


@dataclass(frozen=True)
class Holding:
    """What one copy holds. `sizes`: the room on disk in bytes, of its directory first, then of its parts elsewhere.

    `papers` are its own documents by name (`manifest`, `account`, `salvage`). Skipped: that file is not there (yet).
    """

    sizes: tuple[tuple[str, Reading[int]], ...]
    papers: Mapping[str, Reading[Mapping[str, Any]]] = field(default_factory=dict)

    @property
    def size(self) -> Reading[int]:
        """All of it, in bytes; unknown as soon as one part of it is."""
        total = 0
        for path, size in self.sizes:
            if not isinstance(size, Known):
                return Unknown(f"{path}: {size.reason}" if isinstance(size, Unknown) else f"{path} was not measured")
            total += size.value
        return Known(total) if self.sizes else Unknown("nothing was measured")


Holdings = Mapping[tuple[str, str], Reading[Holding]]
"""By member and path of the copy."""


def read_holdings(cluster: ClusterConfig, copies: Sequence[tuple[str, CopyFacts]], *, papers: bool) -> Holdings:
    """Those of these copies (member and copy), all hosts at once, within `BUDGET_S`; with their documents, if wanted."""
    by_member: dict[str, list[CopyFacts]] = {}
    for name, copy in copies:
        by_member.setdefault(name, []).append(copy)
    hosts = {host.name: host for host in cluster.hosts}
    tasks = {
        name: Task(partial(_read, cluster, hosts[name], own, papers=papers))
        for name, own in by_member.items()
        if name in hosts
    }
    deadline = time.monotonic() + cluster.timeouts.connect_s + BUDGET_S + _MARGIN_S
    found: dict[tuple[str, str], Reading[Holding]] = {}
    for name, own in by_member.items():
        told: Reading[Mapping[str, Holding]]
        try:
            told = tasks[name].result(deadline) if name in tasks else Unknown(f"no host {name} is configured")
        except Late:
            told = Unknown("took too long")
        for copy in own:
            there = known(told)
            absent = told if isinstance(told, Unknown) else Unknown("its host told nothing of it")
            found[name, copy.path] = Known(there[copy.path]) if there and copy.path in there else absent
    return found


def elsewhere(copy: CopyFacts) -> tuple[str, ...]:
    """The parts of a copy that lie outside its directory: tablespaces, a linked pg_wal."""
    return tuple(path for _, path in copy.parts if not path.startswith(f"{copy.path}/"))


def _read(
    cluster: ClusterConfig, config: HostConfig, copies: Sequence[CopyFacts], *, papers: bool
) -> Reading[Mapping[str, Holding]]:
    from pgops.hosts.factory import open_host

    wish = {
        "copies": [{"path": copy.path, "elsewhere": elsewhere(copy)} for copy in copies],
        "budget_s": BUDGET_S,
        "papers": papers,
    }
    host = open_host(config, cluster.timeouts)
    try:
        answer = host.run(argv_of("contents", wish), identity=Identity.OWNER, timeout_s=BUDGET_S + _MARGIN_S)
        return Known(parse_holdings(answer.stdout)) if answer.ok else Unknown(printable(answer.fault))
    except (HostFault, ShapeFault, ValueError) as fault:
        return Unknown(str(fault))
    finally:
        host.close()


def parse_holdings(output: str) -> dict[str, Holding]:
    """The document of the program `contents`, by the path of a copy. Raises `ShapeFault` or ValueError."""
    found = {}
    for path, told in as_mapping(parse_json(output.encode()), "what is told of the copies").items():
        content = as_mapping(told, path)
        sizes = [as_mapping(size, "sizes") for size in as_list(content.get("sizes"), "sizes")]
        why = as_mapping(content.get("why") or {}, "why")
        papers = as_mapping(content.get("papers") or {}, "papers")
        found[path] = Holding(
            tuple((text(size, "path") or "", _size(size)) for size in sizes),
            {name: _paper(name, paper, why) for name, paper in papers.items()},
        )
    return found


def _size(told: Mapping[str, Any]) -> Reading[int]:
    count = integer(told, "bytes")
    return Unknown(printable(text(told, "why") or "not told")) if count is None else Known(count)


def _paper(name: str, paper: object, why: Mapping[str, Any]) -> Reading[Mapping[str, Any]]:
    if paper is not None:
        return Known(as_mapping(paper, name))
    return Unknown(printable(text(why, name) or "")) if name in why else Skipped("it is not there")
