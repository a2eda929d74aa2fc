"""`-f prometheus`: the text exposition format, for node_exporter's textfile collector.

Source: Prometheus docs, exposition_formats. A number that is unknown is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from pgops.render.text import printable
from pgops_health.formats.records import member_record
from pgops_health.report import Report


def render(reports: Sequence[Report]) -> str:
    """Verdicts as Nagios codes (0 ok, 1 warning, 2 critical, 3 unknown) and the numbers of the findings."""
    families: dict[str, dict[str, float]] = {}

    def add(family: str, value: float, **labels: str) -> None:
        body = ",".join(f'{name}="{_escape(text)}"' for name, text in labels.items())
        # One series twice would make the collector drop the whole file; findings come worst first.
        families.setdefault(family, {}).setdefault(body, value)

    for report in reports:
        cluster = report.snapshot.cluster.name
        add("pgops_health_verdict", report.verdict.exit_code, cluster=cluster)
        add("pgops_health_taken_at_seconds", int(report.snapshot.taken_at.timestamp()), cluster=cluster)
        for node in report.snapshot.nodes:
            record = member_record(report.snapshot, node)
            for key in ("takes_writes", "holds_lock", "timeline", "receive_lag_bytes", "replay_lag_bytes"):
                if record[key] is not None:
                    add(f"pgops_member_{key}", int(record[key]), cluster=cluster, member=node.name)
        worst: dict[str, int] = {}
        for item in sorted(report.judged, key=lambda judged: -judged.finding.verdict.rank):
            if item.finding.verdict.value != "skipped":
                worst[item.check] = item.finding.verdict.exit_code
        for check, code in worst.items():
            add("pgops_check_verdict", code, cluster=cluster, check=check)
        for item in report.judged:
            # What a number is of beside its subject (a slot, a mount point, a repository) stands among them as a text.
            part = " ".join(value for value in item.finding.numbers.values() if isinstance(value, str))
            labels = {"cluster": cluster, "check": item.check, "subject": item.finding.subject, "part": part}
            for key, value in item.finding.numbers.items():
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    add("pgops_finding_number", value, **labels, key=key)
    lines = []
    for family, samples in families.items():
        lines.append(f"# TYPE {family} gauge")
        lines += [f"{family}{{{body}}} {_number(value)}" for body, value in samples.items()]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:g}" if value % 1 else str(int(value))


def _escape(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace('"', '\\"')
