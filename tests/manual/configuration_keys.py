"""Every key of a pgops.yml, section by section: (key, form, meaning). Defaults that are numbers come from the model."""

from __future__ import annotations

Row = tuple[str, str, str]

TOP: tuple[Row, ...] = (
    ("version", "1", "The schema version. Required; a newer one is refused."),
    (
        "defaults",
        "mapping",
        "Any key of a cluster. It is laid under each cluster: mappings merge, all else is replaced.",
    ),
    (
        "log_file",
        "path",
        "Where each run that acts is logged: who ran it, what, and how it ended. Default: journald, else syslog.",
    ),
    ("clusters", "mapping", "The clusters by name, which is what --cluster takes. Required."),
)

CLUSTER: tuple[Row, ...] = (
    ("scope", "text", "Patroni's scope. Default: the cluster's name."),
    ("namespace", "text", "Patroni's namespace. Default: service."),
    (
        "patroni_config",
        "path",
        "A Patroni configuration on this machine. It gives what is not said here: scope, namespace, DCS, REST, SQL and the "
        "member that it describes.",
    ),
    ("dcs", "mapping", "How to reach the DCS. Required, here or in `patroni_config`."),
    ("rest", "mapping", "How to ask Patroni's REST API of every member."),
    ("sql", "mapping", "How to log in to every PostgreSQL."),
    ("stanza", "text", "The pgBackRest stanza. Without it backups are not looked at."),
    ("backup", "mapping", "How often backups are wished for, and how they are scheduled."),
    ("become", "user or null", "Becomes the `become` of each host below. Default: postgres."),
    ("services", "mapping", "The service manager of the hosts."),
    (
        "hosts",
        "mapping",
        "The members' hosts by Patroni member name. One without an entry is known by its DCS key alone.",
    ),
    ("proxies", "mapping", "Each HAProxy in front, by a name of your choice."),
    (
        "unguarded_rewind",
        "warn or accept",
        "Whether health warns where Patroni rewinds by itself without the guard (pgops guard install). Default: warn.",
    ),
    ("thresholds", "mapping", "Where a number becomes a warning or critical."),
    ("timeouts", "mapping", "How long one remote call may take."),
)

BACKUP: tuple[Row, ...] = (
    ("full_every", "duration", "How often a full backup is wished for. Default: 7d."),
    ("every", "duration", "How often any backup is wished for. Default: 24h."),
    ("kind", "diff or incr", "What is made between two full ones. Default: diff."),
    ("window", "HH:MM-HH:MM", "When backups are made; it may go over midnight. Default: 01:00-05:00."),
    ("timezone", "IANA name", "The zone of `window`, whatever zone the hosts are in. Default: UTC."),
    ("cron_dir", "path", "Where cron reads its tables on the hosts. Default: /etc/cron.d."),
    ("user", "user", "Whom the schedule runs as. Default: root, who alone may start jobs under systemd."),
    ("mailto", "address", "Who gets mail from cron when something is wrong. Default: that user."),
    (
        "jitter",
        "duration",
        "How long the leader waits at most, by chance, before it begins, up to 30min. Default: not at all.",
    ),
    ("textfile", "path", "The directory on the hosts for metrics of node_exporter. Without it none are written."),
)

DCS: tuple[Row, ...] = (
    (
        "kind",
        "etcd3, etcd, consul or zookeeper",
        "As the section of patroni.yml is named: `etcd3` is etcd's v3 API, `etcd` its v2 API, two separate key spaces. "
        "consul and zookeeper need a plugin that gives a driver.",
    ),
    (
        "endpoints",
        "list",
        "URLs (http://host:port), or host:port, which means https where `tls` is given. All are tried.",
    ),
    ("username", "text", "The login, where etcd wants one."),
    ("password", "text", "Its password."),
    ("password_file", "path", "A file whose first line is the password; everybody else must not be able to read it."),
    ("tls", "mapping", "See TLS below."),
)

REST: tuple[Row, ...] = (
    ("username", "text", "Sent with requests that Patroni protects; observing needs none."),
    ("password", "text", "Its password."),
    ("password_file", "path", "A file whose first line is the password."),
    (
        "tls",
        "mapping",
        "See TLS below. `cert_file` and `key_file` are needed where Patroni has verify_client: required.",
    ),
)

TLS: tuple[Row, ...] = (
    ("ca_file", "path", "Certificates to trust. Default: the machine's own."),
    ("cert_file", "path", "The client certificate."),
    ("key_file", "path", "Its key."),
    ("key_password", "text", "The key's password. gRPC (kind etcd3) reads no encrypted keys."),
    ("verify", "true or false", "false trusts any certificate. Default: true. gRPC (kind etcd3) always verifies."),
)

