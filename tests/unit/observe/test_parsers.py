"""Recorded replies of servers and programs, and what is made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pgops.config.model import ClusterConfig, DcsConfig, DcsKind
from pgops.dcs import DcsKey
from pgops.observe.deep import choose, finished_segments
from pgops.observe.facts import DataDirFiles
from pgops.observe.fields import ShapeFault
from pgops.observe.host import parse_control, parse_disks, parse_files, parse_identity
from pgops.observe.keys import parse_keys, record_prefix
from pgops.observe.lsn import format_lsn, parse_lsn, segment_start, segment_timeline
from pgops.observe.proxy import parse_servers
from pgops.observe.rest import parse_status
from pgops.observe.snapshot import HistoryEntry
from pgops.observe.stanza import parse_info, parse_stored_segments
from pgops.pgbackrest.commands import Stanza, list_argv
from pgops.readings import Known
from pgops.render.text import printable
from pgops.render.units import format_bytes, format_duration
from unit.checks import worlds as w
from unit.observe.recorded import INFO_245

REPLICA_302 = {
    "state": "running",
    "postmaster_start_time": "2026-11-22 20:46:12.1+00:00",
    "role": "replica",
    "server_version": 150020,
    "xlog": {"received_location": 67108864, "replayed_location": 67108860, "replayed_timestamp": None, "paused": False},
    "timeline": 1,
    "dcs_last_seen": 1795380375,
    "database_system_identifier": "7711099966935465950",
    "patroni": {"version": "3.0.2", "scope": "demo"},
}
LEADER_302 = {
    **REPLICA_302,
    "role": "master",
    "xlog": {"location": 67108864},
    "replication": [{"usename": "repl", "application_name": "n3", "client_addr": "127.0.0.1", "state": "streaming"}],
}
CREATING = {"state": "creating replica", "role": "uninitialized", "patroni": {"version": "4.1.5", "scope": "demo"}}

CONTROL = """\
pg_control version number:            1300
Catalog version number:               202209061
Database system identifier:           7711099966935465950
Database cluster state:               in archive recovery
Latest checkpoint location:           0/5000060
Latest checkpoint's REDO location:    0/5000028
Latest checkpoint's TimeLineID:       2
Minimum recovery ending location:     0/6000000
Min recovery ending loc's timeline:   2
Bytes per WAL segment:                16777216
Data page checksum version:           1
"""


def test_a_replica_of_patroni_3_0() -> None:
    status = parse_status(REPLICA_302)
    assert (status.role, status.state, status.replication_state) == ("replica", "running", None)
    assert (status.received_bytes, status.replayed_bytes) == (67108864, 67108860)
    assert status.senders is None


def test_a_leader_of_patroni_3_0_is_a_primary_and_lists_its_senders() -> None:
    status = parse_status(LEADER_302)
    assert (status.role, status.location_bytes, status.senders) == ("primary", 67108864, (("n3", "streaming"),))


def test_a_member_without_a_server_tells_state_and_role_alone() -> None:
    status = parse_status(CREATING)
    assert (status.state, status.role, status.timeline, status.location_bytes) == (
        "creating replica",
        "uninitialized",
        None,
        None,
    )


def test_pgbackrest_2_45() -> None:
    facts = parse_info(INFO_245, "demo")
    assert facts.current_system_identifier == "7711099966935465950"  # beyond 2^53
    (backup,) = facts.backups
    assert (backup.kind, backup.error, backup.timeline, backup.stopped_at.timestamp()) == ("full", False, 1, 1795380379)
    assert (facts.archive_id, facts.backup_running) == ("15-1", False)
    with pytest.raises(ShapeFault, match="does not name stanza other"):
        parse_info(INFO_245, "other")


def test_pgbackrest_with_a_lock_per_repository_and_an_upgraded_stanza() -> None:
    newer: dict[str, Any] = json.loads(json.dumps(INFO_245[0]))
    newer["status"]["lock"]["backup"] = {"held": True, "repo": [{"key": 1, "size": 10, "size-cplt": 5}]}
    newer["db"].append({"id": 2, "repo-key": 1, "system-id": 42, "version": "17"})
    newer["archive"].append({"database": {"id": 2, "repo-key": 1}, "id": "17-2", "max": None, "min": None})
    facts = parse_info([newer], "demo")
    assert (facts.backup_running, facts.current_database_id, facts.archive_id, facts.archive_max) == (
        True,
        2,
        "17-2",
        None,
    )


def test_pgbackrest_options_come_before_the_command_and_parameters_after() -> None:
    argv = list(list_argv(Stanza("demo", "/c"), "archive/demo", as_json=True))
    assert argv[:3] == ["pgbackrest", "--config=/c", "--stanza=demo"]
    assert argv[-3:] == ["--output=json", "repo-ls", "archive/demo"]


def test_stored_segments_tell_their_hash() -> None:
    names: dict[str, object] = {
        f"000000010000000000000001-{'a' * 40}.gz": {},
        f"000000010000000000000002.partial-{'b' * 40}.zst": {},
        ".": {},
    }
    assert parse_stored_segments(names) == {"000000010000000000000001": "a" * 40}


def test_control_data() -> None:
    facts = parse_control(CONTROL)
    assert (facts.state, facts.checkpoint_timeline, facts.checkpoint_bytes) == ("in archive recovery", 2, 0x5000060)
    assert (facts.minimum_recovery_bytes, facts.checksums, facts.segment_bytes) == (0x6000000, True, 16777216)
    with pytest.raises(KeyError):
        parse_control("pg_controldata: fatal")


def test_disks_are_counted_once_per_file_system_whatever_their_names() -> None:
    output = """\
