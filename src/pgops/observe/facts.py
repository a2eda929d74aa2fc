"""What the probes of one member read: Patroni's REST API, SQL, the host, pgBackRest.

Optional fields are None where the source itself said null or does not have the field in its version; a probe that gave
no answer is an `Unknown` reading one level up. LSNs are byte positions, times are aware, ages and delays are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pgops.readings import Reading


@dataclass(frozen=True)
class RestStatus:
    """`GET /patroni` of one member. `role` is normalised: Patroni before 4.0 says `master` for `primary`.

    Source: Patroni docs, rest_api.rst; patroni/api.py, get_postgresql_status.
    """

    state: str | None
    role: str | None
    timeline: int | None = None
    server_version: int | None = None
    location_bytes: int | None = None
    received_bytes: int | None = None
    replayed_bytes: int | None = None
    replay_paused: bool = False
    replication_state: str | None = None
    dcs_last_seen_s: int | None = None
    cluster_unlocked: bool = False
    failsafe_active: bool = False
    pause: bool = False
    pending_restart: bool = False
    pending_restart_reasons: tuple[tuple[str, str, str], ...] = ()
    watchdog_failed: bool = False
    system_identifier: str | None = None
    patroni_version: str | None = None
    scope: str | None = None
    tags: Mapping[str, Any] | None = None
    senders: tuple[tuple[str, str], ...] | None = None
    """(application name, state) of the WAL senders, where the member lists any."""


@dataclass(frozen=True)
class Setting:
    """One row of pg_settings."""

    value: str
    source: str
    source_file: str | None
    pending_restart: bool


@dataclass(frozen=True)
class WalReceiver:
    """pg_stat_wal_receiver of a standby."""

    status: str
    received_timeline: int | None
    latest_end_bytes: int | None
    sender_host: str | None


@dataclass(frozen=True)
class WalSender:
    """One row of pg_stat_replication."""

    application_name: str
    client_address: str | None
    state: str | None
    sync_state: str | None
    sent_bytes: int | None
    flush_bytes: int | None
    replay_bytes: int | None
    replay_lag_s: float | None


@dataclass(frozen=True)
class Slot:
    """One row of pg_replication_slots. `retained_bytes` None: the slot reserves nothing, or this is a standby."""

    name: str
    kind: str
    active: bool
    wal_status: str | None
    retained_bytes: int | None


@dataclass(frozen=True)
class Archiver:
    """pg_stat_archiver, and how many segments wait (pg_ls_archive_statusdir, `.ready`)."""

    archived_count: int
    last_archived_wal: str | None
    last_archived_at: datetime | None
    failed_count: int
    last_failed_wal: str | None
    last_failed_at: datetime | None
    ready_count: Reading[int]

    @property
    def is_failing(self) -> bool:
        """Whether the last try failed."""
        if self.last_failed_at is None:
            return False
        return self.last_archived_at is None or self.last_failed_at > self.last_archived_at


@dataclass(frozen=True)
class Activity:
    """Old transactions. None: there is none."""

    oldest_transaction_s: float | None
    oldest_transaction: str | None
    prepared_count: int
    oldest_prepared_s: float | None


@dataclass(frozen=True)
class SqlFacts:
    """What one PostgreSQL says of itself. `flush_bytes` is a primary's, `receive_bytes` and `replay_bytes` a standby's.

    `clock_skew_s` is the server's clock minus ours, within half a round trip. Parts for which the role lacks the right
    (pg_monitor) are unknown by themselves.
    """

    in_recovery: bool
    system_identifier: str
    version_num: int
    started_at_s: float
    """Start of the postmaster since the epoch, with microseconds: no two servers share it."""
    timeline: int | None
    flush_bytes: int | None
    receive_bytes: int | None
    replay_bytes: int | None
    replay_timestamp: datetime | None
    replay_paused: bool
    clock_skew_s: float
    segment_bytes: int
    tablespaces: tuple[str, ...]
    settings: Reading[Mapping[str, Setting]]
    receiver: Reading[WalReceiver | None]
    senders: Reading[tuple[WalSender, ...]]
    slots: Reading[tuple[Slot, ...]]
    archiver: Reading[Archiver]
    activity: Reading[Activity]


@dataclass(frozen=True)
class ControlFacts:
    """pg_controldata. `minimum_recovery_bytes` and its timeline are how far a standby replayed at least; None: it is none.

    Source: PostgreSQL, src/bin/pg_controldata.
    """

    state: str
    system_identifier: str
    checkpoint_bytes: int
    checkpoint_timeline: int
    minimum_recovery_bytes: int | None
    checksums: bool
    segment_bytes: int
    minimum_recovery_timeline: int | None = None


@dataclass(frozen=True)
class DataDirFiles:
    """Files whose presence means something. Names only, relative to the data directory."""

    names: frozenset[str]
    ready_count: int
    histories: tuple[str, ...]
    segments: tuple[str, ...]

    @property
    def signals(self) -> tuple[str, ...]:
        """recovery.signal and standby.signal, where they exist."""
        return tuple(sorted(name for name in self.names if name.endswith(".signal")))


@dataclass(frozen=True)
class DiskUsage:
    """One file system that holds something of the cluster. Percent as `df` counts it: of what a user can have."""

    mount: str
    paths: tuple[str, ...]
    size_bytes: int
    free_bytes: int
    used_percent: float
    inodes_used_percent: float | None


@dataclass(frozen=True)
class Backup:
    """One backup of `pgbackrest info`. `error` None: this pgBackRest does not tell. Timeline: of its stop WAL.

    `references` are the backups that hold files of it, `prior` the one it was made against. `size_bytes` is what a restore
    writes, `delta_bytes` what this backup copied of it; `repository_*` the same as it lies in the repository.
    """

    label: str
    kind: str
    repo_key: int
    started_at: datetime
    stopped_at: datetime
    error: bool | None
    database_id: int
    timeline: int | None
    annotations: Mapping[str, str] = field(default_factory=dict)
    prior: str | None = None
    references: tuple[str, ...] = ()
    wal_start: str | None = None
    wal_stop: str | None = None
    start_lsn_bytes: int | None = None
    stop_lsn_bytes: int | None = None
    size_bytes: int | None = None
    delta_bytes: int | None = None
    repository_size_bytes: int | None = None
    repository_delta_bytes: int | None = None


@dataclass(frozen=True)
class RepositoryStatus:
    """One repository of a stanza. Codes: pgBackRest, src/command/info/info.c."""

    key: int
    code: int
    message: str


@dataclass(frozen=True)
class StanzaDatabase:
    """A database that a repository knows, an older one beside the present one after an upgrade of PostgreSQL."""

    id: int
    repo_key: int
    system_identifier: str
    version: str


@dataclass(frozen=True)
class StanzaFacts:
    """`pgbackrest info` of one stanza as one host sees it. `current_*` is the newest database of the stanza.

    `backup_running` is seen on the host of the backup alone. `progress_*` is how much of it is copied, where this pgBackRest
    tells. `pgbackrest_version` is (major, minor).
    """

    code: int
    message: str
    repositories: tuple[RepositoryStatus, ...]
    backups: tuple[Backup, ...]
    current_database_id: int | None
    current_system_identifier: str | None
    archive_max: str | None
    archive_id: str | None
    backup_running: bool
    progress_done_bytes: int | None = None
    progress_size_bytes: int | None = None
    databases: tuple[StanzaDatabase, ...] = ()
    pgbackrest_version: tuple[int, int] | None = None


@dataclass(frozen=True)
class WalRange:
    """Stored WAL segments of one timeline without a gap, by number: the segment's place in the whole WAL, both inclusive."""

    timeline: int
    first: int
    last: int


