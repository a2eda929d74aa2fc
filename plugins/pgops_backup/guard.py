"""The quick answer on a replica, before the DCS, HTTP or the engine are loaded."""

from __future__ import annotations

from pgops.config.model import ClusterConfig, HostConfig
from pgops.errors import Unreachable


def is_replica(cluster: ClusterConfig, host: HostConfig) -> bool | None:
    """Whether this node's own PostgreSQL says that it is in recovery; None: its address is known to the DCS alone.

    Raises `Unreachable` when it gave no answer.
    """
    if host.sql_host is None:
        return None
    from pgops.clients.sql import SqlFault, SqlSession

    try:
        session = SqlSession(host.sql_host, host.sql_port or 5432, cluster.sql, cluster.timeouts)
        try:
            ((answer,),) = session.rows("SELECT pg_is_in_recovery()")
        finally:
            session.close()
    except SqlFault as fault:
        raise Unreachable(
            f"cannot tell whether {host.name} is the leader, so no backup was made there",
            where=f"PostgreSQL at {host.sql_host}:{host.sql_port or 5432}",
            why=str(fault),
            next_step="pgops health",
        ) from None
    return bool(answer)
