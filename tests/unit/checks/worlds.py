"""A healthy three-member cluster as a snapshot, and ways to change one thing in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from pgops.config.model import ClusterConfig, DcsConfig, DcsKind, HostConfig, ProxyConfig
from pgops.dcs import DcsHealth, DcsMember
from pgops.observe.facts import (
    Activity,
    Archiver,
    Backup,
    ControlFacts,
    DataDirFiles,
    DiskUsage,
    RepositoryStatus,
    RestStatus,
    Setting,
    SqlFacts,
    StanzaFacts,
    WalIdentity,
    WalReceiver,
    WalSender,
)
from pgops.observe.snapshot import (
    ALL,
    DcsKeys,
    HistoryEntry,
    Member,
    Node,
    ProxyServer,
    ProxyTarget,
    ProxyView,
    Snapshot,
)
from pgops.readings import Known
from pgops.services import ServiceState

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=timezone.utc)
SYSTEM = "7711099966935465950"
MIB = 1024 * 1024
END = 0x12_0000_00
SEGMENT = "000000020000000000000011"
SETTINGS = {
    "archive_mode": "on",
    "archive_command": "pgbackrest --stanza=demo archive-push %p",
    "data_checksums": "on",
    "full_page_writes": "on",
    "wal_log_hints": "off",
    "synchronous_standby_names": "",
}


def setting(value: str, file: str | None = None) -> Setting:
    """A row of pg_settings."""
    return Setting(value, "configuration file", file, pending_restart=False)


def sql_facts(*, leader: bool, **changes: Any) -> SqlFacts:
    """A healthy server."""
    receiver = None if leader else WalReceiver("streaming", 2, END, "10.0.0.1")
    senders = tuple(WalSender(name, None, "streaming", "async", END, END, END, None) for name in ("n2", "n3"))
    facts = SqlFacts(
        in_recovery=not leader,
        system_identifier=SYSTEM,
        version_num=150020,
        started_at_s=1.0 if leader else 2.0,
        timeline=2,
        flush_bytes=END if leader else None,
        receive_bytes=None if leader else END,
        replay_bytes=None if leader else END,
        replay_timestamp=None if leader else NOW - timedelta(seconds=1),
        replay_paused=False,
        clock_skew_s=0.0,
        segment_bytes=16 * MIB,
        tablespaces=(),
        settings=Known({name: setting(value) for name, value in SETTINGS.items()}),
        receiver=Known(receiver),
        senders=Known(senders if leader else ()),
        slots=Known(()),
        archiver=Known(Archiver(9, SEGMENT, NOW - timedelta(minutes=1), 0, None, None, Known(0))),
        activity=Known(Activity(None, None, 0, None)),
    )
    return replace(facts, **changes)


def rest_status(*, leader: bool, **changes: Any) -> RestStatus:
    """A healthy Patroni."""
    status = RestStatus(
        state="running",
        role="primary" if leader else "replica",
        timeline=2,
        location_bytes=END if leader else None,
        received_bytes=None if leader else END,
        replayed_bytes=None if leader else END,
        replication_state=None if leader else "streaming",
        dcs_last_seen_s=int(NOW.timestamp()) - 2,
        system_identifier=SYSTEM,
        patroni_version="4.1.5",
        scope="demo",
        tags={},
    )
    return replace(status, **changes)


def backup(kind: str = "full", age: timedelta = timedelta(hours=2), **changes: Any) -> Backup:
    """A good backup that ended `age` ago."""
    made = Backup(f"label-{kind}", kind, 1, NOW - age, NOW - age, False, 1, 2)
    return replace(made, **changes)


def stanza(*backups: Backup, **changes: Any) -> StanzaFacts:
    """A good stanza."""
    facts = StanzaFacts(
        0,
        "ok",
        (RepositoryStatus(1, 0, "ok"),),
        backups or (backup(),),
        1,
        SYSTEM,
        SEGMENT,
        "15-1",
        backup_running=False,
    )
    return replace(facts, **changes)


def member(name: str) -> Member:
    """A member's key."""
    return Member(name, f"http://{name}:8008/patroni", None, None, "running", "4.1.5", 2, False, False, {})


