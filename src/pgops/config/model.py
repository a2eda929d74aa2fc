"""The configuration as values. Loading and validation live beside it; this module only says what there is."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from pgops.secrets import Secret


class DcsKind(str, Enum):
    """The DCS section of patroni.yml. `etcd` is the v2 API and `etcd3` the v3 API: two separate key spaces.

    Source: Patroni docs, yaml_configuration.rst, sections Etcd and Etcdv3.
    """

    ETCD = "etcd"
    ETCD3 = "etcd3"
    CONSUL = "consul"
    ZOOKEEPER = "zookeeper"


@dataclass(frozen=True)
class TlsConfig:
    """Client side of TLS. `verify` false is an explicit wish of the configuration and never a fallback."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    key_password: Secret | None = None
    verify: bool = True


@dataclass(frozen=True)
class DcsConfig:
    """How to reach the DCS. `endpoints` are URLs (`http://host:port`), IPv6 in brackets; the first that answers serves."""

    kind: DcsKind
    endpoints: tuple[str, ...]
    username: str | None = None
    password: Secret | None = None
    tls: TlsConfig = field(default_factory=TlsConfig)


@dataclass(frozen=True)
class RestConfig:
    """How to ask Patroni's REST API of any member; the URLs themselves stand in the DCS, or with the host."""

    username: str | None = None
    password: Secret | None = None
    tls: TlsConfig = field(default_factory=TlsConfig)


@dataclass(frozen=True)
class SqlConfig:
    """How to log in to every PostgreSQL. Parameter names of libpq; None leaves libpq's own default (PGPASSFILE and so on)."""

    user: str | None = None
    password: Secret | None = None
    dbname: str = "postgres"
    sslmode: str | None = None
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    sslpassword: Secret | None = None
    sslcrl: str | None = None
    gssencmode: str | None = None
    channel_binding: str | None = None
    passfile: str | None = None


@dataclass(frozen=True)
class SshConfig:
    """OpenSSH destination. Anything else (keys, jump hosts) belongs in the user's ssh_config, or in `config_file`."""

    destination: str
    user: str | None = None
    port: int | None = None
    config_file: str | None = None


@dataclass(frozen=True)
class HostConfig:
    """One member's host. `name` is the Patroni member name. `ssh` None means this very machine.

    `become` is the operating-system user that owns PostgreSQL's files, reached by `sudo -n` (None: run as oneself).
    `rest_url` (`http://host:8008`) and `sql_host`/`sql_port` override what the member published in the DCS.
    `state_dir` is where pgops keeps its own files on the host: tokens and jobs (None: see `pgops.hosts.fence`).
    `scratch_dir` is where a backup may be restored for a drill (None: under `state_dir`, else beside the data directory).
    """

    name: str
    ssh: SshConfig | None = None
    become: str | None = "postgres"
    rest_url: str | None = None
    sql_host: str | None = None
    sql_port: int | None = None
    data_dir: str | None = None
    bin_dir: str | None = None
    patroni_config: str | None = None
    pgbackrest_config: str | None = None
    state_dir: str | None = None
    scratch_dir: str | None = None


@dataclass(frozen=True)
class ServiceConfig:
    """The service manager of the hosts and the unit (or program) names in it.

    `names` maps a role (`patroni`, `etcd`, `haproxy`, `pgbouncer`) to a unit name, in which `{host}` stands for the
    member's name. `manager_config` is the supervisord configuration file where the manager is `supervisor`, and
    `control` its control program where that is not `supervisorctl` on the search path.
    """

    manager: str = "systemd"
    names: tuple[tuple[str, str], ...] = (("patroni", "patroni"), ("etcd", "etcd"))
    manager_config: str | None = None
    control: str | None = None


@dataclass(frozen=True)
class ProxyConfig:
    """An HAProxy in front. `stats_url` is its statistics page; `primary_port` and `replica_port` its front ends."""

    name: str
    stats_url: str
    address: str
    primary_port: int | None = 5000
    replica_port: int | None = 5001
    username: str | None = None
    password: Secret | None = None


