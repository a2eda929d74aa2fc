"""etcd's configuration file of one member. Keys: etcd's etcd.conf.yml.sample, as of 3.4."""

from __future__ import annotations

from pgops_lab.lab import Lab, Member
from pgops_lab.yaml_text import render

QUOTA_BYTES = 16 * 1024 * 1024
"""Small, so that NOSPACE is reached in seconds; etcd's own default is 2 GiB."""


def render_etcd(lab: Lab, member: Member, *, state: str = "new", generation: str = "1") -> str:
    """etcd.yml. `state` is `new`, or `existing` for a member that joins a cluster that is there.

    `generation` must differ from all before when a lost cluster is made anew at the same addresses: the token makes
    the cluster's id, and Patroni takes a cluster with the id that it knows and a lower raft term for a stale one.
    Source: Patroni, patroni/dcs/etcd3.py, _check_cluster_raft_term.
    """
    return render(
        {
            "name": member.name,
            "data-dir": str(member.etcd_dir),
            "listen-client-urls": member.etcd_url,
            "advertise-client-urls": member.etcd_url,
            "listen-peer-urls": member.peer_url,
            "initial-advertise-peer-urls": member.peer_url,
            "initial-cluster": ",".join(f"{each.name}={each.peer_url}" for each in lab.members),
            "initial-cluster-token": f"pgops-lab-{lab.name}-{generation}",
            "initial-cluster-state": state,
            "quota-backend-bytes": QUOTA_BYTES,
            # Patroni speaks to the gateway; etcd 3.4 turns it off where a configuration file does not name it
            "enable-grpc-gateway": True,
            "logger": "zap",
            "log-level": "warn",
        }
    )
