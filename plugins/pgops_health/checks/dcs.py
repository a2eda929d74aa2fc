"""The DCS: can it be read and written, do its members agree, does Patroni see it, and what do its keys order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pgops.checks import Check, Finding, critical, ok, unknown, unread, warning
from pgops.dcs import DcsHealth, DcsMember
from pgops.observe.fields import ShapeFault, iso_moment
from pgops.observe.snapshot import DcsKeys, Snapshot, View
from pgops.readings import known, reason
from pgops.render.units import format_bytes, format_duration, format_time
from pgops_health.checks.commands import read_log

LOOP_WAIT_S = 10
RETRY_TIMEOUT_S = 10
TTL_S = 30
"""Patroni's defaults. Source: Patroni docs, dynamic_configuration.rst."""


def find_reachable(snapshot: Snapshot) -> Iterator[Finding]:
    """The DCS answers us, and answered every Patroni of late."""
    keys = known(snapshot.keys)
    loop_s = (keys.number("loop_wait", LOOP_WAIT_S) if keys else None) or LOOP_WAIT_S
    retry_s = (keys.number("retry_timeout", RETRY_TIMEOUT_S) if keys else None) or RETRY_TIMEOUT_S
    limit_s = 2.0 * loop_s + retry_s
    ages = {}
    for node in snapshot.nodes:
        rest = known(node.rest)
        if rest is not None and rest.dcs_last_seen_s is not None:
            ages[node.name] = max(0.0, snapshot.taken_at.timestamp() - rest.dcs_last_seen_s)
    unlocked = [node.name for node in snapshot.nodes if (rest := known(node.rest)) and rest.cluster_unlocked]
    failsafe = [node.name for node in snapshot.nodes if (rest := known(node.rest)) and rest.failsafe_active]
    stale = {name: age for name, age in ages.items() if age > limit_s}
    kind = snapshot.cluster.dcs.kind.value
    why = reason(snapshot.keys)
    silent = _is_silence(why)
    if keys is not None:
        yield ok(f"{kind} answers")
    elif (ages and len(stale) == len(ages)) or unlocked:
        ours = "is unreachable" if silent else "gives us no usable answer"
        yield critical(
            f"{kind} {ours}, and no Patroni has reached it of late: {why}",
            next_step="bring it back at the same addresses and leave every Patroni running; do not edit or wipe keys",
        )
    elif ages:
        what = "no answer" if silent else "no usable answer"
        yield unknown(
            f"{kind} gives us {what}, though Patroni saw it {format_duration(min(ages.values()))} ago: {why}",
            next_step="check the endpoints, certificates and the role in the configuration, and the firewall from here",
        )
    elif not silent:
        yield unknown(
            f"{kind} gives us no usable answer, and no Patroni told whether it has one: {why}",
            next_step="check the endpoints, certificates and the role in the configuration; then the DCS's own log",
        )
    else:
        yield critical(
            f"{kind} is unreachable: {why}",
            next_step="check the DCS members first; Patroni demotes its primary when it cannot renew the lock",
        )
    for name, age in stale.items():
        yield critical(
            f"its Patroni has not seen the DCS for {format_duration(age)} (limit {format_duration(limit_s)})",
            name,
            next_step=f"{read_log(snapshot, 'patroni', name)}; can that machine reach the DCS?",
            dcs_age_s=round(age, 1),
            limit_s=limit_s,
        )
    if failsafe:
        yield warning(
            f"failsafe mode is active on {', '.join(failsafe)}: the primary stays only while every member answers it",
            next_step="repair the DCS; restart no member until then",
        )


def _is_silence(why: str) -> bool:
    """Whether no endpoint answered at all. A refusal, a web page or a fault of our own settings is no silence."""
    words = ("no answer", "no complete answer", "no connection", "connection refused", "without an answer", "broke off")
    return all(any(word in clause for word in words) for clause in why.split("; "))


