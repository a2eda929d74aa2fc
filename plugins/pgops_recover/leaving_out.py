"""Members that a recovery leaves as they are, and what keeps Patroni from discarding what they have once they are back.

A former leader that comes back is rewound to the survivor at once, by itself. Where a program that fails stands in
pg_rewind's place, Patroni deletes nothing and does not get the member started: it stays whole, until a recovery that sees
it keeps what it has and clones it. With `use_pg_rewind` off it would be started all the same, and stream into its own branch.
Sources: Patroni docs, yaml_configuration.rst, postgresql.bin_name (since 3.0.3); Patroni, patroni/postgresql/rewind.py
(`can_rewind` asks with `--help`; `execute`: what a failed rewind removes); PostgreSQL, xlogrecovery.c ("requested timeline
... does not contain minimum recovery point", "... is not a child of this server's history").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pgops.dcs import Delete, Put
from pgops.observe.guards import rewind_name
from pgops.observe.keys import record_prefix
from pgops.observe.record_facts import LeftOutRecord
from pgops.observe.records import LEFT_OUT, left_out_value
from pgops.observe.snapshot import DcsKeys, Node, Snapshot, View
from pgops.plan.actions import Action
from pgops.plan.keys import change_seen, foresee_keys
from pgops.plan.step import Check, Derive, Pinned, Risk, Step, Verdict, blocked, needed, satisfied, unread
from pgops.readings import known, reason
from pgops.steps.services import find_service
from pgops_recover.guard_fitness import knows_no_name
from pgops_recover.incident import HELD, OFF, Incident

NEVER = "/bin/cat"
"""Says 0 to `--help`, and takes none of pg_rewind's options: there on every host, and all that a rewind does is fail."""
_REMOVES = ("remove_data_directory_on_rewind_failure", "remove_data_directory_on_diverged_timelines")


def judge_left_out(incident: Incident, now: Snapshot) -> Verdict | None:
    """Why a member must not be left out as it was said, if it must not."""
    for name, how in sorted(incident.left_out.items()):
        node = now.node(name)
        if node is None:
            return blocked(f"there is no member {name} to be left out", "pgops health")
        verdict = _judge_held(name, now) if how == HELD else _judge_off(node)
        if verdict is not None:
            return verdict
    return None


def _judge_held(name: str, now: Snapshot) -> Verdict | None:
    state = find_service({"node": name}, now)
    if isinstance(state, str):
        return unread(
            f"whether Patroni of {name} is held cannot be seen: {state}",
            f"where its host has no power, or no network for good: --without {name}={OFF}",
        )
    if not state.held or state.running:
        why = "still runs" if state.running else "is not held"
        return blocked(f"{name} is said to be held, and its Patroni {why}", f"pgops node hold {name}")
    return None


def _judge_off(node: Node) -> Verdict | None:
    signs = {
        "its Patroni answers": known(node.rest),
        "its PostgreSQL answers": known(node.sql),
        "its host answers": known(node.services),
        "its key in the DCS has not expired (it does within ttl)": node.member,
    }
    alive = next((sign for sign, seen in signs.items() if seen is not None), None)
    if alive is None:
        return None
    return blocked(
        f"{node.name} is said to be off, and {alive}",
        f"run it without --without, so that what it has is kept; or hold it: pgops node hold {node.name}, and ={HELD}",
    )


def _is_guarded(incident: Incident, keys: DcsKeys) -> bool:
    """Whether all who are left out were seen to call the guard by their own files, which no configuration tells."""
    return keys.guard_record is not None and set(incident.left_out) <= set(keys.guard_record.members)


