"""Salvage folders, what was carried to be applied, and what was applied: read from a host as they lie there."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from pgops.config.model import HostConfig, Timeouts
from pgops.hosts.factory import open_host
from pgops.observe.copies import read_copies
from pgops.observe.fields import ShapeFault
from pgops.observe.salvage_facts import AppliedScript
from pgops.observe.salvages import carried_path, parse_applied, read_salvages
from pgops.readings import Unknown, known

HOST = open_host(HostConfig("n1", become=None), Timeouts())
RECORD: dict[str, Any] = {
    "schema": 1,
    "database": "app",
    "script_sha256": "a" * 64,
    "outcome": "committed",
    "fault": None,
    "xid": 4294967999,
    "at": "2026-11-23T03:00:00+00:00",
    "by": "ann@ops1",
    "run": "r2",
    "leader": "n2",
    "inserted": 5,
    "updated": 1,
    "deleted": 0,
}
APPLIED = AppliedScript(
    database="app",
    sha256="a" * 64,
    outcome="committed",
    xid=4294967999,
    at=datetime(2026, 11, 23, 3, 0, tzinfo=timezone.utc),
    by="ann@ops1",
    leader="n2",
    inserted=5,
    updated=1,
    deleted=0,
)
MANIFEST = {
    "schema": 1,
    "run": "r1",
    "procedure": "recover-split-brain",
    "node": "n1",
    "made_at": "2026-11-23T02:00:00+00:00",
    "by": "ann@ops1",
    "reason": "",
    "parts": [],
}


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def keep(tmp_path: Path) -> Path:
    place = tmp_path / "data.pgops-r1"
    _write(place / "manifest.json", MANIFEST)
    _write(place / "salvage" / "summary.json", {"tables": [{"rows": 5}, {"rows": 12}]})
    _write(place / "salvage" / "app.sql", "BEGIN;\nROLLBACK;\n")
    _write(place / "salvage" / "a%2Fb%C3%A4.sql", "BEGIN;\nCOMMIT;\n")
    _write(place / "salvage" / "odd.sql", "BEGIN;\nDELETE FROM t;\n")
    _write(place / "salvage" / "app" / "public.t.csv", "id\n1\n")
    return place


def test_what_was_applied_belongs_to_the_copy(keep: Path) -> None:
    data_dir = str(keep.parent / "data")
    (copy,) = known(read_copies(HOST, data_dir, timeout_s=10)) or ()
    assert copy.applied == () and copy.salvaged
    _write(keep / "salvage" / "applied.json", {"schema": 1, "applied": [RECORD, {**RECORD, "database": "b"}]})
    _write(keep / "applied-r7.json", {"schema": 1, "applied": [RECORD]})
    _write(keep / "applied-r8.json", {"schema": 1, "applied": [{**RECORD, "xid": 7, "outcome": "unknown"}]})
    (copy,) = known(read_copies(HOST, data_dir, timeout_s=10)) or ()
    assert copy.applied == (replace(APPLIED, xid=7, outcome="unknown"), APPLIED, replace(APPLIED, database="b"))
    _write(keep / "applied-r8.json", {"schema": 1, "applied": [{**RECORD, "xid": None}]})
    told = read_copies(HOST, data_dir, timeout_s=10)
    assert isinstance(told, Unknown) and "xid is missing" in told.reason, "what cannot be read is not nothing"


def test_a_folder_is_told_with_its_scripts(keep: Path) -> None:
    facts = known(read_salvages(HOST, str(keep.parent / "data"), timeout_s=10))
    assert facts is not None and facts.carried == ()
    (folder,) = facts.folders
    assert (folder.keep, folder.tables, folder.rows, folder.files) == (str(keep), 2, 17, 5)
    assert [(each.file, each.database, each.ends) for each in folder.scripts] == [
        ("a%2Fb%C3%A4.sql", "a/bä", "commit"),
        ("app.sql", "app", "rollback"),
        ("odd.sql", "odd", None),
    ]
    assert folder.scripts[2].fault == "it has no BEGIN, or neither COMMIT nor ROLLBACK"
    _write(keep / "salvage" / "applied.json", {"applied": []})
    _write(keep / "salvage" / "app" / "public.t.deleted.csv", "id\n")
    (later,) = (known(read_salvages(HOST, str(keep.parent / "data"), timeout_s=10)) or facts).folders
    assert later.stamp == folder.stamp, "what the scripts write does not make it another folder"
    _write(keep / "salvage" / "app" / "public.t.csv", "id\n2\n")
    (edited,) = (known(read_salvages(HOST, str(keep.parent / "data"), timeout_s=10)) or facts).folders
    assert edited.stamp != folder.stamp


def test_what_was_carried_is_told_with_its_records(tmp_path: Path) -> None:
    top = Path(carried_path(str(tmp_path / "data"), "r1", "n1"))
    begun = {"database": "app", "script_sha256": "a" * 64, "xid": 7}
    _write(top / "folder" / ".pgops-listing", {"stamp": "s", "files": []})
    _write(top / "folder" / "app" / "t.csv", "12345")
    _write(top / "app.sql.begun.json", begun)
    _write(top / "b.sql.failed.json", {**begun, "run": "r2", "reason": "ERROR:  x\ny"})
    _write(top / "back" / "applied.json", {"applied": [RECORD]})
    facts = known(read_salvages(HOST, str(tmp_path / "data"), timeout_s=10))
    assert facts is not None
    (carried,) = facts.carried
    assert (carried.path, carried.stamp, carried.files, carried.size_bytes) == (str(top), "s", 1, 5)
    assert carried.applied == (APPLIED,) and json.loads(carried.begun[0].text) == begun
    assert carried.failed[0].run == "r2" and "\n" not in carried.failed[0].reason


def test_what_is_no_record_is_refused() -> None:
    for spoiled in ({"schema": 2}, {"outcome": "aborted"}, {"at": "now"}, {"inserted": None}):
        with pytest.raises(ShapeFault):
            parse_applied([{**RECORD, **spoiled}])
    with pytest.raises(ShapeFault):
        parse_applied(["x"])


def test_a_link_in_a_folder_makes_it_unread(keep: Path) -> None:
    (keep / "salvage" / "link").symlink_to("/etc/passwd")
    told = read_salvages(HOST, str(keep.parent / "data"), timeout_s=10)
    assert isinstance(told, Unknown) and "is not a file" in told.reason
