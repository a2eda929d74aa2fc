"""The pgops.yml of a lab."""

from __future__ import annotations

from pgops_lab.lab import POSTGRES, PRIMARY, REPLICAS, STATS, Lab
from pgops_lab.passwords import Passwords
from pgops_lab.yaml_text import render


def render_pgops(lab: Lab, passwords: Passwords) -> str:
    """pgops.yml, schema version 1."""
    cluster = {
        "scope": lab.name,
        "namespace": "service",
        "dcs": {"kind": "etcd3", "endpoints": [member.etcd_url for member in lab.members]},
        "rest": {"username": "patroni", "password": passwords.rest},
        "sql": {"user": "monitor", "password": passwords.monitor, "dbname": "postgres"},
        "stanza": lab.name,
        # A lab's rows are nobody's: what a rewind discards is missed only where an exercise wants it kept.
        "unguarded_rewind": "accept",
        "become": lab.user,
        "services": {
            "manager": "supervisor",
            "config": str(lab.supervisord_config),
            "control": str(lab.environment / "bin/supervisorctl"),
            "names": {"patroni": "patroni-{host}", "etcd": "etcd-{host}"},
        },
        "hosts": {
            member.name: {
                "rest_url": member.rest_url,
                "sql_host": member.address,
                "sql_port": POSTGRES,
                "data_dir": str(member.data_dir),
                "bin_dir": lab.pg_bin,
                "patroni_config": str(member.patroni_config),
                "pgbackrest_config": str(member.pgbackrest_config),
                "state_dir": str(member.directory / "pgops"),
            }
            for member in lab.members
        },
        "proxies": {
            "front": {
                "stats_url": f"http://{lab.proxy_address}:{STATS}/",
                "address": lab.proxy_address,
                "primary_port": PRIMARY,
                "replica_port": REPLICAS,
            }
        },
    }
    return render({"version": 1, "clusters": {lab.name: cluster}})


def render_pgpass(lab: Lab, passwords: Passwords) -> str:
    """libpq's password file for every role and address of the lab."""
    hosts = [lab.proxy_address, *(member.address for member in lab.members)]
    roles = {"app": passwords.app, "monitor": passwords.monitor, "postgres": passwords.postgres}
    roles |= {"replicator": passwords.replicator, "rewind": passwords.rewind}
    return "".join(f"{host}:*:*:{role}:{password}\n" for host in hosts for role, password in roles.items())
