"""The health check of the guard: does anything keep what an automatic rewind discards."""

from __future__ import annotations

from collections.abc import Iterator

from pgops.checks import Check, Finding, ok, skipped, unread, warning
from pgops.observe.guards import rewind_name
from pgops.observe.snapshot import Snapshot, View
from pgops.readings import known


def find_guard(snapshot: Snapshot) -> Iterator[Finding]:
    """Where Patroni may rewind by itself, the guard stands before it; by the dynamic configuration alone."""
    keys = known(snapshot.keys)
    if keys is None:
        yield unread("whether a rewind is guarded is not known", snapshot.keys)
        return
    section = (keys.config or {}).get("postgresql")
    if not isinstance(section, dict) or not section.get("use_pg_rewind"):
        yield skipped("the dynamic configuration does not let Patroni rewind")
    elif (name := rewind_name(keys.config)) is not None:
        yield ok(f"Patroni calls {name} before it rewinds; pgops guard status asks every member")
    elif snapshot.cluster.unguarded_rewind == "accept":
        yield ok("Patroni rewinds by itself, unguarded, and that is accepted (unguarded_rewind)")
    else:
        yield warning(
            "Patroni rewinds by itself: what a former leader committed and its successor has not is discarded at once",
            next_step="pgops guard install --dry-run; or unguarded_rewind: accept in pgops.yml",
        )


CHECKS = (Check("guard", "what an automatic rewind discards is kept", frozenset({View.DCS}), find_guard),)
