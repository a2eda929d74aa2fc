"""The safety copies on the hosts, for people and for machines."""

from __future__ import annotations

from typing import Any

from pgops.observe.snapshot import Snapshot
from pgops.readings import Skipped, known, reason
from pgops.render.table import render_table
from pgops.render.units import format_duration


def copies_document(now: Snapshot) -> dict[str, Any]:
    """Every copy, and (`unknown`) the hosts whose copies could not be read, with the reason."""
    found = []
    for node in now.nodes:
        for copy in known(node.copies) or ():
            found.append(
                {
                    "member": copy.node,
                    "path": copy.path,
                    "run": copy.run,
                    "procedure": copy.procedure,
                    "made_at": copy.made_at.isoformat(),
                    "by": copy.by,
                    "reason": copy.reason,
                    "parts": [{"what": what, "path": path} for what, path in copy.parts],
                    "accounted": copy.accounted,
                    "salvaged": copy.salvaged,
                }
            )
    return {"schema": 1, "kind": "pgops-copies", "cluster": now.cluster.name, "copies": found, "unknown": _unknown(now)}


def _unknown(now: Snapshot) -> dict[str, str]:
    """A member without a configured host has nowhere to look, which is no fault."""
    unread = [node for node in now.nodes if known(node.copies) is None and not isinstance(node.copies, Skipped)]
    return {node.name: reason(node.copies) for node in unread}


def render_copies(now: Snapshot) -> str:
    """A table with a newline at the end, then what could not be read."""
    rows = []
    for node in now.nodes:
        for copy in known(node.copies) or ():
            age = format_duration((now.taken_at - copy.made_at).total_seconds())
            more = [word for word, there in (("account", copy.accounted), ("salvage", copy.salvaged)) if there]
            parts = ", ".join([*(what for what, _ in copy.parts), *more])
            rows.append((copy.node, copy.run, age, copy.by, parts, copy.path, copy.reason))
    unknown = _unknown(now)
    lines = []
    if rows:
        lines.append(render_table(("member", "run", "age", "by", "holds", "path", "why"), rows))
    elif not unknown:
        lines.append("there are no safety copies")
    lines += [f"unknown: {name}: {why}" for name, why in sorted(unknown.items())]
    return "".join(f"{line}\n" for line in lines)