@dataclass(frozen=True)
class Thresholds:
    """Where a number becomes a warning or critical. Bytes, seconds and percent as the names say."""

    lag_warning_bytes: int = 16 * 1024 * 1024
    lag_critical_bytes: int = 256 * 1024 * 1024
    replay_delay_warning_s: float = 300.0
    disk_warning_percent: float = 80.0
    disk_critical_percent: float = 92.0
    backup_full_warning_s: float = 8 * 86400.0
    backup_any_warning_s: float = 26 * 3600.0
    backup_any_critical_s: float = 50 * 3600.0
    ready_wal_warning_count: int = 32
    ready_wal_critical_count: int = 256
    slot_retained_warning_bytes: int = 8 * 1024 * 1024 * 1024
    slot_unread_warning_bytes: int = 256 * 1024 * 1024
    transaction_age_warning_s: float = 3600.0
    prepared_age_warning_s: float = 3600.0
    clock_skew_warning_s: float = 1.0
    drill_age_warning_s: float = 35 * 86400.0
    etcd_db_warning_percent: float = 80.0
    failover_candidates_minimum: int = 1


@dataclass(frozen=True)
class Timeouts:
    """How long one remote call may take, in seconds."""

    connect_s: float = 1.5
    answer_s: float = 2.5
    command_s: float = 10.0
    deep_command_s: float = 120.0


CRON_DIR = "/etc/cron.d"
"""Where every cron of Debian reads tables. Source: cron(8)."""


@dataclass(frozen=True)
class BackupPolicy:
    """How often backups are wished for, and how `pgops backup schedule` asks for them.

    `full_every_s` and `every_s` (of any kind) in seconds; `kind` is made between two full ones. `window` is a span of the
    day in `timezone` (IANA). `cron_dir` is where cron reads its tables on the hosts, `user` whom the schedule runs as (jobs
    of systemd want root), `mailto` who gets what is wrong (None: that user), `textfile` the directory for metrics;
    `jitter_s` is how long a leader waits at most, in seconds, so that many clusters do not begin at once.
    """

    full_every_s: float = 7 * 86400.0
    every_s: float = 86400.0
    kind: Literal["diff", "incr"] = "diff"
    window: str = "01:00-05:00"
    timezone: str = "UTC"
    cron_dir: str = CRON_DIR
    user: str = "root"
    mailto: str | None = None
    textfile: str | None = None
    jitter_s: float = 0.0


@dataclass(frozen=True)
class ClusterConfig:
    """One Patroni cluster. `name` is what `--cluster` takes; `scope` and `namespace` are Patroni's.

    `unguarded_rewind` says whether health warns of an automatic rewind without the guard, or that is accepted.
    """

    name: str
    scope: str
    dcs: DcsConfig
    namespace: str = "service"
    rest: RestConfig = field(default_factory=RestConfig)
    sql: SqlConfig = field(default_factory=SqlConfig)
    hosts: tuple[HostConfig, ...] = ()
    services: ServiceConfig = field(default_factory=ServiceConfig)
    proxies: tuple[ProxyConfig, ...] = ()
    stanza: str | None = None
    backup: BackupPolicy = field(default_factory=BackupPolicy)
    thresholds: Thresholds = field(default_factory=Thresholds)
    timeouts: Timeouts = field(default_factory=Timeouts)
    patroni_file: str | None = None
    unguarded_rewind: Literal["warn", "accept"] = "warn"

    @property
    def prefix(self) -> str:
        """Patroni's key prefix with its trailing slash; without it `main` would match `main2` as well.

        Source: Patroni, patroni/dcs/__init__.py, client_path.
        """
        return "/" + "".join(f"{level}/" for level in (*self.namespace.split("/"), self.scope) if level)


@dataclass(frozen=True)
class Config:
    """Everything that was configured: where it was read, and the warnings that reading it gave.

    `log_file` is where it is logged who ran what and how it ended; None: journald, else syslog.
    """

    clusters: tuple[ClusterConfig, ...]
    source: str
    warnings: tuple[str, ...] = ()
    log_file: str | None = None
