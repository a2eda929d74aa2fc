"""Replies as real servers gave them: Patroni 3.0.2 to 4.1.5, its keys in etcd, pgBackRest 2.45 and newer forms."""

from __future__ import annotations

import json
from typing import Any

SYSTEM = "7711099966935465950"

_COMMON: dict[str, Any] = {
    "state": "running",
    "postmaster_start_time": "2026-11-22 20:46:09.540571+00:00",
    "server_version": 150020,
    "timeline": 1,
    "dcs_last_seen": 1795380375,
    "database_system_identifier": SYSTEM,
}
_SENDER = {
    "usename": "repl",
    "application_name": "n3",
    "client_addr": "127.0.0.1",
    "state": "streaming",
    "sync_state": "async",
    "sync_priority": 0,
}

LEADER_302 = {
    **_COMMON,
    "role": "master",
    "xlog": {"location": 67108864},
    "replication": [_SENDER],
    "patroni": {"version": "3.0.2", "scope": "demo"},
}
REPLICA_302 = {
    **_COMMON,
    "role": "replica",
    "xlog": {"received_location": 67108864, "replayed_location": 67108864, "replayed_timestamp": None, "paused": False},
    "patroni": {"version": "3.0.2", "scope": "demo"},
}
LEADER_330 = {
    **LEADER_302,
    "pending_restart": True,
    "pending_restart_reason": {"max_connections": {"old_value": "100", "new_value": "50"}},
    "patroni": {"version": "3.3.10", "scope": "demo", "name": "n1"},
}
REPLICA_330 = {
    **REPLICA_302,
    "replication_state": "streaming",
    "tags": {"nofailover": True},
    "patroni": {"version": "3.3.10", "scope": "demo", "name": "n2"},
}
LEADER_407 = {
    **LEADER_330,
    "role": "primary",
    "pause": True,
    "watchdog_failed": True,
    "patroni": {"version": "4.0.7", "scope": "demo", "name": "n1"},
}
REPLICA_407 = {
    **REPLICA_330,
    "quorum_standby": True,
    "tags": {"failover_priority": 0},
    "patroni": {"version": "4.0.7", "scope": "demo", "name": "n2"},
}
LEADER_415 = {
    **_COMMON,
    "role": "primary",
    "xlog": {"location": 67108864},
    "replication": [_SENDER],
    "cluster_unlocked": True,
    "failsafe_mode_is_active": True,
    "patroni": {"version": "4.1.5", "scope": "demo", "name": "n1"},
}
REPLICA_415 = {**REPLICA_407, "patroni": {"version": "4.1.5", "scope": "demo", "name": "n2"}}
ARCHIVE_415 = {**REPLICA_415, "replication_state": "in archive recovery"}
STOPPED_415 = {"state": "stopped", "role": "replica", "patroni": {"version": "4.1.5", "scope": "demo", "name": "n2"}}

KEYS: dict[str, Any] = {
    "config": {
        "ttl": 30,
        "loop_wait": 10,
        "retry_timeout": 10,
        "pause": False,
        "synchronous_mode": True,
        "synchronous_mode_strict": True,
        "failsafe_mode": True,
        "check_timeline": True,
        "maximum_lag_on_failover": 1048576,
        "postgresql": {"use_pg_rewind": True, "remove_data_directory_on_rewind_failure": False},
        "standby_cluster": None,
    },
    "history": [[1, 117440672, "no recovery target specified", "2026-11-22T20:58:22.150474+00:00", "n2"]],
    "status": {"optime": 131029296, "slots": {"n2": 117918432}, "retain_slots": ["n1", "n2"]},
    "sync": {"leader": "n1", "quorum": 1, "sync_standby": "n2,n3"},
    "failover": {"leader": "n1", "member": "n3", "scheduled_at": "2030-01-01T00:00:00+00:00"},
    "failsafe": {"n1": "http://127.0.0.1:8008/patroni", "n2": "http://127.0.0.2:8008/patroni"},
    "members/n2": {
        "conn_url": "postgres://127.0.0.2:5432/postgres",
        "api_url": "http://127.0.0.2:8008/patroni",
        "state": "running",
        "role": "replica",
        "version": "4.1.5",
        "timeline": 2,
        "tags": {"nofailover": False},
        "pause": False,
        "pending_restart": False,
    },
}
RUN_RECORD = {
    "schema": 1,
    "id": "20261123-0412-k7f3",
    "procedure": "pause",
    "goal": "pause the cluster demo",
    "by": "alice",
    "host": "ops1",
    "pid": 123,
    "since": "2026-11-23T02:12:00+00:00",
    "state": "running",
    "step": "set-pause",
    "step_number": 2,
    "steps": 3,
    "why": "",
    "digest": "0f" * 32,
    "token": 123,
    "action": 1,
    "back": True,
    "journal": "/var/lib/pgops/runs/20261123-0412-k7f3.jsonl",
}
LOCK_RECORD = {
    "schema": 1,
    "run": "20261123-0412-k7f3",
    "by": "alice",
    "host": "ops1",
    "pid": 123,
    "what": "pause",
    "since": "2026-11-23T02:12:00+00:00",
}
PAUSE_RECORD = {
    "schema": 1,
    "owner": "ops@db1",
    "reason": "upgrade",
    "since": "2026-11-22T20:58:22+00:00",
    "expires": "2030-01-01T00:00:00+00:00",
}

