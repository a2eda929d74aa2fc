"""The safety copies on the hosts, for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pgops.observe.branch_facts import CopyFacts
from pgops.observe.salvage_facts import AppliedScript
from pgops.observe.snapshot import Node, Snapshot
from pgops.readings import Known, Reading, Skipped, known, reason, within
from pgops.render.table import render_table
from pgops.render.units import format_bytes, format_duration
from pgops_recover.holdings import Holdings


def copies_document(now: Snapshot, holdings: Holdings) -> dict[str, Any]:
    """Every copy, and (`unknown`) the hosts whose copies could not be read, with the reason."""
    found = [
        copy_document(copy, size_of(holdings, node.name, copy))
        for node in now.nodes
        for copy in known(node.copies) or ()
    ]
    unread = unread_members(now.nodes)
    return {"schema": 1, "kind": "pgops-copies", "cluster": now.cluster.name, "copies": found, "unknown": unread}


def copy_document(copy: CopyFacts, size: Reading[int]) -> dict[str, Any]:
    """One copy; `size_bytes` null: not known, and `size_unknown` says why.

    `opened` says whether a working copy of it opened and held what its WAL tells, null: not tried; `opened_told` says more.
    """
    return {
        "member": copy.node,
        "path": copy.path,
        "run": copy.run,
        "procedure": copy.procedure,
        "made_at": copy.made_at.isoformat(),
        "by": copy.by,
        "reason": copy.reason,
        "parts": [{"what": what, "path": path} for what, path in copy.parts],
        "accounted": copy.accounted,
        "opened": copy.proof.opened if copy.proof else None,
        "opened_told": copy.proof.text if copy.proof else None,
        "salvaged": copy.salvaged,
        "applied": [_applied(each) for each in copy.applied],
        "size_bytes": known(size),
        "size_unknown": reason(size) or None,
    }


def _applied(applied: AppliedScript) -> dict[str, Any]:
    """`at` is ISO 8601; the rows are what psql told, `fault` what went wrong behind its COMMIT."""
    return {**asdict(applied), "at": applied.at.isoformat()}


def size_of(holdings: Holdings, member: str, copy: CopyFacts) -> Reading[int]:
    """The room that the copy takes, in bytes."""
    return within(holdings.get((member, copy.path), Skipped("it was not measured")), lambda holding: holding.size)


def unread_members(nodes: Sequence[Node]) -> dict[str, str]:
    """Why the copies of these are not known. A member without a configured host has nowhere to look, which is no fault."""
    unread = [node for node in nodes if known(node.copies) is None and not isinstance(node.copies, Skipped)]
    return {node.name: reason(node.copies) for node in unread}


def render_copies(now: Snapshot, holdings: Holdings) -> str:
    """A table with a newline at the end, then what could not be read."""
    rows = []
    for node in now.nodes:
        for copy in known(node.copies) or ():
            age = format_duration((now.taken_at - copy.made_at).total_seconds())
            papers = (("account", copy.accounted), ("salvage", copy.salvaged), ("applied", bool(copy.applied)))
            more = [word for word, there in papers if there]
            parts = ", ".join([*(what for what, _ in copy.parts), *more])
            size = size_of(holdings, node.name, copy)
            room = format_bytes(size.value) if isinstance(size, Known) else f"unknown ({reason(size)})"
            rows.append((copy.node, copy.run, age, copy.by, room, parts, copy.path, copy.reason))
    unknown = unread_members(now.nodes)
    lines = []
    if rows:
        lines.append(render_table(("member", "run", "age", "by", "size", "holds", "path", "why"), rows))
    elif not unknown:
        lines.append("there are no safety copies")
    lines += [f"unknown: {name}: {why}" for name, why in sorted(unknown.items())]
    return "".join(f"{line}\n" for line in lines)
