"""patroni.yml of one member, and what its bootstrap runs. Keys: Patroni docs, yaml_configuration.rst."""

from __future__ import annotations

import shlex

from pgops_lab.lab import POSTGRES, REST, Lab, Member
from pgops_lab.passwords import Passwords
from pgops_lab.yaml_text import render

TTL_S, LOOP_WAIT_S, RETRY_TIMEOUT_S = 20, 2, 3


def render_patroni(lab: Lab, member: Member, passwords: Passwords) -> str:
    """patroni.yml."""
    return render(
        {
            "scope": lab.name,
            "namespace": "/service/",
            "name": member.name,
            "restapi": {
                "listen": f"{member.address}:{REST}",
                "connect_address": f"{member.address}:{REST}",
                "authentication": {"username": "patroni", "password": passwords.rest},
            },
            "ctl": {"authentication": {"username": "patroni", "password": passwords.rest}},
            "etcd3": {"hosts": [f"{each.address}:2379" for each in lab.members]},
            "bootstrap": {
                "dcs": _dynamic(),
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums", "no-sync"],
                "post_init": f"/bin/sh {member.directory / 'post-init.sh'}",
            },
            "postgresql": _postgresql(lab, member, passwords),
            "watchdog": {"mode": "off"},
        }
    )


def _dynamic() -> dict[str, object]:
    return {
        "ttl": TTL_S,
        "loop_wait": LOOP_WAIT_S,
        "retry_timeout": RETRY_TIMEOUT_S,
        "maximum_lag_on_failover": 1024 * 1024,
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            "parameters": {
                "max_connections": 60,
                "max_wal_senders": 10,
                "max_replication_slots": 10,
                "max_worker_processes": 8,
                "wal_level": "replica",
                "wal_log_hints": "on",
                "hot_standby": "on",
                # one segment: a replica that stays away for long really is left behind
                "wal_keep_size": "16MB",
                "min_wal_size": "32MB",
                "max_wal_size": "256MB",
                "shared_buffers": "32MB",
                "archive_mode": "on",
                # what a killed postmaster leaves stays inside the data directory, not in /dev/shm
                "dynamic_shared_memory_type": "mmap",
            },
        },
    }


def _postgresql(lab: Lab, member: Member, passwords: Passwords) -> dict[str, object]:
    backrest = f"pgbackrest --config={member.pgbackrest_config} --stanza={lab.name}"
    return {
        "listen": f"{member.address}:{POSTGRES}",
        "connect_address": f"{member.address}:{POSTGRES}",
        "data_dir": str(member.data_dir),
        "bin_dir": lab.pg_bin,
        "pgpass": str(member.directory / "pgpass"),
        "authentication": {
            "superuser": {"username": "postgres", "password": passwords.postgres},
            "replication": {"username": "replicator", "password": passwords.replicator},
            "rewind": {"username": "rewind", "password": passwords.rewind},
        },
        "parameters": {
            "unix_socket_directories": str(member.socket_dir),
            "archive_command": f'{backrest} archive-push "%p"',
            "logging_collector": "on",
            "log_directory": str(lab.log_dir),
            "log_filename": f"postgresql-{member.name}.log",
            "log_rotation_age": 0,
            "log_rotation_size": 0,
            "log_line_prefix": "%m [%p] %q%u@%d ",
        },
        "recovery_conf": {"restore_command": f'{backrest} archive-get %f "%p"'},
        "basebackup": [{"checkpoint": "fast"}, "no-sync"],
        "pg_hba": [
            # the socket's directory admits the lab's user alone
            "local all all trust",
            "host replication replicator 127.0.0.0/8 scram-sha-256",
            "host all all 127.0.0.0/8 scram-sha-256",
        ],
    }


def render_post_init(lab: Lab, member: Member) -> str:
    """What Patroni runs once on the new primary, with the connection string as its argument.

    The stanza is made here, before any WAL file is finished, so that the archiver never fails on a missing stanza.
    """
    psql = shlex.join([f"{lab.pg_bin}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1"])
    roles = shlex.quote(str(member.directory / "roles.sql"))
    stanza = shlex.join(["pgbackrest", f"--config={member.pgbackrest_config}", f"--stanza={lab.name}", "stanza-create"])
    return f'#!/bin/sh\nset -eu\n{psql} -d "$1" -f {roles}\nexec {stanza}\n'


def render_roles(passwords: Passwords) -> str:
    """The roles beside Patroni's own, and a database with one table to write into."""
    return (
        f"CREATE ROLE monitor LOGIN PASSWORD '{passwords.monitor}';\n"
        "GRANT pg_monitor TO monitor;\n"
        f"CREATE ROLE app LOGIN PASSWORD '{passwords.app}';\n"
        "CREATE DATABASE app OWNER app;\n"
        "\\connect app\n"
        "CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
        "  at timestamptz NOT NULL DEFAULT clock_timestamp(), written_on text NOT NULL, note text NOT NULL);\n"
        "ALTER TABLE ledger OWNER TO app;\n"
    )
