"""The record of a pause: who, why, since when, until when."""

from __future__ import annotations

from datetime import timedelta

from pgops.dcs import Delete, Put
from pgops.observe.keys import record_prefix
from pgops.observe.record_facts import PauseRecord
from pgops.observe.records import pause_value
from pgops.observe.snapshot import DcsKeys, Snapshot
from pgops.plan.actions import Action
from pgops.plan.keys import change_seen
from pgops.plan.step import Params, Pinned


def wanted_record(params: Params, pinned: Pinned) -> PauseRecord:
    """The record that this run leaves."""
    expires_s = params.get("expires_s")
    expires = pinned.moment + timedelta(seconds=float(expires_s)) if isinstance(expires_s, (int, float)) else None
    return PauseRecord(f"{pinned.by}@{pinned.host}", str(params.get("reason") or ""), pinned.moment, expires)


def write_record(snapshot: Snapshot, record: PauseRecord) -> tuple[Action, ...]:
    """Put the record, while the key is as it was seen."""
    return change_seen(snapshot, Put(_key(snapshot), pause_value(record)))


def delete_record(snapshot: Snapshot) -> tuple[Action, ...]:
    """Delete the record, while the key is as it was seen."""
    return change_seen(snapshot, Delete(_key(snapshot)))


def describe(keys: DcsKeys) -> str:
    """Who paused, since when and why, as a clause."""
    record = keys.pause_record
    if record is None:
        return "nobody is recorded for it: it was not done with pgops"
    until = f", until {record.expires.isoformat()}" if record.expires else ""
    why = f" ({record.reason})" if record.reason else ""
    return f"by {record.owner} since {record.since.isoformat()}{until}{why}"


def _key(snapshot: Snapshot) -> str:
    return f"{record_prefix(snapshot.cluster.prefix)}pause"
