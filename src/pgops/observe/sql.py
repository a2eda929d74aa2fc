"""What one PostgreSQL says of itself, over SQL, for PostgreSQL 13 to 18.

Sources: PostgreSQL docs, functions-info (pg_control_*), functions-admin (recovery and backup control functions),
monitoring-stats (pg_stat_*), view-pg-replication-slots. The role needs LOGIN and pg_monitor and nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, TypeVar

from pgops.clients.sql import SqlFault, SqlSession
from pgops.observe.facts import Activity, Archiver, Setting, Slot, SqlFacts, WalReceiver, WalSender
from pgops.observe.lsn import parse_lsn, segment_timeline
from pgops.readings import Known, Reading, Unknown

T = TypeVar("T")

# pg_walfile_name raises an error in recovery, hence CASE. The control file lags behind what was replayed, so it gives a
# standby's timeline only where no WAL receiver does.
_STATE = """
SELECT pg_is_in_recovery(),
       (SELECT system_identifier::text FROM pg_control_system()),
       current_setting('server_version_num')::int,
       CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_insert_lsn()) END,
       (SELECT greatest(timeline_id, (SELECT min_recovery_end_timeline FROM pg_control_recovery()))
          FROM pg_control_checkpoint()),
       CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn()::text END,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()::text END,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()::text END,
       CASE WHEN pg_is_in_recovery() THEN extract(epoch FROM pg_last_xact_replay_timestamp())::float8 END,
       CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END,
       extract(epoch FROM clock_timestamp())::float8,
       (SELECT bytes_per_wal_segment FROM pg_control_init()),
       (SELECT coalesce(array_agg(pg_tablespace_location(oid)), '{}') FROM pg_tablespace
         WHERE spcname NOT IN ('pg_default', 'pg_global')),
       extract(epoch FROM pg_postmaster_start_time())::float8
"""
SETTINGS = (
    "archive_mode",
    "archive_command",
    "archive_library",
    "data_checksums",
    "data_directory",
    "full_page_writes",
    "fsync",
    "max_connections",
    "primary_conninfo",
    "recovery_min_apply_delay",
    "restore_command",
    "synchronous_commit",
    "synchronous_standby_names",
    "wal_log_hints",
)
_SETTINGS = "SELECT name, setting, source, sourcefile, pending_restart FROM pg_settings WHERE name = ANY(%s)"
_RECEIVER = (
    "SELECT status, received_tli, latest_end_lsn::text, sender_host FROM pg_stat_wal_receiver WHERE pid IS NOT NULL"
)
_SENDERS = """
SELECT application_name, host(client_addr), state, sync_state, sent_lsn::text, flush_lsn::text, replay_lsn::text,
       extract(epoch FROM replay_lag)::float8
  FROM pg_stat_replication ORDER BY application_name
"""
_SLOTS = """
SELECT slot_name::text, slot_type, active, wal_status,
       CASE WHEN restart_lsn IS NOT NULL AND NOT pg_is_in_recovery()
            THEN pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::int8 END
  FROM pg_replication_slots ORDER BY slot_name
"""
_ARCHIVER = """
SELECT archived_count, last_archived_wal, extract(epoch FROM last_archived_time)::float8,
       failed_count, last_failed_wal, extract(epoch FROM last_failed_time)::float8
  FROM pg_stat_archiver
"""
_READY = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
_ACTIVITY = """
SELECT extract(epoch FROM clock_timestamp() - xact_start)::float8,
       format('pid %s, user %s, database %s, %s', pid, usename, datname, state)
  FROM pg_stat_activity
 WHERE xact_start IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid()
 ORDER BY xact_start LIMIT 1
