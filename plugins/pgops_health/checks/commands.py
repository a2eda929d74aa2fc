"""The next command for a service, in the words of the cluster's own service manager."""

from __future__ import annotations

from pgops.observe.snapshot import Snapshot


def read_log(snapshot: Snapshot, role: str, node: str) -> str:
    """How to read the log of a member's service."""
    unit = _unit(snapshot, role, node)
    if snapshot.cluster.services.manager == "supervisor":
        return f"supervisorctl tail {unit} on {node}"
    return f"journalctl -u {unit} on {node}"


def read_status(snapshot: Snapshot, role: str, node: str) -> str:
    """How to see whether a member's service runs."""
    unit = _unit(snapshot, role, node)
    if snapshot.cluster.services.manager == "supervisor":
        return f"supervisorctl status {unit} on {node}"
    return f"systemctl status {unit} on {node}"


def _unit(snapshot: Snapshot, role: str, node: str) -> str:
    """The unit that serves a role; a role that is not configured is its own unit's name."""
    return dict(snapshot.cluster.services.names).get(role, role).replace("{host}", node)
