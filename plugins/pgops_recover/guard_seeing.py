"""What is seen of the guard of one member, and the snapshot with something of it changed."""

from __future__ import annotations

from dataclasses import replace

from pgops.observe.guard_facts import GuardFacts
from pgops.observe.snapshot import Snapshot
from pgops.plan.step import Verdict, unread
from pgops.readings import Known, known, reason


def facts_of(now: Snapshot, name: str) -> GuardFacts | None:
    """What is seen of the guard of this member; None: it cannot be looked at."""
    node = now.node(name)
    return known(node.guard) if node else None


def unseen(now: Snapshot, name: str) -> Verdict:
    """The verdict on a member whose host gave no answer."""
    node = now.node(name)
    why = reason(node.guard) if node else "it is no member"
    return unread(f"{name} cannot be looked at: {why}", "pgops guard status")


def rebound(now: Snapshot, name: str, **changes: object) -> Snapshot:
    """The snapshot with these fields of the member's `BindingFacts` changed."""
    node, seen = now.node(name), facts_of(now, name)
    if node is None or seen is None:
        return now
    binding = replace(seen.binding, **changes)  # type: ignore[arg-type] # its own fields
    return now.with_node(replace(node, guard=Known(replace(seen, binding=binding))))
