"""`-f tsv`: one finding a line, for cut, sort and spreadsheets."""

from __future__ import annotations

from collections.abc import Sequence

from pgops.render.text import printable
from pgops_health.report import Report

COLUMNS = ("cluster", "verdict", "check", "subject", "finding", "next_step")


def render(reports: Sequence[Report]) -> str:
    """A header line and a line a finding; tabs and line breaks inside a field are made visible."""
    lines = ["\t".join(COLUMNS)]
    for report in reports:
        for item in report.judged:
            finding = item.finding
            fields = (
                report.snapshot.cluster.name,
                finding.verdict.value,
                item.check,
                finding.subject,
                finding.text,
                finding.next_step or "",
            )
            lines.append("\t".join(printable(field) for field in fields))
    return "\n".join(lines) + "\n"
