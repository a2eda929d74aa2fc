"""What a copy holds: read on its host, its size measured, and told; what is not known is told as that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pgops.config.model import ClusterConfig
from pgops.observe.branch_facts import CopyFacts
from pgops.observe.fields import ShapeFault
from pgops.observe.salvage_facts import AppliedScript
from pgops.observe.snapshot import Node, Snapshot
from pgops.readings import Known, Reading, Skipped, Unknown
from pgops.testing.fake_cluster import FakeCluster
from pgops_recover.copies_text import copies_document, render_copies
from pgops_recover.copy_text import render_run, run_document
from pgops_recover.holdings import Holding, elsewhere, parse_holdings
from pgops_recover.programs import argv_of

MADE = datetime(2026, 11, 23, 3, 0, tzinfo=timezone.utc)
COPY = CopyFacts(
    path="/pg/data.pgops-r1",
    run="r1",
    procedure="recover-split-brain",
    node="n1",
    made_at=MADE,
    by="ann@ops1",
    reason="n2 survives a split brain",
    parts=(("wal", "/pg/data.pgops-r1/wal"), ("data", "/pg/data.pgops-r1/data"), ("tablespace", "/space.pgops-r1")),
    accounted=True,
)
MANIFEST = {
    "survivor": "n2",
    "pieces": [
        {"timeline": 1, "from": "0/6000060", "to": "0/7000000"},
        {"timeline": 2, "from": "0/7000000", "to": None},
    ],
}
ACCOUNT: dict[str, Any] = {
    "schema": 1,
    "complete": False,
    "gaps": ["WAL is missing from 0/5 to 0/6"],
    "end_lsn": "0/7053580",
    "wal_bytes": 341280,
    "transactions": {
        "count": 7,
        "first_at": "2026-11-23T02:00:00.000001+00:00",
        "last_at": "2026-11-23T02:59:59.000000+00:00",
        "aborted": 2,
        "open": 1,
        "prepared": [{"xid": 800, "gid": "two phase"}],
    },
    "straddling": {"complete": False, "count": 0, "why": "the WAL before the fork cannot be read"},
    "relations": [
        {"tablespace": 1663, "database": 5, "filenode": 2619, "inserted": 9, "updated": 0, "deleted": 0},
        {"tablespace": 1663, "database": 5, "filenode": 16385, "inserted": 37, "updated": 1, "deleted": 2},
    ],
}
SALVAGE = {
    "tables": [
        {
            "database": "app",
            "table": "public.ledger",
            "file": "app/public.ledger.csv",
            "rows": 36,
            "inserted": 37,
            "updated": 1,
            "deleted": 2,
        }
    ],
    "unknown": ["unlogged tables: their rows are in no WAL"],
}


def _read(wish: dict[str, Any], path: str = "") -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, *argv_of("contents", wish)[1:]],
        env={**os.environ, **({"PATH": path} if path else {})},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def _copy(top: Path) -> tuple[Path, Path]:
    """(a copy, its tablespace elsewhere)."""
    copy, space = top / "data.pgops-r1", top / "space.pgops-r1"
    (copy / "account").mkdir(parents=True)
    space.mkdir()
    (copy / "manifest.json").write_text(json.dumps(MANIFEST))
    (copy / "account/account.json").write_text(json.dumps(ACCOUNT))
    (copy / "data").write_bytes(os.urandom(300_000))
    (space / "file").write_bytes(os.urandom(50_000))
    return copy, space


def test_sizes_and_papers_are_read_on_the_host(tmp_path: Path) -> None:
    copy, space = _copy(tmp_path)
    wish = {"copies": [{"path": str(copy), "elsewhere": [str(space)]}], "budget_s": 20, "papers": True}
    found = parse_holdings(json.dumps(_read(wish)))[str(copy)]
    sizes = {path: size.value for path, size in found.sizes if isinstance(size, Known)}
    assert list(sizes) == [str(copy), str(space)]
    assert 300_000 < sizes[str(copy)] < 400_000 and 50_000 <= sizes[str(space)] < 100_000
    assert found.size == Known(sum(sizes.values()))
    assert found.papers == {
        "manifest": Known(MANIFEST),
        "account": Known(ACCOUNT),
        "salvage": Skipped("it is not there"),
    }
    assert _read({**wish, "papers": False})[str(copy)].keys() == {"sizes"}


def test_what_cannot_be_measured_or_read_is_told(tmp_path: Path) -> None:
    copy, space = _copy(tmp_path)
    (copy / "account/account.json").write_text("{")
    (space / "file").unlink()
    space.rmdir()
    wish = {"copies": [{"path": str(copy), "elsewhere": [str(space)]}], "budget_s": 20, "papers": True}
    found = parse_holdings(json.dumps(_read(wish)))[str(copy)]
    assert isinstance(found.size, Unknown) and "No such file" in found.size.reason and str(space) in found.size.reason
    assert isinstance(found.sizes[0][1], Known)
    assert found.papers["account"] == Unknown("account/account.json is no JSON")


def test_a_slow_measurement_is_unknown_and_never_nothing(tmp_path: Path) -> None:
    copy, space = _copy(tmp_path)
    wish = {"copies": [{"path": str(copy), "elsewhere": [str(space)]}], "budget_s": 0, "papers": False}
    found = parse_holdings(json.dumps(_read(wish)))[str(copy)]
    assert [size for _, size in found.sizes] == [Unknown("took too long")] * 2
    assert found.size == Unknown(f"{copy}: took too long")


@pytest.mark.parametrize("output", ["[]", '{"/c": 1}', '{"/c": {"sizes": [{"path": "/c", "bytes": "much"}]}}'])
def test_an_answer_of_another_shape_is_refused(output: str) -> None:
    with pytest.raises(ShapeFault):
        parse_holdings(output)


def test_nothing_measured_is_not_nothing() -> None:
    assert isinstance(Holding(()).size, Unknown)
    assert elsewhere(COPY) == ("/space.pgops-r1",)


def _snapshot(cluster: ClusterConfig, copies: Reading[tuple[CopyFacts, ...]]) -> Snapshot:
    node = Node("n1", configured=True, member=None, sql_address=None, rest_url=None, copies=copies)
    return Snapshot(cluster, MADE + timedelta(hours=2), frozenset(), (node,))


def _holding(**papers: Any) -> Holding:
    told = {name: Known(paper) for name, paper in papers.items()}
    return Holding(((COPY.path, Known(3 << 20)), ("/space.pgops-r1", Known(1024))), told)


def test_the_list_has_sizes() -> None:
    cluster = FakeCluster().config
    there = _snapshot(cluster, Known((COPY,)))
    known = {("n1", COPY.path): Known(_holding())}
    (told,) = copies_document(there, known)["copies"]
    assert (told["size_bytes"], told["size_unknown"]) == ((3 << 20) + 1024, None)
    assert "3.0 MiB" in render_copies(there, known)
    slow = {("n1", COPY.path): Known(Holding(((COPY.path, Unknown("took too long")),)))}
    (told,) = copies_document(there, slow)["copies"]
    assert (told["size_bytes"], told["size_unknown"]) == (None, f"{COPY.path}: took too long")
    assert f"unknown ({COPY.path}: took too long)" in render_copies(there, slow)
    (told,) = copies_document(there, {})["copies"]
    assert told["size_bytes"] is None and told["size_unknown"]


def _told(copy: CopyFacts, holding: Reading[Holding]) -> tuple[dict[str, Any], str]:
    node = Node("n1", configured=True, member=None, sql_address=None, rest_url=None, copies=Known((copy,)))
    document = run_document("demo", "r1", (node,), {("n1", copy.path): holding})
    (told,) = document["copies"]
    return told, render_run(document, MADE + timedelta(hours=2))


def test_all_that_is_known_of_a_copy_is_shown() -> None:
    told, text = _told(COPY, Known(_holding(manifest=MANIFEST, account=ACCOUNT)))
    assert told["fork"] == {"timeline": 1, "lsn": "0/6000060"} and told["survivor"] == "n2"
    assert told["account"]["transactions"]["count"] == 7 and len(told["account"]["files"]) == 1
    assert told["next"] == "pgops salvage r1"
    for line in (
        "n1: /pg/data.pgops-r1",
        "made: 2026-11-23T03:00:00+00:00 (2h ago), by ann@ops1, recover-split-brain: n2 survives a split brain",
        "fork: timeline 1 at 0/6000060; of its own: timeline 1 from 0/6000060 to 0/7000000, timeline 2 from 0/7000000 on",
        "size: 3146752 bytes (3.0 MiB)",
        "/space.pgops-r1: 1024 bytes (1.0 KiB)",
        "salvage: not made yet",
        "at least 7 transactions, committed 2026-11-23T02:00:00.000001+00:00 to 2026-11-23T02:59:59.000000+00:00",
        "333.3 KiB of WAL, to 0/7053580",
        "1663/5/16385: at least 37 rows inserted, 1 updated, 2 deleted",
        "prepared and undecided: two phase",
        "unknown: WAL is missing from 0/5 to 0/6",
        "unknown: rows of transactions that began before the fork: the WAL before the fork cannot be read",
        "next: pgops salvage r1",
    ):
        assert line in text, text
    assert "2619" not in text, "a catalogue"


def test_once_it_is_salvaged_tables_have_their_names() -> None:
    papers = {"manifest": MANIFEST, "account": {**ACCOUNT, "complete": True}, "salvage": SALVAGE}
    told, text = _told(replace(COPY, salvaged=True), Known(_holding(**papers)))
    assert "app: public.ledger: 37 rows inserted, 1 updated, 2 deleted; 36 rows are saved" in text
    assert "16385" not in text and told["unknown"] == SALVAGE["unknown"]
    assert told["next"] == "pgops copies remove r1" and told["applied"] == []
    assert "brought back: pgops salvage apply r1 --dry-run)" in text


def test_what_was_brought_back_is_told() -> None:
    applied = AppliedScript("app", "a" * 64, "committed", 4711, MADE, "ann@ops1", "n2", 36, 1, 0)
    unsure = replace(applied, database="b", outcome="unknown", fault="setval failed")
    told, text = _told(replace(COPY, salvaged=True, applied=(applied, unsure)), Known(_holding(manifest=MANIFEST)))
    assert [each["xid"] for each in told["applied"]] == [4711, 4711]
    assert "applied: app: 36 rows inserted, 1 updated, 0 deleted on n2 at 2026-11-23T03:00:00+00:00 by ann@ops1" in text
    assert "whether that was committed cannot be told; setval failed" in text and "--dry-run" not in text


def test_a_copy_of_a_run_that_broke_off_is_gone_on_with() -> None:
    told, text = _told(replace(COPY, accounted=False), Known(_holding(manifest=MANIFEST)))
    assert told["next"] == "pgops runs continue r1" and "not counted yet" in text


def test_what_is_not_known_of_a_copy_is_said() -> None:
    told, text = _told(COPY, Unknown("ssh: no answer"))
    assert told["size_bytes"] is None and told["account"] is None and told["fork"] is None
    assert "size: unknown (ssh: no answer)" in text and "fork: not known" in text
    assert "unknown: what it holds: ssh: no answer" in text
    uncounted = {**ACCOUNT, "transactions": {**ACCOUNT["transactions"], "count": None}}
    told, text = _told(COPY, Known(_holding(manifest=MANIFEST, account=uncounted)))
    assert told["account"] is None and "its account is not as pgops writes it: count is missing" in text
