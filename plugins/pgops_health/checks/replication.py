"""Replicas: do they stream, how far behind are they, is one of them ahead, and whom do commits wait for."""

from __future__ import annotations

from collections.abc import Iterator

from pgops.checks import Check, Finding, critical, ok, skipped, unknown, unread, warning
from pgops.observe.lsn import format_lsn
from pgops.observe.snapshot import Node, Snapshot, View
from pgops.readings import known, reason, within
from pgops.render.units import format_bytes, format_duration
from pgops_health.checks.commands import read_log

NO_PRIMARY = "no primary is known"
_STARTING = ("starting", "restarting", "creating replica", "in archive recovery", "initializing new cluster")


def replicas(snapshot: Snapshot) -> tuple[Node, ...]:
    """The members that are known not to take writes."""
    return tuple(node for node in snapshot.nodes if node.is_primary is False)


def primary(snapshot: Snapshot) -> Node | None:
    """The primary to measure against: the lock holder where it is one, else the only one."""
    holder = snapshot.node(snapshot.leader)
    if holder is not None and holder.is_primary:
        return holder
    return snapshot.primaries[0] if len(snapshot.primaries) == 1 else None


def find_streaming(snapshot: Snapshot) -> Iterator[Finding]:
    """Every replica runs and streams."""
    if not replicas(snapshot):
        yield skipped("no replica is known")
    for node in replicas(snapshot):
        rest, sql = known(node.rest), known(node.sql)
        state = rest.state if rest else None
        journal = f"PostgreSQL's log, and {read_log(snapshot, 'patroni', node.name)}"
        if sql is None and state not in (None, "running", "streaming"):
            level = warning if state in _STARTING else critical
            yield level(f"its PostgreSQL is {state}", node.name, next_step=journal)
            continue
        receiver = known(sql.receiver) if sql else None
        if receiver is not None and receiver.status == "streaming":
            yield ok(f"streams from {receiver.sender_host or 'its upstream'}", node.name)
        elif sql is None and (rest_state := _state_by_rest(snapshot, node)) is not None:
            if rest_state == "streaming":
                yield ok("streams, by Patroni's word", node.name)
            else:
                yield critical(f"does not stream: {rest_state}", node.name, next_step=journal)
        elif sql is not None and known(sql.receiver) is None and reason(sql.receiver):
            yield unread("whether it streams is not known", sql.receiver, node.name)
        elif sql is not None:
            what = f"its WAL receiver is {receiver.status}" if receiver else "it has no WAL receiver"
            where = f"; replayed to {format_lsn(sql.replay_bytes)}" if sql.replay_bytes is not None else ""
            yield critical(f"does not stream: {what}{where}", node.name, next_step=journal)
        else:
            yield unknown(f"runs; whether it streams is not known ({reason(node.sql)})", node.name)


def _state_by_rest(snapshot: Snapshot, node: Node) -> str | None:
    """Patroni's word on a replica's stream: its own since 3.0.4, else that of the primary, which lists its WAL senders."""
    own = known(node.rest)
    if own is None or own.replication_state is not None:
        return own.replication_state if own else None
    leader = primary(snapshot)
    rest = known(leader.rest) if leader else None
    if rest is None or rest.senders is None:
        return None
    return dict(rest.senders).get(node.name, "the primary has no WAL sender for it")


def find_lag(snapshot: Snapshot) -> Iterator[Finding]:
    """How far each replica is behind the primary's flushed WAL, in bytes."""
    limits = snapshot.cluster.thresholds
    leader = primary(snapshot)
    end = end_of_wal(leader) if leader else None
    if end is None:
        yield unknown("the primary's WAL position is not known, so lag cannot be told", because=NO_PRIMARY)
        return
    for node in replicas(snapshot):
        received, replayed = positions(node)
        if replayed is None and received is None:
            yield unknown(
                f"its WAL position is not known ({reason(node.sql) or reason(node.rest) or 'not told'})", node.name
            )
            continue
        behind_receive = max(0, end - (received if received is not None else replayed or 0))
        behind_replay = max(0, end - (replayed if replayed is not None else received or 0))
        worst = max(behind_receive, behind_replay)
        text = f"{format_bytes(behind_receive)} to receive, {format_bytes(behind_replay)} to replay"
        numbers = {"receive_lag_bytes": behind_receive, "replay_lag_bytes": behind_replay}
        step = f"pgops health --check replicas --check slots --cluster {snapshot.cluster.name}"
        sql = known(node.sql)
        if sql is not None and sql.replay_paused:
            yield warning(
                f"its replay is paused; {text}", node.name, next_step="SELECT pg_wal_replay_resume()", **numbers
            )
        elif worst >= limits.lag_critical_bytes:
            limit = format_bytes(limits.lag_critical_bytes)
            yield critical(f"{text} (limit {limit})", node.name, next_step=step, **numbers)
        elif worst >= limits.lag_warning_bytes:
            yield warning(
                f"{text} (limit {format_bytes(limits.lag_warning_bytes)})", node.name, next_step=step, **numbers
            )
        else:
            yield ok(text, node.name, **numbers)


