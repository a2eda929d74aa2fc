"""Who could take over if the primary died now, and for every other member the rule and the number that excludes it.

The rules are Patroni's own. Source: Patroni, patroni/ha.py, _is_healthiest_node and is_failover_possible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pgops.checks import Check, Finding, critical, ok, unknown, unread, warning
from pgops.observe.facts import RestStatus
from pgops.observe.snapshot import DcsKeys, Node, Snapshot, View
from pgops.readings import known, reason
from pgops.render.units import format_bytes
from pgops_health.checks.replication import primary

MAXIMUM_LAG_BYTES = 1048576
"""Patroni's default of maximum_lag_on_failover. Source: Patroni docs, dynamic_configuration.rst."""


@dataclass(frozen=True)
class Exclusion:
    """Why Patroni would not promote a member. `certain` false: it could not be seen."""

    text: str
    certain: bool = True


def find_capacity(snapshot: Snapshot) -> Iterator[Finding]:
    """At least one replica could be promoted by Patroni right now."""
    keys = known(snapshot.keys)
    if keys is None:
        yield unread("the rules of a failover could not be read", snapshot.keys)
        return
    health = known(snapshot.dcs)
    if health is not None and any(alarm == "NOSPACE" for _, alarm in known(health.alarms) or ()):
        yield critical(
            "nobody could take over: the DCS refuses writes (NOSPACE), so nobody can take the lock",
            next_step=f"pgops health --check dcs-members --cluster {snapshot.cluster.name}",
        )
        return
    leader = primary(snapshot)
    holder = snapshot.leader or (leader.name if leader else None)
    others = [node for node in snapshot.nodes if node.name != holder and node.is_primary is not True]
    excluded = {node.name: why for node in others if (why := exclude(snapshot, keys, node)) is not None}
    able = [node.name for node in others if node.name not in excluded]
    minimum = snapshot.cluster.thresholds.failover_candidates_minimum
    why_not = "; ".join(f"{name}: {why.text}" for name, why in excluded.items())
    numbers: dict[str, Any] = {"candidates_count": len(able), "minimum_count": minimum}
    pause = "; but the cluster is paused, so Patroni promotes nobody by itself" if keys.paused else ""
    if able:
        text = f"{', '.join(able)} could take over{pause}"
        text += f" ({why_not})" if why_not else ""
        if len(able) < minimum or pause or any(why.certain for why in excluded.values()):
            step = (
                f"pgops resume --cluster {snapshot.cluster.name}, when the reason for the pause is gone"
                if pause
                else "repair the members that are excluded"
            )
            yield warning(text, next_step=step, **numbers)
        else:
            yield ok(text, **numbers)
    elif excluded and not all(why.certain for why in excluded.values()):
        yield unknown(f"nobody is seen able to take over: {why_not}", next_step="reach those members first", **numbers)
    elif excluded:
        yield critical(
            f"nobody could take over: {why_not}", next_step="repair a replica before the primary is touched", **numbers
        )
    else:
        yield critical("nobody could take over: there is no other member", next_step="add a replica", **numbers)


def exclude(snapshot: Snapshot, keys: DcsKeys, node: Node) -> Exclusion | None:
    """The first of Patroni's rules that excludes this member from a failover; None when none does."""
    rest = known(node.rest)
    if rest is None:
        refused = "refused" in reason(node.rest)
        why = "its Patroni is not running" if refused else f"its Patroni gives no answer ({reason(node.rest)})"
        return Exclusion(why, certain=refused)
    if node.member is None:
        return Exclusion("it is not registered in the DCS")
    rules = (
        _by_state(rest),
        _by_tags(_tags(node, rest)),
        _by_watchdog(rest),
        _by_timeline(keys, rest),
        _by_sync(keys, node),
    )
    found = next((rule for rule in rules if rule is not None), None)
    return found or _by_failsafe(keys, node) or _by_lag(snapshot, keys, node, rest)


def _by_state(rest: RestStatus) -> Exclusion | None:
    if rest.state in ("running", "streaming", "in archive recovery"):
        return None
    return Exclusion(f"its PostgreSQL is {rest.state or 'in an unknown state'}")


def _tags(node: Node, rest: RestStatus) -> Mapping[str, Any]:
    return {**(node.member.tags if node.member else {}), **(rest.tags or {})}


def _by_tags(tags: Mapping[str, Any]) -> Exclusion | None:
    priority = tags.get("failover_priority")
    if tags.get("nofailover") is True or str(tags.get("nofailover")).lower() in ("true", "on", "yes"):
        return Exclusion("tag nofailover")
    if isinstance(priority, int) and not isinstance(priority, bool) and priority <= 0:
        return Exclusion(f"tag failover_priority is {priority}")
    return None


def _by_watchdog(rest: RestStatus) -> Exclusion | None:
    return Exclusion("its watchdog is required and failed") if rest.watchdog_failed else None


def _by_timeline(keys: DcsKeys, rest: RestStatus) -> Exclusion | None:
    if not keys.setting("check_timeline", False) or rest.timeline is None or not keys.history:
        return None
    newest = keys.history[-1].timeline + 1
    return (
        Exclusion(f"timeline {rest.timeline} is behind {newest} (check_timeline)") if rest.timeline < newest else None
    )


def _by_sync(keys: DcsKeys, node: Node) -> Exclusion | None:
    if not keys.setting("synchronous_mode", False) or keys.sync is None or not keys.sync.leader:
        return None
    members = (keys.sync.leader, *keys.sync.standbys)
    return (
        None
        if node.name in members
        else Exclusion(f"not a synchronous standby (those are {', '.join(keys.sync.standbys)})")
    )


def _by_failsafe(keys: DcsKeys, node: Node) -> Exclusion | None:
    if not keys.setting("failsafe_mode", False) or keys.failsafe is None or node.name in keys.failsafe:
        return None
    return Exclusion("not in the failsafe key")


def _by_lag(snapshot: Snapshot, keys: DcsKeys, node: Node, rest: RestStatus) -> Exclusion | None:
    """Against the primary's real position where it is known: the DCS's optime is only written once a loop."""
    asked = keys.number("maximum_lag_on_failover", MAXIMUM_LAG_BYTES)
    limit = MAXIMUM_LAG_BYTES if asked is None else int(asked)
    if limit < 0:
        return None
    sql = known(node.sql)
    own = [rest.received_bytes, rest.replayed_bytes]
    if sql is not None:
        own += [sql.receive_bytes, sql.replay_bytes]
    reached = max((value for value in own if value is not None), default=None)
    leader = primary(snapshot)
    leader_sql, leader_rest = (known(leader.sql), known(leader.rest)) if leader else (None, None)
    ends = [
        keys.optime_bytes,
        leader_sql.flush_bytes if leader_sql else None,
        leader_rest.location_bytes if leader_rest else None,
    ]
    end = max((value for value in ends if value is not None), default=None)
    if reached is None or end is None:
        return Exclusion("its WAL position is not known", certain=False)
    lag = end - reached
    if lag <= limit:
        return None
    return Exclusion(f"{format_bytes(lag)} behind, maximum_lag_on_failover is {format_bytes(limit)}")


CHECKS = (
    Check(
        "failover-capacity",
        "somebody could take over now; the rule and number that excludes each other member",
        frozenset({View.REST, View.DCS, View.SQL}),
        find_capacity,
        frozenset({View.REST, View.DCS}),
    ),
)
