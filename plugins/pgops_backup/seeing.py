"""Through whose eyes the repository is seen: the lock holder's first, else any member's that can read it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pgops.errors import ConfigError, Unreachable
from pgops.observe.facts import StanzaFacts
from pgops.observe.snapshot import Node, Snapshot
from pgops.readings import Known, Skipped, reason

_UNREADABLE = frozenset({1, 3, 99})
"""`pgbackrest info` codes of what could not be read: no such stanza there, its files are missing, any other fault.

An empty or unmounted repository looks like one without the stanza. Source: pgBackRest, src/command/info/info.c.
"""


@dataclass(frozen=True)
class Witness:
    """A member that could read the repository, and what it saw."""

    name: str
    stanza: StanzaFacts


@dataclass(frozen=True)
class Seen:
    """Of which cluster something is told, as which member saw it, and when. `present` is the timeline that takes writes."""

    cluster: str
    host: str
    taken_at: datetime
    present: int | None


def find_witnesses(snapshot: Snapshot) -> tuple[Witness, ...]:
    """The members that could read a repository, the lock holder first."""
    seen = [Witness(node.name, node.stanza.value) for node in snapshot.nodes if isinstance(node.stanza, Known)]
    able = [witness for witness in seen if not _is_blind(witness.stanza)]
    return tuple(sorted(able, key=lambda witness: witness.name != snapshot.leader))


def unread_repositories(stanza: StanzaFacts) -> Mapping[int, str]:
    """The repositories that could not be read, with what pgBackRest says of them."""
    return {repo.key: _status(repo.code, repo.message) for repo in stanza.repositories if repo.code in _UNREADABLE}


def _is_blind(stanza: StanzaFacts) -> bool:
    codes = [repo.code for repo in stanza.repositories] or [stanza.code]
    return all(code in _UNREADABLE for code in codes)


def _status(code: int, message: str) -> str:
    return f"status {code}, {(message.splitlines() or [''])[0].strip()}"


def need_witnesses(snapshot: Snapshot) -> tuple[Witness, ...]:
    """At least one. Raises `ConfigError` where there is nothing to look at, `Unreachable` where no member could look."""
    witnesses = find_witnesses(snapshot)
    if witnesses:
        return witnesses
    cluster = snapshot.cluster
    if cluster.stanza is None:
        raise ConfigError(
            f"no pgBackRest stanza is configured for {cluster.name}",
            next_step=f"set stanza under clusters.{cluster.name} in pgops.yml",
        )
    if snapshot.nodes and all(isinstance(node.stanza, Skipped) for node in snapshot.nodes):
        raise ConfigError(f"the repository of {cluster.name} cannot be looked at", why=_why_unread(snapshot))
    raise Unreachable(
        "no member could read the repository",
        where=f"stanza {cluster.stanza}",
        why=_why_unread(snapshot),
        next_step="pgbackrest info on a member's host",
    )


def _why_unread(snapshot: Snapshot) -> str:
    by_reason: dict[str, list[str]] = {}
    for node in snapshot.nodes:
        by_reason.setdefault(_why_not(node), []).append(node.name)
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in by_reason.items()) or "no member is known"


def _why_not(node: Node) -> str:
    if not isinstance(node.stanza, Known):
        return reason(node.stanza)
    stanza = node.stanza.value
    faults = [f"repository {key}: {why}" for key, why in unread_repositories(stanza).items()]
    return "; ".join(faults) or _status(stanza.code, stanza.message)


def remarks(snapshot: Snapshot, witnesses: Sequence[Witness]) -> tuple[str, ...]:
    """What a reader must know beside what the first witness saw."""
    found = []
    if snapshot.leader is None:
        found.append(f"who leads is not known: {reason(snapshot.keys) or 'nobody holds the lock'}")
    able = {witness.name for witness in witnesses}
    blind = [node for node in snapshot.nodes if node.name not in able and not isinstance(node.stanza, Skipped)]
    found += [f"{node.name} could not read the repository: {_why_not(node)}" for node in blind]
    sets = {witness.name: {(item.repo_key, item.label) for item in witness.stanza.backups} for witness in witnesses}
    if any(labels != sets[witnesses[0].name] for labels in sets.values()):
        counts = ", ".join(f"{name} sees {len(labels)}" for name, labels in sets.items())
        found.append(f"members see different backups ({counts}): after a failover the others' are out of reach")
    faulty = [repo for repo in witnesses[0].stanza.repositories if repo.code]
    found += [f"repository {repo.key}: {_status(repo.code, repo.message)}" for repo in faulty]
    return tuple(found)


def present_timeline(snapshot: Snapshot) -> int | None:
    """The timeline of the primary, None where there is none, or several, or it cannot be told."""
    primaries = [node for node in snapshot.primaries if isinstance(node.sql, Known)]
    if len(primaries) != 1:
        primaries = [node for node in primaries if node.name == snapshot.leader]
    sql = primaries[0].sql if primaries else None
    return sql.value.timeline if isinstance(sql, Known) else None
