"""Hostile names in everything that has one: no output is steered by them, and each format stays parsable."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta

import jsonschema
import pytest
import yaml

from pgops.checks import Check, Finding, critical, ok
from pgops.observe.facts import DiskUsage, Slot
from pgops.observe.snapshot import QUICK, Snapshot
from pgops.readings import Known
from pgops_health.checks import CHECKS
from pgops_health.examination import read_schema
from pgops_health.formats import json_text, nagios_text, prometheus_text, table, tsv_text, yaml_text
from pgops_health.report import Report, exit_code, judge
from unit.checks import worlds as w
from unit.health.names import NAMES, named

_SAMPLE = re.compile(r'(\w+)\{((?:[a-z_]+="(?:[^"\\]|\\\\|\\")*",?)+)\} (-?[0-9][0-9.e+-]*)')
"""A line of the text exposition format, whose label values escape the quote and the backslash and hold no line break."""


@pytest.fixture(
    params=[(name, broken) for name in NAMES for broken in (False, True)], ids=lambda p: f"{p[0]!r:.20}{p[1]}"
)
def report(request: pytest.FixtureRequest) -> Report:
    """A world of one hostile name, judged."""
    name, broken = request.param
    report = judge(named(name, broken=broken), CHECKS)
    assert not [item for item in report.judged if "itself failed" in item.finding.text]
    return report


def assert_plain(text: str) -> None:
    text.encode()
    assert not {c for c in text if c not in "\n\t" and not c.isprintable()}


def test_table(report: Report) -> None:
    for width in (None, 40, 100):
        for verbose in (False, True):
            assert_plain(table.render([report, report], width=width, colour=False, verbose=verbose))
    text = table.render([report], width=None, colour=False, verbose=False)
    assert not re.search("^CRITICAL faked", text, re.MULTILINE)
    painted = table.render([report], width=None, colour=True, verbose=True)
    assert_plain(re.sub(r"\x1b\[[0-9;]*m", "", painted))


def test_tsv(report: Report) -> None:
    text = tsv_text.render([report, report])
    assert_plain(text)
    lines = text.split("\n")
    assert lines.pop() == ""
    assert {line.count("\t") for line in lines} == {5}
    assert len(lines) == 2 * len(report.judged) + 1
    assert {line.split("\t")[1] for line in lines[1:]} <= {"critical", "unknown", "warning", "ok", "skipped"}


def test_nagios(report: Report) -> None:
    text = nagios_text.render([report])
    assert_plain(text)
    first, *rest = text.splitlines()
    said, bar, performance = first.partition(" | ")
    assert said.startswith("PGOPS CRITICAL - ")
    assert bar
    assert re.fullmatch(r"('\w+'=\d+ ?)+", performance)
    # In the long output everything behind a bar is performance data as well.
    assert not any("|" in line for line in rest)


def test_nagios_names_the_cluster_in_its_performance_data(report: Report) -> None:
    text = nagios_text.render([report, report])
    assert_plain(text)
    _, _, performance = text.splitlines()[0].partition(" | ")
    assert re.fullmatch(r"('([^'=|]|'')+'=\d+ ?)+", performance)


def test_prometheus(report: Report) -> None:
    text = prometheus_text.render([report, report])
    assert_plain(text)
    seen = set()
    for line in text.split("\n")[:-1]:
        if not line.startswith("# TYPE "):
            match = _SAMPLE.fullmatch(line)
            assert match, line
            series = (match[1], match[2])
            assert series not in seen, "one series twice"
            seen.add(series)
            float(match[3])


def test_json_and_yaml(report: Report) -> None:
    text = json_text.render([report])
    document = json.loads(text)
    jsonschema.Draft202012Validator(json.loads(read_schema())).validate(document)
    assert text.isascii()
    assert document["exit_code"] == exit_code([report]) == 2
    as_yaml = yaml_text.render([report])
    assert as_yaml.isascii()
    if "\ud800" not in str(report):  # a lone surrogate is no YAML; it is escaped all the same
        assert yaml.safe_load(as_yaml) == document


def test_two_disks_two_slots_and_two_repositories_are_series_of_their_own() -> None:
    disks = tuple(DiskUsage(mount, (mount,), 100, free, 100.0 - free, 1.0) for mount, free in (("/a", 60), ("/b", 20)))
    backups = (w.backup(), w.backup(repo_key=2, age=timedelta(hours=20)))
    slots = tuple(Slot(name, "physical", False, "reserved", size) for name, size in (("s", 2**40), ("t", 2**41)))
    node = replace(w.node("n1", leader=True), sql=Known(w.sql_facts(leader=True, slots=Known(slots))))
    node = replace(node, disks=Known(disks), stanza=Known(w.stanza(*backups)))
    text = prometheus_text.render([judge(replace(w.healthy(), nodes=(node,)), CHECKS)])
    for part, key, value in (
        ("/a", "used_percent", 40),
        ("/b", "used_percent", 80),
        ("s", "retained_bytes", 2**40),
        ("t", "retained_bytes", 2**41),
        ("1", "newest_age_s", 7200),
        ("2", "newest_age_s", 72000),
    ):
        assert f'part="{part}",key="{key}"}} {value}\n' in text, part
    series = [line.rsplit(" ", 1)[0] for line in text.splitlines()]
    assert len(series) == len(set(series))


def test_the_worst_of_two_numbers_of_one_name_is_given() -> None:
    def find(_: Snapshot) -> list[Finding]:
        return [ok("fine", age_s=1), critical("bad", next_step="look", age_s=9)]

    text = prometheus_text.render([judge(w.healthy(), [Check("mine", "a stranger's", QUICK, find)])])
    assert text.count('key="age_s"') == 1
    assert 'check="mine",subject="",part="",key="age_s"} 9\n' in text
