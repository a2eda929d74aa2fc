"""`-f nagios`: one line for the notification, the rest as long output. Source: Monitoring Plugins Development Guidelines."""

from __future__ import annotations

from collections.abc import Sequence

from pgops.checks import Verdict
from pgops.render.text import printable
from pgops_health.report import Judged, Report, exit_code

_WORDS = {0: "OK", 1: "WARNING", 2: "CRITICAL", 3: "UNKNOWN"}


def render(reports: Sequence[Report]) -> str:
    """`PGOPS CRITICAL - worst finding; and n more | performance data`, then a line for each finding that is not ok."""
    bad = [
        (report, item)
        for report in reports
        for item in report.judged
        if item.finding.verdict not in (Verdict.OK, Verdict.SKIPPED)
    ]
    bad.sort(key=lambda pair: pair[1].finding.verdict.rank)
    many = len(reports) > 1
    if bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        first = f"{_line(*bad[0], named=many)}{more}"
    else:
        first = ", ".join(
            f"{report.snapshot.cluster.name}: {len(report.of(Verdict.OK))} checks ok" for report in reports
        )
    lines = [f"PGOPS {_WORDS[exit_code(reports)]} - {first} | {_performance(reports)}"]
    lines += [f"{item.finding.verdict.value.upper()} {_line(report, item, named=many)}" for report, item in bad[1:]]
    return "\n".join(lines) + "\n"


def _line(report: Report, item: Judged, *, named: bool) -> str:
    cluster = f"{report.snapshot.cluster.name} " if named else ""
    where = f" {item.finding.subject}" if item.finding.subject else ""
    # The bar separates performance data in this format.
    return printable(f"{cluster}{item.check}{where}: {item.finding.text}").replace("|", "/")


def _label(name: str) -> str:
    """Inside a quoted label a quote is doubled and the equals sign may not stand."""
    return printable(name).replace("'", "''").replace("=", "_").replace("|", "/")


def _performance(reports: Sequence[Report]) -> str:
    parts = []
    for report in reports:
        prefix = f"{_label(report.snapshot.cluster.name)}_" if len(reports) > 1 else ""
        counted = (verdict for verdict in Verdict if verdict is not Verdict.SKIPPED)
        parts += [f"'{prefix}{verdict.value}'={len(report.of(verdict))}" for verdict in counted]
    return " ".join(parts)
