"""etcd's configuration file of one member. Keys: etcd's etcd.conf.yml.sample, as of 3.4."""

from __future__ import annotations

from pgops_lab.lab import Lab, Member
from pgops_lab.yaml_text import render

QUOTA_BYTES = 16 * 1024 * 1024
"""Small, so that NOSPACE is reached in seconds; etcd's own default is 2 GiB."""


def render_etcd(lab: Lab, member: Member, *, state: str = "new", peers: tuple[Member, ...] | None = None) -> str:
    """etcd.yml. `state` is `new`, or `existing` for a member that joins a cluster with `peers`."""
    return render(
        {
            "name": member.name,
            "data-dir": str(member.etcd_dir),
            "listen-client-urls": member.etcd_url,
            "advertise-client-urls": member.etcd_url,
            "listen-peer-urls": member.peer_url,
            "initial-advertise-peer-urls": member.peer_url,
            "initial-cluster": ",".join(f"{each.name}={each.peer_url}" for each in peers or lab.members),
            "initial-cluster-token": f"pgops-lab-{lab.name}",
            "initial-cluster-state": state,
            "quota-backend-bytes": QUOTA_BYTES,
            # Patroni speaks to the gateway; etcd 3.4 turns it off where a configuration file does not name it
            "enable-grpc-gateway": True,
            "logger": "zap",
            "log-level": "warn",
        }
    )
