"""Patroni's keys in the DCS as values. Source: Patroni, patroni/dcs/__init__.py (Cluster, Member, SyncState, ...).

One key whose value cannot be understood is named and left out; it does not hide the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from pgops.clients.json_text import parse_json
from pgops.dcs import DcsKey
from pgops.observe.fields import ShapeFault, as_list, as_mapping, flag, integer, position, text
from pgops.observe.records import (
    LEFT_OUT,
    LOCKS,
    TOPOLOGY,
    parse_drill,
    parse_guard_record,
    parse_left_out,
    parse_lock,
    parse_pause,
    parse_rest,
    parse_run,
    run_name,
)
from pgops.observe.snapshot import DcsKeys, HistoryEntry, Member, SyncKey

T = TypeVar("T")


def record_prefix(prefix: str) -> str:
    """Where pgops keeps its own records of the cluster at Patroni's `prefix`: outside it, with a trailing slash."""
    return f"/pgops/v1{prefix}"


def parse_keys(prefix: str, entries: Mapping[str, DcsKey], records: Mapping[str, DcsKey]) -> DcsKeys:
    """Patroni's keys under `prefix` and pgops's own `records`, both by full name."""
    faults: list[str] = []

    def read(name: str, parse: Callable[[Any], T], absent: T) -> T:
        entry = entries.get(prefix + name)
        if entry is None or entry.value == "":
            return absent
        return _parsed(name, entry.value, parse, absent, faults)

    members = [
        _parsed(key[len(prefix) :], entry.value, partial(_member, key.rsplit("/", 1)[1]), None, faults)
        for key, entry in sorted(entries.items())
        if key.startswith(f"{prefix}members/")
    ]
    leader = entries.get(f"{prefix}leader")
    initialize = entries.get(f"{prefix}initialize")
    optime = read("status", lambda value: position(as_mapping(value, "status"), "optime"), None)
    if optime is None:  # Patroni before 2.1
        optime = read("optime/leader", lambda value: position({"optime": value}, "optime"), None)
    own = {key[len(record_prefix(prefix)) :]: entry for key, entry in sorted(records.items())}
    unread: dict[str, str] = {}

    def read_record(name: str, parse: Callable[[Any], T]) -> T | None:
        """What cannot be read must not pass for absent: a run may be under way behind it."""
        found: list[str] = []
        record = _parsed(f"{name} record", own[name].value, parse, None, found) if name in own else None
        if record is not None and name.startswith("lock/") and not _expires(own[name]):
            record, found = None, [f"{name} record: it has no lease, so it never expires; somebody wrote it by hand"]
        if found:
            unread[name] = found[0].partition(": ")[2]
            faults.extend(found)
        return record

    pause_record = read_record("pause", parse_pause)
    runs = {lock: read_record(run_name(lock), parse_run) for lock in LOCKS}
    rest_record = read_record("rest", parse_rest)
    drill_record = read_record("drill", parse_drill)
    left_out_record = read_record(LEFT_OUT, parse_left_out)
    guard_record = read_record("guard", parse_guard_record)
    locks = [read_record(name, partial(parse_lock, name[5:])) for name in own if name.startswith("lock/")]
    return DcsKeys(
        leader=leader.value if leader else None,
        leader_has_lease=leader is None or _expires(leader),
        initialize=initialize.value if initialize else None,
        config=read("config", lambda value: as_mapping(value, "config"), None),
        members=tuple(member for member in members if member is not None),
        history=read("history", _history, ()),
        optime_bytes=optime,
        sync=read("sync", _sync, None),
        failover=read("failover", lambda value: as_mapping(value, "failover"), None),
        failsafe=read("failsafe", lambda value: as_mapping(value, "failsafe"), None),
        pause_record=pause_record,
        rest_record=rest_record,
        drill_record=drill_record,
        left_out_record=left_out_record,
        guard_record=guard_record,
        faults=tuple(faults),
        revisions={key: entry.revision for key, entry in (*entries.items(), *records.items())},
        run_record=runs.pop(TOPOLOGY),
        side_runs={lock: run for lock, run in runs.items() if run is not None},
        locks=tuple(lock for lock in locks if lock is not None),
        unread_records=unread,
    )


def _expires(key: DcsKey) -> bool:
    return key.lease is not None or key.lease_ttl_s is not None


def _parsed(name: str, value: str, parse: Callable[[Any], T], absent: T, faults: list[str]) -> T:
    try:
        return parse(parse_json(value.encode()))
    except ShapeFault as fault:
        faults.append(f"{name}: {fault}")
    except ValueError:
        faults.append(f"{name}: not JSON")
    return absent


def _member(name: str, value: object) -> Member:
    top = as_mapping(value, "the value")
    role = text(top, "role")
    return Member(
        name=name,
        api_url=text(top, "api_url"),
        conn_url=text(top, "conn_url"),
        role="primary" if role == "master" else role,
        state=text(top, "state"),
        version=text(top, "version"),
        timeline=integer(top, "timeline"),
        pause=flag(top, "pause"),
        pending_restart=flag(top, "pending_restart"),
        tags=as_mapping(top.get("tags") or {}, "tags"),
    )


def _history(value: object) -> tuple[HistoryEntry, ...]:
    entries = []
    for line in as_list(value, "history"):
        if not isinstance(line, list) or len(line) < 3:
            raise ShapeFault("a line is not [timeline, LSN, reason, ...]")
        named = dict(zip(("timeline", "LSN", "reason"), line, strict=False))
        timeline, switch_bytes = integer(named, "timeline"), position(named, "LSN")
        if timeline is None or switch_bytes is None:
            raise ShapeFault("a line has no timeline or no LSN")
        entries.append(HistoryEntry(timeline, switch_bytes, text(named, "reason") or ""))
    return tuple(entries)


def _sync(value: object) -> SyncKey:
    top = as_mapping(value, "sync")
    standbys = text(top, "sync_standby") or ""
    return SyncKey(text(top, "leader"), tuple(name for name in standbys.split(",") if name))
