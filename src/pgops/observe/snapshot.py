"""One frozen snapshot of a cluster: what every member, the DCS, the proxies and the repository said at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any

from pgops.config.model import ClusterConfig
from pgops.dcs import DcsHealth
from pgops.observe.branch_facts import BranchFacts, CopyFacts, SameTimeline, StoredWal
from pgops.observe.facts import (
    ArchiveFacts,
    ControlFacts,
    DataDirFiles,
    DiskUsage,
    ExpiryFacts,
    JobFacts,
    RestStatus,
    ScheduleFacts,
    SqlFacts,
    StanzaFacts,
    WalIdentity,
)
from pgops.observe.guard_facts import GuardFacts
from pgops.observe.record_facts import (
    DrillRecord,
    GuardRecord,
    LeftOutRecord,
    LockRecord,
    PauseRecord,
    RestRecord,
    RunRecord,
)
from pgops.observe.salvage_facts import SalvageFacts
from pgops.readings import Known, Reading, Skipped
from pgops.services import ServiceState


class View(str, Enum):
    """A group of probes. A check names those it reads; no more is read."""

    REST = "rest"
    DCS = "dcs"
    SQL = "sql"
    HOST = "host"
    SERVICES = "services"
    BACKUP = "backup"
    PROXY = "proxy"
    DEEP = "deep"
    JOBS = "jobs"
    ARCHIVE = "archive"
    EXPIRY = "expiry"
    SCHEDULE = "schedule"
    BRANCH = "branch"
    COPIES = "copies"
    SALVAGE = "salvage"
    GUARD = "guard"
    SAME_TIMELINE = "same-timeline"
    TIMELINES = "timelines"


QUICK = frozenset({View.REST, View.DCS})
USUAL = frozenset(View) - {
    *(View.DEEP, View.JOBS, View.ARCHIVE, View.EXPIRY, View.BRANCH, View.COPIES, View.SALVAGE),
    *(View.GUARD, View.SAME_TIMELINE, View.TIMELINES),
}
ALL = frozenset(View)

NOT_ASKED = Skipped("not asked for in this run")


@dataclass(frozen=True)
class Member:
    """A member's own key in the DCS (`members/NAME`)."""

    name: str
    api_url: str | None
    conn_url: str | None
    role: str | None
    state: str | None
    version: str | None
    timeline: int | None
    pause: bool
    pending_restart: bool
    tags: Mapping[str, Any]


@dataclass(frozen=True)
class HistoryEntry:
    """One line of the DCS's history: `timeline` ended at `switch_bytes`."""

    timeline: int
    switch_bytes: int
    reason: str


@dataclass(frozen=True)
class SyncKey:
    """The `sync` key: who leads, and which members a commit waits for."""

    leader: str | None
    standbys: tuple[str, ...]


@dataclass(frozen=True)
class DcsKeys:
    """Patroni's keys of one scope and pgops's own records. None: the key is absent.

    `faults` names keys whose value could not be understood.
    """

    leader: str | None
    leader_has_lease: bool
    initialize: str | None
    config: Mapping[str, Any] | None
    members: tuple[Member, ...]
    history: tuple[HistoryEntry, ...]
    optime_bytes: int | None
    sync: SyncKey | None
    failover: Mapping[str, Any] | None
    failsafe: Mapping[str, str] | None
    pause_record: PauseRecord | None
    faults: tuple[str, ...] = ()
    records_fault: str | None = None
    """Why pgops's own records could not be read, where Patroni's keys could."""
    revisions: Mapping[str, int] = field(default_factory=dict)
    """Every key's mod_revision by full name, Patroni's and pgops's own alike. An absent key has none."""
    run_record: RunRecord | None = None
    """The run under the `topology` lock, which blocks every other one of its kind."""
    side_runs: Mapping[str, RunRecord] = field(default_factory=dict)
    """The runs under the other locks, by lock."""
    locks: tuple[LockRecord, ...] = ()
    rest_record: RestRecord | None = None
    drill_record: DrillRecord | None = None
    left_out_record: LeftOutRecord | None = None
    guard_record: GuardRecord | None = None
    unread_records: Mapping[str, str] = field(default_factory=dict)
    """Records that are there but cannot be read, by name (`run`, `run/backup`, `lock/topology`, `pause`), with the reason."""

    def run_under(self, lock: str) -> RunRecord | None:
        """The run under that lock, under way or left unfinished."""
        return self.run_record if lock == "topology" else self.side_runs.get(lock)

    @property
    def paused(self) -> bool:
        """Whether the dynamic configuration says pause."""
        return bool((self.config or {}).get("pause"))

    def setting(self, name: str, default: Any) -> Any:
        """A top-level value of the dynamic configuration, else Patroni's own default, given by the caller."""
        value = (self.config or {}).get(name)
        return default if value is None else value

    def number(self, name: str, default: int) -> int | float | None:
        """A number at the top level of the dynamic configuration, None where the value is none.

        Digits in a text count, as for Patroni. Source: Patroni, patroni/config.py, _safe_copy_dynamic_configuration.
        """
        value = self.setting(name, default)
        if isinstance(value, str) and len(value) < 20:
            try:
                value = int(value)
            except ValueError:
                return None
        usable = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**63
        return value if usable else None