def find_ahead(snapshot: Snapshot) -> Iterator[Finding]:
    """No replica has WAL that the primary does not have: that is another branch, whatever its timeline's number."""
    leader = primary(snapshot)
    end = end_of_wal(leader) if leader else None
    if leader is None or end is None:
        yield unknown(
            "the primary's WAL position is not known, so whether a replica is ahead is not", because=NO_PRIMARY
        )
        return
    ahead = False
    unseen = [node for node in snapshot.nodes if node.is_primary is None]
    for node in replicas(snapshot):
        astray = _find_astray(node, leader, snapshot)
        if astray is not None:
            ahead = True
            yield astray
            continue
        received, replayed = positions(node)
        furthest = max((value for value in (received, replayed) if value is not None), default=None)
        if furthest is None:
            unseen.append(node)
        elif furthest > end:
            ahead = True
            yield critical(
                f"is {format_bytes(furthest - end)} ahead of {leader.name} "
                f"({format_lsn(furthest)} against {format_lsn(end)}): "
                "it has diverged",
                node.name,
                next_step=f"do not restart it; pgops health --deep --cluster {snapshot.cluster.name}",
                ahead_bytes=furthest - end,
            )
    for node in unseen:
        why = reason(node.sql) or reason(node.rest) or "not told"
        yield unknown(f"its WAL position is not known, so whether it is ahead is not ({why})", node.name, because=why)
    if not ahead and not unseen:
        yield ok("no replica is ahead of the primary")


def _find_astray(node: Node, leader: Node, snapshot: Snapshot) -> Finding | None:
    """A former leader that was started as a standby without a rewind: it streams, past WAL that nobody else has."""
    keys, control = known(snapshot.keys), known(node.control)
    if keys is None or control is None:
        return None
    timeline, reached = control.minimum_recovery_timeline, control.minimum_recovery_bytes
    ended = next((entry.switch_bytes for entry in keys.history if entry.timeline == timeline), None)
    if reached is None or ended is None or reached <= ended:
        return None
    return critical(
        f"has replayed {format_bytes(reached - ended)} of timeline {timeline} that {leader.name} never had "
        f"(to {format_lsn(reached)}; it ended at {format_lsn(ended)}): it has diverged, however well it streams",
        node.name,
        next_step=f"do not restart it; pgops recover split-brain --dry-run --cluster {snapshot.cluster.name}",
        ahead_bytes=reached - ended,
    )


def find_slots(snapshot: Snapshot) -> Iterator[Finding]:
    """No replication slot has lost WAL or holds back too much of it."""
    limit = snapshot.cluster.thresholds.slot_retained_warning_bytes
    unread_limit = snapshot.cluster.thresholds.slot_unread_warning_bytes
    for node in snapshot.primaries:
        reading = within(node.sql, lambda sql: sql.slots)
        slots = known(reading)
        if slots is None:
            yield unread("its slots could not be read", reading, node.name)
            continue
        quiet = True
        for slot in slots:
            held = f", {format_bytes(slot.retained_bytes)} of WAL held" if slot.retained_bytes is not None else ""
            numbers = {"retained_bytes": slot.retained_bytes, "slot": slot.name}
            if slot.wal_status in ("lost", "unreserved"):
                quiet = False
                yield critical(
                    f"slot {slot.name} is {slot.wal_status}: WAL that its reader needs is gone or going",
                    node.name,
                    next_step="its reader must be cloned anew or dropped",
                    **numbers,
                )
            elif slot.retained_bytes is not None and slot.retained_bytes >= limit:
                quiet = False
                state = "active" if slot.active else "inactive"
                yield warning(
                    f"slot {slot.name} is {state}{held} (limit {format_bytes(limit)})",
                    node.name,
                    next_step="find its reader, or drop the slot before the disk fills",
                    **numbers,
                )
            elif not slot.active and slot.retained_bytes is not None and slot.retained_bytes >= unread_limit:
                quiet = False
                yield warning(
                    f"slot {slot.name} has no reader{held} (limit {format_bytes(unread_limit)})",
                    node.name,
                    next_step="if its reader is gone for good, drop the slot; WAL is kept for it until then",
                    **numbers,
                )
        if quiet:
            yield ok(f"{len(slots)} slots, none holds WAL back for nobody", node.name, slots_count=len(slots))
    if not snapshot.primaries:
        yield unknown("no primary to read slots from", because=NO_PRIMARY)


