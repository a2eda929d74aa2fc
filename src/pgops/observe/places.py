"""Where a member keeps its data, and how long the cluster's WAL files are: from whoever tells."""

from __future__ import annotations

from pgops.observe.snapshot import Node, Snapshot
from pgops.readings import known

_DEFAULT_SEGMENT_BYTES = 16 * 1024 * 1024


def data_dir_of(snapshot: Snapshot, node: Node) -> str | None:
    """A member's data directory, without a slash at its end: the configured one, else what the server itself says."""
    configured = next((host.data_dir for host in snapshot.cluster.hosts if host.name == node.name), None)
    sql = known(node.sql)
    settings = known(sql.settings) if sql else None
    place = configured or (settings["data_directory"].value if settings and "data_directory" in settings else None)
    return place.rstrip("/") if place else None


def segment_bytes_of(snapshot: Snapshot) -> int:
    """The size of a WAL file in bytes, from a server or a control file; PostgreSQL's default where nobody tells."""
    for node in snapshot.nodes:
        told = known(node.sql) or known(node.control)
        if told is not None:
            return told.segment_bytes
    return _DEFAULT_SEGMENT_BYTES
