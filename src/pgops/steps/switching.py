"""Steps that pausing and resuming share: the switch itself, and its acknowledgement by every member."""

from __future__ import annotations

from dataclasses import replace

from pgops.observe.snapshot import Node, Snapshot, View
from pgops.plan.actions import Action, CallRest
from pgops.plan.step import Risk, Step, Verdict, blocked, needed, satisfied, unproven
from pgops.readings import Known, known, reason

VIEWS = frozenset({View.REST})
_ROUND_S = 25.0
"""A member that no watch wakes looks after loop_wait, 10 s. Source: Patroni docs, dynamic_configuration.rst."""


def switch(*, on: bool, risk: Risk = Risk.CHANGE) -> Step:
    """PATCH the dynamic configuration, and see in the DCS that it says so."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        keys = known(now.keys)
        if keys is None:
            return needed(f"the DCS cannot be read: {reason(now.keys)}")
        if keys.config is None:
            return blocked(
                "Patroni's dynamic configuration is not in the DCS, so it cannot be changed",
                f"is {now.cluster.prefix} the right prefix? patronictl edit-config",
            )
        if keys.paused is on:
            return satisfied("the configuration says pause" if on else "the configuration does not say pause")
        if not any(isinstance(node.rest, Known) for node in now.nodes):
            return blocked("no member's Patroni answers, so nobody can be asked to change it", "pgops health")
        return needed("the configuration does not say pause" if on else "the configuration says pause")

    def actions(_first: Snapshot, _now: Snapshot) -> tuple[Action, ...]:
        # Patroni removes a key whose value is null. Source: Patroni docs, rest_api.rst, PATCH /config.
        return (CallRest("PATCH", "/config", {"pause": True if on else None}),)

    def expect(now: Snapshot) -> Snapshot:
        keys = known(now.keys)
        if keys is None:
            return now
        config = {name: value for name, value in (keys.config or {}).items() if name != "pause"}
        paused = replace(keys, config={**config, "pause": True} if on else config)
        nodes = tuple(_predict(node, on=on) for node in now.nodes)
        return replace(now, keys=Known(paused), nodes=nodes)

    return Step(
        id="pause" if on else "resume",
        why="Patroni starts, stops and promotes nothing by itself while its configuration says pause"
        if on
        else "without pause in its configuration Patroni fails over, and starts and rewinds members, by itself again",
        check=check,
        actions=actions,
        expect=expect,
        views=VIEWS,
        hosts=frozenset(),
        risk=risk,
        timeout_s=10.0,
        moves=frozenset({"key:config"}),
        usually="under a second",
        interrupts=None
        if on
        else "Patroni acts by itself again: a member that is down or behind is started or rewound",
    )


def acknowledgement(*, on: bool, without: frozenset[str] = frozenset()) -> Step:
    """Every member says so itself; one that cannot be asked is named, and makes the outcome unproven."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        members = [node for node in now.nodes if node.name not in without]
        silent = [node for node in members if not isinstance(node.rest, Known)]
        waiting = [node.name for node in members if isinstance(node.rest, Known) and node.rest.value.pause is not on]
        word = "pause" if on else "resume"
        if waiting:
            return needed(f"{', '.join(waiting)} did not acknowledge the {word} yet")
        said = len(members) - len(silent)
        if silent:
            names = "; ".join(f"{node.name} does not acknowledge: {reason(node.rest)}" for node in silent)
            return unproven(
                f"{said} of {len(members)} members acknowledge the {word}; {names}; the configuration is "
                "changed, and counts there once that Patroni reads it",
                "pgops health --check patroni",
            )
        return satisfied(f"all {len(members)} members acknowledge the {word}")

    return Step(
        id="acknowledged",
        why="each member is asked itself: the key alone does not show that a Patroni heeds it",
        check=check,
        views=VIEWS,
        hosts=frozenset(),
        timeout_s=_ROUND_S,
        usually="under a second, at most one loop of Patroni (loop_wait)",
    )


def _predict(node: Node, *, on: bool) -> Node:
    rest = known(node.rest)
    return node if rest is None else replace(node, rest=Known(replace(rest, pause=on)))
