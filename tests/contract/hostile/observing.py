"""Observation and judgement in this process, over servers that a test made; whatever they say, the outcome is sound."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, NoReturn

import jsonschema

from pgops.checklist import all_checks
from pgops.checks import Finding, Verdict
from pgops.config.model import (
    ClusterConfig,
    DcsConfig,
    DcsKind,
    HostConfig,
    ProxyConfig,
    RestConfig,
    SqlConfig,
    Timeouts,
)
from pgops.observe.gather import observe
from pgops.observe.snapshot import View
from pgops.secrets import Secret
from pgops_health.examination import read_schema
from pgops_health.formats import json_text, nagios_text, prometheus_text, table, tsv_text, yaml_text
from pgops_health.report import Report, judge, select

CANARY = "C4n4ry-s3cr3t"
VIEWS = frozenset({View.REST, View.DCS, View.SQL, View.PROXY})
TIMEOUTS = Timeouts(connect_s=0.4, answer_s=0.8, command_s=1.0)
CLOSED = "http://127.0.0.1:1"
SECONDS_MAX = 5.0
"""The DCS, then the members that only it names: twice (connect_s + answer_s), a second reading, and a busy machine."""

_VALIDATOR = jsonschema.Draft202012Validator(json.loads(read_schema()))


@dataclass(frozen=True)
class Outcome:
    """What came out of one look."""

    report: Report
    duration_s: float
    texts: dict[str, str]

    def of(self, check: str) -> list[Finding]:
        """The findings of one check."""
        return [item.finding for item in self.report.judged if item.check == check]


def cluster(
    *,
    rest_url: str | None = None,
    sql: tuple[str, int] | None = None,
    stats_url: str | None = None,
    kind: DcsKind = DcsKind.ETCD,
    endpoints: tuple[str, ...] = (CLOSED,),
    login: bool = True,
    name: str = "demo",
    **changes: Any,
) -> ClusterConfig:
    """A cluster whose services are these; whatever is not given refuses the connection. Every password is the canary.

    `login` false: the DCS wants none.
    """
    secret = Secret(CANARY)
    host, port = sql or ("127.0.0.1", 1)
    hosts = (HostConfig("n1", become=None, rest_url=rest_url or CLOSED, sql_host=host, sql_port=port),)
    proxies = (ProxyConfig("front", stats_url, "127.0.0.1", 1, None, "u", secret),) if stats_url else ()
    made: dict[str, Any] = {
        "rest": RestConfig("u", secret),
        "sql": SqlConfig("u", secret),
        "hosts": hosts,
        "proxies": proxies,
        "timeouts": TIMEOUTS,
    }
    dcs = DcsConfig(kind, endpoints, "u", secret) if login else DcsConfig(kind, endpoints)
    return ClusterConfig(name, "demo", dcs, **{**made, **changes})


def look(config: ClusterConfig, views: frozenset[View] = VIEWS) -> Outcome:
    """Observe, judge, render in every format, and assert all that holds whatever the servers said."""
    started = time.monotonic()
    snapshot = observe(config, views)
    duration_s = time.monotonic() - started
    checks, broken = all_checks()
    assert not broken
    report = judge(snapshot, select(checks, (), quick=False, deep=False))
    texts = {
        "json": json_text.render([report]),
        "yaml": yaml_text.render([report]),
        "tsv": tsv_text.render([report]),
        "nagios": nagios_text.render([report]),
        "prometheus": prometheus_text.render([report]),
        "table": table.render([report], width=100, colour=False, verbose=True),
    }
    outcome = Outcome(report, duration_s, texts)
    _assert_sound(outcome)
    return outcome


def _assert_sound(outcome: Outcome) -> None:
    for item in outcome.report.judged:
        text = item.finding.text
        assert "this check itself failed" not in text, text
        assert "a bug in" not in text, text
        if item.finding.verdict in (Verdict.CRITICAL, Verdict.WARNING):
            assert item.finding.next_step, item
    for text in outcome.texts.values():
        assert CANARY not in text
        text.encode()
        raw = {c for c in text if c not in "\n\t" and not c.isprintable()}
        assert not raw, raw
    _VALIDATOR.validate(json.loads(outcome.texts["json"], parse_constant=_refuse))
    assert {line.count("\t") for line in outcome.texts["tsv"].splitlines()} == {5}
    assert outcome.texts["nagios"].splitlines()[0].count("|") == 1
    assert outcome.duration_s < SECONDS_MAX


def _refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")
