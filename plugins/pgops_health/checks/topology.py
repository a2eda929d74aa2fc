"""Who takes writes, who holds the lock, and whether every Patroni is alive. Every member is asked itself.

`/cluster` shows a primary without the lock as a running replica, or not at all; nothing here is read from it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgops.checks import Check, Finding, critical, ok, skipped, unknown, unread, warning
from pgops.observe.lsn import format_lsn
from pgops.observe.snapshot import Node, Snapshot, View
from pgops.readings import Known, known, reason
from pgops_health.checks.commands import read_log, read_status

_ASK = frozenset({View.REST, View.DCS, View.SQL})
_ALL = _ASK | {View.HOST, View.BACKUP}
_REST = frozenset({View.REST, View.DCS})


def find_primaries(snapshot: Snapshot) -> Iterator[Finding]:
    """Exactly one member takes writes."""
    primaries = snapshot.primaries
    names = ", ".join(_describe(node, snapshot.leader) for node in primaries)
    if len(primaries) > 1:
        yield critical(
            f"{len(primaries)} primaries take writes: {names}; patronictl list shows one",
            next_step="keep clients off all but one, resume and restart no Patroni: either rewinds the other's commits away. "
            f"Then compare: pgops health --deep --cluster {snapshot.cluster.name}",
            primaries_count=len(primaries),
        )
    elif len(primaries) == 1:
        yield ok(f"one primary: {names}", primaries_count=1)
    elif snapshot.nodes:
        unseen = any(node.is_primary is None for node in snapshot.nodes)
        text = "no member takes writes" + (", as far as could be seen" if unseen else "")
        yield critical(text, next_step=_why_no_primary(snapshot), primaries_count=0)
    else:
        yield unknown(
            "no member is known: " + (reason(snapshot.keys) or "the DCS names none and none is configured"),
            next_step="check scope and namespace in the configuration, or list the hosts in pgops.yml",
        )
    for node in snapshot.nodes:
        if node.is_primary is None:
            why = reason(node.sql) or reason(node.rest) or "neither Patroni nor PostgreSQL answered"
            control = known(node.control)
            if control is not None and control.state == "in production":
                why += "; its control file says that it takes writes, or did when it crashed"
            yield unknown(
                f"cannot tell whether it takes writes ({why}); unreachable is not stopped",
                node.name,
                next_step=f"look at the machine of {node.name} by another way before anything is promoted",
            )


def _describe(node: Node, leader: str | None) -> str:
    sql = known(node.sql)
    where = (
        f"timeline {sql.timeline}, {format_lsn(sql.flush_bytes)}" if sql and sql.flush_bytes is not None else "by REST"
    )
    return f"{node.name} ({'holds the lock, ' if node.name == leader else ''}{where})"


def _why_no_primary(snapshot: Snapshot) -> str:
    keys = known(snapshot.keys)
    if keys is None:
        return "bring the DCS back first; Patroni promotes nobody without it"
    if keys.paused:
        return "the cluster is paused, so nobody is promoted: patronictl failover to a member that you have compared"
    return f"pgops health --check failover-capacity --cluster {snapshot.cluster.name}"


def find_lock(snapshot: Snapshot) -> Iterator[Finding]:
    """The lock holder is the primary, and the lock can expire."""
    keys = known(snapshot.keys)
    if keys is None:
        yield unread("the lock could not be read", snapshot.keys)
        return
    if not keys.leader:
        yield critical(
            "nobody holds the leader lock",
            next_step=f"pgops health --check failover-capacity --cluster {snapshot.cluster.name}",
        )
    elif not keys.leader_has_lease:
        yield critical(
            f"the leader key names {keys.leader} and has no lease: it never expires, and no failover will happen",
            next_step="somebody wrote it by hand; delete exactly that key once you know that its holder is dead",
        )
    holder = snapshot.node(keys.leader)
    others = [node.name for node in snapshot.primaries if node.name != keys.leader]
    if others:
        yield critical(
            f"{', '.join(others)} takes writes without the lock, which {keys.leader or 'nobody'} holds",
            next_step=f"do not resume or restart Patroni there; {read_status(snapshot, 'patroni', others[0])}",
        )
    if holder is not None and holder.is_primary is False:
        yield critical(
            f"{holder.name} holds the lock but does not take writes",
            next_step=f"{read_log(snapshot, 'patroni', holder.name)}: is it starting, or is its PostgreSQL failing?",
        )
    claiming = [node.name for node in snapshot.nodes if known(node.primary_code) == 200]
    if len(claiming) > 1:
        yield critical(
            f"{', '.join(claiming)} all answer 200 to GET /primary: load balancers send writes to each",
            next_step="take all but the lock holder out of the load balancer",
        )
    if keys.leader and keys.leader_has_lease and not others and (holder is None or holder.is_primary is not False):
        if holder is None:
            yield critical(
                f"{keys.leader} holds the lock, but no such member is known",
                next_step="compare the members in the DCS with pgops.yml",
            )
        elif holder.is_primary:
            yield ok(f"{keys.leader} holds the lock and takes writes")
        else:
            yield unknown(f"{keys.leader} holds the lock; whether it takes writes is not known", keys.leader)


def find_patroni(snapshot: Snapshot) -> Iterator[Finding]:
    """Every member's Patroni answers and its loop turns."""
    for node in snapshot.nodes:
        rest = known(node.rest)
        if rest is None:
            yield _silent(snapshot, node)
            continue
        liveness = known(node.liveness_code)
        if liveness is not None and liveness != 200:
            yield critical(
                f"Patroni answers, but its loop stands still (GET /liveness gave {liveness})",
                node.name,
                next_step=read_log(snapshot, "patroni", node.name),
                liveness_http_status=liveness,
            )
        elif rest.scope is not None and rest.scope != snapshot.cluster.scope:
            yield critical(
                f"it belongs to scope {rest.scope}, not {snapshot.cluster.scope}",
                node.name,
                next_step="compare the scope in its patroni.yml and the addresses in pgops.yml",
            )
        else:
            version = f"Patroni {rest.patroni_version}" if rest.patroni_version else "Patroni"
            yield ok(f"{version} answers: {rest.role}, {rest.state}", node.name)


