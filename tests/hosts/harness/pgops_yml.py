"""The operator's pgops.yml for the cluster."""

from __future__ import annotations

from pathlib import Path

import yaml

from hosts.harness.guide import SCOPE, STANZA, Plan


def render(plan: Plan, ssh_config: Path, login: str, monitor_role: str, *, addresses: bool) -> str:
    """The text of pgops.yml: everything is reached over the network or by SSH as `login`.

    `addresses` writes each member's SQL and REST address down; without, only its key in the DCS tells them.
    """
    hosts = {
        name: {
            "ssh": {"destination": name, "user": login, "config_file": str(ssh_config)},
            "become": "postgres",
            "data_dir": plan.data_dir,
            "bin_dir": plan.bin_dir,
            **({"sql_host": address, "rest_url": f"http://{address}:8008"} if addresses else {}),
        }
        for name, address in plan.addresses.items()
    }
    proxies = {
        f"haproxy-{name}": {
            "stats_url": f"http://{address}:7000/",
            "address": address,
            "primary_port": 5000,
            "replica_port": 5001,
        }
        for name, address in plan.addresses.items()
    }
    cluster = {
        "scope": SCOPE,
        "dcs": {"kind": "etcd3", "endpoints": [f"http://{address}:2379" for address in plan.addresses.values()]},
        "sql": {"user": monitor_role, "password": plan.passwords.monitor},
        "stanza": STANZA,
        # As the guide has it: whoever wants to see the warning takes this out.
        "unguarded_rewind": "accept",
        "services": {"manager": "systemd", "names": {"patroni": "patroni", "etcd": "etcd", "haproxy": "haproxy"}},
        "hosts": hosts,
        "proxies": proxies,
    }
    text: str = yaml.safe_dump({"version": 1, "clusters": {SCOPE: cluster}}, sort_keys=False)
    return text
