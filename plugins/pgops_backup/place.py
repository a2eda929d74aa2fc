"""Which of the configured nodes this machine is."""

from __future__ import annotations

from dataclasses import replace

from pgops.config.model import ClusterConfig, HostConfig
from pgops.errors import ConfigError


def find_node(cluster: ClusterConfig, name: str | None) -> HostConfig | None:
    """The node of that name, else the one that this machine is; None: it is none of them. Raises `ConfigError`.

    Of one that is configured with `ssh:` for others, and whose name or destination is this machine's, commands run here.
    """
    if name is not None:
        found = next((host for host in cluster.hosts if host.name == name), None)
        if found is None:
            there = ", ".join(host.name for host in cluster.hosts) or "none"
            raise ConfigError(
                f"no node is named {name!r}", why=f"there are: {there}", next_step="see hosts in pgops.yml"
            )
        return replace(found, ssh=None) if _is_here(found) else found
    local = [host for host in cluster.hosts if host.ssh is None]
    if len(local) == 1:
        return local[0]
    here = [host for host in cluster.hosts if _is_here(host)]
    return replace(here[0], ssh=None) if len(here) == 1 else None


def with_host(cluster: ClusterConfig, host: HostConfig) -> ClusterConfig:
    """The cluster with this host in place of the one of its name."""
    return replace(cluster, hosts=tuple(host if item.name == host.name else item for item in cluster.hosts))


def _is_here(host: HostConfig) -> bool:
    import socket

    own = socket.gethostname().lower()
    names = {own, own.partition(".")[0]}
    destination = host.ssh.destination.rpartition("@")[2].lower() if host.ssh else None
    return host.name.lower() in names or destination in names
