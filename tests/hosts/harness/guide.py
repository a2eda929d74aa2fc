"""What the guide puts on a host: the configuration files of etcd, Patroni, pgBackRest and HAProxy.

Sources: etcd's configuration flags as ETCD_* variables; Patroni docs, yaml_configuration.rst and haproxy template;
pgBackRest configuration reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SCOPE = "demo"
STANZA = "demo"


@dataclass(frozen=True)
class Passwords:
    """Made anew for each cluster."""

    superuser: str
    replication: str
    rewind: str
    monitor: str


@dataclass(frozen=True)
class Plan:
    """The cluster to install: host names with their addresses, and where PostgreSQL lies on each."""

    addresses: Mapping[str, str]
    subnet: str
    version: str
    passwords: Passwords

    @property
    def data_dir(self) -> str:
        """The data directory on every host."""
        return f"/var/lib/postgresql/{self.version}/{SCOPE}"

    @property
    def config_dir(self) -> str:
        """Where Debian puts a cluster's configuration, which is not in the data directory."""
        return f"/etc/postgresql/{self.version}/{SCOPE}"

    @property
    def bin_dir(self) -> str:
        """Where Debian puts the programs of this major version."""
        return f"/usr/lib/postgresql/{self.version}/bin"


def etcd_defaults(plan: Plan, host: str) -> str:
    """`/etc/default/etcd`."""
    own = plan.addresses[host]
    peers = ",".join(f"{name}=http://{address}:2380" for name, address in plan.addresses.items())
    return f"""ETCD_NAME={host}
ETCD_DATA_DIR=/var/lib/etcd/{SCOPE}
ETCD_LISTEN_PEER_URLS=http://{own}:2380
ETCD_LISTEN_CLIENT_URLS=http://{own}:2379,http://127.0.0.1:2379
ETCD_INITIAL_ADVERTISE_PEER_URLS=http://{own}:2380
ETCD_ADVERTISE_CLIENT_URLS=http://{own}:2379
ETCD_INITIAL_CLUSTER={peers}
ETCD_INITIAL_CLUSTER_TOKEN={SCOPE}
ETCD_INITIAL_CLUSTER_STATE=new
"""


def patroni_yml(plan: Plan, host: str) -> str:
    """`/etc/patroni/config.yml`; the timing is the shortest that Patroni takes, so that a test need not wait for minutes."""
    own = plan.addresses[host]
    etcd = ", ".join(f'"{address}:2379"' for address in plan.addresses.values())
    archive = f"pgbackrest --stanza={STANZA}"
    return f"""scope: {SCOPE}
namespace: /service/
name: {host}
restapi:
  listen: {own}:8008
  connect_address: {own}:8008
etcd3:
  hosts: [{etcd}]
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 3
    maximum_lag_on_failover: 1048576
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
        max_connections: 50
        wal_level: replica
        wal_log_hints: "on"
        archive_mode: "on"
        archive_timeout: 60
        archive_command: {archive} archive-push %p
      recovery_conf:
        restore_command: {archive} archive-get %f %p
  initdb:
    - encoding: UTF8
    - locale: C.UTF-8
    - data-checksums
postgresql:
  listen: {own},127.0.0.1:5432
  connect_address: {own}:5432
  data_dir: {plan.data_dir}
  bin_dir: {plan.bin_dir}
  config_dir: {plan.config_dir}
  authentication:
    superuser: {{username: postgres, password: {plan.passwords.superuser}}}
    replication: {{username: replicator, password: {plan.passwords.replication}}}
    rewind: {{username: rewinder, password: {plan.passwords.rewind}}}
  parameters:
    shared_buffers: 32MB
    unix_socket_directories: /var/run/postgresql
  pg_hba:
    - local all postgres peer
    - host all all 127.0.0.1/32 scram-sha-256
    - host all all {plan.subnet} scram-sha-256
    - host replication replicator 127.0.0.1/32 scram-sha-256
    - host replication replicator {plan.subnet} scram-sha-256
tags: {{nofailover: false, noloadbalance: false, clonefrom: false, nosync: false}}
"""


def postgresql_files(plan: Plan) -> dict[str, str]:
    """The files that Debian's pg_createcluster makes, by name, from which Patroni makes its own."""
    return {
        "postgresql.conf": f"data_directory = '{plan.data_dir}'\n",
        "pg_hba.conf": "local all postgres peer\n",
        "pg_ident.conf": "",
    }


def pgbackrest_conf(plan: Plan) -> str:
    """`/etc/pgbackrest.conf`: one repository that every host mounts."""
    return f"""[global]
repo1-path=/var/lib/pgbackrest
repo1-retention-full=2
start-fast=y
log-level-console=info
log-level-file=off

[{STANZA}]
pg1-path={plan.data_dir}
pg1-port=5432
"""


def haproxy_cfg(plan: Plan) -> str:
    """`/etc/haproxy/haproxy.cfg`: 5000 to the primary, 5001 to the replicas, statistics on 7000."""
    servers = "".join(
        f"    server {name} {address}:5432 maxconn 100 check port 8008\n" for name, address in plan.addresses.items()
    )
    return f"""global
    maxconn 200

defaults
    mode tcp
    retries 2
    timeout client 30m
    timeout connect 4s
    timeout server 30m
    timeout check 2s

listen stats
    mode http
    bind *:7000
    stats enable
    stats uri /

listen primary
    bind *:5000
    option httpchk OPTIONS /primary
    http-check expect status 200
    default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
listen replicas
    bind *:5001
    option httpchk OPTIONS /replica
    http-check expect status 200
    default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
{servers}"""