def _silent(snapshot: Snapshot, node: Node) -> Finding:
    """Patroni does not answer. What that means depends on whether its PostgreSQL runs on."""
    sql = known(node.sql)
    why = reason(node.rest)
    status = read_status(snapshot, "patroni", node.name)
    if sql is not None and not sql.in_recovery:
        text = f"a primary runs without an answering Patroni ({why}): nobody demotes it when the lock moves"
        return critical(
            text, node.name, next_step=f"{status}; do not stop it: stopping continues a hung one, which then rewinds"
        )
    if sql is not None:
        return critical(f"PostgreSQL runs without an answering Patroni ({why})", node.name, next_step=status)
    if isinstance(node.rest, Known) or not node.rest_url:
        return unknown(why, node.name, next_step="is the member registered? pgops health --check dcs")
    if "refused" in why:
        holder = " and holds the lock" if node.name == snapshot.leader else ""
        text = f"Patroni is not running there ({why}){holder}"
        return critical(text, node.name, next_step=status)
    return unknown(f"no answer from Patroni ({why})", node.name, next_step=status)


def find_timelines(snapshot: Snapshot) -> Iterator[Finding]:
    """All members are on one timeline, and the DCS's history ends just before it."""
    newest = max((timeline for node in snapshot.primaries if (timeline := _timeline(node)) is not None), default=0)
    seen = {
        node.name: timeline
        for node in snapshot.nodes
        if (timeline := _timeline(node)) is not None and not (timeline < newest and _is_stalled(node))
    }
    if not seen:
        yield unknown("no member told its timeline")
        return
    text = ", ".join(f"{name} {timeline}" for name, timeline in seen.items())
    if len(set(seen.values())) > 1:
        yield critical(
            f"timelines differ: {text}",
            next_step="one is behind a promotion or on another branch; compare before it is restarted",
        )
        return
    keys = known(snapshot.keys)
    timeline = next(iter(seen.values()))
    if keys is not None and keys.history and keys.history[-1].timeline + 1 != timeline:
        yield warning(
            f"all are on timeline {timeline}, but the DCS's history ends with timeline {keys.history[-1].timeline}",
            next_step="Patroni rewrites it at the next promotion; until then the timeline gate of a failover is off",
            timeline=timeline,
        )
        return
    yield ok(f"all on timeline {timeline}", timeline=timeline)


