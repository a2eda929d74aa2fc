"""One member of the fake cluster: its Patroni and its PostgreSQL as plain values, and the facts that they would give."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pgops.observe.branch_facts import BranchFacts
from pgops.observe.facts import (
    Activity,
    Archiver,
    ControlFacts,
    DataDirFiles,
    DiskUsage,
    RestStatus,
    Setting,
    SqlFacts,
    WalReceiver,
    WalSender,
)
from pgops.observe.lsn import format_lsn
from pgops.readings import Known, Reading, Unknown

MIB = 1024 * 1024
SEGMENT_BYTES = 16 * MIB
REST_PORT, SQL_PORT = 8008, 5432


@dataclass(frozen=True)
class FakeMember:
    """A member. `position_bytes` is where its WAL ends, `wal_from_bytes` where the oldest begins that is not recycled yet.

    `own_branch`: it wrote past where its timeline had ended. `patroni` `frozen`: the process stands still and answers
    nobody, while its PostgreSQL runs on. `acknowledges`: what its Patroni says of the pause. `holds_lock`: it believes so
    itself. `loops` counts the turns of its loop. `host_up` false: nothing of the host can be reached.
    """

    name: str
    role: Literal["primary", "replica"] = "replica"
    patroni: Literal["running", "dead", "frozen"] = "running"
    postgres: Literal["running", "stopped", "crashed"] = "running"
    timeline: int = 2
    position_bytes: int = 0x12_0000_00
    wal_from_bytes: int = 0
    system_identifier: str = "7711099966935465950"
    acknowledges: bool = False
    holds_lock: bool = False
    own_branch: bool = False
    host_up: bool = True
    loops: int = 0
    lease: int | None = None
    patroni_version: str = "4.1.5"

    @property
    def in_recovery(self) -> bool:
        """As PostgreSQL says it."""
        return self.role != "primary"

    @property
    def turns(self) -> bool:
        """Whether its Patroni's loop turns."""
        return self.patroni == "running" and self.host_up


def member_value(member: FakeMember) -> str:
    """What its Patroni publishes under `members/NAME`. Source: Patroni, patroni/ha.py, touch_member."""
    content: dict[str, Any] = {
        "api_url": f"http://{member.name}:{REST_PORT}/patroni",
        "conn_url": f"postgres://{member.name}:{SQL_PORT}/postgres",
        "role": member.role,
        "state": "running" if member.postgres == "running" else "stopped",
        "version": member.patroni_version,
        "timeline": member.timeline,
        "xlog_location": member.position_bytes,
    }
    if member.acknowledges:
        content["pause"] = True
    return json.dumps(content)


def silence(member: FakeMember, what: str) -> Unknown:
    """Why nothing answers there."""
    return Unknown(f"{what}: connection refused" if member.host_up else f"{what}: no answer in time")


def rest_reading(member: FakeMember, scope: str, now: datetime, *, unlocked: bool) -> Reading[RestStatus]:
    """`GET /patroni`."""
    if member.patroni == "frozen" and member.host_up:
        return Unknown("no answer in time")
    if not member.turns:
        return silence(member, f"http://{member.name}:{REST_PORT}")
    running = member.postgres == "running"
    replica = member.in_recovery
    return Known(
        RestStatus(
            state="running" if running else "stopped",
            role=member.role if running else "replica",
            timeline=member.timeline if running else None,
            server_version=150020,
            location_bytes=None if replica else member.position_bytes,
            received_bytes=member.position_bytes if replica else None,
            replayed_bytes=member.position_bytes if replica else None,
            replication_state="streaming" if replica else None,
            dcs_last_seen_s=int(now.timestamp()) + member.loops,
            cluster_unlocked=unlocked,
            pause=member.acknowledges,
            system_identifier=member.system_identifier,
            patroni_version=member.patroni_version,
            scope=scope,
            tags={},
        )
    )


def sql_reading(member: FakeMember, leader: FakeMember | None, replicas: tuple[str, ...]) -> Reading[SqlFacts]:
    """What its PostgreSQL says of itself."""
    if member.postgres != "running" or not member.host_up:
        return Unknown(f"SQL: {silence(member, f'{member.name}:{SQL_PORT}').reason}")
    replica = member.in_recovery
    end = member.position_bytes
    streams = leader is not None and replica and not member.own_branch and leader.postgres == "running"
    receiver = WalReceiver("streaming", member.timeline, end, leader.name) if streams and leader else None
    senders = tuple(WalSender(name, None, "streaming", "async", end, end, end, None) for name in replicas)
    names = {"archive_mode": "on", "data_directory": "/var/lib/postgresql/data", "wal_log_hints": "on"}
    return Known(
        SqlFacts(
            in_recovery=replica,
            system_identifier=member.system_identifier,
            version_num=150020,
            started_at_s=1000.0 + sum(member.name.encode()),
            timeline=member.timeline,
            flush_bytes=None if replica else end,
            receive_bytes=end if replica else None,
            replay_bytes=end if replica else None,
            replay_timestamp=None,
            replay_paused=False,
            clock_skew_s=0.0,
            segment_bytes=SEGMENT_BYTES,
            tablespaces=(),
            settings=Known(
                {name: Setting(value, "default", None, pending_restart=False) for name, value in names.items()}
            ),
            receiver=Known(receiver),
            senders=Known(() if replica else senders),
            slots=Known(()),
            archiver=Known(Archiver(1, None, None, 0, None, None, Known(0))),
            activity=Known(Activity(None, None, 0, None)),
        )
    )


def control_facts(member: FakeMember) -> ControlFacts:
    """pg_controldata."""
    running = "in archive recovery" if member.in_recovery else "in production"
    clean = "shut down in recovery" if member.in_recovery else "shut down"
    state = clean if member.postgres == "stopped" else running
    return ControlFacts(
        state, member.system_identifier, member.position_bytes, member.timeline, None, True, SEGMENT_BYTES
    )


def history_text(timeline: int, origins: Mapping[int, tuple[int, int]]) -> str:
    """Its history file: every ancestor, and where it was left."""
    if timeline not in origins:
        return ""
    parent, left_at = origins[timeline]
    return f"{history_text(parent, origins)}{parent}\t{format_lsn(left_at)}\tno reason\n"


def branch_facts(member: FakeMember, origins: Mapping[int, tuple[int, int]]) -> BranchFacts:
    """Its branch: each of its timelines was begun where the cluster says."""
    serving = member.postgres == "running"
    histories = {}
    timeline = member.timeline
    while timeline in origins:
        histories[timeline] = history_text(timeline, origins)
        timeline = origins[timeline][0]
    end = (None, None) if serving else (member.position_bytes, member.timeline)
    return BranchFacts(True, serving, histories, *end)


def file_facts(member: FakeMember, extra: frozenset[str]) -> DataDirFiles:
    """What lies in its data directory; `extra` are names that a test or an action put there."""
    names = {"PG_VERSION"} | ({"standby.signal"} if member.in_recovery else set()) | extra
    histories = tuple(f"{timeline:08X}.history" for timeline in range(2, member.timeline + 1))
    return DataDirFiles(frozenset(names), 0, histories, ())


DISKS = (DiskUsage("/", ("/var/lib/postgresql/data",), 100 * MIB, 60 * MIB, 40.0, 3.0),)
