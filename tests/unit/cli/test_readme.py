"""The README says what is there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from pgops.config.loader import load
from pgops_backup import checks as backup
from pgops_drill import checks as drill
from pgops_health.checks import CHECKS
from pgops_lab.incidents import INCIDENTS
from pgops_recover import checks as recover
from unit.cli.shell import ROOT

TEXT = (ROOT / "README.md").read_text("utf-8")


def test_it_opens_with_two_commands() -> None:
    first = TEXT.split("```sh\n", 1)[1].split("```", 1)[0].splitlines()
    commands = [line.split()[0] for line in first]
    assert commands == ["tests/practice/first_light.sh", "tests/run.sh"]
    for command in commands:
        assert (ROOT / command).stat().st_mode & 0o111, command


def test_checks() -> None:
    rows = re.findall(r"^\| ([a-z-]+) \| (.+) \|$", TEXT, re.MULTILINE)
    assert rows[1:] == [
        (check.name, check.summary) for check in (*CHECKS, *drill.CHECKS, *backup.CHECKS, *recover.CHECKS)
    ]


def test_incidents() -> None:
    practising = TEXT.split("## Practising", 1)[1].split("\n## ", 1)[0]
    assert re.findall(r"`([a-z-]+)`", practising) == list(INCIDENTS)


def test_the_configurations_are_accepted(tmp_path: Path) -> None:
    smallest, more = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert smallest.startswith("version: 1\n") and textwrap.dedent(more) != more
    for text in (smallest, smallest + more):
        path = tmp_path / "pgops.yml"
        path.write_text(text)
        (cluster,) = load(str(path), environ={}).clusters
        assert cluster.name == "demo"


@pytest.mark.parametrize("path", re.findall(r"\]\(([^):#]+)\)", TEXT))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()
