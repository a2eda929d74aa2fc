"""The procedures `node-hold` and `node-release`: each is the other's way back. What runs now runs on; nothing is started."""

from __future__ import annotations

from collections.abc import Callable

from pgops.observe.records import HoldRecord, hold_value
from pgops.observe.snapshot import Snapshot
from pgops.plan.step import Params, Part, Pinned, Procedure
from pgops.steps.holds import hold, refused_start, release
from pgops.steps.services import VIEWS, find_service, node_of, role_of

_Derive = Callable[[Params, Pinned, Snapshot], tuple[Part, ...]]


def _hold(params: Params, pinned: Pinned, _first: Snapshot) -> tuple[Part, ...]:
    record = HoldRecord(f"{pinned.by}@{pinned.host}", str(params.get("reason") or ""), pinned.moment)
    return hold(params, hold_value(record)), refused_start(params)


def _unhold(params: Params, _pinned: Pinned, before: Snapshot) -> tuple[Part, ...]:
    state = find_service(params, before)
    return () if not isinstance(state, str) and state.held else (release(params),)


def _release(params: Params, _pinned: Pinned, _first: Snapshot) -> tuple[Part, ...]:
    return (release(params),)


def _hold_again(params: Params, _pinned: Pinned, before: Snapshot) -> tuple[Part, ...]:
    state = find_service(params, before)
    return () if isinstance(state, str) or not state.held else (hold(params, state.hold_text or ""),)


def _procedure(verb: str, steps: _Derive, way_back: _Derive) -> Procedure:
    return Procedure(
        name=f"node-{verb}",
        goal=lambda params, cluster: f"{verb} {role_of(params)} on {node_of(params)} of the cluster {cluster}",
        views=VIEWS,
        steps=steps,
        way_back=way_back,
        # Leader and members may move in the incident for which a node is held.
        premises=("system_identifier",),
        hosts=lambda params: frozenset({node_of(params)}),
    )


HOLD = _procedure("hold", _hold, _unhold)
RELEASE = _procedure("release", _release, _hold_again)