def _is_stalled(node: Node) -> bool:
    """Whether it is a replica without a stream: its control file lags, so a lower timeline there is no evidence."""
    sql = known(node.sql)
    return sql is not None and sql.in_recovery and known(sql.receiver) is None


def _timeline(node: Node) -> int | None:
    sql, rest = known(node.sql), known(node.rest)
    return sql.timeline if sql is not None else rest.timeline if rest is not None else None


def find_identifiers(snapshot: Snapshot) -> Iterator[Finding]:
    """One system identifier everywhere: servers, control files, the DCS and the pgBackRest stanza."""
    seen: dict[str, list[str]] = {}
    keys = known(snapshot.keys)
    if keys is not None and keys.initialize:
        seen.setdefault(keys.initialize, []).append("DCS")
    for node in snapshot.nodes:
        rest, sql, control, stanza = known(node.rest), known(node.sql), known(node.control), known(node.stanza)
        own = {rest.system_identifier if rest else None, sql.system_identifier if sql else None}
        own.add(control.system_identifier if control else None)
        for identifier in sorted(item for item in own if item):
            seen.setdefault(identifier, []).append(node.name)
        if stanza is not None and stanza.current_system_identifier:
            seen.setdefault(stanza.current_system_identifier, []).append(f"pgBackRest on {node.name}")
    if not seen:
        yield skipped("nothing told a system identifier")
    elif len(seen) == 1:
        yield ok(f"one system identifier everywhere: {next(iter(seen))}")
    else:
        parts = "; ".join(f"{identifier}: {', '.join(places)}" for identifier, places in sorted(seen.items()))
        yield critical(
            f"system identifiers differ: {parts}",
            next_step="a foreign data directory or an accidental initdb: delete nothing, no stanza-create or -upgrade",
        )


def find_faults(snapshot: Snapshot) -> Iterator[Finding]:
    """What pgops was told, and what Patroni's keys hold, can be understood."""
    keys = known(snapshot.keys)
    if keys is None:
        yield unread("Patroni's keys could not be read", snapshot.keys)
    for text in snapshot.warnings:
        yield warning(text, next_step="correct it there; man pgops.yml says what each part needs")
    for fault in keys.faults if keys else ():
        yield unknown(
            f"a key in the DCS could not be understood: {fault}", next_step="read that key by hand before acting"
        )
    if keys is not None and keys.config is None:
        yield warning(
            "the DCS holds no dynamic configuration for this scope",
            next_step=f"is {snapshot.cluster.prefix} the right prefix? patronictl edit-config",
        )
    if keys is not None and (keys.config or {}).get("standby_cluster"):
        yield unknown(
            "this is a standby cluster, which pgops does not serve yet: the verdicts below take it for a usual one",
            next_step="patronictl list, and the primary cluster's own health",
        )
    if not snapshot.warnings and keys is not None and not keys.faults and keys.config is not None:
        yield ok("configuration and keys are understood")


CHECKS = (
    Check("primary", "exactly one member takes writes", _ASK, find_primaries, _REST),
    Check("lock", "the lock holder is that primary", _ASK, find_lock, frozenset({View.DCS})),
    Check("patroni", "every member's Patroni answers and its loop turns", _ASK, find_patroni, _REST),
    Check("timeline", "all members are on one timeline", _ASK, find_timelines, _REST),
    Check("system-id", "one system identifier everywhere", _ALL, find_identifiers, _REST),
    Check("configuration", "configuration and keys are understood", frozenset({View.DCS}), find_faults),
)
