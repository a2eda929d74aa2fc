"""The output formats over every world of the checks' tests: schema, order, exit code, stable columns."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import jsonschema
import pytest
import yaml

from pgops.checks import Verdict
from pgops.observe.snapshot import Snapshot
from pgops.readings import Unknown
from pgops_health.checks import CHECKS
from pgops_health.examination import read_schema
from pgops_health.formats import json_text, nagios_text, prometheus_text, table, tsv_text, yaml_text
from pgops_health.report import exit_code, judge
from unit.checks import worlds as w
from unit.checks.test_checks import CASES
from unit.checks.test_rules import CAPACITY, blind

WORLDS = [
    w.healthy(),
    blind(w.healthy(), Unknown("no answer")),
    *(case[2] for case in CASES),
    *(case[1] for case in CAPACITY),
]
VALIDATOR = jsonschema.Draft202012Validator(json.loads(read_schema()))


@pytest.mark.parametrize("number", range(len(WORLDS)))
def test_every_format_of_every_world(number: int) -> None:
    report = judge(WORLDS[number], CHECKS)
    ranks = [item.finding.verdict.rank for item in report.judged]
    assert ranks == sorted(ranks), "worst first"

    document = json.loads(json_text.render([report]))
    VALIDATOR.validate(document)
    assert document["exit_code"] == exit_code([report])
    assert document == yaml.safe_load(yaml_text.render([report]))

    lines = tsv_text.render([report]).splitlines()
    assert {line.count("\t") for line in lines} == {len(tsv_text.COLUMNS) - 1}
    assert len(lines) == len(report.judged) + 1

    first = nagios_text.render([report]).splitlines()[0]
    word = {0: "OK", 1: "WARNING", 2: "CRITICAL", 3: "UNKNOWN"}[exit_code([report])]
    assert first.startswith(f"PGOPS {word} - ")
    assert first.count("|") == 1

    for line in prometheus_text.render([report]).splitlines():
        assert re.fullmatch(r"# TYPE \w+ gauge|\w+\{(\w+=\"([^\"\\]|\\.)*\",?)*\} -?[0-9.e+-]+", line), line

    for width in (None, 40, 80):
        text = table.render([report], width=width, colour=False, verbose=width == 80)
        assert "\x1b" not in text
        assert report.verdict.value.upper() in text.splitlines()[0]


@pytest.mark.parametrize(
    ("world", "verdict", "code"),
    [
        (w.healthy(), Verdict.OK, 0),
        (w.with_config(pause=True), Verdict.WARNING, 1),
        (w.with_keys(leader=None), Verdict.CRITICAL, 2),
        (w.with_node("n2", services=Unknown("no answer")), Verdict.UNKNOWN, 3),
    ],
)
def test_exit_codes_are_nagios_s(world: Snapshot, verdict: Verdict, code: int) -> None:
    report = judge(world, CHECKS)
    assert (report.verdict, exit_code([report])) == (verdict, code)


def test_the_worst_cluster_decides_and_critical_is_worse_than_unknown() -> None:
    unknown, critical = w.with_node("n2", services=Unknown("no answer")), w.with_keys(leader=None)
    reports = [judge(world, CHECKS) for world in (w.healthy(), unknown, critical)]
    assert exit_code(reports) == 2
    assert exit_code(reports[:2]) == 3


def test_what_is_unknown_for_one_reason_is_told_once() -> None:
    world = replace(w.healthy(), keys=Unknown("etcd is away"), dcs=Unknown("etcd is away"))
    text = table.render([judge(world, CHECKS)], width=None, colour=False, verbose=False)
    assert len([line for line in text.splitlines() if line.startswith("UNKNOWN") and "etcd is away" in line]) <= 3


def test_colour_is_added_and_carries_no_meaning_alone() -> None:
    report = judge(w.with_keys(leader=None), CHECKS)
    painted = table.render([report], width=80, colour=True, verbose=False)
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == table.render([report], width=80, colour=False, verbose=False)
    assert painted.count("\x1b[") > 1
