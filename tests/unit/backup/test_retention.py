"""What is kept: read from the configuration as option lines alone, and compared with what there is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pgops.checks import Verdict
from pgops.config.model import HostConfig, Timeouts
from pgops.hosts.factory import open_host
from pgops.pgbackrest.commands import Stanza
from pgops.readings import Known, Reading, Unknown
from pgops_backup.retention import Rule, Rules, find_retention, parse_rules, read_rules
from unit.checks import worlds as w

FILE = """\
[global]
repo1-path=/r
repo1-retention-full=2
  repo1-retention-diff = 7
repo1-cipher-pass=S3cret
repo1-s3-key-secret=S3cret
# repo1-retention-archive=9
repo2-host=vault
repo2-retention-full=S3cret S3cret
repo1-s3-host-retention-full=S3cret

[demo]
pg1-path=/data

[demo:expire]
repo1-retention-full=3

[other]
repo1-retention-full=99
"""


def read(path: Path) -> Reading[Rules]:
    host = open_host(HostConfig("n1", become=None), Timeouts(connect_s=2.0, answer_s=3.0, command_s=10.0))
    return read_rules(host, Stanza("demo", str(path)), timeout_s=5.0)


def test_a_real_file(tmp_path: Path) -> None:
    path = tmp_path / "pgbackrest.conf"
    path.write_text(FILE)
    assert read(path) == Known({1: Rule(full=3, diff=7), 2: Rule(host="vault")})


def test_nothing_else_of_the_file_leaves_the_host(tmp_path: Path) -> None:
    from pgops.hosts.process import run
    from pgops_backup.retention import _SCRIPT

    path = tmp_path / "pgbackrest.conf"
    path.write_text(FILE)
    printed = run(["sh", "-c", _SCRIPT, "sh", str(path)], timeout_s=5).stdout
    assert "S3cret" not in printed
    assert {line.split("=")[0].strip() for line in printed.splitlines() if not line.startswith("[")} == {
        "repo1-retention-full",
        "repo1-retention-diff",
        "repo2-host",
    }


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    reading = read(tmp_path / "none.conf")
    assert isinstance(reading, Unknown)
    assert "none.conf" in reading.reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "pgbackrest.conf"
    path.write_text(FILE)
    path.chmod(0)
    assert isinstance(read(path), Unknown)


@pytest.mark.parametrize(
    ("told", "rules"),
    [
        ("", {}),
        ("[]\n[global]\n", {}),
        ("[global]\nrepo1-retention-full=2\n", {1: Rule(full=2)}),
        ("[global]\nretention-full=2\n", {1: Rule(full=2)}),
        ("[global]\nrepo2-retention-full=2\nrepo2-retention-full-type=time\n", {2: Rule(full=2, by_days=True)}),
        ("[demo]\nrepo1-retention-full=4\n[]\n[global]\nrepo1-retention-full=2\n", {1: Rule(full=4)}),
        ("[global:expire]\nrepo1-retention-full=4\n[global]\nrepo1-retention-full=2\n", {1: Rule(full=4)}),
        ("[global:backup]\nrepo1-retention-full=4\n", {}),
        ("repo1-retention-full=4\n", {}),
        ("[global]\nrepo1-retention-full=many\n", {1: Rule()}),
        ("[global]\nrepo1-retention-archive=5\nrepo1-retention-archive-type=diff\n", {1: Rule(archive=5)}),
    ],
)
def test_sections(told: str, rules: Mapping[int, Rule]) -> None:
    assert parse_rules(told, "demo") == rules


def judged(rules: Mapping[str, Reading[Rules]], fulls: int = 1, *, running: bool = False) -> list[tuple[Verdict, str]]:
    made = [w.backup(label=f"2026112{day}-010000F", age=timedelta(days=3 - day)) for day in range(fulls)]
    stanza = replace(w.stanza(*made), backups=tuple(made), backup_running=running)
    return [
        (finding.verdict, finding.text) for finding in find_retention(w.with_node("n1", stanza=Known(stanza)), rules)
    ]


def same(rule: Rule) -> dict[str, Reading[Rules]]:
    return {name: Known({1: rule}) for name in ("n1", "n2", "n3")}


def test_how_many_are_kept_and_from_when() -> None:
    ((verdict, text),) = judged(same(Rule(full=2, diff=7, archive=2)), 2)
    assert verdict is Verdict.OK
    assert text == (
        "repository 1: keeps 2 full backups, 7 differential ones, WAL of the newest 2; there are 2, the oldest of "
        "2026-11-20T03:00:00+00:00"
    )


def test_none_is_set_so_everything_is_kept() -> None:
    unset: dict[str, Reading[Rules]] = {name: Known({}) for name in ("n1", "n2")}
    for rules in (same(Rule(diff=3)), unset):
        ((verdict, text),) = judged(rules)
        assert verdict is Verdict.WARNING
        assert "repo1-retention-full is not set, so pgBackRest keeps every backup and all WAL for ever" in text


def test_more_than_are_to_be_kept() -> None:
    assert "more than are to be kept" in judged(same(Rule(full=2)), 3)[0][1]
    assert judged(same(Rule(full=2)), 3, running=True)[0][0] is Verdict.OK  # they go when it is made
    assert judged(same(Rule(full=2, by_days=True)), 3)[0] == (
        Verdict.OK,
        "repository 1: keeps full backups of 2 days; there are 3, the oldest of 2026-11-20T03:00:00+00:00",
    )


def test_no_full_backup_yet() -> None:
    assert judged(same(Rule(full=2)), 0)[0][1] == "repository 1: keeps 2 full backups; there is none"


def test_members_that_keep_by_different_rules() -> None:
    rules: dict[str, Reading[Rules]] = {**same(Rule(full=2)), "n3": Known({})}
    ((verdict, text),) = judged(rules)
    assert (verdict, "n3: keeps everything" in text) == (Verdict.WARNING, True)


def test_a_repository_that_another_host_keeps() -> None:
    assert judged(same(Rule(host="vault")))[0][0] is Verdict.SKIPPED


def test_a_member_whose_rules_are_unread() -> None:
    found = judged({**same(Rule(full=2)), "n2": Unknown("ssh: refused")})
    assert found[0] == (Verdict.UNKNOWN, "what is kept could not be read: ssh: refused")
    assert found[1][0] is Verdict.OK
    assert [verdict for verdict, _ in judged({"n2": Unknown("ssh: refused")})] == [Verdict.UNKNOWN]
