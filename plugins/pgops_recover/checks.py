"""Health checks: does anything keep what an automatic rewind discards, and does a member wait for its recovery."""

from __future__ import annotations

from collections.abc import Iterator

from pgops.checks import Check, Finding, ok, skipped, unknown, unread, warning
from pgops.observe.guards import rewind_name
from pgops.observe.records import LEFT_OUT
from pgops.observe.snapshot import Snapshot, View
from pgops.readings import Unknown, known
from pgops_recover.guard_fitness import knows_no_name
from pgops_recover.leaving_out import NEVER


def find_guard(snapshot: Snapshot) -> Iterator[Finding]:
    """Where Patroni may rewind by itself, the guard stands before it; by the DCS alone.

    That is the dynamic configuration, or, where a guard stands in links since a Patroni knew no `bin_name`, pgops's record.
    """
    keys = known(snapshot.keys)
    if keys is None:
        yield unread("whether a rewind is guarded is not known", snapshot.keys)
        return
    section = (keys.config or {}).get("postgresql")
    record = keys.guard_record
    left_out = sorted({member.name for member in keys.members} - set(record.members if record else ()))
    if not isinstance(section, dict) or not section.get("use_pg_rewind"):
        yield skipped("the dynamic configuration does not let Patroni rewind")
    elif rewind_name(keys.config) == NEVER:
        yield ok(f"{NEVER} stands in pg_rewind's place, so that nobody is rewound: see check left-out")
    elif (name := rewind_name(keys.config)) is not None and not any(map(knows_no_name, keys.members)):
        yield ok(f"Patroni calls {name} before it rewinds; pgops guard status asks every member")
    elif record is not None and not left_out:
        since = record.since.isoformat(timespec="seconds")
        yield ok(f"every member was seen to call the guard before it rewinds at {since}; pgops guard status asks again")
    elif snapshot.cluster.unguarded_rewind == "accept":
        yield ok("Patroni rewinds by itself, unguarded, and that is accepted (unguarded_rewind)")
    elif record is not None:
        yield warning(
            f"a guard was installed, but not on {', '.join(left_out)}, where Patroni rewinds by itself",
            next_step="pgops guard install --dry-run",
        )
    elif "guard" in keys.unread_records or keys.records_fault is not None:
        told = keys.unread_records.get("guard") or keys.records_fault
        yield unknown(f"whether a rewind is guarded is not known: {told}", next_step="pgops guard status")
    else:
        yield warning(
            "Patroni rewinds by itself: what a former leader committed and its successor has not is discarded at once",
            next_step="pgops guard install --dry-run; or unguarded_rewind: accept in pgops.yml",
        )


def find_left_out(snapshot: Snapshot) -> Iterator[Finding]:
    """Whether a recovery left somebody out, for whose sake Patroni can rewind nobody."""
    keys = known(snapshot.keys)
    if keys is None:
        yield unread("whether a recovery left a member out is not known", snapshot.keys)
    elif LEFT_OUT in keys.unread_records:
        yield unread("whether a recovery left a member out is not known", Unknown(keys.unread_records[LEFT_OUT]))
    elif (record := keys.left_out_record) is None:
        yield ok("no recovery left a member out")
    else:
        names = ", ".join(record.members)
        yield warning(
            f"the recovery {record.run} of {record.by} left {names} out, {record.since.isoformat(timespec='seconds')}: what "
            "only it has is kept by no run yet, and Patroni cannot rewind anybody until then",
            next_step=f"once {names} can be reached: pgops recover split-brain --survivor {keys.leader or 'LEADER'}",
        )


CHECKS = (
    Check("guard", "what an automatic rewind discards is kept", frozenset({View.DCS}), find_guard),
    Check("left-out", "no member waits for its recovery", frozenset({View.DCS}), find_left_out),
)
