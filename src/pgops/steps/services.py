"""The service of a node as it is seen, and the effects that hold or release it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pgops.config.model import ClusterConfig
from pgops.hosts.host import HostFault
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action, Again, RunCommand, WriteFile
from pgops.plan.step import Params
from pgops.plugins import find_driver
from pgops.readings import Known, known, reason
from pgops.services import ServiceManager, ServiceState

VIEWS = frozenset({View.SERVICES})
REFUSED_CODES = tuple(range(1, 64))
"""A start, or a look at its conditions, that ends with one of these did not start anything; 64 and more: could not run."""


def node_of(params: Params) -> str:
    """The node's name."""
    return str(params["node"])


def role_of(params: Params) -> str:
    """The role of the service that is meant; Patroni's unless another one was named."""
    return str(params.get("service") or "patroni")


def unit_of(cluster: ClusterConfig, params: Params) -> str:
    """The unit or program of that role on the node. Raises `HostFault` when none is configured."""
    name = dict(cluster.services.names).get(role_of(params))
    if name is None:
        raise HostFault(f"no unit is configured for the role {role_of(params)}; see services.names")
    return name.replace("{host}", node_of(params))


def find_service(params: Params, now: Snapshot) -> ServiceState | str:
    """The service as it is seen, or why it cannot be."""
    node = now.node(node_of(params))
    if node is None:
        return f"no host {node_of(params)} is configured"
    states = known(node.services)
    if states is None:
        return reason(node.services)
    found = next((state for state in states if state.role == role_of(params)), None)
    if found is None:
        return f"no unit is configured for the role {role_of(params)}; see services.names"
    return f"the unit {found.unit} does not exist there" if found.state == "not-found" else found


def manager_of(cluster: ClusterConfig) -> ServiceManager:
    """The service manager of the cluster's hosts."""
    driver: Any = find_driver(cluster.services.manager, "service_managers")
    manager: ServiceManager = driver(cluster.services)
    return manager


def hold_actions(cluster: ClusterConfig, params: Params, text: str) -> tuple[Action, ...]:
    """Write the files of a hold and make the manager heed them. Repeating them does no harm."""
    manager, node = manager_of(cluster), node_of(params)
    files = manager.hold_files(unit_of(cluster, params), text)
    written = [WriteFile(node, file.path, file.content, file.mode, manager.hold_identity) for file in files]
    return (*written, *_reload(manager, node))


def release_actions(cluster: ClusterConfig, params: Params) -> tuple[Action, ...]:
    """Remove the files of a hold, the last one first, and make the manager heed it."""
    manager, node = manager_of(cluster), node_of(params)
    files = reversed(manager.hold_files(unit_of(cluster, params), ""))
    removed = [WriteFile(node, file.path, None, file.mode, manager.hold_identity) for file in files]
    return (*removed, *_reload(manager, node))


def try_actions(cluster: ClusterConfig, params: Params) -> tuple[Action, ...]:
    """Try a start that must be refused; first without starting anything, so that a hold that fails starts nothing either."""
    manager, node, unit = manager_of(cluster), node_of(params), unit_of(cluster, params)
    identity = manager.hold_identity
    return (
        RunCommand(node, manager.assert_argv(unit), identity, Again.SAFE, accepts=REFUSED_CODES),
        RunCommand(node, manager.start_argv(unit), identity, Again.SAFE, accepts=REFUSED_CODES),
    )


def start_actions(cluster: ClusterConfig, params: Params) -> tuple[Action, ...]:
    """Start it. A start that is refused fails by what is seen afterwards, since the manager may start it by itself too."""
    manager, node, unit = manager_of(cluster), node_of(params), unit_of(cluster, params)
    accepts = (0, *REFUSED_CODES)
    argv = manager.start_argv(unit)
    return (RunCommand(node, argv, manager.hold_identity, Again.SAFE, timeout_s=120.0, accepts=accepts),)


def restart_actions(cluster: ClusterConfig, params: Params) -> tuple[Action, ...]:
    """Restart it. One that was cut off is settled by looking: what began anew has another process."""
    manager, node, unit = manager_of(cluster), node_of(params), unit_of(cluster, params)
    return (RunCommand(node, manager.restart_argv(unit), manager.hold_identity, timeout_s=120.0),)


def predict(params: Params, now: Snapshot, **changes: object) -> Snapshot:
    """The snapshot with this service changed."""
    node = now.node(node_of(params))
    states = known(node.services) if node else None
    if node is None or states is None:
        return now
    told = tuple(
        replace(state, **changes) if state.role == role_of(params) else state  # type: ignore[arg-type] # its own fields
        for state in states
    )
    return now.with_node(replace(node, services=Known(told)))


def _reload(manager: ServiceManager, node: str) -> tuple[Action, ...]:
    argv = manager.reload_argv()
    return () if argv is None else (RunCommand(node, argv, manager.hold_identity, Again.SAFE),)
