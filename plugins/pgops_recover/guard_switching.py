"""The steps by which Patroni is told what to call in pg_rewind's place, and is seen to have heard it."""

from __future__ import annotations

from dataclasses import replace

from pgops.observe.guards import rewind_name
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action, CallRest
from pgops.plan.step import Risk, Step, Verdict, blocked, needed, satisfied, unproven, unread
from pgops.readings import Known, known, reason

VIEWS = frozenset({View.DCS, View.REST, View.GUARD})
_ROUND_S = 25.0


def switch(wrapper: str | None) -> Step:
    """The dynamic configuration; members take it over without a restart."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        keys = known(now.keys)
        if keys is None or keys.config is None:
            told = reason(now.keys) if keys is None else "it has no dynamic configuration"
            return unread(f"the DCS cannot be read: {told}", "pgops health")
        name = rewind_name(keys.config)
        if name == wrapper:
            return satisfied(f"the configuration names {name or 'nothing'} in pg_rewind's place")
        if wrapper is None and (obstacle := _foreign(now, str(name))) is not None:
            return obstacle
        if not any(isinstance(node.rest, Known) for node in now.nodes):
            return blocked("no member's Patroni answers, so nobody can be asked to change it", "pgops health")
        return needed(f"the configuration names {name or 'nothing'} in pg_rewind's place")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        keys = known(now.keys)
        section = (keys.config or {}).get("postgresql") if keys else None
        names = section.get("bin_name") if isinstance(section, dict) else None
        alone = wrapper is None and isinstance(names, dict) and set(names) == {"pg_rewind"}
        # Patroni removes a key whose value is null. Source: Patroni docs, rest_api.rst, PATCH /config.
        body = {"postgresql": {"bin_name": None if alone else {"pg_rewind": wrapper}}}
        return (CallRest("PATCH", "/config", body),)

    def expect(now: Snapshot) -> Snapshot:
        keys = known(now.keys)
        if keys is None:
            return now
        config = dict(keys.config or {})
        section = dict(config.get("postgresql") or {})
        names = {key: value for key, value in (section.get("bin_name") or {}).items() if key != "pg_rewind"}
        if wrapper is not None:
            names["pg_rewind"] = wrapper
        section = {key: value for key, value in section.items() if key != "bin_name"}
        changed = {**config, "postgresql": {**section, "bin_name": names} if names else section}
        nodes = []
        for node in now.nodes:
            seen = known(node.guard)
            nodes.append(node if seen is None else replace(node, guard=Known(replace(seen, heard=wrapper))))
        return replace(now, keys=Known(replace(keys, config=changed)), nodes=tuple(nodes))

    return Step(
        id="switch" if wrapper else "switch-back",
        why="Patroni calls what postgresql.bin_name.pg_rewind names",
        check=check,
        actions=actions,
        expect=expect,
        views=VIEWS if wrapper is None else frozenset({View.DCS, View.REST}),
        hosts=None if wrapper is None else frozenset(),
        risk=Risk.CHANGE,
        timeout_s=10.0,
        moves=frozenset({"key:config"}),
        usually="under a second",
    )


def _foreign(now: Snapshot, name: str) -> Verdict | None:
    """Why a program in pg_rewind's place is not ours to take away; None where a member's guard says that it is."""
    seen = {node.name: known(node.guard) for node in now.nodes}
    if any(facts.settings.get("wrapper") == name for facts in seen.values() if facts and facts.settings):
        return None
    dark = [node for node in now.nodes if seen[node.name] is None]
    if dark:
        told = "; ".join(f"{node.name}: {reason(node.guard)}" for node in dark)
        return unread(f"whether {name} is pgops's guard cannot be told: {told}", "pgops guard status")
    return blocked(
        f"{name} stands in pg_rewind's place, and no member knows it as pgops's guard",
        "if it is to go, take postgresql.bin_name out with patronictl edit-config",
    )


def heard(wrapper: str | None) -> Step:
    """Every member's own copy of the dynamic configuration says so."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        deaf = [node for node in now.nodes if (seen := known(node.guard)) is None or seen.heard != wrapper]
        waiting = [node.name for node in deaf if isinstance(node.rest, Known) and isinstance(node.guard, Known)]
        if waiting:
            return needed(f"{', '.join(waiting)} did not take it over yet")
        if deaf:
            told = "; ".join(f"{node.name}: {reason(node.rest) or reason(node.guard)}" for node in deaf)
            return unproven(f"some members cannot say that they took it over: {told}", "pgops guard status")
        return satisfied(f"all {len(now.nodes)} members took it over")

    return Step(
        id="heard" if wrapper else "heard-back",
        why="the key alone does not show that a Patroni heeds it; its own copy beside the data does",
        check=check,
        views=frozenset({View.REST, View.GUARD}),
        timeout_s=_ROUND_S,
        usually="at most one loop of Patroni (loop_wait)",
    )
