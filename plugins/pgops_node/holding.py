"""The procedure `node-hold`: nothing starts the node's service until it is released. What runs now runs on."""

from __future__ import annotations

from pgops.observe.records import HoldRecord, hold_value
from pgops.observe.snapshot import Snapshot
from pgops.plan.step import Params, Part, Pinned, Procedure
from pgops_node.holds import hold, refused_start, release
from pgops_node.services import VIEWS, find_service, node_of, role_of


def _steps(params: Params, pinned: Pinned, _first: Snapshot) -> tuple[Part, ...]:
    record = HoldRecord(f"{pinned.by}@{pinned.host}", str(params.get("reason") or ""), pinned.moment)
    return hold(params, hold_value(record)), refused_start(params)


def _way_back(params: Params, _pinned: Pinned, before: Snapshot) -> tuple[Part, ...]:
    state = find_service(params, before)
    return () if not isinstance(state, str) and state.held else (release(params),)


def _goal(params: Params, cluster: str) -> str:
    return f"hold {role_of(params)} on {node_of(params)} of the cluster {cluster}"


def _hosts(params: Params) -> frozenset[str]:
    return frozenset({node_of(params)})


HOLD = Procedure(
    name="node-hold",
    goal=_goal,
    views=VIEWS,
    steps=_steps,
    way_back=_way_back,
    # Leader and members may move in the incident for which a node is held.
    premises=("system_identifier",),
    hosts=_hosts,
)
