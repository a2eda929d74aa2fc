"""`pgops backup check` on a real cluster: all is well, archiving broken, a repository per host, a retention left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pgops.config.loader import load
from practice.backup.scratch import Scratch
from practice.conftest import LabUnderTest

pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("backup-check")]
LAB = "bcheck"


def check(lab: LabUnderTest, *options: str) -> tuple[int | None, dict[str, list[dict[str, Any]]]]:
    """Exit code, and the findings by what they are about."""
    ended = lab.pgops("backup", "check", "-f", "json", "--wait", "4", *options)
    assert ended.stdout, ended.stderr
    document = json.loads(ended.stdout)
    assert document["exit_code"] == ended.exit_code
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in document["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    return ended.exit_code, found


def bad(found: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """What is critical or a warning: about what, and its text."""
    wrong = [item for items in found.values() for item in items if item["verdict"] in ("critical", "warning")]
    assert all(item["next_step"] for item in wrong)
    return {item["check"]: f"{item['subject']}: {item['text']}" for item in wrong}


def configurations(lab: LabUnderTest) -> dict[str, Path]:
    """Each member's pgbackrest.conf."""
    return {host.name: Path(host.pgbackrest_config or "") for host in load(lab.config).clusters[0].hosts}


@contextmanager
def broken(lab: LabUnderTest, incident: str) -> Iterator[None]:
    """With an incident of the lab, mended afterwards."""
    lab.lab("break", incident)
    try:
        yield
    finally:
        lab.lab("mend")


@contextmanager
def edited(path: Path, start: str, instead: str) -> Iterator[None]:
    """With the lines that begin so replaced in a file that keeps its owner and mode."""
    before = path.read_text()
    path.write_text("".join(instead if line.startswith(start) else line for line in before.splitlines(keepends=True)))
    try:
        yield
    finally:
        path.write_text(before)


def test_a_cluster_that_is_well(lab: LabUnderTest) -> None:
    code, found = check(lab)
    assert (code, bad(found)) == (0, {})
    (push,) = found["push"]
    assert (push["verdict"], "came into repository 1" in push["text"]) == ("ok", True)
    assert "keeps 2 full backups; there is one, of " in found["retention"][0]["text"]


def test_without_a_push_it_says_so(lab: LabUnderTest) -> None:
    code, found = check(lab, "--no-push")
    assert code == 0
    assert [(item["verdict"], "--no-push" in item["text"]) for item in found["push"]] == [("skipped", True)]


def test_the_text_is_for_people(lab: LabUnderTest) -> None:
    ended = lab.pgops("backup", "check", "--no-push")
    assert ended.exit_code == 0
    assert ended.stdout.startswith(f"{lab.name}: ALL WELL at ")
    assert "OK       repository: " in ended.stdout


def test_an_archive_that_cannot_be_written_shows_by_the_push_alone(lab: LabUnderTest) -> None:
    with broken(lab, "archive-failing"):
        code, found = check(lab)
    assert (code, list(bad(found))) == (1, ["push"])
    assert "WAL did not come into the archive in time" in bad(found)["push"]


def test_archiving_that_is_off(lab: LabUnderTest) -> None:
    with broken(lab, "archive-off"):
        code, found = check(lab)
    assert code == 1
    wrong = bad(found)
    assert "archive_mode is off" in wrong["archiving"]
    assert "archive_mode of PostgreSQL is off" in wrong["push"]


def test_a_repository_per_host(lab: LabUnderTest, scratch: Scratch) -> None:
    own = scratch.top / "own-repository"
    scratch.run("mkdir", str(own))
    name, path = sorted(configurations(lab).items())[1]
    with edited(path, "repo1-path=", f"repo1-path={own}\n"):
        code, found = check(lab, "--no-push")
        wrong = bad(found)
        assert (code, "repository" in wrong) == (1, True)
        assert f"{name}: no backups, no stanza of this name in the repository" in wrong["repository"]
        assert "after a failover the new leader would not have the others' backups" in wrong["repository"]
    assert check(lab, "--no-push")[0] == 0


def test_a_retention_that_nobody_set(lab: LabUnderTest) -> None:
    paths = list(configurations(lab).values())
    with edited(paths[0], "repo1-retention-full", ""):
        assert "different rules" in bad(check(lab, "--no-push")[1])["retention"]
        with edited(paths[1], "repo1-retention-full", ""), edited(paths[2], "repo1-retention-full", ""):
            code, found = check(lab, "--no-push")
    assert (code, list(bad(found))) == (1, ["retention"])
    assert "keeps every backup and all WAL for ever" in bad(found)["retention"]


def test_a_node_that_is_down_leaves_it_unseen(lab: LabUnderTest) -> None:
    with broken(lab, "node-down"):
        code, found = check(lab)
    assert (code, bad(found)) == (5, {})
    assert "unknown" in {item["verdict"] for item in found["archiving"]}