@dataclass(frozen=True)
class ArchiveFacts:
    """What one repository's archive of the present database holds.

    `ranges` are merged and sorted. `histories` maps a timeline to the text of its history file. `partial` are the names of
    segments that their writer never finished.
    """

    repo_key: int
    archive_id: str
    ranges: tuple[WalRange, ...]
    histories: Mapping[int, str]
    partial: tuple[str, ...] = ()
    segment_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True)
class ExpiringBackup:
    """A backup that the retention no longer keeps. One that `info` does not list was cut off, or is being made elsewhere."""

    repo_key: int
    label: str


@dataclass(frozen=True)
class ExpiringWal:
    """WAL that the retention no longer keeps, both ends inclusive; None: all of that archive."""

    repo_key: int
    archive_id: str
    first: str | None
    last: str | None


@dataclass(frozen=True)
class ExpiringHistory:
    """Old accounts that the retention no longer keeps, as a clause: a timeline's history file, manifests of gone backups."""

    repo_key: int
    what: str


@dataclass(frozen=True)
class ExpiryFacts:
    """What `pgbackrest expire` would remove now by the configured retention.

    `unlisted` are the labels that it takes from its list since their manifest is missing, in whichever repository that is.
    `fault`: it said something else as well, so what it would remove cannot be told; a clause that quotes it.
    """

    backups: tuple[ExpiringBackup, ...] = ()
    wal: tuple[ExpiringWal, ...] = ()
    history: tuple[ExpiringHistory, ...] = ()
    unlisted: tuple[str, ...] = ()
    fault: str | None = None


@dataclass(frozen=True)
class JobFacts:
    """A job of pgops on a host. `exit_code` None of one that ended: it was killed together with what watched it.

    `log_tail` is the end of what it printed, from which progress is read.
    """

    running: bool
    exit_code: int | None
    started_at: datetime | None
    log_tail: str


CronState = Literal["runs", "stopped", "absent"]


@dataclass(frozen=True)
class ScheduleFacts:
    """The files of pgops's own schedule of backups on a host (path -> content), and whether a cron is there to read one.

    Of an enabled timer's link it counts that it is there.
    """

    files: Mapping[str, str]
    cron: CronState


@dataclass(frozen=True)
class WalIdentity:
    """SHA-1 of finished WAL segments and contents' SHA-1 of history files in one place (member or repository)."""

    segments: Mapping[str, str]
    histories: Mapping[str, str]