@dataclass(frozen=True)
class ProxyServer:
    """One server of one HAProxy back end. `status` is HAProxy's word (`UP`, `DOWN`, `no check`, `MAINT`)."""

    backend: str
    name: str
    address: str | None
    status: str


@dataclass(frozen=True)
class ProxyView:
    """One HAProxy: its servers by back end, and which PostgreSQL really answers behind the primary port.

    `reachable` false: nobody took the connection; None: it was taken, but who answers could not be asked.
    """

    name: str
    primary_port: int | None
    servers: Reading[tuple[ProxyServer, ...]]
    target: Reading[ProxyTarget]
    reachable: bool | None = None


@dataclass(frozen=True)
class ProxyTarget:
    """The PostgreSQL behind a proxy's port. It is known by its start time, since a pooler may hide its address."""

    started_at_s: float
    in_recovery: bool
    address: str | None


@dataclass(frozen=True)
class Node:
    """One member, asked itself. `primary_code` and `liveness_code` are HTTP statuses of GET /primary and /liveness."""

    name: str
    configured: bool
    member: Member | None
    sql_address: str | None
    rest_url: str | None
    rest: Reading[RestStatus] = NOT_ASKED
    primary_code: Reading[int] = NOT_ASKED
    liveness_code: Reading[int] = NOT_ASKED
    sql: Reading[SqlFacts] = NOT_ASKED
    control: Reading[ControlFacts] = NOT_ASKED
    files: Reading[DataDirFiles] = NOT_ASKED
    disks: Reading[tuple[DiskUsage, ...]] = NOT_ASKED
    services: Reading[tuple[ServiceState, ...]] = NOT_ASKED
    stanza: Reading[StanzaFacts] = NOT_ASKED
    identity: Reading[WalIdentity] = NOT_ASKED
    jobs: Reading[Mapping[str, JobFacts]] = NOT_ASKED
    expiry: Reading[ExpiryFacts] = NOT_ASKED
    schedules: Reading[ScheduleFacts] = NOT_ASKED
    branch: Reading[BranchFacts] = NOT_ASKED
    copies: Reading[tuple[CopyFacts, ...]] = NOT_ASKED
    salvages: Reading[SalvageFacts] = NOT_ASKED
    guard: Reading[GuardFacts] = NOT_ASKED

    @property
    def is_primary(self) -> bool | None:
        """Whether its PostgreSQL takes writes: by SQL, else by Patroni's word; None when neither could be asked."""
        if isinstance(self.sql, Known):
            return not self.sql.value.in_recovery
        if isinstance(self.rest, Known) and self.rest.value.role is not None:
            return self.rest.value.role == "primary" and self.rest.value.state == "running"
        return None


@dataclass(frozen=True)
class Snapshot:
    """Everything that was read of one cluster, and when."""

    cluster: ClusterConfig
    taken_at: datetime
    views: frozenset[View]
    nodes: tuple[Node, ...] = ()
    keys: Reading[DcsKeys] = NOT_ASKED
    dcs: Reading[DcsHealth] = NOT_ASKED
    proxies: tuple[ProxyView, ...] = ()
    repository: Reading[WalIdentity] = NOT_ASKED
    archives: Reading[tuple[ArchiveFacts, ...]] = NOT_ASKED
    same_timeline: Reading[tuple[SameTimeline, ...]] = NOT_ASKED
    barring: Reading[tuple[StoredWal, ...]] = NOT_ASKED
    """What lies in an archive, with another content, under the name of a `.partial` file that a primary fails to archive."""
    archived_timelines: Reading[Mapping[int, str]] = NOT_ASKED
    """History files in any archive, by timeline, from the lowest timeline of a member on."""
    warnings: tuple[str, ...] = field(default=())

    @property
    def primaries(self) -> tuple[Node, ...]:
        """The members that take writes, as seen."""
        return tuple(node for node in self.nodes if node.is_primary)

    @property
    def leader(self) -> str | None:
        """The lock holder by the DCS, None when there is none or it is not known."""
        return self.keys.value.leader if isinstance(self.keys, Known) else None

    def node(self, name: str | None) -> Node | None:
        """The member of that name."""
        return next((node for node in self.nodes if node.name == name), None)

    def with_node(self, changed: Node) -> Snapshot:
        """The same, with `changed` in the place of the member of its name."""
        return replace(self, nodes=tuple(changed if node.name == changed.name else node for node in self.nodes))
