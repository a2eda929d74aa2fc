"""What stands against saved rows on the leader, for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pgops.plan.plan import Plan, plan_document
from pgops.render.table import render_table
from pgops_recover.comparing import Conflicts

_HEADS = ("member", "database", "table", "rows", "absent", "held", "same", "both", "changed")


def conflicts_document(plan: Plan, conflicts: Sequence[Conflicts] | None) -> dict[str, Any]:
    """The plan, and beside it the conflicts; null: there is nobody to compare with, or nothing to compare."""
    told = None if conflicts is None else [asdict(each) for each in conflicts]
    return {"schema": 1, "kind": "pgops-salvage-conflicts", "plan": plan_document(plan), "conflicts": told}


def render_conflicts(conflicts: Sequence[Conflicts], leader: str) -> str:
    """A table with what its columns mean, then the keys, with a newline at the end."""
    if not conflicts:
        return "conflicts: there are no saved rows\n"
    rows = [tuple(_cell(getattr(each, name)) for name in _HEADS) for each in conflicts]
    lines = [
        f"saved rows, compared with {leader} as it is now; nothing was written there:",
        render_table(_HEADS, rows),
        "  absent: their key is not there, and the script inserts them; held: not there, but another unique constraint of",
        "  the table has their values, so that the script leaves them out; same: there, with the same content; both: their",
        "  key was given there to a row with other content; changed: rows that were changed there, and are other ones here",
    ]
    for each in conflicts:
        name = f"{each.member}: {each.database}: {each.table}"
        if each.why is not None:
            lines.append(f"  {name}: not compared: {each.why}")
        for word, count, keys in (("both", each.both, each.both_keys), ("changed", each.changed, each.changed_keys)):
            if keys:
                more = f", and {count - len(keys)} more" if count and count > len(keys) else ""
                lines.append(f"  {name}: keys of {word}: {'; '.join(keys)}{more}")
    return "".join(f"{line}\n" for line in lines)


def _cell(value: object) -> str:
    return "unknown" if value is None else str(value)
