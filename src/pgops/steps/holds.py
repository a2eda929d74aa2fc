"""Steps that holding and releasing share: each is the other's way back."""

from __future__ import annotations

from collections.abc import Callable

from pgops.clients.json_text import parse_json
from pgops.config.model import ClusterConfig
from pgops.observe.fields import ShapeFault
from pgops.observe.records import HoldRecord, parse_hold
from pgops.observe.snapshot import Snapshot
from pgops.plan.actions import Action
from pgops.plan.step import Params, Risk, Step, Verdict, blocked, needed, satisfied
from pgops.services import ServiceState
from pgops.steps.services import (
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

    def judge(state: ServiceState, _before: ServiceState | str) -> Verdict:
        if state.held:
            return satisfied(f"{state.unit} on {node_of(params)} is held {describe_hold(state)}")
        return needed(f"nothing keeps {state.unit} on {node_of(params)} from being started ({state.state} now)")

    return _step(
        "hold",
        "a hold file that the unit asserts is absent: nobody starts it, not by hand, not at boot, not after a crash",
        params,
        judge,
        lambda cluster: hold_actions(cluster, params, text),
        held=True,
        hold_left=True,
        hold_text=text,
    )


def refused_start(params: Params) -> Step:
    """Prove the hold by a start that is refused. One that runs is not started, so there the loaded hold is all there is."""

    def judge(state: ServiceState, before: ServiceState | str) -> Verdict:
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

    why = "a hold counts once a start was refused"
    return _step("refused", why, params, judge, lambda cluster: try_actions(cluster, params), refused="by this run")


def release(params: Params) -> Step:
    """Remove what is there of a hold."""

    def judge(state: ServiceState, _before: ServiceState | str) -> Verdict:
        if not state.held and not state.hold_left:
            return satisfied(f"{state.unit} on {node_of(params)} is not held ({state.state} now)")
        by = f"held {describe_hold(state)}" if state.held else "not held, but something of a hold is left there"
        return needed(f"{state.unit} on {node_of(params)} is {by}")

    return _step(
        "release",
        "without its hold the unit can be started again; nothing is started by this",
        params,
        judge,
        lambda cluster: release_actions(cluster, params),
        held=False,
        hold_left=False,
        hold_text=None,
    )


def _step(
    name: str,
    why: str,
    params: Params,
    judge: Callable[[ServiceState, ServiceState | str], Verdict],
    change: Callable[[ClusterConfig], tuple[Action, ...]],
    **after: object,
) -> Step:
    """A step on the node's service. `judge` gets it as it is now and as it was at first; `after` is what it becomes."""

    def check(first: Snapshot, now: Snapshot) -> Verdict:
        state = find_service(params, now)
        if isinstance(state, str):  # unreachable is not stopped, and not held either
            why_not = f"the services of {node_of(params)} cannot be seen: {state}"
            return blocked(why_not, "pgops health --check services")
        return judge(state, find_service(params, first))

    return Step(
        id=name,
        why=why,
        check=check,
        actions=lambda _first, now: change(now.cluster),
        expect=lambda now: predict(params, now, **after),
        views=VIEWS,
        hosts=frozenset({node_of(params)}),
        risk=Risk.CHANGE,
        timeout_s=20.0,
        usually="a few seconds",
    )
