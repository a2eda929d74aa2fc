"""The procedure `node-release`: the node's service can be started again. It starts nothing."""

from __future__ import annotations

from pgops.observe.snapshot import Snapshot
from pgops.plan.step import Params, Part, Pinned, Procedure
from pgops_node.holds import hold, release
from pgops_node.services import VIEWS, find_service, node_of, role_of


def _steps(params: Params, _pinned: Pinned, _first: Snapshot) -> tuple[Part, ...]:
    return (release(params),)


def _way_back(params: Params, _pinned: Pinned, before: Snapshot) -> tuple[Part, ...]:
    state = find_service(params, before)
    if isinstance(state, str) or not state.held:
        return ()
    return (hold(params, state.hold_text or ""),)


def _goal(params: Params, cluster: str) -> str:
    return f"release {role_of(params)} on {node_of(params)} of the cluster {cluster}"


def _hosts(params: Params) -> frozenset[str]:
    return frozenset({node_of(params)})


RELEASE = Procedure(
    name="node-release",
    goal=_goal,
    views=VIEWS,
    steps=_steps,
    way_back=_way_back,
    premises=("system_identifier",),
    hosts=_hosts,
)
