"""What a host tells of the copies beside a data directory: the script, run on real files, and its output as values."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest

from pgops.observe.branch_facts import CopyFacts, Proof
from pgops.observe.copies import _LIST, parse_copies
from pgops.observe.fields import ShapeFault

MANIFEST = {
    "schema": 1,
    "run": "20261127-0300-abcdef",
    "procedure": "recover-split-brain",
    "node": "n1",
    "made_at": "2026-11-27T03:00:00+00:00",
    "by": "alice@ops1",
    "parts": [{"what": "wal", "path": "/data.pgops-x/wal"}],
    "pieces": [{"timeline": 3, "from": "0/5000000", "to": None}],
}


def line(done: str = "-", *, opened: object = None, **changed: object) -> str:
    words = [done, "/data.pgops-x", json.dumps({**MANIFEST, **changed})]
    coded = [b64encode(word.encode()).decode() for word in words[1:]]
    coded.append("-" if opened is None else b64encode(json.dumps(opened).encode()).decode())
    return " ".join([words[0], *coded]) + "\n"


def test_what_was_done_with_it() -> None:
    (copy,) = parse_copies(line("accounted,dcs.json,evidence.json"))
    assert copy.accounted and not copy.salvaged and copy.papers == ("evidence.json", "dcs.json")
    assert copy.path == "/data.pgops-x" and copy.timeline == 3 and copy.proof is None
    assert parse_copies(line())[0].papers == ()


@pytest.mark.parametrize(
    ("told", "proof"),
    [
        ({"opened": True, "rows": 13, "tables": 4}, Proof(True, "it opens, with 13 rows of its own in 4 tables")),
        ({"opened": False, "why": "FATAL: a\x1b[31m"}, Proof(False, "FATAL: a\\x1b[31m")),
        ({"opened": None, "why": "too large"}, Proof(None, "too large")),
        ({}, Proof(None, "no reason is told")),
    ],
)
def test_whether_it_opens(told: dict[str, object], proof: Proof) -> None:
    (copy,) = parse_copies(line("accounted", opened=told))
    assert copy.proof is not None and copy.proof.opened is proof.opened
    assert copy.proof.text.startswith(proof.text.partition("\\")[0]) and "\x1b" not in copy.proof.text


def test_what_no_pgops_wrote_is_refused() -> None:
    with pytest.raises(ShapeFault, match="schema 2"):
        parse_copies(line(schema=2))
    with pytest.raises((ShapeFault, ValueError)):
        parse_copies(line(opened=[1]))


def read(data: Path) -> CopyFacts:
    argv = ["sh", "-c", _LIST, "pgops-copies", str(data)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
    (copy,) = parse_copies(done.stdout)
    return copy


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    place = tmp_path / "the data.pgops-RUN"
    (place / "account").mkdir(parents=True)
    (place / "manifest.json").write_text(json.dumps(MANIFEST))
    return place


def test_what_is_not_counted_yet_is_not_called_incomplete(copy: Path) -> None:
    found = read(copy.parent / "the data")
    assert (found.accounted, found.incomplete, found.timeline) == (False, False, 3)


@pytest.mark.parametrize(("complete", "straddling"), [(True, True), (False, True), (False, False)])
def test_an_account_that_says_what_it_does_not_know(copy: Path, complete: bool, straddling: bool) -> None:
    document = {"complete": complete, "gaps": [], "straddling": {"complete": straddling}}
    (copy / "account/account.json").write_text(json.dumps(document, indent=2))
    found = read(copy.parent / "the data")
    assert found.accounted and found.incomplete is not complete


def test_the_completeness_of_a_part_is_not_that_of_the_whole(copy: Path) -> None:
    document = {"complete": True, "straddling": {"complete": False}}
    (copy / "account/account.json").write_text(json.dumps(document, indent=2))
    assert not read(copy.parent / "the data").incomplete


def test_an_opened_copy_is_read_from_its_own_paper(copy: Path) -> None:
    told = {"schema": 1, "opened": True, "why": None, "tables": 4, "rows": 13}
    (copy / "opened.json").write_text(json.dumps(told, indent=1))
    (copy / "evidence.json").write_text("{}")
    found = read(copy.parent / "the data")
    assert found.proof == Proof(True, "it opens, with 13 rows of its own in 4 tables, as its WAL tells")
    assert found.papers == ("evidence.json",)
