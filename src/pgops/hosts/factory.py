"""Opens the host that the configuration names."""

from __future__ import annotations

from pgops.config.model import HostConfig, Timeouts
from pgops.hosts.host import Host


def open_host(config: HostConfig, timeouts: Timeouts) -> Host:
    """This very machine where no SSH destination is configured. Nothing is contacted before the first command."""
    if config.ssh is None:
        from pgops.hosts.local import LocalHost

        return LocalHost(config, timeouts)
    from pgops.hosts.ssh import SshHost

    return SshHost(config, timeouts)
