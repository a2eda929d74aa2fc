"""Judges whether backups can be relied on: the stanza, whose server it is, one repository for all, versions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgops.checks import Finding, Verdict, critical, ok, skipped, unread, warning
from pgops.errors import ExitCode
from pgops.observe.facts import StanzaFacts
from pgops.observe.snapshot import Snapshot
from pgops.pgbackrest.statuses import UNREADABLE, explain_status
from pgops.readings import Known, known


@dataclass(frozen=True)
class Row:
    """One judgement: what was looked at, and what was found."""

    name: str
    finding: Finding


def exit_code(rows: Sequence[Row]) -> int:
    """1 where something is wrong, 5 where nothing seen is wrong and something could not be seen, else 0."""
    verdicts = {row.finding.verdict for row in rows}
    if verdicts & {Verdict.CRITICAL, Verdict.WARNING}:
        return ExitCode.FAILED
    return ExitCode.UNREACHABLE if Verdict.UNKNOWN in verdicts else ExitCode.DONE


def rows_of(name: str, findings: Iterator[Finding]) -> list[Row]:
    """These findings under one name."""
    return [Row(name, finding) for finding in findings]


def find_stanza(snapshot: Snapshot) -> Iterator[Finding]:
    """Every repository of the stanza is well, as the leader sees it, or else the first member that could look."""
    seen = _seen(snapshot)
    if not seen:
        for node in snapshot.nodes:
            yield unread("pgBackRest could not be asked", node.stanza, node.name)
        if not snapshot.nodes:
            yield skipped("no member is known")
        return
    name, stanza = seen[0]
    bad = [(repo.code, repo.message, f"repository {repo.key}") for repo in stanza.repositories if repo.code]
    if stanza.code and not bad:
        bad = [(stanza.code, stanza.message, "the stanza")]
    for code, message, where in bad:
        meaning, next_step = explain_status(code, message)
        yield critical(f"{where}: {meaning} (status code {code})", name, next_step=next_step)
    spoilt = [backup.label for backup in stanza.backups if backup.error]
    if spoilt:
        yield critical(
            f"backups with page checksum errors: {', '.join(spoilt[-3:])}",
            name,
            next_step=f"pgbackrest --stanza={snapshot.cluster.stanza} --set={spoilt[-1]} info names the files",
        )
    if not bad and not spoilt:
        count = len(stanza.backups)
        running = ", one more is being made" if stanza.backup_running else ""
        yield ok(f"{snapshot.cluster.stanza} is sound: {_count(count)}, none with errors{running}", name)


def find_identity(snapshot: Snapshot) -> Iterator[Finding]:
    """The stanza's newest database is this very cluster: by system identifier, in every member's eyes."""
    own = []
    for name, stanza in _seen(snapshot):
        node = snapshot.node(name)
        sql = known(node.sql) if node else None
        if stanza.current_system_identifier is None:
            continue  # without a database the stanza itself is at fault, and said so
        if sql is None:
            if node is not None:
                yield unread("not comparable with the server", node.sql, name)
        elif sql.system_identifier != stanza.current_system_identifier:
            yield critical(
                f"the stanza belongs to another server: system identifier {stanza.current_system_identifier}, "
                f"this one has {sql.system_identifier}",
                name,
                next_step="STOP: no stanza-delete, no stanza-upgrade; find out which of the two is wrong: pgops health",
            )
        else:
            own.append(name)
    if own:
        yield ok(f"{', '.join(own)}: the stanza is this cluster's own")


def find_shared(snapshot: Snapshot) -> Iterator[Finding]:
    """All members see one repository: with one on each host, a new leader has no backups after a failover."""
    seen = dict(_seen(snapshot))
    for node in snapshot.nodes:
        if node.name not in seen:
            yield unread("what it sees is not known", node.stanza, node.name)
    for number, (name, stanza) in enumerate(list(seen.items())):
        fault = _unreadable(stanza)
        if fault is None:
            continue
        del seen[name]
        if number:  # the first one's is told of the stanza itself
            text, next_step = fault
            yield critical(text, name, next_step=next_step)
    sets = {name: frozenset((item.repo_key, item.label) for item in stanza.backups) for name, stanza in seen.items()}
    if not sets:
        return
    if len(set(sets.values())) > 1:
        told = "; ".join(f"{name}: {_sight(seen[name])}" for name in sets)
        yield critical(
            f"the members do not share one repository ({told}): after a failover the new leader would not have the others' "
            "backups",
            next_step="one repository for all (repo1-host, an object store, NFS), the same in every member's pgbackrest.conf",
        )
    elif len(snapshot.nodes) == 1:
        yield skipped("there is one member only")
    elif not next(iter(sets.values())):
        yield skipped(f"{', '.join(sets)} see no backup at all: whether it is one repository does not show")
    else:
        yield ok(f"{', '.join(sets)} see the same {_count(len(next(iter(sets.values()))))}")


def shows_differences(snapshot: Snapshot) -> bool:
    """Whether members see different backups: a second look tells a backup that just came or went from a fault."""
    return len({frozenset((item.repo_key, item.label) for item in stanza.backups) for _, stanza in _seen(snapshot)}) > 1


def find_versions(snapshot: Snapshot) -> Iterator[Finding]:
    """Every member has the same pgBackRest."""
    members: dict[tuple[int, int], list[str]] = {}
    for name, stanza in _seen(snapshot):
        if stanza.pgbackrest_version is not None:
            members.setdefault(stanza.pgbackrest_version, []).append(name)
    told = "; ".join(f"{major}.{minor} on {', '.join(names)}" for (major, minor), names in sorted(members.items()))
    if len(members) > 1:
        yield warning(
            f"the members have different versions of pgBackRest: {told}; what one writes another may not read",
            next_step="install one version on all of them",
        )
    elif members:
        yield ok(f"pgBackRest {told}")
    else:
        yield skipped("no member tells its version of pgBackRest")


def _seen(snapshot: Snapshot) -> list[tuple[str, StanzaFacts]]:
    """What each member sees that could be asked, the lock holder first."""
    found = [(node.name, node.stanza.value) for node in snapshot.nodes if isinstance(node.stanza, Known)]
    return sorted(found, key=lambda pair: pair[0] != snapshot.leader)


def _unreadable(stanza: StanzaFacts) -> tuple[str, str] | None:
    """Why none of its repositories can be read, and what to do; None where one can, an empty one too."""
    bad = [repo for repo in stanza.repositories if repo.code == UNREADABLE]
    if not bad or len(bad) < len(stanza.repositories):
        return None
    meaning, next_step = explain_status(bad[0].code, bad[0].message)
    return f"repository {bad[0].key}: {meaning}", next_step


def _sight(stanza: StanzaFacts) -> str:
    bad = [(repo.code, repo.message) for repo in stanza.repositories if repo.code]
    why = f", {explain_status(*bad[0])[0]}" if bad else ""
    return f"{_count(len(stanza.backups))}{why}"


def _count(number: int) -> str:
    return f"{number or 'no'} backup{'' if number == 1 else 's'}"
