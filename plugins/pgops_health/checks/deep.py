"""`--deep`: the same WAL everywhere. Two branches with one timeline number are seen only here (and by `ahead`, with luck)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pgops.checks import Check, Finding, critical, ok, unread
from pgops.observe.facts import WalIdentity
from pgops.observe.snapshot import Snapshot, View
from pgops.readings import Reading, known

REPOSITORY = "repository"


def find_segments(snapshot: Snapshot) -> Iterator[Finding]:
    """A finished WAL segment has the same content on every member and in the repository."""
    yield from _compare(snapshot, lambda identity: identity.segments, "WAL segment")


def find_histories(snapshot: Snapshot) -> Iterator[Finding]:
    """A timeline's history file has the same content on every member and in the repository."""
    yield from _compare(snapshot, lambda identity: identity.histories, "history file")


def _compare(snapshot: Snapshot, pick: Callable[[WalIdentity], Mapping[str, str]], what: str) -> Iterator[Finding]:
    places: dict[str, Reading[WalIdentity]] = {node.name: node.identity for node in snapshot.nodes}
    places[REPOSITORY] = snapshot.repository
    seen: dict[str, dict[str, list[str]]] = {}
    for place, reading in places.items():
        identity = known(reading)
        for name, digest in pick(identity).items() if identity else ():
            seen.setdefault(name, {}).setdefault(digest, []).append(place)
        if identity is None:
            yield unread(f"its {what}s could not be compared", reading, place)
    different = sorted(name for name, digests in seen.items() if len(digests) > 1)
    compared = [name for name, digests in seen.items() if sum(map(len, digests.values())) > 1]
    if different:
        name = different[0]
        sides = " against ".join(", ".join(found) for found in seen[name].values())
        more = f", and {len(different) - 1} more" if len(different) > 1 else ""
        yield critical(
            f"{what} {name} differs: {sides}{more}. These are two branches with one timeline number",
            next_step="restart and rewind nothing: neither Patroni nor pg_rewind sees this. Copy both data directories first",
            different_count=len(different),
        )
    elif compared:
        yield ok(f"{len(compared)} {what}s compared, all the same", compared_count=len(compared))
    else:
        yield ok(f"no {what} exists in two places yet, nothing to compare", compared_count=0)


_DEEP = frozenset({View.DEEP, View.HOST, View.SQL, View.DCS, View.BACKUP})

CHECKS = (
    Check("wal-identity", "finished WAL segments are the same everywhere", _DEEP, find_segments),
    Check("history-files", "history files are the same everywhere", _DEEP, find_histories),
)
