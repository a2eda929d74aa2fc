"""Settings of the servers that decide how the next failover goes, and old transactions that would hold it up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pgops.checks import Check, Finding, ok, skipped, unknown, unread, warning
from pgops.observe.snapshot import Node, Snapshot, View
from pgops.readings import known, within
from pgops.render.units import format_duration
from pgops_health.checks.replication import NO_PRIMARY


def find_pending_restart(snapshot: Snapshot) -> Iterator[Finding]:
    """No member waits for a restart to take a setting over."""
    waiting = False
    for node in snapshot.nodes:
        rest = known(node.rest)
        if not (rest.pending_restart if rest else node.member is not None and node.member.pending_restart):
            continue
        waiting = True
        reasons = rest.pending_restart_reasons if rest else ()
        text = ", ".join(f"{name} {old} -> {new}" for name, old, new in reasons)
        text = text or "Patroni before 3.3 does not say for which setting"
        yield warning(
            f"waits for a restart: {text}",
            node.name,
            next_step="patronictl restart, replicas first; a lowered max_connections and its kin go to the primary first",
        )
    if waiting:
        return
    if any(known(node.rest) for node in snapshot.nodes):
        yield ok("no member waits for a restart")
    else:
        yield unknown("no member's Patroni answered")


def find_rewind(snapshot: Snapshot) -> Iterator[Finding]:
    """A former primary can be rewound. Source: PostgreSQL docs, pg_rewind: data checksums or wal_log_hints."""
    keys = known(snapshot.keys)
    allowed = _postgresql(keys.config if keys else None).get("use_pg_rewind")
    for node in snapshot.nodes:
        reading, control = within(node.sql, lambda sql: sql.settings), known(node.control)
        settings = known(reading)
        if settings is not None:
            capable = any(settings[n].value == "on" for n in ("data_checksums", "wal_log_hints") if n in settings)
            pages = settings["full_page_writes"].value == "on" if "full_page_writes" in settings else True
        elif control is not None and control.checksums:
            capable, pages = True, True
        else:
            yield unread("not known", reading, node.name)
            continue
        if capable and pages:
            continue
        why = "neither data checksums nor wal_log_hints are on" if not capable else "full_page_writes is off"
        yield warning(
            f"cannot be rewound after a failover ({why}): it would have to be cloned anew",
            node.name,
            next_step="wal_log_hints: on with patronictl edit-config, then a rolling restart",
        )
    if keys is None:
        yield unread("use_pg_rewind could not be read", snapshot.keys)
    elif allowed is False:
        yield warning("use_pg_rewind is off: every failover needs a new clone", next_step="patronictl edit-config")
    elif allowed is None:
        yield skipped("use_pg_rewind is not in the dynamic configuration; each member's own patroni.yml decides")
    else:
        yield ok("members can be rewound")


def find_removal(snapshot: Snapshot) -> Iterator[Finding]:
    """Patroni is not told to delete a data directory on its own."""
    keys = known(snapshot.keys)
    if keys is None:
        yield unread("the dynamic configuration could not be read", snapshot.keys)
        return
    section = _postgresql(keys.config)
    names = ("remove_data_directory_on_rewind_failure", "remove_data_directory_on_diverged_timelines")
    on = [name for name in names if section.get(name)]
    if on:
        yield warning(
            f"{' and '.join(on)} {'is' if len(on) == 1 else 'are'} on: Patroni deletes a diverged data directory by itself, "
            "with whatever was committed only there",
            next_step="turn it off with patronictl edit-config",
        )
    else:
        yield ok("the dynamic configuration lets Patroni delete no data directory")


def _postgresql(config: Mapping[str, Any] | None) -> Mapping[str, Any]:
    section = (config or {}).get("postgresql")
    return section if isinstance(section, dict) else {}


def find_transactions(snapshot: Snapshot) -> Iterator[Finding]:
    """No transaction, prepared or open, is so old that it holds back vacuum, slots and a switchover."""
    limits = snapshot.cluster.thresholds
    for node in snapshot.primaries:
        reading = within(node.sql, lambda sql: sql.activity)
        activity = known(reading)
        if activity is None:
            yield unread("transactions could not be read", reading, node.name)
            continue
        calm = True
        age_s = activity.oldest_transaction_s
        if age_s is not None and age_s >= limits.transaction_age_warning_s:
            calm = False
            limit = format_duration(limits.transaction_age_warning_s)
            yield warning(
                f"a transaction is open for {format_duration(age_s)} (limit {limit}): {activity.oldest_transaction}",
                node.name,
                next_step="ask its owner, or SELECT pg_terminate_backend(PID)",
                transaction_age_s=round(age_s),
            )
        prepared_s = activity.oldest_prepared_s
        if prepared_s is not None and prepared_s >= limits.prepared_age_warning_s:
            calm = False
            yield warning(
                f"{activity.prepared_count} prepared transactions, the oldest {format_duration(prepared_s)} old "
                f"(limit {format_duration(limits.prepared_age_warning_s)})",
                node.name,
                next_step="SELECT * FROM pg_prepared_xacts; its transaction manager must commit it or roll it back",
                prepared_age_s=round(prepared_s),
            )
        if calm:
            text = f"oldest open for {format_duration(age_s)}" if age_s is not None else "none open"
            yield ok(f"{text}, {activity.prepared_count} prepared", node.name)
    if not snapshot.primaries:
        yield unknown("no primary to read transactions from", because=NO_PRIMARY)


def find_watchdog(snapshot: Snapshot) -> Iterator[Finding]:
    """No Patroni reports that its watchdog is required and cannot be used."""
    failed = [node.name for node in snapshot.nodes if (rest := known(node.rest)) and rest.watchdog_failed]
    answered: list[Node] = [node for node in snapshot.nodes if known(node.rest)]
    for name in failed:
        yield warning(
            "its watchdog is required and cannot be used", name, next_step="ls -l /dev/watchdog; modprobe softdog"
        )
    if not failed:
        yield ok("no member complains of its watchdog") if answered else unknown("no member's Patroni answered")


CHECKS = (
    Check("pending-restart", "no member waits for a restart", frozenset({View.REST, View.DCS}), find_pending_restart),
    Check("rewind", "a former primary can be rewound", frozenset({View.SQL, View.DCS}), find_rewind),
    Check("removal", "Patroni is not told to delete data directories", frozenset({View.DCS}), find_removal),
    Check("transactions", "no transaction is too old", frozenset({View.SQL, View.REST}), find_transactions),
    Check("watchdog", "no watchdog has failed", frozenset({View.REST}), find_watchdog),
)