"""
_PREPARED = "SELECT count(*), extract(epoch FROM max(clock_timestamp() - prepared))::float8 FROM pg_prepared_xacts"


def read_sql(session: SqlSession) -> SqlFacts:
    """Ask one server. Raises `SqlFault` when not even its state can be read; other parts are unknown one by one."""
    before = time.time()
    state = _row(session, _STATE, 14)
    now = (before + time.time()) / 2
    in_recovery, identifier, version, wal_file, checkpoint_timeline, flush, receive, replay, replayed_at = state[:9]
    paused, clock, segment_bytes, tablespaces, started_at = state[9:]
    receiver: Reading[WalReceiver | None] = _part(lambda: _receiver(session)) if in_recovery else Known(None)
    streaming = receiver.value if isinstance(receiver, Known) else None
    received_timeline = streaming.received_timeline if streaming else None
    return SqlFacts(
        in_recovery=in_recovery,
        system_identifier=identifier,
        version_num=version,
        started_at_s=started_at,
        timeline=segment_timeline(wal_file) if wal_file else received_timeline or checkpoint_timeline,
        flush_bytes=_lsn(flush),
        receive_bytes=_lsn(receive),
        replay_bytes=_lsn(replay),
        replay_timestamp=_time(replayed_at),
        replay_paused=paused,
        clock_skew_s=clock - now,
        segment_bytes=segment_bytes,
        tablespaces=tuple(tablespaces),
        settings=_part(lambda: _settings(session)),
        receiver=receiver,
        senders=_part(lambda: _senders(session)),
        slots=_part(lambda: tuple(Slot(*row) for row in session.rows(_SLOTS))),
        archiver=_part(lambda: _archiver(session)),
        activity=_part(lambda: _activity(session)),
    )


def read_flush_position(session: SqlSession) -> int | None:
    """A primary's flush LSN now, None when it is in recovery. Raises `SqlFault`."""
    statement = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn()::text END"
    return _lsn(_row(session, statement, 1)[0])


def _row(session: SqlSession, statement: str, columns: int) -> tuple[Any, ...]:
    """The one row of a statement that always gives one. A server that gives another shape is no PostgreSQL's."""
    rows = session.rows(statement)
    if len(rows) != 1 or len(rows[0]) != columns:
        shape = f"{len(rows)} rows" + (f" of {len(rows[0])} columns" if rows else "")
        asked = "a pooler's own console, or no PostgreSQL"
        raise SqlFault("other", f"the server answered with {shape}, not one row of {columns}; it is {asked}")
    return rows[0]


def _part(read: Callable[[], T]) -> Reading[T]:
    try:
        return Known(read())
    except SqlFault as fault:
        return Unknown(str(fault))


def _settings(session: SqlSession) -> Mapping[str, Setting]:
    return {name: Setting(*rest) for name, *rest in session.rows(_SETTINGS, [list(SETTINGS)])}


def _receiver(session: SqlSession) -> WalReceiver | None:
    rows = session.rows(_RECEIVER)
    if not rows:
        return None
    status, timeline, end, sender = rows[0]
    if status is None:  # a role without pg_monitor sees the row, but only nulls in it
        raise SqlFault("right", "pg_stat_wal_receiver shows nothing to this role; GRANT pg_monitor to it")
    return WalReceiver(status, timeline, _lsn(end), sender)


def _senders(session: SqlSession) -> tuple[WalSender, ...]:
    rows = session.rows(_SENDERS)
    if any(row[2] is None for row in rows):
        raise SqlFault("right", "pg_stat_replication hides its columns from this role; GRANT pg_monitor to it")
    return tuple(
        WalSender(name, address, state, sync, _lsn(sent), _lsn(flush), _lsn(replay), lag)
        for name, address, state, sync, sent, flush, replay, lag in rows
    )


def _archiver(session: SqlSession) -> Archiver:
    archived, last, last_at, failed, last_failed, failed_at = _row(session, _ARCHIVER, 6)
    return Archiver(
        archived_count=archived,
        last_archived_wal=last,
        last_archived_at=_time(last_at),
        failed_count=failed,
        last_failed_wal=last_failed,
        last_failed_at=_time(failed_at),
        ready_count=_part(lambda: int(_row(session, _READY, 1)[0])),
    )


def _activity(session: SqlSession) -> Activity:
    rows = session.rows(_ACTIVITY)
    prepared, prepared_age = _row(session, _PREPARED, 2)
    oldest_s, oldest = rows[0] if rows else (None, None)
    return Activity(oldest_s, oldest, prepared, prepared_age)


def _lsn(value: str | None) -> int | None:
    return None if value is None else parse_lsn(value)


def _time(epoch_s: float | None) -> datetime | None:
    return None if epoch_s is None else datetime.fromtimestamp(epoch_s, timezone.utc)