def bar_rewind(incident: Incident, pinned: Pinned) -> Step:
    """What fails stands in pg_rewind's place, and a record says until when."""
    names = ", ".join(sorted(incident.left_out))

    def wanted(keys: DcsKeys) -> LeftOutRecord:
        before = keys.left_out_record.members if keys.left_out_record else ()
        members = tuple(sorted({*before, *incident.left_out}))
        return LeftOutRecord(members, pinned.run_id, f"{pinned.by}@{pinned.host}", pinned.moment)

    def check(_first: Snapshot, now: Snapshot) -> Verdict:  # noqa: PLR0911 - a reason a return
        keys = known(now.keys)
        if keys is None or keys.config is None:
            return _unread(now)
        section, name, record = _section(keys), rewind_name(keys.config), keys.left_out_record
        removes = [switch for switch in _REMOVES if section.get(switch)]
        if removes:
            return blocked(
                f"{' and '.join(removes)} lets Patroni remove what {names} has once it is back",
                "turn it off: patronictl edit-config",
            )
        if not section.get("use_pg_rewind"):
            return satisfied("the dynamic configuration does not let Patroni rewind")
        if name not in (None, NEVER) or _is_guarded(incident, keys):
            return satisfied(f"{name or 'the guard'} stands in pg_rewind's place, and keeps what it would discard")
        if name == NEVER and record is not None and set(incident.left_out) <= set(record.members):
            return satisfied(f"Patroni cannot rewind {names}, nor anybody else")
        old = [member for member in keys.members if knows_no_name(member)]
        if old:
            return blocked(
                f"Patroni would rewind {names} once it is back, and that of {old[0].name} ({old[0].version}) takes no other "
                "program for it: it does from 3.0.3 on",
                f"make {names} reachable, and leave --without out",
            )
        return needed(f"Patroni rewinds {names} by itself once it is back, and what only it has is gone")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        keys = known(now.keys)
        if keys is None:
            return ()
        config = json.dumps(_named(keys, NEVER), sort_keys=True)
        record = Put(_record_key(now), left_out_value(wanted(keys)))
        return change_seen(now, record, Put(f"{now.cluster.prefix}config", config))

    def expect(now: Snapshot) -> Snapshot:
        return foresee_keys(now, lambda keys: replace(keys, config=_named(keys, NEVER), left_out_record=wanted(keys)))

    return _on_keys(
        "bar-rewind",
        f"what only {names} has is kept by no run yet; the recovery that keeps it takes this back",
        check,
        actions,
        expect,
    )


def allow_rewind() -> Step:
    """Nobody is left out any more: Patroni rewinds by itself again, as it did."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        keys = known(now.keys)
        if keys is None or keys.config is None:
            return _unread(now)
        if keys.left_out_record is None:
            return satisfied("nobody is left out")
        names = ", ".join(keys.left_out_record.members)
        return needed(f"Patroni cannot rewind anybody, since the run {keys.left_out_record.run} left {names} out")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        keys = known(now.keys)
        if keys is None:
            return ()
        config = json.dumps(_named(keys, None), sort_keys=True)
        return change_seen(now, Delete(_record_key(now)), Put(f"{now.cluster.prefix}config", config))

    def expect(now: Snapshot) -> Snapshot:
        return foresee_keys(now, lambda keys: replace(keys, config=_named(keys, None), left_out_record=None))

    return _on_keys("allow-rewind", "what the members that were left out have is kept now", check, actions, expect)


def _on_keys(id_: str, why: str, check: Check, actions: Derive, expect: Callable[[Snapshot], Snapshot]) -> Step:
    return Step(
        id=id_,
        why=why,
        check=check,
        actions=actions,
        expect=expect,
        views=frozenset({View.DCS}),
        hosts=frozenset(),
        risk=Risk.CHANGE,
        moves=frozenset({"key:config"}),
        usually="under a second",
    )


def _unread(now: Snapshot) -> Verdict:
    told = reason(now.keys) if known(now.keys) is None else "it has no dynamic configuration"
    return unread(f"the DCS cannot be read: {told}", "pgops health --check dcs")


def _record_key(now: Snapshot) -> str:
    return f"{record_prefix(now.cluster.prefix)}{LEFT_OUT}"


def _section(keys: DcsKeys) -> Mapping[str, Any]:
    section = (keys.config or {}).get("postgresql")
    return section if isinstance(section, Mapping) else {}


def _named(keys: DcsKeys, program: str | None) -> dict[str, Any]:
    """The configuration with that program in pg_rewind's place; None: with none, unless somebody put another one there."""
    section = {name: value for name, value in _section(keys).items() if name != "bin_name"}
    told = _section(keys).get("bin_name")
    names = dict(told) if isinstance(told, Mapping) else {}
    if program is not None:
        names["pg_rewind"] = program
    elif names.get("pg_rewind") == NEVER:
        del names["pg_rewind"]
    return {**(keys.config or {}), "postgresql": {**section, **({"bin_name": names} if names else {})}}
