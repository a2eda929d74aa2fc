"""What `pgops backup check` makes of what it saw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pgops.checks import Finding, Verdict, critical, ok, skipped, unknown, warning
from pgops.observe.facts import RepositoryStatus
from pgops.observe.snapshot import Snapshot
from pgops.readings import Known, Skipped, Unknown
from pgops_backup import checking
from pgops_backup.check_text import document, render
from pgops_backup.checking import Row
from unit.checks import worlds as w


def one(found: Any) -> Finding:
    (finding,) = found
    assert isinstance(finding, Finding)
    return finding


def told(found: Any) -> str:
    return "\n".join(f"{item.verdict.value} {item.subject}: {item.text}" for item in found)


def with_stanza(name: str, **changes: Any) -> Snapshot:
    return w.with_node(name, stanza=Known(w.stanza(**changes)))


def status(code: int, message: str, **changes: Any) -> Any:
    return replace(w.stanza(**changes), code=code, message=message, repositories=(RepositoryStatus(1, code, message),))


def test_all_is_well() -> None:
    snapshot = w.healthy()
    for find in (checking.find_stanza, checking.find_identity, checking.find_shared, checking.find_versions):
        assert {item.verdict for item in find(snapshot)} <= {Verdict.OK, Verdict.SKIPPED}


@pytest.mark.parametrize(
    ("code", "message", "text"),
    [
        (1, "missing stanza path", "no stanza of this name"),
        (2, "no valid backups", "no valid backup"),
        (5, "database mismatch across repos", "different databases"),
        (99, "[CryptoError] cipher header invalid", "decryption failed"),
    ],
)
def test_a_stanza_that_is_not_sound(code: int, message: str, text: str) -> None:
    finding = one(checking.find_stanza(w.with_node("n1", stanza=Known(status(code, message)))))
    assert (finding.verdict, finding.subject) == (Verdict.CRITICAL, "n1")
    assert text in finding.text
    assert f"(status code {code})" in finding.text
    assert finding.next_step


def test_the_stanza_is_in_error_and_each_repository_is_not() -> None:
    finding = one(checking.find_stanza(with_stanza("n1", code=4, message="different across repos")))
    assert finding.text == "the stanza: the repositories disagree (status code 4)"


def test_a_backup_with_errors() -> None:
    finding = one(checking.find_stanza(w.with_node("n1", stanza=Known(w.stanza(w.backup(error=True))))))
    assert (finding.verdict, "page checksum errors" in finding.text) == (Verdict.CRITICAL, True)
    assert "--set=" in (finding.next_step or "")


def test_nobody_can_look() -> None:
    snapshot = w.healthy()
    for name in ("n1", "n2", "n3"):
        snapshot = replace(
            snapshot,
            nodes=tuple(
                replace(node, stanza=Unknown("ssh: refused")) if node.name == name else node for node in snapshot.nodes
            ),
        )
    assert {item.verdict for item in checking.find_stanza(snapshot)} == {Verdict.UNKNOWN}
    assert {item.verdict for item in checking.find_shared(snapshot)} == {Verdict.UNKNOWN}
    assert list(checking.find_identity(snapshot)) == []
    assert one(checking.find_versions(snapshot)).verdict is Verdict.SKIPPED
    assert one(checking.find_stanza(replace(snapshot, nodes=()))).verdict is Verdict.SKIPPED


def test_the_stanza_of_another_server() -> None:
    found = list(checking.find_identity(with_stanza("n2", current_system_identifier="42")))
    assert "critical n2: the stanza belongs to another server: system identifier 42" in told(found)
    assert "STOP" in (found[0].next_step or "")
    assert "ok : n1, n3" in told(found)


def test_a_server_that_does_not_answer_is_not_compared() -> None:
    found = told(checking.find_identity(w.with_node("n3", sql=Unknown("connection refused"))))
    assert "unknown n3: not comparable with the server: connection refused" in found


@pytest.mark.parametrize("name", ["n1", "n2"])
def test_a_repository_per_host_is_told_in_one_sentence(name: str) -> None:
    snapshot = w.with_node(name, stanza=Known(replace(status(1, "missing stanza path"), backups=())))
    finding = one(checking.find_shared(snapshot))
    assert finding.verdict is Verdict.CRITICAL
    assert f"{name}: no backups, no stanza of this name in the repository" in finding.text
    assert "after a failover the new leader would not have the others' backups" in finding.text
    assert "one repository for all" in (finding.next_step or "")
    assert checking.shows_differences(snapshot)


def test_two_hosts_with_backups_of_their_own() -> None:
    other = w.stanza(w.backup(label="20261101-010101F"))
    finding = one(checking.find_shared(w.with_node("n2", stanza=Known(other))))
    assert (finding.verdict, "n2: 1 backup" in finding.text) == (Verdict.CRITICAL, True)


def test_a_member_that_cannot_read_the_repository_is_no_repository_per_host() -> None:
    closed = replace(status(99, "[PathOpenError] unable to list '/r': [13] Permission denied"), backups=())
    found = list(checking.find_shared(w.with_node("n2", stanza=Known(closed))))
    assert "critical n2: repository 1: it cannot be read" in told(found)
    assert "ok : n1, n3 see the same" in told(found)


def test_a_leader_that_cannot_read_it_is_told_of_the_stanza_alone() -> None:
    closed = replace(status(99, "[PathOpenError] unable to list '/r': [13] Permission denied"), backups=())
    snapshot = w.with_node("n1", stanza=Known(closed))
    assert "n1" not in told(checking.find_shared(snapshot))
    assert "critical n1: repository 1: it cannot be read" in told(checking.find_stanza(snapshot))


def test_members_that_see_nothing_prove_nothing() -> None:
    empty = replace(status(2, "no valid backups"), backups=())
    snapshot = w.healthy()
    snapshot = replace(snapshot, nodes=tuple(replace(node, stanza=Known(empty)) for node in snapshot.nodes))
    assert one(checking.find_shared(snapshot)).verdict is Verdict.SKIPPED
    alone = replace(snapshot, nodes=snapshot.nodes[:1])
    assert one(checking.find_shared(alone)).text == "there is one member only"


def test_a_member_without_a_host_is_skipped() -> None:
    found = told(checking.find_shared(w.with_node("n3", stanza=Skipped("no host is configured for this member"))))
    assert "skipped n3: what it sees is not known: no host is configured" in found


def test_versions() -> None:
    snapshot = w.healthy()
    versions = {"n1": (2, 45), "n2": (2, 59), "n3": (2, 45)}
    snapshot = replace(
        snapshot,
        nodes=tuple(
            replace(node, stanza=Known(w.stanza(pgbackrest_version=versions[node.name]))) for node in snapshot.nodes
        ),
    )
    finding = one(checking.find_versions(snapshot))
    assert (finding.verdict, "2.45 on n1, n3; 2.59 on n2" in finding.text) == (Verdict.WARNING, True)
    same = with_stanza("n1", pgbackrest_version=(2, 59))
    assert one(checking.find_versions(same)).text == "pgBackRest 2.59 on n1"


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([ok("a"), skipped("b")], 0),
        ([ok("a"), unknown("b")], 5),
        ([warning("a", next_step="x"), unknown("b")], 1),
        ([critical("a", next_step="x"), ok("b")], 1),
    ],
)
def test_exit_codes(findings: list[Finding], code: int) -> None:
    rows = [Row("x", finding) for finding in findings]
    assert checking.exit_code(rows) == code
    assert document(w.healthy(), rows)["exit_code"] == code


def test_the_text_has_a_line_for_each_and_what_to_do() -> None:
    rows = [Row("stanza", ok("sound", "n1")), Row("push", critical("did\nnot come", "n1", next_step="look \x1b[1m"))]
    text = render(replace(w.healthy(), warnings=("old configuration",)), rows)
    assert text.splitlines()[0].startswith("demo: SOMETHING IS WRONG at 2026-11-23T03:00:00")
    assert "OK       stanza n1: sound" in text
    assert "CRITICAL push n1: did\\x0anot come\n         next: look \\x1b[1m\n" in text
    assert text.endswith("note: old configuration\n")


def test_the_document_has_units_in_its_keys() -> None:
    (found,) = document(w.healthy(), [Row("push", ok("well", "n1", took_s=0.9))])["findings"]
    assert found == {
        "check": "push",
        "verdict": "ok",
        "subject": "n1",
        "text": "well",
        "next_step": None,
        "numbers": {"took_s": 0.9},
    }
