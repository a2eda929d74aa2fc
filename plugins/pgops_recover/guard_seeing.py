"""What is seen of the guard of one member, the snapshot with something of it changed, and a step that changes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pgops.config.model import HostConfig
from pgops.observe.guard_facts import GuardFacts
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.step import Derive, Risk, Step, Verdict, unread
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


def on_guard(
    host: HostConfig,
    id_: str,
    why: str,
    judge: Callable[[GuardFacts], Verdict],
    actions: Derive,
    expect: Callable[[Snapshot], Snapshot],
) -> Step:
    """A step whose outcome is seen of the guard of this host alone."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        seen = facts_of(now, host.name)
        return unseen(now, host.name) if seen is None else judge(seen)

    return Step(
        id=id_,
        why=why,
        check=check,
        actions=actions,
        expect=expect,
        views=frozenset({View.GUARD}),
        hosts=frozenset({host.name}),
        risk=Risk.CHANGE,
        usually="under a second",
    )
