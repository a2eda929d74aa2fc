"""The health check of drills."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pgops.checks import Verdict
from pgops.clients.json_text import parse_json
from pgops.observe.fields import ShapeFault
from pgops.observe.record_facts import DrillCheck, DrillRecord
from pgops.observe.records import drill_value, parse_drill
from pgops.observe.snapshot import Snapshot
from pgops.readings import Known, Unknown, known
from pgops.testing.fake_cluster import FakeCluster, fake_config
from pgops_drill.checks import find_drill

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=timezone.utc)
RECORD = DrillRecord(
    run="20261120-0300-abcdef",
    by="alice",
    host="here",
    began_at=NOW - timedelta(days=3),
    node="n2",
    label="20261119-010000F",
    repo_key=1,
    outcome="passed",
    checks=(DrillCheck("restore", True, "28.6 MiB restored in 0.8 s"),),
    restore_s=0.782,
    restore_bytes=30_000_000,
    replay_s=1.25,
    replay_bytes=16 * 1024 * 1024,
    proven_at=NOW - timedelta(days=3),
    proven_label="20261119-010000F",
)
BROKEN = replace(
    RECORD,
    outcome="failed",
    checks=(
        *RECORD.checks,
        DrillCheck("checksums", False, "pg_checksums: a page has a wrong checksum: base/5/1, block 0"),
    ),
)


def seen(record: DrillRecord | None, *, stanza: str | None = "demo", **changes: Any) -> Snapshot:
    fake = FakeCluster(config=fake_config(("n1", "n2", "n3"), stanza=stanza))
    snapshot = fake.snapshot(frozenset())
    keys = known(snapshot.keys)
    assert keys is not None
    return replace(snapshot, taken_at=NOW, keys=Known(replace(keys, drill_record=record, **changes)))


@pytest.mark.parametrize(
    ("record", "verdict", "words"),
    [
        (None, Verdict.OK, "no restore was ever proven"),
        (RECORD, Verdict.OK, "last proven restore 3d ago (backup 20261119-010000F): 28.6 MiB restored on n2 in 0.8 s"),
        (RECORD, Verdict.OK, "started with 16.0 MiB of WAL in 1.2 s"),
        (replace(RECORD, proven_at=NOW - timedelta(days=36)), Verdict.WARNING, "36d ago"),
        (BROKEN, Verdict.CRITICAL, "a page has a wrong checksum: base/5/1, block 0"),
        (BROKEN, Verdict.CRITICAL, "last proven restore 3d ago"),
        (replace(BROKEN, proven_at=None), Verdict.CRITICAL, "no restore was ever proven"),
        (replace(RECORD, outcome="unmade", checks=()), Verdict.WARNING, "could not be made"),
    ],
)
def test_what_it_says(record: DrillRecord | None, verdict: Verdict, words: str) -> None:
    (finding,) = find_drill(seen(record))
    assert finding.verdict is verdict and words in finding.text, finding
    assert (finding.next_step is None) is (verdict is Verdict.OK)


def test_without_a_stanza_it_says_nothing() -> None:
    (finding,) = find_drill(seen(None, stanza=None))
    assert finding.verdict is Verdict.SKIPPED


@pytest.mark.parametrize("changes", [{"records_fault": "denied"}, {"unread_records": {"drill": "schema 9 is newer"}}])
def test_what_cannot_be_read_is_not_said_to_be_none(changes: dict[str, Any]) -> None:
    (finding,) = find_drill(seen(None, **changes))
    assert finding.verdict is Verdict.UNKNOWN


def test_a_dcs_that_gives_no_answer() -> None:
    (finding,) = find_drill(replace(seen(None), keys=Unknown("no answer")))
    assert finding.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("record", [RECORD, BROKEN, replace(RECORD, restore_s=None, replay_bytes=None, proven_at=None)])
def test_a_record_is_read_as_it_was_written(record: DrillRecord) -> None:
    assert parse_drill(parse_json(drill_value(record).encode())) == record


@pytest.mark.parametrize("wrong", [{"outcome": "fine"}, {"restore_s": "fast"}, {"restore_s": True}, {"checks": [1]}])
def test_a_damaged_record_is_told(wrong: dict[str, Any]) -> None:
    value: Any = parse_json(drill_value(RECORD).encode())
    with pytest.raises(ShapeFault):
        parse_drill({**value, **wrong})