INFO_245: list[dict[str, Any]] = json.loads(
    """[{"archive":[{"database":{"id":1,"repo-key":1},"id":"15-1","max":"000000010000000000000006",
    "min":"000000010000000000000001"}],"backup":[{"archive":{"start":"000000010000000000000005",
    "stop":"000000010000000000000006"},"backrest":{"format":5,"version":"2.45"},"database":{"id":1,"repo-key":1},
    "error":false,"info":{"delta":23266797,"repository":{"delta":3548887,"size":3548887},"size":23266797},
    "label":"20261122-204616F","lsn":{"start":"0/5000028","stop":"0/6000050"},"prior":null,"reference":null,
    "timestamp":{"start":1795380376,"stop":1795380379},"type":"full"}],"cipher":"none",
    "db":[{"id":1,"repo-key":1,"system-id":7711099966935465950,"version":"15"}],"name":"demo",
    "repo":[{"cipher":"none","key":1,"status":{"code":0,"message":"ok"}}],
    "status":{"code":0,"lock":{"backup":{"held":false}},"message":"ok"}}]"""
)
INFO_259: list[dict[str, Any]] = json.loads(
    """[{"archive":[{"database":{"id":1,"repo-key":1},"id":"17-1","max":"000000020000000000000009",
    "min":"000000010000000000000001"},{"database":{"id":1,"repo-key":2},"id":"17-1","max":"000000020000000000000009",
    "min":"000000010000000000000001"}],"backup":[{"annotation":{"ticket":"42"},"archive":{"start":
    "000000010000000000000005","stop":"000000010000000000000006"},"backrest":{"format":5,"version":"2.59.0"},
    "database":{"id":1,"repo-key":1},"error":false,"info":{"delta":23266797,"repository":{"delta":3548887},
    "size":23266797},"label":"20261122-204616F","lsn":{"start":"0/5000028","stop":"0/6000050"},"prior":null,
    "reference":null,"timestamp":{"start":1795380376,"stop":1795380379},"type":"full"},{"annotation":null,"archive":
    {"start":"000000020000000000000008","stop":"000000020000000000000008"},"backrest":{"format":5,"version":"2.59.0"},
    "database":{"id":1,"repo-key":2},"error":true,"info":{"delta":1,"repository":{"delta":1},"size":1},"label":
    "20261122-204616F_20261123-010000I","lsn":{"start":"0/8000028","stop":"0/8000150"},"prior":"20261122-204616F",
    "reference":["20261122-204616F"],"timestamp":{"start":1795395600,"stop":1795395610},"type":"incr"}],"cipher":
    "mixed","db":[{"id":1,"repo-key":1,"system-id":7711099966935465950,"version":"17"},{"id":1,"repo-key":2,
    "system-id":7711099966935465950,"version":"17"}],"name":"demo","repo":[{"cipher":"none","key":1,"status":{"code":0,
    "message":"ok"}},{"cipher":"aes-256-cbc","key":2,"status":{"code":2,"message":"no valid backups"}}],"status":
    {"code":4,"lock":{"backup":{"held":true,"size":100,"size-cplt":40,"repo":[{"key":1,"size":100,"size-cplt":40}]},
    "restore":{"held":false}},"message":"different across repos"}}]"""
)
