"""What the suite itself gives through the plugin door, before any plugin."""

from __future__ import annotations

from pgops.plugin import Plugin

plugin = Plugin(
    name="core",
    dcs_drivers={"etcd3": "pgops.dcs.etcd3:Etcd3Dcs", "etcd": "pgops.dcs.etcd2:Etcd2Dcs"},
    service_managers={
        "systemd": "pgops.services.systemd:SystemdServices",
        "supervisor": "pgops.services.supervisor:SupervisorServices",
    },
)
