"""What pgops was told: clusters, hosts, credentials, thresholds."""

from pgops.config.model import (
    ClusterConfig,
    Config,
    DcsConfig,
    DcsKind,
    HostConfig,
    ProxyConfig,
    RestConfig,
    ServiceConfig,
    SqlConfig,
    SshConfig,
    Thresholds,
    Timeouts,
    TlsConfig,
)

__all__ = [
    "ClusterConfig",
    "Config",
    "DcsConfig",
    "DcsKind",
    "HostConfig",
    "ProxyConfig",
    "RestConfig",
    "ServiceConfig",
    "SqlConfig",
    "SshConfig",
    "Thresholds",
    "Timeouts",
    "TlsConfig",
]
