"""The guard member by member, for people and for machines."""

from __future__ import annotations

from typing import Any

from pgops.observe.guard_facts import GuardFacts
from pgops.observe.guards import digests_of, rewind_name
from pgops.observe.snapshot import Node, Snapshot
from pgops.readings import known, reason
from pgops.render.table import render_table
from pgops.render.units import format_bytes
from pgops_recover.guard_programs import programs


def guard_document(now: Snapshot) -> dict[str, Any]:
    """Each member's guard, and `guarded`: whether all have it; null where that is not known."""
    keys = known(now.keys)
    wanted = rewind_name(keys.config) if keys else None
    members = [_member(node, wanted) for node in now.nodes]
    states = [member["guarded"] for member in members]
    guarded = None if keys is None or (None in states and False not in states) else all(states) and bool(states)
    return {
        "schema": 1,
        "kind": "pgops-guard",
        "cluster": now.cluster.name,
        "pg_rewind": wanted,
        "guarded": guarded,
        "why": reason(now.keys) if keys is None else None,
        "members": members,
    }


def _member(node: Node, wanted: str | None) -> dict[str, Any]:
    seen = known(node.guard)
    settings = seen.settings if seen else None
    state, why = _judge(node, wanted)
    return {
        "member": node.name,
        "guarded": state,
        "why": why,
        "mode": settings.get("mode") if settings else None,
        "limit_bytes": settings.get("limit_bytes") if settings else None,
        "wrapper": settings.get("wrapper") if settings else None,
        "by": None if settings is None else "bin_dir" if seen and seen.is_by_links else "bin_name",
        "unlinked": sorted({*seen.binding.missing, *seen.binding.stale}) if seen else [],
    }


def _judge(node: Node, wanted: str | None) -> tuple[bool | None, str]:
    seen = known(node.guard)
    if seen is None:
        return None, reason(node.guard) or "not known"
    for fault, why in (
        (bool(seen.overrides), f"{', '.join(seen.overrides)} names programs of its own"),
        (seen.settings is None, "no guard is installed"),
        (not seen.programs, "its programs are not there, so this member cannot be rewound at all"),
    ):
        if fault:
            return False, why
    state, why = _judge_links(seen) if seen.is_by_links else _judge_name(seen, wanted)
    if state and seen.programs != digests_of(programs()):
        return False, "its programs are not whole, or of another pgops: pgops guard install renews them"
    return state, why


def _judge_name(seen: GuardFacts, wanted: str | None) -> tuple[bool, str]:
    wrapper = seen.settings.get("wrapper") if seen.settings else None
    for fault, why in (
        (wanted is None, "the dynamic configuration does not name it"),
        (wanted != wrapper, f"the dynamic configuration names {wanted}"),
        (seen.heard != wrapper, "its Patroni did not take it over yet"),
    ):
        if fault:
            return False, why
    return True, "Patroni calls it before any rewind"


def _judge_links(seen: GuardFacts) -> tuple[bool | None, str]:
    """By Patroni's own file as pgops wrote it, and by a Patroni that began after that."""
    settings, binding = seen.settings or {}, seen.binding
    file = settings.get("file")
    if binding.stage == "changed":
        return (
            None,
            f"{file} was changed since pgops wrote it: pgops guard install looks whether it names the guard still",
        )
    if binding.stage != "bound" or f"{binding.directory}/pg_rewind" != settings.get("wrapper"):
        return False, f"{file} does not name it"
    if not binding.processes:
        return None, f"no Patroni is seen that was started with {file}, which names it"
    if binding.is_deaf:
        return False, f"its Patroni runs since before {file} named it, and must be restarted: pgops guard install"
    wrong = sorted({*binding.missing, *binding.stale})
    if wrong:
        told = f"{', '.join(wrong)} of {settings.get('bin_dir')} came or went since: pgops guard install links it anew"
        return True, f"Patroni calls it before any rewind; {told}"
    return True, "Patroni calls it before any rewind"


def render_guard(document: dict[str, Any]) -> str:
    """A table with a newline at the end, and what to do next."""
    words = {True: "yes", False: "no", None: "unknown"}
    rows = [
        (
            member["member"],
            words[member["guarded"]],
            member["mode"] or "-",
            "-" if member["limit_bytes"] is None else format_bytes(member["limit_bytes"]),
            member["why"],
        )
        for member in document["members"]
    ]
    lines = [render_table(("member", "guarded", "mode", "limit", "why"), rows)]
    if document["why"]:
        lines.append(f"unknown: the DCS: {document['why']}")
    if document["guarded"] is False:
        lines.append("next: pgops guard install --dry-run")
    return "".join(f"{line}\n" for line in lines)
