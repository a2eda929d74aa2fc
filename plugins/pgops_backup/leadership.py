"""The proof that a node is the leader: it holds the leader lock, and its own PostgreSQL is not in recovery."""

from __future__ import annotations

from pgops.observe.snapshot import Node, Snapshot
from pgops.plan.step import Verdict, blocked, satisfied, unread
from pgops.readings import known, reason


def prove_leader(name: str, now: Snapshot) -> Verdict:
    """By the DCS, by the status code of GET /primary, and by SQL; what could not be read is said, never assumed.

    Source: Patroni docs, rest_api.rst: a body comes with 503 as well, so that only the status counts.
    """
    node, keys = now.node(name), known(now.keys)
    if node is None:
        return blocked(f"no node is named {name}", "pgops health")
    if keys is None:
        return unread(f"the DCS gave no answer: {reason(now.keys)}", "pgops health")
    return _prove_server(node, keys.leader) or _prove_alone(node, now)


def _prove_server(node: Node, leader: str | None) -> Verdict | None:
    """Its own PostgreSQL, and the lock; None: both are as they should be."""
    sql = known(node.sql)
    if sql is None:
        return unread(f"PostgreSQL of {node.name} gave no answer: {reason(node.sql)}", "pgops health")
    if sql.in_recovery:
        return blocked(f"{node.name} is a replica: its PostgreSQL is in recovery; the leader is {leader or 'unknown'}")
    if leader == node.name:
        return None
    holder = f"{leader} holds it" if leader else "nobody holds it"
    return blocked(
        f"PostgreSQL of {node.name} takes writes, but it does not hold the leader lock: {holder}. This may be a split brain",
        "pgops health --deep, before anything else",
    )


def _prove_alone(node: Node, now: Snapshot) -> Verdict:
    """Nobody else takes writes, and its Patroni says so as well."""
    others = [item.name for item in now.primaries if item.name != node.name]
    if others:
        return blocked(f"{', '.join(others)} takes writes as well: a split brain", "pgops health --deep")
    code = known(node.primary_code)
    if code is None:
        return unread(f"Patroni of {node.name} gave no answer: {reason(node.primary_code)}", "pgops health")
    if code != 200:
        return blocked(f"Patroni of {node.name} says that it is not the primary (HTTP {code})", "pgops health")
    return satisfied(f"{node.name} holds the leader lock, and its PostgreSQL is not in recovery")
