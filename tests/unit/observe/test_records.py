"""pgops's own records: what is written is what is read, and what cannot be read is never absent."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pgops.dcs import DcsKey
from pgops.observe.fields import TEXT_LIMIT, ShapeFault
from pgops.observe.keys import parse_keys, record_prefix
from pgops.observe.record_facts import LeftOutRecord, LockRecord, PauseRecord, RunRecord
from pgops.observe.records import (
    HoldRecord,
    hold_value,
    left_out_value,
    lock_value,
    parse_hold,
    parse_left_out,
    parse_lock,
    parse_pause,
    parse_run,
    pause_value,
    run_value,
)
from pgops.observe.snapshot import DcsKeys

PREFIX = "/service/demo/"
OWN = record_prefix(PREFIX)
NOW = datetime(2026, 11, 23, 4, 12, 7, 123456, tzinfo=timezone(timedelta(hours=1)))
ODD = 'Zürich "数"\n\\ \x1b[31m \ud800'
RUN = RunRecord(
    id="20261123-0412-k7f3",
    procedure="pause",
    goal=ODD,
    by=ODD,
    host="ops1",
    pid=2**31,
    since=NOW,
    state="stopped",
    step="",
    step_number=0,
    steps=3,
    why=ODD,
    digest="0f" * 32,
    token=2**62,
    journal="/var/lib/pgops/a b.jsonl",
    action=4,
    back=True,
)
LOCK = LockRecord("topology", RUN.id, ODD, "ops1", 1, "pause", NOW)
WRONG_IDS: tuple[Any, ...] = ("", "-n", "a b", "$(x)", "é", "a;b", "x" * 65, None, [])
PAUSE = PauseRecord(ODD, ODD, NOW, None)


def keys_of(**records: str) -> DcsKeys:
    """The keys when these records stand in the DCS; `_` in a name is a slash, and locks have a lease."""
    own = {f"{OWN}{name.replace('_', '/')}": text for name, text in records.items()}
    entries = {
        name: DcsKey(name, text, 40 + place, 7 if "lock" in name else None)
        for place, (name, text) in enumerate(own.items())
    }
    return parse_keys(PREFIX, {f"{PREFIX}leader": DcsKey(f"{PREFIX}leader", "n1", 9, 7)}, entries)


def test_what_is_written_is_what_is_read() -> None:
    assert parse_run(json.loads(run_value(RUN))) == RUN
    for pause in (PAUSE, PauseRecord("alice", "", NOW, NOW + timedelta(hours=1))):
        assert parse_pause(json.loads(pause_value(pause))) == pause
    for lock in (LOCK, LockRecord("backup", None, "a", "b", 0, "", NOW)):
        assert parse_lock(lock.name, json.loads(lock_value(lock))) == lock
    hold = HoldRecord("alice", ODD, NOW)
    assert parse_hold(json.loads(hold_value(hold))) == hold
    left_out = LeftOutRecord(("n1", ODD), RUN.id, ODD, NOW)
    assert parse_left_out(json.loads(left_out_value(left_out))) == left_out


def test_the_text_is_canonical() -> None:
    assert pause_value(PauseRecord("é", "b", NOW, None)) == (
        '{"expires":null,"owner":"\\u00e9","reason":"b","schema":1,"since":"2026-11-23T04:12:07.123456+01:00"}'
    )


def test_a_text_that_would_be_refused_as_too_long_is_cut() -> None:
    record = PauseRecord("alice", "x" * 99_999, NOW, None)
    assert parse_pause(json.loads(pause_value(record))).reason == "x" * TEXT_LIMIT


def test_all_records_and_all_revisions_are_read() -> None:
    backup = LockRecord("backup", None, "a", "b", 0, "", NOW)
    keys = keys_of(
        pause=pause_value(PAUSE), run=run_value(RUN), lock_topology=lock_value(LOCK), lock_backup=lock_value(backup)
    )
    assert (keys.pause_record, keys.run_record, keys.locks) == (PAUSE, RUN, (backup, LOCK))
    assert (keys.faults, keys.unread_records) == ((), {})
    assert keys.revisions == {
        "/service/demo/leader": 9,
        "/pgops/v1/service/demo/pause": 40,
        "/pgops/v1/service/demo/run": 41,
        "/pgops/v1/service/demo/lock/topology": 42,
        "/pgops/v1/service/demo/lock/backup": 43,
    }


@pytest.mark.parametrize("name", ["run", "lock_topology", "pause"])
@pytest.mark.parametrize("text", ["", "x", "null", "[]", "{}", '{"schema":2}', '{"schema":1,"id":7}', "[" * 99_999])
def test_a_record_that_cannot_be_read_is_not_absent(name: str, text: str) -> None:
    keys = keys_of(**{name: text})
    assert (keys.run_record, keys.locks, keys.pause_record) == (None, (), None)
    assert list(keys.unread_records) == [name.replace("_", "/")]
    assert len(keys.faults) == 1
    assert keys.faults[0].startswith(f"{name.replace('_', '/')} record: ")
    if "2" in text:
        assert "upgrade pgops" in keys.faults[0]


def test_a_lock_that_never_expires_is_no_lock_of_ours() -> None:
    name = f"{OWN}lock/topology"
    keys = parse_keys(PREFIX, {}, {name: DcsKey(name, lock_value(LOCK), 1)})
    assert (keys.locks, "never expires" in keys.unread_records["lock/topology"]) == ((), True)


@pytest.mark.parametrize(
    "change",
    [
        *({"state": "done"}, {"pid": "x"}, {"since": "soon"}, {"token": None}, {"back": 2}),
        *({"id": wrong} for wrong in WRONG_IDS),
    ],
)
def test_a_run_with_a_wrong_field_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ShapeFault):
        parse_run({**json.loads(run_value(RUN)), **change})