def find_members(snapshot: Snapshot) -> Iterator[Finding]:
    """Every member of the DCS is healthy, raises no alarm, and one of them can be lost."""
    health = known(snapshot.dcs)
    if health is None:
        yield unread("the DCS's members could not be asked", snapshot.dcs)
        return
    yield from _alarms(health)
    healthy = [
        member for member in health.members if member.started and (member.healthy or _only_alarmed(health, member))
    ]
    quorum = len(health.members) // 2 + 1
    spare = len(healthy) - quorum
    numbers: dict[str, Any] = {
        "members_count": len(health.members),
        "healthy_count": len(healthy),
        "quorum_count": quorum,
    }
    for member in health.members:
        if not member.started:
            yield warning(
                "is listed but has never joined",
                member.name or member.member_id,
                next_step="start it, or remove it from the member list: it counts against the quorum",
            )
        elif member not in healthy:
            yield (critical if spare < 0 else warning)(
                f"is not healthy ({member.fault or 'it says so itself'})",
                member.name,
                next_step="its log there; never wipe its data first: member remove, then add",
            )
        yield from _size(snapshot, member)
    versions = sorted({member.version for member in health.members if member.version})
    if len(versions) > 1:
        yield warning(f"members run different versions: {', '.join(versions)}", next_step="finish the upgrade")
    if spare < 0:
        yield critical(
            f"{len(healthy)} of {len(health.members)} members healthy, {quorum} needed: no quorum, nothing can be written",
            next_step="bring a member back; its data directory is the cheapest way",
            **numbers,
        )
    elif spare == 0 and len(health.members) > 1:
        yield warning(
            f"{len(healthy)} of {len(health.members)} members healthy, {quorum} needed: one more loss stops the cluster",
            next_step="repair the failed member",
            **numbers,
        )
    else:
        text = f"{len(healthy)} of {len(health.members)} members healthy"
        yield ok(f"{text}; it is the only one" if len(health.members) == 1 else text, **numbers)


def _only_alarmed(health: DcsHealth, member: DcsMember) -> bool:
    """An alarm of any member makes /health of all say no while they serve; the alarm itself is the finding."""
    return bool(known(health.alarms)) and member.leader_id is not None


def _alarms(health: DcsHealth) -> Iterator[Finding]:
    alarms = known(health.alarms)
    if alarms is None:
        yield unread("alarms could not be listed", health.alarms)
        return
    names = {member.member_id: member.name for member in health.members}
    for member_id, alarm in alarms:
        name = names.get(member_id, member_id)
        if alarm == "NOSPACE":
            yield critical(
                "alarm NOSPACE: the DCS refuses writes. The leader looks well, but nobody can take the lock after it",
                name,
                next_step="compact, defragment each member (leader last), then etcdctl alarm disarm; raise the quota",
            )
        else:
            yield critical(
                f"alarm {alarm}", name, next_step="etcdctl alarm list; replace a corrupt member: remove, then add"
            )


def _size(snapshot: Snapshot, member: DcsMember) -> Iterator[Finding]:
    if not member.db_size_bytes or not member.quota_bytes:
        return
    percent = 100 * member.db_size_bytes / member.quota_bytes
    limit = snapshot.cluster.thresholds.etcd_db_warning_percent
    if percent >= limit:
        yield warning(
            f"its database is {format_bytes(member.db_size_bytes)}, {percent:.0f} % of the quota (limit {limit:.0f} %)",
            member.name,
            next_step="turn auto-compaction on and defragment; at the quota all writes are refused",
            db_size_bytes=member.db_size_bytes,
            quota_bytes=member.quota_bytes,
            db_used_percent=round(percent, 1),
        )


def find_pause(snapshot: Snapshot) -> Iterator[Finding]:
    """Automatic failover is not switched off, and all members agree on that."""
    keys = known(snapshot.keys)
    resume = f"pgops resume --cluster {snapshot.cluster.name}"
    paused_by_rest = [node.name for node in snapshot.nodes if (rest := known(node.rest)) and rest.pause]
    if keys is None:
        if paused_by_rest:
            yield warning(
                f"paused by the word of {', '.join(paused_by_rest)}: no automatic failover",
                next_step=f"once the DCS answers: {resume}",
            )
        else:
            yield unread("pause could not be read", snapshot.keys)
        return
    if keys.paused:
        yield _paused(keys, snapshot.taken_at, resume)
        away = [node.name for node in snapshot.nodes if (rest := known(node.rest)) and not rest.pause]
        if away:
            yield warning(
                f"{', '.join(away)} does not act on the pause yet",
                next_step="a member not in pause may still fail over",
            )
        return
    if paused_by_rest:
        yield warning(f"not paused, but {', '.join(paused_by_rest)} still acts so", next_step=resume)
        return
    yield ok("not paused")