def find_sync(snapshot: Snapshot) -> Iterator[Finding]:
    """In synchronous mode: the DCS, the primary's setting and the replicas' own state agree, and commits do not hang."""
    keys = known(snapshot.keys)
    if keys is None:
        yield unread("the sync key could not be read", snapshot.keys)
        return
    mode = keys.setting("synchronous_mode", False)
    leader = primary(snapshot)
    senders = known(within(leader.sql, lambda sql: sql.senders)) if leader else None
    settings = known(within(leader.sql, lambda sql: sql.settings)) if leader else None
    names = settings["synchronous_standby_names"].value if settings and "synchronous_standby_names" in settings else ""
    in_sync = sorted(s.application_name for s in senders or () if s.sync_state in ("sync", "quorum"))
    if not mode:
        if names and senders is not None and not in_sync:
            yield critical(
                f"synchronous_standby_names is {names!r} and no standby is synchronous: commits hang",
                next_step="bring a standby back, or empty synchronous_standby_names and reload",
            )
        else:
            yield ok(f"asynchronous by configuration{'; standbys are named by hand' if names else ''}")
        return
    standbys = keys.sync.standbys if keys.sync else ()
    strict = bool(keys.setting("synchronous_mode_strict", False))
    if not standbys:
        text = "synchronous mode has no synchronous standby"
        if strict:
            yield critical(f"{text}, and it is strict: commits hang", next_step="bring a replica back")
        else:
            yield warning(
                f"{text}: commits are not replicated before they are confirmed", next_step="bring a replica back"
            )
    elif senders is None:
        yield unknown(f"{', '.join(standbys)} by the DCS; the primary's own view could not be read")
    elif not in_sync:
        yield critical(
            f"the DCS names {', '.join(standbys)}, but no standby is synchronous on the primary: commits may hang",
            next_step="pgops health --check replicas",
        )
    elif keys.sync and leader and keys.sync.leader != leader.name:
        yield warning(
            f"the sync key belongs to {keys.sync.leader}, the primary is {leader.name}",
            next_step="patronictl list in a minute",
        )
    elif not set(in_sync) <= set(standbys):
        yield warning(
            f"the DCS names {', '.join(standbys)}, the primary waits for {', '.join(in_sync)}",
            next_step="wait one loop of Patroni and look again",
        )
    else:
        yield ok(f"synchronous: {', '.join(in_sync)}")


def find_delay(snapshot: Snapshot) -> Iterator[Finding]:
    """How old the last replayed commit is where there is something left to replay."""
    limit_s = snapshot.cluster.thresholds.replay_delay_warning_s
    leader = primary(snapshot)
    end = end_of_wal(leader) if leader else None
    if end is None:
        yield unknown("the primary's WAL position is not known, so what is left to replay is not", because=NO_PRIMARY)
        return
    unseen = [node for node in snapshot.nodes if node.is_primary is not True and known(node.sql) is None]
    for node in unseen:
        yield unread("how old its last replayed commit is", node.sql, node.name)
    for node in replicas(snapshot):
        sql = known(node.sql)
        if sql is None or sql.replay_timestamp is None or sql.replay_bytes is None or sql.replay_bytes >= end:
            continue
        age_s = (snapshot.taken_at - sql.replay_timestamp).total_seconds()
        if age_s >= limit_s:
            yield warning(
                f"its last replayed commit is {format_duration(age_s)} old and there is more to replay "
                f"(limit {format_duration(limit_s)})",
                node.name,
                next_step="a long query on the replica, recovery_min_apply_delay, or a stopped replay",
                replay_delay_s=round(age_s, 1),
            )
            return
    if not unseen:
        yield ok("no replica has old commits left to replay")


def end_of_wal(leader: Node) -> int | None:
    """The end of the primary's flushed WAL: by SQL, else by REST."""
    sql, rest = known(leader.sql), known(leader.rest)
    return sql.flush_bytes if sql is not None else rest.location_bytes if rest is not None else None


def positions(node: Node) -> tuple[int | None, int | None]:
    """(received, replayed) of a replica: by SQL, else by REST.

    What was replayed from the archive was never received by the stream, whose own position then lies behind: what was
    replayed counts as received. Source: PostgreSQL docs, functions-admin, pg_last_wal_receive_lsn.
    """
    sql, rest = known(node.sql), known(node.rest)
    if sql is not None:
        received, replayed = sql.receive_bytes, sql.replay_bytes
    else:
        received, replayed = (rest.received_bytes, rest.replayed_bytes) if rest is not None else (None, None)
    return max((value for value in (received, replayed) if value is not None), default=None), replayed


_VIEWS = frozenset({View.REST, View.DCS, View.SQL})
_QUICK = frozenset({View.REST, View.DCS})


CHECKS = (
    Check("replicas", "every replica runs and streams", _VIEWS, find_streaming, _QUICK),
    Check("lag", "how far each replica is behind", _VIEWS, find_lag, _QUICK),
    Check("ahead", "no replica has WAL that the primary lacks", _VIEWS | {View.HOST}, find_ahead, _QUICK),
    Check("replay-delay", "no replica has old commits left to replay", _VIEWS, find_delay),
    Check("slots", "no replication slot lost WAL or holds back too much", _VIEWS, find_slots),
    Check("sync", "synchronous standbys are as the DCS says", _VIEWS, find_sync),
)