def node(name: str, *, leader: bool = False) -> Node:
    """A healthy member."""
    files = frozenset({"PG_VERSION"} if leader else {"PG_VERSION", "standby.signal"})
    return Node(
        name=name,
        configured=True,
        member=member(name),
        sql_address=f"{name}:5432",
        rest_url=f"http://{name}:8008",
        rest=Known(rest_status(leader=leader)),
        primary_code=Known(200 if leader else 503),
        liveness_code=Known(200),
        sql=Known(sql_facts(leader=leader)),
        control=Known(ControlFacts("in production", SYSTEM, END, 2, None, True, 16 * MIB)),
        files=Known(DataDirFiles(files, 0, (), (SEGMENT,))),
        disks=Known((DiskUsage("/", ("/data",), 100, 60, 40.0, 3.0),)),
        services=Known((ServiceState("patroni", "patroni.service", True, "active", True, 1),)),
        stanza=Known(stanza()),
        identity=Known(WalIdentity({SEGMENT: "a" * 40}, {"00000002.history": "b" * 40})),
    )


def dcs_member(name: str, **changes: Any) -> DcsMember:
    """A healthy etcd member."""
    made = DcsMember(name, f"id-{name}", (f"http://{name}:2379",), version="3.5.16", leader_id="id-n1", db_size_bytes=1)
    return replace(made, **changes)


def keys(**changes: Any) -> DcsKeys:
    """Patroni's keys."""
    config = {"ttl": 30, "loop_wait": 10, "retry_timeout": 10, "postgresql": {"use_pg_rewind": True}}
    made = DcsKeys(
        leader="n1",
        leader_has_lease=True,
        initialize=SYSTEM,
        config=config,
        members=tuple(member(name) for name in ("n1", "n2", "n3")),
        history=(HistoryEntry(1, 0x5_0000_00, "no recovery target specified"),),
        optime_bytes=END,
        sync=None,
        failover=None,
        failsafe=None,
        pause_record=None,
    )
    return replace(made, **changes)


def healthy() -> Snapshot:
    """Every check says ok of it."""
    cluster = ClusterConfig(
        "demo",
        "demo",
        DcsConfig(DcsKind.ETCD3, ("http://n1:2379",)),
        hosts=tuple(HostConfig(name) for name in ("n1", "n2", "n3")),
        stanza="demo",
        proxies=(ProxyConfig("front", "http://lb:7000", "lb"),),
    )
    target = Known(ProxyTarget(1.0, in_recovery=False, address="10.0.0.1:5432"))
    proxy = ProxyView("front", 5000, Known((ProxyServer("primary", "n1", None, "UP"),)), target, reachable=True)
    return Snapshot(
        cluster,
        NOW,
        ALL,
        (node("n1", leader=True), node("n2"), node("n3")),
        Known(keys()),
        Known(DcsHealth("http://n1:2379", tuple(dcs_member(name) for name in ("n1", "n2", "n3")), Known(()))),
        (proxy,),
        Known(WalIdentity({SEGMENT: "a" * 40}, {"00000002.history": "b" * 40})),
    )


def with_node(name: str, **changes: Any) -> Snapshot:
    """The healthy world with other readings of one member."""
    world = healthy()
    return replace(world, nodes=tuple(replace(n, **changes) if n.name == name else n for n in world.nodes))


def everywhere(**changes: Any) -> Snapshot:
    """... of all members."""
    world = healthy()
    return replace(world, nodes=tuple(replace(node, **changes) for node in world.nodes))


def with_sql(name: str, **changes: Any) -> Snapshot:
    """... with other SQL facts of one member."""
    return with_node(name, sql=Known(sql_facts(leader=name == "n1", **changes)))


def with_rest(name: str, **changes: Any) -> Snapshot:
    """... with another answer of one Patroni."""
    return with_node(name, rest=Known(rest_status(leader=name == "n1", **changes)))


def with_keys(**changes: Any) -> Snapshot:
    """... with other keys in the DCS."""
    return replace(healthy(), keys=Known(keys(**changes)))


def with_config(**values: Any) -> Snapshot:
    """... with another dynamic configuration."""
    return with_keys(config={**(keys().config or {}), **values})


def with_settings(name: str, **values: Setting) -> Snapshot:
    """... with other settings of one server."""
    settings = {key: setting(value) for key, value in SETTINGS.items()}
    return with_sql(name, settings=Known({**settings, **values}))


def with_dcs(*members: DcsMember, alarms: tuple[tuple[str, str], ...] = ()) -> Snapshot:
    """... with another DCS."""
    return replace(healthy(), dcs=Known(DcsHealth("http://n1:2379", members, Known(alarms))))
