"""Steps that holding and releasing share: each is the other's way back."""

from __future__ import annotations

from pgops.clients.json_text import parse_json
from pgops.observe.fields import ShapeFault
from pgops.observe.records import HoldRecord, parse_hold
from pgops.observe.snapshot import Snapshot
from pgops.plan.actions import Action
from pgops.plan.step import Params, Risk, Step, Verdict, blocked, needed, satisfied
from pgops.services import ServiceState
from pgops_node.services import (
    VIEWS,
    find_service,
    hold_actions,
    node_of,
    predict,
    release_actions,
    role_of,
    try_actions,
)


def describe_hold(state: ServiceState) -> str:
    """Who holds it, since when and why, as far as the hold file says."""
    try:
        record: HoldRecord = parse_hold(parse_json((state.hold_text or "").encode()))
    except (ShapeFault, ValueError):
        return "by somebody whose record cannot be read"
    why = f" ({record.reason})" if record.reason else ""
    return f"by {record.owner} since {record.since.isoformat()}{why}"


def hold(params: Params, text: str) -> Step:
    """Write the hold with this text, unless the service is held already."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        state = find_service(params, now)
        if isinstance(state, str):
            return _unseen(params, state)
        if state.held:
            return satisfied(f"{state.unit} on {node_of(params)} is held {describe_hold(state)}")
        return needed(f"nothing keeps {state.unit} on {node_of(params)} from being started ({state.state} now)")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        return hold_actions(now.cluster, params, text)

    def expect(now: Snapshot) -> Snapshot:
        return predict(params, now, held=True, hold_left=True, hold_text=text)

    return Step(
        id="hold",
        why="a hold file that the unit asserts is absent: nobody starts it, not by hand, not at boot, not after a crash",
        check=check,
        actions=actions,
        expect=expect,
        views=VIEWS,
        hosts=frozenset({node_of(params)}),
        risk=Risk.CHANGE,
        timeout_s=20.0,
        usually="a few seconds",
    )


def refused_start(params: Params) -> Step:
    """Prove the hold by a start that is refused. One that runs is not started, so there the loaded hold is all there is."""

    def check(first: Snapshot, now: Snapshot) -> Verdict:
        state, before = find_service(params, now), find_service(params, first)
        if isinstance(state, str):
            return _unseen(params, state)
        if state.running:
            if isinstance(before, ServiceState) and not before.running:
                return blocked(
                    f"{state.unit} on {node_of(params)} runs, although it is held: somebody started it past the hold",
                    f"pgops health --check {role_of(params)}",
                )
            return satisfied(f"{state.unit} runs on (pid {state.pid}); its next start is what the hold refuses")
        known_mark = None if isinstance(before, str) or before.held else before.refused
        if state.held and state.refused not in (None, known_mark):
            return satisfied(f"a start of {state.unit} was refused")
        return needed(f"no start of {state.unit} was refused yet")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        return try_actions(now.cluster, params)

    def expect(now: Snapshot) -> Snapshot:
        return predict(params, now, refused="by this run")

    return Step(
        id="refused",
        why="a hold counts once a start was refused",
        check=check,
        actions=actions,
        expect=expect,
        views=VIEWS,
        hosts=frozenset({node_of(params)}),
        risk=Risk.CHANGE,
        timeout_s=20.0,
        usually="a few seconds",
    )


def release(params: Params) -> Step:
    """Remove what is there of a hold."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        state = find_service(params, now)
        if isinstance(state, str):
            return _unseen(params, state)
        if not state.held and not state.hold_left:
            return satisfied(f"{state.unit} on {node_of(params)} is not held ({state.state} now)")
        return needed(f"{state.unit} on {node_of(params)} is held {describe_hold(state)}")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        return release_actions(now.cluster, params)

    def expect(now: Snapshot) -> Snapshot:
        return predict(params, now, held=False, hold_left=False, hold_text=None)

    return Step(
        id="release",
        why="without its hold the unit can be started again; nothing is started by this",
        check=check,
        actions=actions,
        expect=expect,
        views=VIEWS,
        hosts=frozenset({node_of(params)}),
        risk=Risk.CHANGE,
        timeout_s=20.0,
        usually="a few seconds",
    )


def _unseen(params: Params, why: str) -> Verdict:
    """Unreachable is not stopped, and not held either."""
    node = node_of(params)
    return blocked(f"the services of {node} cannot be seen: {why}", "pgops health --check services")