SQL: tuple[Row, ...] = (
    ("user", "text", "The role. It needs LOGIN and pg_monitor and nothing more. Default: libpq's."),
    ("password", "text", "Its password. Default: libpq's own ways, such as ~/.pgpass."),
    ("password_file", "path", "A file whose first line is the password."),
    ("dbname", "text", "Default: postgres."),
    ("sslmode", "disable, allow, prefer, require, verify-ca or verify-full", "As in libpq."),
    ("sslrootcert", "path or system", "As in libpq."),
    ("sslcert", "path", "As in libpq."),
    ("sslkey", "path", "As in libpq."),
    ("sslpassword", "text", "As in libpq."),
    ("sslcrl", "path", "As in libpq."),
    ("gssencmode", "disable, prefer or require", "As in libpq."),
    ("channel_binding", "disable, prefer or require", "As in libpq."),
    ("passfile", "path", "As in libpq."),
)

SERVICES: tuple[Row, ...] = (
    ("manager", "systemd or supervisor", "Or the name that a plugin gives. Default: systemd."),
    (
        "config",
        "path",
        "The supervisord.conf on the host, for supervisor only. Default: /etc/supervisor/supervisord.conf.",
    ),
    ("control", "path", "The supervisorctl on the host, where it is not on the search path; for supervisor only."),
    (
        "names",
        "mapping",
        "Role to unit: {host} in a unit stands for the member's name, and null takes a role away. Default: patroni: patroni, "
        "etcd: etcd. More roles, such as haproxy or pgbouncer, may be added.",
    ),
)

HOST: tuple[Row, ...] = (
    (
        "ssh",
        "text or mapping",
        "The OpenSSH destination; ssh_config, agent and jump hosts hold. As a mapping: `destination`, `user`, `port`, "
        "`config_file`. Without it the member's host is this very machine.",
    ),
    (
        "become",
        "user or null",
        "The user that owns PostgreSQL's files, reached by sudo -n. null: as oneself.",
    ),
    ("rest_url", "URL", "Default: what the member published in the DCS."),
    ("sql_host", "host or socket directory", "Default: what the member published in the DCS."),
    ("sql_port", "port", "The same."),
    (
        "data_dir",
        "path there",
        "Default: what PostgreSQL says. Set it, so that a stopped server can be looked at as well.",
    ),
    ("bin_dir", "path there", "Where pg_controldata is. Default: searched on PATH."),
    ("patroni_config", "path there", "The member's Patroni configuration."),
    ("pgbackrest_config", "path there", "Default: pgBackRest's own."),
    (
        "state_dir",
        "path there",
        "Where pgops keeps its own small files, in a directory for each user it acts as. Default: /var/lib/pgops for root, "
        "~/.local/state/pgops for others.",
    ),
    (
        "scratch_dir",
        "path there",
        "Where a drill restores a backup; never inside the data directory. Default: under state_dir, else beside the data "
        "directory.",
    ),
)

SSH: tuple[Row, ...] = (
    ("destination", "text", "A host, or a Host of ssh_config. Required."),
    ("user", "text", "Default: ssh_config's."),
    ("port", "port", "Default: ssh_config's."),
    ("config_file", "path", "An ssh_config on this machine instead of the user's."),
)

PROXY: tuple[Row, ...] = (
    ("stats_url", "URL", "HAProxy's statistics page. Required."),
    ("address", "host", "Where clients connect. Required."),
    ("primary_port", "port or null", "The port that leads to the primary. Default: 5000."),
    ("replica_port", "port or null", "The port that leads to replicas. Default: 5001."),
    ("username", "text", "The login of the statistics page."),
    ("password", "text", "Its password."),
)

THRESHOLDS = {
    "lag_warning_bytes": "A replica is this far behind.",
    "lag_critical_bytes": "The same, critical.",
    "replay_delay_warning_s": "The oldest commit that a replica received and has not replayed.",
    "disk_warning_percent": "A file system with data, WAL, etcd or backups is this full. Inodes likewise.",
    "disk_critical_percent": "The same, critical.",
    "backup_full_warning_s": "The newest full backup is older.",
    "backup_any_warning_s": "The newest backup of any kind is older.",
    "backup_any_critical_s": "The same, critical.",
    "ready_wal_warning_count": "So many finished segments wait for the archive.",
    "ready_wal_critical_count": "The same, critical.",
    "slot_retained_warning_bytes": "A slot in use holds back this much WAL.",
    "slot_unread_warning_bytes": "A slot that nobody reads holds back this much WAL.",
    "transaction_age_warning_s": "A transaction is open for longer.",
    "prepared_age_warning_s": "A prepared transaction is older.",
    "clock_skew_warning_s": "Clocks differ by more.",
    "drill_age_warning_s": "No restore was proven for longer.",
    "etcd_db_warning_percent": "etcd's database is this near to its quota.",
    "failover_candidates_minimum": "So many members at least must be able to take over.",
}

TIMEOUTS = {
    "connect_s": "To connect.",
    "answer_s": "For an answer of REST, SQL, the DCS or a proxy.",
    "command_s": "For a command on a host.",
    "deep_command_s": "For a command of health --deep, which hashes WAL.",
}