def _paused(keys: DcsKeys, now: datetime, resume: str) -> Finding:
    """Who paused it, since when and how long it was meant to last, as far as pgops's own record tells."""
    record = keys.pause_record
    off = "paused, so no automatic failover"
    if record is None:
        fault = keys.records_fault or keys.unread_records.get("pause")
        why = f"pgops's own record could not be read: {fault}" if fault else "not set by pgops"
        return warning(f"{off}; since when and by whom is unknown ({why})", next_step=resume)
    age_s = (now - record.since).total_seconds()
    numbers: dict[str, Any] = {"paused_s": round(age_s, 1)}
    text = f"for {format_duration(age_s)} by {record.owner or 'unknown'}"
    if record.reason:
        text += f": {record.reason}"
    if record.expires and record.expires <= now:
        late_s = (now - record.expires).total_seconds()
        numbers["expired_s"] = round(late_s, 1)
        off = "still paused, so no automatic failover, though the pause has expired"
        text += f"; it expired {format_duration(late_s)} ago, at {format_time(record.expires)}"
    elif record.expires:
        text += f"; until {format_time(record.expires)}"
    return warning(f"{off}; {text}", next_step=resume, **numbers)


def find_failover_key(snapshot: Snapshot) -> Iterator[Finding]:
    """No failover or switchover is waiting. Patroni leaves `{}` behind after use, which orders nothing."""
    keys = known(snapshot.keys)
    if keys is None:
        yield unread("the failover key could not be read", snapshot.keys)
    elif not keys.failover:
        yield ok("no failover or switchover is waiting")
    else:
        order = keys.failover
        scheduled = order.get("scheduled_at")
        target = order.get("member") or "any member"
        what = f"from {order.get('leader') or 'any leader'} to {target}"
        try:
            when = iso_moment(scheduled) if isinstance(scheduled, str) else None
        except ShapeFault:
            when = None
        if when is not None:
            text = f"a switchover {what} is scheduled for {format_time(when)}"
            step = "patronictl flush SCOPE switchover takes it back"
        else:
            text, step = (
                f"a failover {what} is waiting and has not been carried out",
                read_log(snapshot, "patroni", snapshot.leader or "the leader"),
            )
        missing = order.get("member") and snapshot.node(str(order["member"])) is None
        yield warning(text + (f"; {target} is no member" if missing else ""), next_step=step)


def find_timing(snapshot: Snapshot) -> Iterator[Finding]:
    """ttl leaves room for one loop and two retries. Source: Patroni docs, dynamic_configuration.rst."""
    keys = known(snapshot.keys)
    if keys is None or keys.config is None:
        yield (
            unread("the dynamic configuration could not be read", snapshot.keys)
            if keys is None
            else unknown("the DCS holds no dynamic configuration")
        )
        return
    ttl_s, loop_s = keys.number("ttl", TTL_S), keys.number("loop_wait", LOOP_WAIT_S)
    retry_s = keys.number("retry_timeout", RETRY_TIMEOUT_S)
    if ttl_s is None or loop_s is None or retry_s is None:
        yield unknown("ttl, loop_wait or retry_timeout is no number", next_step="patronictl edit-config")
        return
    rule = f"ttl {ttl_s} s, loop_wait {loop_s} s, retry_timeout {retry_s} s"
    numbers: dict[str, Any] = {"ttl_s": ttl_s, "loop_wait_s": loop_s, "retry_timeout_s": retry_s}
    if ttl_s < loop_s + 2 * retry_s:
        yield warning(
            f"{rule}: ttl is less than loop_wait + 2 times retry_timeout, so one slow DCS answer can cost the lock",
            next_step="patronictl edit-config",
            **numbers,
        )
    else:
        yield ok(rule, **numbers)


_BOTH = frozenset({View.DCS, View.REST})
_KEYS = frozenset({View.DCS})

CHECKS = (
    Check("dcs", "the DCS answers us and every Patroni", _BOTH, find_reachable),
    Check("dcs-members", "the DCS's own members, alarms and quorum", _KEYS, find_members),
    Check("pause", "automatic failover is not switched off", _BOTH, find_pause),
    Check("failover-key", "no failover or switchover is waiting", _KEYS, find_failover_key),
    Check("timing", "ttl leaves room for a loop and two retries", _KEYS, find_timing),
)