Mounted on       File                   1B-blocks     Avail Use% IUse%
/                /data                       1000       600  40%    3%
/                /data/pg_wal                1000       600  40%    3%
/mnt/with space  /mnt/with space/t           2000       100  95%     -
"""
    root, other = parse_disks(output)
    assert (root.paths, root.used_percent, root.inodes_used_percent) == (("/data", "/data/pg_wal"), 40.0, 3.0)
    assert (other.mount, other.paths, other.inodes_used_percent) == ("/mnt/with space", ("/mnt/with space/t",), None)


def test_files_of_a_data_directory() -> None:
    names = [
        "standby.signal",
        "00000002.history",
        "000000020000000000000005",
        "000000020000000000000004.ready",
        "PG_VERSION",
    ]
    files = parse_files(names)
    assert (files.signals, files.ready_count) == (("standby.signal",), 1)
    assert (files.histories, files.segments) == (("00000002.history",), ("000000020000000000000005",))


def test_hashes() -> None:
    identity = parse_identity(
        f"{'a' * 40}  /d/pg_wal/000000010000000000000001\n{'b' * 40}  /d/pg_wal/00000002.history\n"
    )
    assert identity.segments == {"000000010000000000000001": "a" * 40}
    assert identity.histories == {"00000002.history": "b" * 40}


def test_haproxy_s_statistics() -> None:
    text = "# pxname,svname,status,addr,type,\nprimary,FRONTEND,OPEN,,0,\nprimary,n1,UP,10.0.0.1:5432,2,\nprimary,n2,no check,,2,\n"
    assert [(s.name, s.status, s.address) for s in parse_servers(text)] == [
        ("n1", "UP", "10.0.0.1:5432"),
        ("n2", "no check", None),
    ]
    with pytest.raises(ValueError, match="not HAProxy"):
        parse_servers("<html>")


def test_keys_of_patroni_3_and_4() -> None:
    prefix = "/service/demo/"
    values = {
        "leader": "n1",
        "initialize": "7711099966935465950",
        "history": '[[1,117440672,"no recovery target specified","2026-11-22T20:58:22.150474+00:00","n2"],[2,117641520,"before"]]',
        "members/n2": '{"conn_url":"postgres://h:5433/postgres","role":"master","state":"running","tags":{"nofailover":true}}',
        "sync": '{"leader":"n1","quorum":1,"sync_standby":"n2,n3"}',
        "failover": "{}",
        "optime/leader": "67239288",
        "config": "{not json",
    }
    entries = {
        prefix + key: DcsKey(prefix + key, value, 1, 7 if key == "leader" else None) for key, value in values.items()
    }
    keys = parse_keys(prefix, entries, {})
    assert [entry.switch_bytes for entry in keys.history] == [117440672, 117641520]
    assert keys.members[0].role == "primary"
    assert keys.sync is not None and keys.sync.standbys == ("n2", "n3")
    assert (keys.failover, keys.optime_bytes, keys.leader_has_lease) == ({}, 67239288, True)
    assert keys.faults == ("config: not JSON",)


def test_a_record_of_a_newer_pgops_is_a_fault_and_not_a_guess() -> None:
    prefix = "/service/demo/"
    record = DcsKey("", '{"schema": 2, "since": "2026-11-22T20:58:22+00:00"}', 1)
    keys = parse_keys(prefix, {}, {f"{record_prefix(prefix)}pause": record})
    assert keys.pause_record is None
    assert "upgrade pgops" in keys.faults[0]


def test_only_segments_that_are_surely_final_are_compared() -> None:
    """Recycled files have names of the future, and a replaced timeline's last segment was cut."""
    names = (
        "000000010000000000000004",
        "000000010000000000000005",
        "000000020000000000000005",
        "000000020000000000000012",
    )
    files = Known(DataDirFiles(frozenset(), 0, ("00000002.history",), names))
    history = (HistoryEntry(1, parse_lsn("0/5800000"), "x"),)
    world = replace(w.with_node("n1", files=files), keys=Known(w.keys(history=history)))
    assert finished_segments(world, world.nodes[0]) == ("000000010000000000000004", "000000020000000000000005")
    lost = replace(world, keys=Known(w.keys(history=())))
    assert finished_segments(lost, lost.nodes[0]) == ("000000020000000000000005",)


def test_what_is_hashed_is_new_and_shared() -> None:
    finished = {"a": [f"{n:024X}" for n in range(10)], "b": [f"{n:024X}" for n in range(6)]}
    assert choose(finished["a"], finished) == tuple(f"{n:024X}" for n in (0, 3, 4, 5, 7, 8, 9))


def test_positions() -> None:
    assert format_lsn(parse_lsn("16/B374D848")) == "16/B374D848"
    assert (segment_timeline("0000000A0000000100000002"), segment_start("0000000A0000000100000002", 16777216)) == (
        10,
        0x1_02000000,
    )
    for wrong in ("", "1", "x/y", "0/123456789", "0/1\n"):
        with pytest.raises(ValueError, match="not an LSN"):
            parse_lsn(wrong)


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (-1024, "-1.0 KiB"), (2**50, "1024.0 TiB")])
def test_sizes(count: int, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (60, "1m"), (93784, "1d 2h"), (3600, "1h"), (-90, "-1m 30s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_text_from_outside_cannot_steer_a_terminal() -> None:
    assert printable("a\x1b[31m\nb\u202e\U000e0001") == "a\\x1b[31m\\x0ab\\u202e\\U000e0001"
    assert printable("Zürich 数") == "Zürich 数"


def test_the_prefix_ends_with_a_slash_so_that_main_is_not_main2() -> None:
    cluster = ClusterConfig("x", "main", DcsConfig(DcsKind.ETCD3, ()))
    assert cluster.prefix == "/service/main/"
